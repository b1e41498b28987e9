"""The provenance of the numbers on the page of the analyses, and SQL for the proteins behind its figures."""

from __future__ import annotations

from pcip_core.report.analyses.rows import AnalysisRows
from pcip_core.report.page import Block, Code, Key, Links, Section, Table, Text


def provenance(rows: AnalysisRows) -> Section:
    """The tables with their run and commit, the network, and links to the files in the page's folder."""
    source = rows.feature_set_provenance
    facts = [
        f"All results on this page derive from the feature set {rows.feature_set}",
        f"encoder version {source['encoder_version']}" if source.get("encoder_version") else "",
        f"MLflow run {source['mlflow_run_id']}" if source.get("mlflow_run_id") else "",
    ]
    columns = ["table", "rows", "created", "commit", "Dagster run"]
    body = [
        [
            str(row["table"]),
            f"{row['rows']:,}",
            str(row.get("created_at") or "")[:16].replace("T", " "),
            str(row.get("commit") or "")[:10],
            str(row.get("dagster_run_id") or ""),
        ]
        for row in rows.tables
    ]
    blocks: list[Block] = [
        Text(", ".join(fact for fact in facts if fact) + "."),
        Table(
            columns,
            body,
            words=frozenset(columns[2:]),
            caption=f"Tables of the schema {rows.screen} in feature_store.duckdb.",
        ),
        Text(
            f"This page contains {rows.crops:,} pictures of cells, sampled evenly (limit: {rows.most_crops:,}); "
            "points outside the sample have no picture. Each channel of each crop is scaled from its minimum to its "
            "maximum.",
            note=True,
        ),
    ]
    if rows.links:
        blocks.append(Links("Files with this page:", rows.links))
    return Section("Provenance", blocks)


def key(rows: AnalysisRows) -> Key:
    """The colours of the channels in the pictures of cells, and how wide these are."""
    return Key(
        list(rows.channels.items()),
        f"Colours of the channels in all pictures of cells. A picture in a tooltip is {rows.picture_width} wide. "
        "Figures have a scale bar, whose length is stated below them.",
    )


def sql_examples(rows: AnalysisRows) -> Section:
    """SQL queries for the data of each figure."""
    name = rows.screen
    solution = rows.solutions[0].name if rows.solutions else "ward"
    node = next(iter(rows.solutions[0].clusters), "1") if rows.solutions else "1"
    queries = []
    if rows.solutions:
        queries.append(
            f"""-- the proteins of a cluster
SELECT DISTINCT protein, gene, localization FROM {name}.clusters JOIN {name}.images USING (protein)
WHERE solution = '{_quoted(solution)}' AND node = '{_quoted(node)}';"""
        )
    if not rows.enrichment.is_empty():
        queries.append(
            f"""-- significant terms of each cluster
SELECT node, name, hits || '/' || annotated AS proteins, q FROM {name}.enrichment
WHERE solution = '{_quoted(solution)}' AND q < 0.05 ORDER BY node, q;"""
        )
    if rows.pairs:
        first, second = _quoted(rows.pairs[0].first), _quoted(rows.pairs[0].second)
        queries.append(
            f"""-- cells of proteins in both compartments, from the first to the second
SELECT protein, cell_id, score FROM {name}.localization_scores JOIN {name}.images USING (image_id)
WHERE first = '{first}' AND second = '{second}' AND "group" = 'both' ORDER BY score;"""
        )
    if not rows.variability.is_empty():
        queries.append(
            f"""-- the most variable proteins
SELECT protein, cell_line, n, excess, split_excess, rank FROM {name}.variability ORDER BY rank LIMIT 10;"""
        )
    if rows.phenotypes:
        queries.append(
            f"""-- proportions of phenotypes
SELECT protein, cell_line, phenotype, count(*) AS cells, any_value(share) AS share FROM {name}.phenotypes
GROUP BY ALL ORDER BY ALL;"""
        )
    if not rows.mismatch.is_empty():
        queries.append(
            f"""-- pairs whose prediction does not resemble its source
SELECT source_cell, target_cell, source_label, target_label, r_source, r_target, r_truth FROM {name}.mismatch
WHERE network = 'encoder' AND NOT resembles_source;"""
        )
    queries.append(
        f"""-- the ten cells nearest to a cell
SELECT * FROM {name}.similar_cells('{_quoted(rows.feature_set)}', (SELECT min(cell_id) FROM {name}.cells), 10);"""
    )
    return Section(
        "SQL queries for the data of the figures",
        [
            Text("Run these queries on the DuckDB file that each run publishes (feature_store.duckdb):"),
            Code("\n\n".join(queries)),
        ],
    )


def _quoted(text: str) -> str:
    return text.replace("'", "''")
