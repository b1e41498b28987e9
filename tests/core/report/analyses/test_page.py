"""The page of analyses: every section that has its tables, what is missing told, nothing loaded, text escaped."""

from __future__ import annotations

import base64
import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image
from scipy.cluster import hierarchy

from pcip_core.report.analyses.members import members_by_closeness
from pcip_core.report.analyses.page import analysis_page
from pcip_core.report.analyses.rows import AnalysisRows, Cloud, Pair, Part, Solution
from pcip_core.report.methods import Methods
from pcip_core.report.page import made_from
from tests.core.plots.bokeh_pages import attributes, documents, values_of
from tests.core.report.test_benchmarks import Tables

BAD = "</script><img src=x onerror=bad()>"
NAMES = [BAD, *(f"P{row}" for row in range(1, 10))]
HEADINGS = (
    "Protein map",
    "Clustered heat maps",
    "Members of the clusters",
    "Clusters and their terms",
    "Cells between two compartments",
    "Variable proteins",
    "Cells of one protein",
    "What single features see",
    "Does the network cheat?",
    "Map of cells",
    "Plates",
)


def cloud(n: int, groups: list[str], **tooltip: list[str]) -> Cloud:
    rng = np.random.default_rng(n)
    return Cloud(
        tooltip or {"protein": NAMES[:n]}, [""] * n, rng.normal(size=n), rng.normal(size=n), groups, n + 5
    )


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(file, "PNG")
    return file.getvalue()


def made_up_tables() -> dict[str, list[dict[str, Any]]]:
    """Rows of the tables that the page shows."""
    terms = {
        "vocabulary": "localization", "namespace": "", "term": "T", "cluster_size": 6, "background_hits": 7,
        "background": 10, "tests": 2, "fold": 1.25, "p": 0.001,
    }  # fmt: skip
    enrichment = [
        {
            **terms,
            "solution": "ward",
            "node": "1",
            "name": "Nucleoli & rim",
            "hits": 4,
            "annotated": 6,
            "q": 0.0123,
        },
        {**terms, "solution": "ward", "node": "2", "name": "Cytosol", "hits": 1, "annotated": 4, "q": 0.7},
    ]
    scores = [
        {
            "protein": f"V{rank}",
            "cell_line": "L",
            "standard_deviation": 1 / rank,
            "mean": 0.25,
            "n": 30,
            "rank": rank,
        }
        for rank in range(1, 13)
    ]
    variable = [
        {"protein": f"W{rank}", "cell_line": "L", "n": 9 + rank, "excess": 3.0 - rank, "split_excess": None,
         "variability": 5.0 - rank, "rank": rank}
        for rank in range(1, 11)
    ]  # fmt: skip
    cells = [
        {"protein": "Q", "cell_line": "L", "phenotype": 1 + row // 3, "share": (0.75, 0.25)[row // 3]}
        for row in range(4)
    ]
    pairs = [
        {"network": network, "r_source": source, "r_target": 0.2, "r_truth": 0.3, "r_matched": 0.35,
         "resembles_source": source > 0.3}
        for network, source in (("encoder", 0.9), ("encoder", 0.5), ("encoder", 0.1), ("untrained", 0.2))
    ]  # fmt: skip
    key = {"feature_set": "inpainting_conv3", "grouped_by": "localization"}
    units = [
        {**key, "unit": 37, "rank": 1, "label": "Nucleoli & rim", "share": 0.625},
        {**key, "unit": 4, "rank": 2, "label": "Cytosol", "share": 0.5},
    ]
    return {
        "units": units,
        "enrichment": enrichment,
        "scores": scores,
        "variability": variable,
        "cells": cells,
        "mismatch": pairs,
    }


def made_up(**other: Any) -> AnalysisRows:
    features = np.random.default_rng(1).normal(size=(10, 4))
    tree = hierarchy.linkage(features, "ward")
    order = hierarchy.leaves_list(tree).tolist()
    tables = made_up_tables()
    rows = AnalysisRows(
        title="screen_1",
        description="Cells <of> a test",
        simulated=False,
        screen="screen_1",
        feature_set="inpainting_conv3",
        proteins=cloud(10, ["1"] * 6 + ["2"] * 4),
        parts={"": Part(np.arange(10), NAMES, features)},
        solutions=[Solution("ward", "", tree, {"1": order[:6], "2": order[6:]})],
        enrichment=pl.DataFrame(tables["enrichment"]),
        pairs=[
            Pair(
                "Nuclear membrane",
                "ER",
                cloud(3, ["Nuclear membrane only", "both", "ER only"]),
                pl.DataFrame(tables["scores"]),
            )
        ],
        variable=cloud(10, ["1 to 10"] * 10),
        variability=pl.DataFrame(tables["variability"], schema_overrides={"split_excess": pl.Float64}),
        phenotypes=[("Q L", cloud(4, ["1", "1", "1", "2"]), pl.DataFrame(tables["cells"]))],
        units=pl.DataFrame(tables["units"]),
        mismatch=pl.DataFrame(tables["mismatch"]),
        cells=cloud(9, ["a"] * 4 + [""] * 5),
        figures={"enrichment_ward": png(), "phenotypes_Q": png()},
        files={"enrichment_ward": [("PNG", "enrichment_ward.png"), ("PDF", "enrichment_ward.pdf")]},
        channels={"dna": "#3344ff", BAD: "#00ff00"},
        picture_width="38 µm",
        plates=pl.DataFrame(
            [
                {
                    "plate": "P1",
                    "well": well,
                    "channel": "",
                    "measure": "cells",
                    "value": value,
                    "flagged": False,
                }
                for well, value in (("A01", 3.0), ("B02", 9.0))
            ]
        ),
        methods=Methods(f"Cells of {BAD}.", ["Lu (2019)."], "@article{lu2019}"),
        tables=[{"table": "clusters", "rows": 10, "commit": "abc1234567890", "dagster_run_id": "run-1"}],
        feature_set_provenance={"encoder_version": "7", "mlflow_run_id": "ml-1"},
        links=[("scores", "benchmarks.html")],
        crops=1234,
        most_crops=3000,
    )
    return replace(rows, **other)


def headings(html: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", html)


def test_every_section_stands_once_in_its_order_and_in_the_contents() -> None:
    html = analysis_page(made_up())
    assert tuple(headings(html)[: len(HEADINGS)]) == HEADINGS
    assert headings(html)[len(HEADINGS) :] == [
        "Methods, to paste",
        "Provenance",
        "SQL queries for the data of the figures",
    ]
    assert html.count('href="#s') == len(headings(html))


def test_tree_of_a_subset_of_proteins_is_added_to_that_of_all() -> None:
    rows = made_up()
    features = np.random.default_rng(2).normal(size=(4, 4))
    part = Part(np.array([7, 2, 5, 0]), [NAMES[row] for row in (7, 2, 5, 0)], features)
    tree = hierarchy.linkage(features, "ward")
    small = Solution("ward within vesicles", "vesicles", tree, {"1": [0, 1, 2, 3]})
    html = analysis_page(
        replace(rows, parts={**rows.parts, "vesicles": part}, solutions=[*rows.solutions, small])
    )
    assert "ward within vesicles: 4 proteins, 4 standardized features of inpainting_conv3." in html
    assert "ward: 10 proteins, 4 standardized features of inpainting_conv3." in html
    columns = [
        dict(source["data"]["entries"]) for source in attributes(documents([html]), "ColumnDataSource")
    ]
    (shared,) = (
        source
        for source in columns
        if source.get("text_0") == NAMES and any(name.startswith("leaf_") for name in source)
    )
    leaves = [values for name, values in shared.items() if name.startswith("leaf_")]
    assert len(leaves) == 2
    places = values_of(leaves[1])
    order = hierarchy.leaves_list(tree)
    expected = np.full(10, np.nan)
    for place, leaf in enumerate(order):
        expected[(7, 2, 5, 0)[leaf]] = place
    assert np.array_equal(places, expected, equal_nan=True)


def test_without_tables_each_section_says_what_it_needs() -> None:
    html = analysis_page(
        AnalysisRows("screen_1", "", simulated=False, screen="screen_1", feature_set="inpainting_conv3")
    )
    assert headings(html)[0] == "Not on this page"
    told = re.findall(r"<p>(.*?)</p>", html)
    for heading in HEADINGS:
        assert sum(line.startswith(f"{heading.rstrip('?')}: ") for line in told) == 1, heading
    assert "<script" not in html


def test_numbers_of_the_tables_are_found() -> None:
    tables = Tables(analysis_page(made_up()))
    text = [[cell for cell, _ in row] for row in tables.rows]
    assert ["1", "6", "Nucleoli & rim", "4/6", "7/10", "1.2", "0.012"] in text
    assert ["2", "4", "no term with q below 0.05", "", "", "", ""] in text
    assert [row[0] for row in text if row and re.fullmatch(r"\d+\. V\d+", row[0])] == [
        f"{rank}. V{rank}" for rank in range(1, 11)
    ]
    assert ["2. V2", "L", "0.500", "0.250", "30"] in text
    assert ["3. W3", "L", "0.00", "", "2.00", "12"] in text
    assert ["1", "75%", "3"] in text
    assert ["37", "Nucleoli & rim", "0.62"] in text
    assert ["2", "25%", "1"] in text
    encoder = next(row for row in text if row and row[0] == "encoder")
    assert encoder == ["encoder", "3", "67%", "0.300", "100%", "0.500", "0.200", "0.300", "0.350"]
    assert any(row[0] == "clusters" and row[-1] == "run-1" for row in text)


def test_nothing_is_loaded_and_names_are_text() -> None:
    html = analysis_page(made_up())
    assert all(source.startswith(("data:", "#")) or "/" not in source for source in Tables(html).sources)
    assert "<img src=x" not in html
    assert "onerror=bad()>" not in html
    assert "Cells &lt;of&gt; a test" in html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; img-src data:;")


def test_a_figure_whose_file_is_missing_is_named() -> None:
    html = analysis_page(made_up())
    assert html.count("data:image/webp;base64") >= 2
    for name in ("localization_scores_Nuclear_membrane_ER", "variability", "units_2", "mismatch"):
        assert f"The file of this figure is missing: {name}.png." in html
    assert "missing: enrichment_ward" not in html
    assert "missing: phenotypes_Q" not in html


def test_simulated_images_are_told_everywhere() -> None:
    html = analysis_page(made_up(simulated=True))
    captions = re.findall(r"<(?:figcaption|caption)>(.*?)</", html)
    assert len(captions) >= 12
    untold = [one for one in captions if "SIMULATED" not in one]
    assert untold == ["Tables of the schema screen_1 in feature_store.duckdb."]
    assert "SIMULATED" not in analysis_page(made_up())


def test_a_page_remembers_what_it_was_made_from(tmp_path: Path) -> None:
    path = tmp_path / "analyses.html"
    assert made_from(path) is None
    path.write_text(analysis_page(made_up(), made_from="0123abcd"))
    assert made_from(path) == "0123abcd"
    path.write_text("<html>something else</html>")
    assert made_from(path) is None


def test_members_of_a_cluster_are_named_the_nearest_to_its_mean_first() -> None:
    rows = made_up()
    points = rows.parts[""].means
    points = (points - points.mean(0)) / points.std(0)
    found = members_by_closeness(rows, rows.solutions[0])
    for node, leaves in rows.solutions[0].clusters.items():
        centre = points[list(leaves)].mean(0)
        expected = sorted(leaves, key=lambda leaf: float(np.linalg.norm(points[leaf] - centre)))
        assert found[node] == [NAMES[leaf] for leaf in expected]
    many_names = replace(rows, solutions=[replace(rows.solutions[0], clusters={"1": range(10)})])
    html = analysis_page(many_names)
    assert "<details><summary>2 more</summary>" in html
    cells = csv_files(html)["Members_of_the_clusters_2.csv"][1]
    assert cells[:2] == ["1", "10"]
    assert set(cells[2].split(", ")) == set(NAMES)


def test_methods_with_the_same_clusters_are_shown_once_with_the_cut_at_which_they_differ() -> None:
    rows = made_up()
    first = rows.solutions[0]
    html = analysis_page(replace(rows, solutions=[first, replace(first, name="average")]))
    assert html.count("average: the clusters are those of ward.") == 3  # heat maps, members, terms
    assert "The trees agree at every cut" in html
    other = replace(first, name="average", tree=hierarchy.linkage(rows.parts[""].means, "average"))
    assert "adjusted Rand index of the clusters" in analysis_page(replace(rows, solutions=[first, other]))


def csv_files(html: str) -> dict[str, list[list[str]]]:
    """Name of each CSV file of a page -> its rows."""
    files = re.findall(r'<a download="([^"]+\.csv)" href="data:text/csv;base64,([^"]+)"', html)
    texts = {name: base64.b64decode(data).decode("utf-8-sig") for name, data in files}
    return {name: list(csv.reader(io.StringIO(text))) for name, text in texts.items()}


def test_every_table_is_a_csv_file_with_all_its_rows() -> None:
    html = analysis_page(made_up())
    files = csv_files(html)
    assert len(files) == html.count("<table>") == len(set(files))
    assert files["Plates_3.csv"][1:] == [["P1", "", "cells", "2", "3", "6", "9"]]
    text = [[cell for cell, _ in row] for row in Tables(html).rows]
    for name, rows in files.items():
        for row in rows:
            assert row in text, name


def test_figures_have_their_files_and_the_key_has_the_colours() -> None:
    html = analysis_page(made_up())
    assert '<a href="enrichment_ward.pdf">PDF</a>' in html
    assert '<a href="phenotypes_Q.png">PNG</a>' in html
    assert '<i style="background: #3344ff"></i>dna' in html
    assert "38 µm wide" in html
    assert 'download="pcip_references.bib"' in html
