"""Clusters of proteins, their terms and rare patterns, against the true compartments of each protein."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np

from benchmarks.common.harness import Row
from benchmarks.common.screens import Rows, rows_of
from benchmarks.truth.states import about
from pcip_core.analysis.similar import nearest, recall
from pcip_core.spec.screen import Screen

_FOUND = 32


def cluster_rows(con: duckdb.DuckDBPyConnection, screen: Screen) -> Iterator[Row]:
    """The cut of each tree against the compartment of proteins in one alone, and what clusters are known for."""
    from sklearn.metrics import adjusted_rand_score

    rows = rows_of(
        con,
        f"SELECT c.protein, c.node, c.solution, t.kind, t.localization FROM {screen.name}.clusters c "
        f"JOIN {screen.name}.truth_images t USING (protein)",
    )
    top = rows_of(
        con,
        f"SELECT solution, node, term, q FROM {screen.name}.enrichment WHERE vocabulary = 'localization' "
        "QUALIFY row_number() OVER (PARTITION BY solution, node ORDER BY q, fold DESC) = 1",
    )
    for method in screen.analyses.clusters.methods:
        own = [row for row in rows if row["solution"] == method]
        single = {row["protein"]: row["localization"] for row in own if row["kind"] == "single"}
        compartments = len(set(single.values()))
        of_cut = {row["protein"]: row["node"] for row in own}
        for told, cluster in (
            (f"{len(set(of_cut.values()))} clusters, the number with the highest silhouette", of_cut),
            (f"cut into {compartments}", _cut(con, screen.name, method, compartments)),
        ):
            yield Row(
                what=f"{about(screen)}: {method}, {told}: adjusted Rand index of proteins in one compartment",
                value=float(
                    adjusted_rand_score(list(single.values()), [cluster[protein] for protein in single])
                ),
                n=len(single),
            )
        best = {row["node"]: row for row in top if row["solution"] == method}
        right = [
            node in best and best[node]["term"] == term and best[node]["q"] < 0.05
            for node, term in _majorities(own).items()
        ]
        yield Row(
            what=f"{about(screen)}: {method}, clusters of which more than half are proteins of one compartment "
            + ("alone: share whose first term is that compartment, q < 0.05" if right else "alone: none"),
            value=float(np.mean(right)) if right else None,
            n=len(right),
        )


def _cut(con: duckdb.DuckDBPyConnection, schema: str, method: str, number: int) -> dict[str, int]:
    """Protein -> its cluster when a tree is cut into so many: the highest merges are undone."""
    nodes = rows_of(con, f"SELECT * FROM {schema}.cluster_trees WHERE solution = '{method}'")
    merges = sorted(
        (row for row in nodes if row["size"] > 1), key=lambda row: (-row["height"], -row["tree_node"])
    )
    undone = {row["tree_node"] for row in merges[: number - 1]}
    clusters = [row for row in nodes if row["parent"] in undone and row["tree_node"] not in undone]
    return {
        leaf["member"]: cluster["tree_node"]
        for cluster in clusters
        for leaf in nodes
        if leaf["member"] is not None
        and cluster["first_leaf"] <= leaf["first_leaf"] < cluster["first_leaf"] + cluster["size"]
    }


def _majorities(rows: Rows) -> dict[str, str]:
    """Cluster -> the compartment in which more than half of its proteins are, and nowhere else."""
    found = {}
    for node in sorted({row["node"] for row in rows}):
        members = [row for row in rows if row["node"] == node]
        terms = [row["localization"] for row in members if row["kind"] == "single"]
        for term in set(terms):
            if 2 * terms.count(term) > len(members):
                found[node] = term
    return found


def rare_rows(con: duckdb.DuckDBPyConnection, screen: Screen, patterns: Sequence[str]) -> Iterator[Row]:
    """From one protein of a pattern, how many of the others are among the nearest."""
    truth = {
        row["protein"]: row["localization"]
        for row in rows_of(con, f"SELECT protein, localization FROM {screen.name}.truth_images")
    }
    cells = rows_of(con, f"SELECT count(*) AS n FROM {screen.name}.cells")[0]["n"]
    found: dict[tuple[str, str], list[float]] = {}
    methods = (screen.encoder.method, "untrained")
    for method in methods:
        layer = screen.feature_set.rsplit("_", 1)[1]
        table = con.execute(
            f"SELECT protein, features FROM {screen.name}.protein_features_{method}_{layer} ORDER BY protein"
        ).fetchall()
        points = np.array([features for _, features in table], np.float32)
        for pattern in patterns:
            wanted = [row for row, (protein, _) in enumerate(table) if truth[protein] == pattern]
            found[method, pattern] = [
                recall(nearest(points, [seed], _FOUND).rows, wanted, [seed], of=len(table))["recall"]
                for seed in wanted
            ]
    for pattern in patterns:
        ours, theirs = (found[method, pattern] for method in methods)
        yield Row(
            what=f"{about(screen)}: {pattern}, {len(ours)} of {len(table):,} proteins of {cells / len(table):.1f} "
            f"cells: recall at {_FOUND} from one seed, mean over seeds (chance {_FOUND / (len(table) - 1):.3f})",
            value=float(np.mean(ours)),
            against="untrained",
            against_value=float(np.mean(theirs)),
            ratio=float(np.mean(ours)) / max(float(np.mean(theirs)), 1e-9),
            n=len(ours),
            spread=(min(ours), max(ours)),
        )
