"""What the page of analyses tells, from the partitions that the published tables are made of."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pcip_assets.assets.analyses.protein_map import Proteins, parts_of, proteins_of
from pcip_assets.assets.analyses.report_cells import Cells, label_of
from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.resources import Library
from pcip_core.analysis.examples import evenly
from pcip_core.errors import EvaluationError
from pcip_core.report.analyses.rows import AnalysisRows, Cloud, Pair, Part, Solution
from pcip_core.spec.screen import Screen

MOST_CROPS = {"proteins": 900, "pairs": 600, "variable": 300, "phenotypes": 300, "cells": 900}
"""Pictures of cells in a page, by section: about 3 MB together."""
_OF_A_PROTEIN, _OF_A_VARIABLE = 3, 6
_LEAST_MAPPED, _MOST_MAPPED = 8, 20_000  # proteins
_NEIGHBOURS = {"proteins": 20, "cells": 30}  # the paper's
_TOP = 10
_SCORED = "localization_scores"  # a row a cell: never as Python objects


def analysis_rows(library: Library, screen: Screen, tables: Iterable[str]) -> AnalysisRows:
    """All that the page tells."""
    cells = Cells.of(library, screen)
    there = [name for name in tables if library.store.has(screen.name, name)]
    tables_read = {name: library.store.read(screen.name, name) for name in there}
    scored = tables_read.get(_SCORED)
    rows = {name: table.to_dicts() for name, table in tables_read.items() if name != _SCORED}
    found = proteins_of(library, screen)
    parts, solutions = _solutions(library, screen, found, rows)
    proteins, no_map = _proteins(cells, found, solutions)
    pairs = [] if scored is None else _pairs(cells, scored, rows["protein_scores"])
    variable = _variable(cells, rows.get("variability", []))
    phenotypes = _phenotypes(cells, rows.get("phenotypes", []))
    sample = _sample(cells)
    return AnalysisRows(
        title=screen.title,
        description=screen.description or screen.organism,
        simulated=screen.simulated,
        screen=screen.name,
        feature_set=screen.analyses.feature_set,
        proteins=proteins,
        no_map=no_map,
        parts=parts,
        solutions=solutions,
        enrichment=rows.get("enrichment", []),
        pairs=pairs,
        variable=variable,
        variability=rows.get("variability", []),
        phenotypes=phenotypes,
        mismatch=rows.get("mismatch", []),
        cells=sample,
        figures={path.stem: path.read_bytes() for path in shown_figures(library, screen)},
        tables=[_made(library, screen, name, table.height) for name, table in tables_read.items()],
        about_features=_about(library, screen),
        links=links(library, screen),
        crops=cells.shown,
        most_crops=sum(MOST_CROPS.values()),
    )


def _solutions(
    library: Library, screen: Screen, found: Proteins, rows: dict[str, list[dict[str, Any]]]
) -> tuple[dict[str, Part], list[Solution]]:
    """Trees and their clusters; one whose proteins are not those of today's features is left out."""
    from pcip_core.clustering.tree import from_nodes
    from pcip_core.features.scaling import standardize

    chosen = parts_of(library, screen)
    row_of = {name: row for row, name in enumerate(found.names)}
    parts: dict[str, Part] = {}
    solutions: list[Solution] = []
    trees: dict[str, list[dict[str, Any]]] = {}
    for row in rows.get("cluster_trees", []):
        trees.setdefault(row["solution"], []).append(row)
    for name, nodes in trees.items():
        part = name.partition(" within ")[2]
        if part and part not in chosen:
            continue
        if part not in parts:
            own = proteins_of(library, screen, chosen[part]) if part else found
            places = np.array([row_of[one] for one in own.names])
            parts[part] = Part(places, own.names, standardize(own.means))
        nodes = sorted(nodes, key=lambda node: node["tree_node"])
        if [node["member"] for node in nodes if node["member"] is not None] != list(parts[part].names):
            continue
        columns = {
            key: np.array([-1 if node[key] is None else node[key] for node in nodes])
            for key in ("parent", "height", "size", "first_leaf")
        }
        named: dict[int, str] = {}
        members: dict[int, list[int]] = {}
        leaf = {one: number for number, one in enumerate(parts[part].names)}
        for row in rows.get("clusters", []):
            if row["solution"] == name:
                if named.get(row["tree_node"]) != row["node"]:
                    named[row["tree_node"]], members[row["tree_node"]] = row["node"], []  # your own wins
                members[row["tree_node"]].append(leaf[row["member"]])
        clusters = {text: members[node] for node, text in named.items()}
        solutions.append(Solution(name, part, from_nodes(**columns), clusters))
    return {part: one for part, one in parts.items() if any(s.part == part for s in solutions)}, solutions


def _proteins(cells: Cells, found: Proteins, solutions: list[Solution]) -> tuple[Cloud, str]:
    """The protein map, and why there is none; without trees their names are told all the same."""
    pooled = cells.screen.analyses.pool == "protein"
    names = [
        protein if pooled or not line else f"{protein} ({line})"
        for protein, line in zip(cells.protein, cells.line, strict=True)
    ]
    of_protein = cells.by_image(names)
    images: dict[str, set[str]] = {}
    for name, image in zip(names, cells.features.images, strict=True):
        images.setdefault(name, set()).add(image)
    about = [[cells.about[image] for image in sorted(images[name])] for name in found.names]
    n, most = len(found.names), MOST_CROPS["proteins"]
    each = _OF_A_PROTEIN if n * _OF_A_PROTEIN <= most else 1
    shown = set(evenly(_by_tree(found, solutions), most))
    wanted = [cells.some(of_protein[name], each) if name in shown else [] for name in found.names]
    told = {
        "protein": found.names,
        "gene": [", ".join(sorted({str(row["gene"]) for row in own if row["gene"]})) for own in about],
        "localization": [
            ", ".join(sorted({term for row in own for term in row["localization"] or []})) for own in about
        ],
        "cells": [f"{len(of_protein[name]):,}" for name in found.names],
    }
    places, why = _mapped(cells, found.means)
    clusters = _colours(solutions[0], n) if solutions and not solutions[0].part else [""] * n
    return Cloud(told, cells.strips(wanted), places[:, 0], places[:, 1], clusters), why


def _by_tree(found: Proteins, solutions: list[Solution]) -> list[str]:
    """Names in the order of the first tree, so that those evenly chosen are of all clusters."""
    from pcip_core.clustering.tree import leaf_order

    if not solutions or solutions[0].part:
        return found.names
    return [found.names[leaf] for leaf in leaf_order(solutions[0].tree)]


def _colours(solution: Solution, n: int) -> list[str]:
    """The largest cluster of each leaf: that of the cut."""
    names = [""] * n
    for name, leaves in sorted(solution.clusters.items(), key=lambda one: len(one[1])):
        for leaf in leaves:
            names[leaf] = name
    return names


def _mapped(cells: Cells, means: np.ndarray) -> tuple[np.ndarray, str]:
    from pcip_core.analysis.embedding import umap_embedding

    n, nowhere = len(means), np.full((len(means), 2), np.nan)
    if not _LEAST_MAPPED <= n <= _MOST_MAPPED:
        return nowhere, f"{n:,} proteins; it is drawn of {_LEAST_MAPPED} to {_MOST_MAPPED:,}"
    neighbours = min(_NEIGHBOURS["proteins"], n // 2)
    try:
        return umap_embedding(means, neighbours=neighbours, seed=cells.screen.analyses.seed), ""
    except EvaluationError as error:
        return nowhere, str(error)


def _pairs(cells: Cells, scored: pl.DataFrame, proteins: list[dict[str, Any]]) -> list[Pair]:
    """Cells of each pair, evenly chosen along their scores."""
    scored = scored.filter(cells.there(scored["cell_id"]))
    ends = scored.select("first", "second").unique(maintain_order=True).rows()
    found = []
    for first, second in ends:
        own = scored.filter((pl.col("first") == first) & (pl.col("second") == second))
        names = {"first_only": f"{first} only", "both": "both", "second_only": f"{second} only"}
        groups = [own.filter(pl.col("group") == group) for group in names]
        groups = [group for group in groups if group.height]
        each = MOST_CROPS["pairs"] // len(ends) // len(groups)
        chosen = []
        for group in groups:
            order = np.argsort(group["score"].to_numpy(), kind="stable")
            chosen += group[order[evenly(range(len(order)), each)]].to_dicts()
        ids = [row["cell_id"] for row in chosen]
        told = cells.told(ids) | {"score": [f"{row['score']:.2f}" for row in chosen]}
        score = np.array([row["score"] for row in chosen])
        cloud = Cloud(
            told,
            cells.strips([[one] for one in ids]),
            np.zeros(len(ids)),
            score,
            [names[row["group"]] for row in chosen],
            own.height,
        )
        of_pair = [row for row in proteins if (row["first"], row["second"]) == (first, second)]
        found.append(Pair(first, second, cloud, of_pair))
    return found


def _variable(cells: Cells, rows: list[dict[str, Any]]) -> Cloud | None:
    if not rows:
        return None
    from pcip_core.analysis.variability import main_directions
    from pcip_core.features.blocks import columns_of

    with_crops = MOST_CROPS["variable"] // _OF_A_VARIABLE
    of_protein = cells.by_image(list(zip(cells.protein, cells.line, strict=True)))
    none = np.zeros(0, np.int64)
    members = [
        of_protein.get((row["protein"], row["cell_line"] or ""), none) if row["rank"] <= with_crops else none
        for row in rows
    ]
    place = main_directions(cells.features, members, columns_of(cells.features))
    wanted = [cells.some(own[np.argsort(place[own], kind="stable")], _OF_A_VARIABLE) for own in members]
    told = {
        "protein": [row["protein"] for row in rows],
        "cell line": [row["cell_line"] or "" for row in rows],
        "rank": [str(row["rank"]) for row in rows],
        "cells": [str(row["n"]) for row in rows],
    }
    x, y = (np.array([row[name] for row in rows], np.float64) for name in ("excess", "split_excess"))
    groups = [f"1 to {_TOP}" if row["rank"] <= _TOP else "others" for row in rows]
    return Cloud(told, cells.strips(wanted), x, y, groups)


def _phenotypes(cells: Cells, rows: list[dict[str, Any]]) -> list[tuple[str, Cloud, list[dict[str, Any]]]]:
    of_protein: dict[tuple[str, str], list[dict[str, Any]]] = {}
    there = cells.there(pl.Series([row["cell_id"] for row in rows], dtype=pl.String)).to_list()
    for row, known in zip(rows, there, strict=True):
        if known:
            of_protein.setdefault((row["protein"], row["cell_line"] or ""), []).append(row)
    found = []
    for (protein, line), own in of_protein.items():
        chosen = evenly(
            sorted(own, key=lambda row: row["leaf"]), max(MOST_CROPS["phenotypes"] // len(of_protein), 1)
        )
        ids = [row["cell_id"] for row in chosen]
        x, y = (np.array([row[name] for row in chosen], np.float64) for name in ("x", "y"))
        groups = [str(row["phenotype"]) for row in chosen]
        cloud = Cloud(cells.told(ids), cells.strips([[one] for one in ids]), x, y, groups, len(own))
        found.append((f"{protein} {line}".strip(), cloud, own))
    return found


def _sample(cells: Cells) -> Cloud | None:
    """A map of cells from all images."""
    from pcip_core.analysis.embedding import umap_embedding
    from pcip_core.features.blocks import rows_of

    chosen = cells.over_images(MOST_CROPS["cells"])
    try:
        places = umap_embedding(
            rows_of(cells.features, chosen), neighbours=_NEIGHBOURS["cells"], seed=cells.screen.analyses.seed
        )
    except EvaluationError:  # too few cells
        return None
    ids = cells.ids(chosen)
    images = [cells.features.images[image] for image in cells.features.image[chosen].tolist()]
    labels = [label_of(cells.about[image]) for image in images]
    strips = cells.strips([[one] for one in ids])
    return Cloud(cells.told(ids), strips, places[:, 0], places[:, 1], labels, len(cells.features))


def shown_figures(library: Library, screen: Screen) -> list[Path]:
    """The files of the figures for print that the page shows."""
    folder = library.workspace.reports(screen.name)
    wanted = ("enrichment_", "localization_scores_", "variability", "phenotypes_", "mismatch")
    return [path for path in sorted(folder.glob("*.png")) if path.name.startswith(wanted)]


def links(library: Library, screen: Screen) -> list[tuple[str, str]]:
    """What lies beside the page: the scores of all feature sets, and heat maps for print."""
    folder = library.workspace.reports(screen.name)
    benchmarks = library.workspace.benchmark_report(screen.name)
    found = [("all scores of all feature sets", benchmarks.name)] if benchmarks.is_file() else []
    return found + [(f"{path.stem} for print", path.name) for path in sorted(folder.glob("clusters_*.png"))]


def _made(library: Library, screen: Screen, table: str, rows: int) -> dict[str, Any]:
    return {**(library.store.provenance(screen.name, table) or {}), "table": table, "rows": rows}


def _about(library: Library, screen: Screen) -> dict[str, Any]:
    """What main.feature_sets says of the feature set."""
    table = PREFIX + screen.analyses.feature_set
    shard = library.store.shards(screen.name, table)[-1]
    return library.store.provenance(screen.name, table, shard) or {}
