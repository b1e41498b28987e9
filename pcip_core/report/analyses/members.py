"""The section with the names of the members of each cluster, and where two methods differ."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from pcip_core.clustering.agreement import Agreement, compared
from pcip_core.features.scaling import standardize
from pcip_core.report.analyses.plots import Plots, captioned, natural
from pcip_core.report.analyses.rows import AnalysisRows, Solution
from pcip_core.report.page import Block, Cell, Section, Table, Text
from pcip_core.words import many

_SHOWN = 8  # names in a row of the table; the others after a click
_WORDS = frozenset({"proteins, nearest to the mean of the cluster first", "protein"})


def members(rows: AnalysisRows, _: Plots) -> Section | None:
    """The proteins of each cluster, in the order of their distance to its mean."""
    if not rows.solutions:
        return None
    blocks: list[Block] = [
        Text(
            "The first proteins of a cluster represent it best: their mean features are nearest to the mean of the "
            "cluster (Euclidean distance of standardized features)."
        )
    ]
    same = same_clusters(rows)
    for solution in rows.solutions:
        name = solution.name.replace("_", " ")
        if solution.name in same:
            text = f"{name}: the clusters are those of {same[solution.name].replace('_', ' ')}."
            blocks.append(Text(text))
            continue
        body: list[list[Cell | str]] = []
        for node, names in members_by_closeness(rows, solution).items():
            shown = Cell(", ".join(names[:_SHOWN]), more=names[_SHOWN:])
            body.append([node, str(len(names)), shown])
        columns = ["cluster", "members", "proteins, nearest to the mean of the cluster first"]
        caption = f"{name}: {many(len(body), 'cluster')}."
        blocks.append(Table(columns, body, words=_WORDS, caption=captioned(rows, caption)))
    for first, second in combinations(rows.solutions, 2):
        if first.part == second.part:
            blocks += _differences(rows, first, second)
    return Section("Members of the clusters", blocks)


def members_by_closeness(rows: AnalysisRows, solution: Solution) -> dict[str, list[str]]:
    """Cluster -> the names of its members, nearest to its mean first; clusters in natural order."""
    part = rows.parts[solution.part]
    points = standardize(part.means)
    ordered = {}
    for node in natural(list(solution.clusters)):
        leaves = np.asarray(solution.clusters[node], np.int64)
        distance = np.linalg.norm(points[leaves] - points[leaves].mean(0), axis=1)
        ordered[node] = [part.names[leaf] for leaf in leaves[np.argsort(distance, kind="stable")]]
    return ordered


def same_clusters(rows: AnalysisRows) -> dict[str, str]:
    """Solution -> an earlier solution of the same proteins with the same clusters."""
    same: dict[str, str] = {}
    for first, second in combinations(rows.solutions, 2):
        clusters = [{frozenset(leaves) for leaves in each.clusters.values()} for each in (first, second)]
        if first.part == second.part and clusters[0] == clusters[1] and first.name not in same:
            same.setdefault(second.name, first.name)
    return same


def _differences(rows: AnalysisRows, first: Solution, second: Solution) -> list[Block]:
    """How far two methods agree, and the proteins about which they do not."""
    found = compared(first.tree, second.tree, labels(first), labels(second))
    names = [each.name.replace("_", " ") for each in (first, second)]
    text = f"{names[0]} and {names[1]}: adjusted Rand index of the clusters {found.rand:.2f} (1: the same)."
    if found.moved.size == 0:
        return [Text(text + " The trees agree at every cut up to twice as many clusters.")]
    if found.number is not None:
        text += (
            f" They differ first when both trees are cut into {found.number} clusters (adjusted Rand index "
            f"{found.rand_of_number:.2f})."
        )
    columns = ["protein", *(f"cluster of {name}" for name in names)]
    listed = rows.parts[first.part].names
    body = [[listed[row], *_places(found, row)] for row in found.moved.tolist()]
    caption = f"{many(len(body), 'protein')} in a cluster with other proteins by the other method" + (
        f", in {found.number} clusters." if found.number is not None else "."
    )
    return [Text(text), Table(columns, body, words=_WORDS, caption=captioned(rows, caption))]


def labels(solution: Solution) -> np.ndarray:
    """The smallest cluster of each leaf, as text; "" for a leaf in none."""
    names = [""] * (len(solution.tree) + 1)
    for node, leaves in sorted(solution.clusters.items(), key=lambda cluster: -len(cluster[1])):
        for leaf in leaves:
            names[leaf] = node
    return np.array(names)


def _places(found: Agreement, row: int) -> list[str]:
    return [str(each[row]) for each in (found.first, found.second)]
