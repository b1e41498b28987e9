"""The contents of the page of the analyses, from the partitions behind the published tables."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.colors import to_hex

from pcip_assets.assets.analyses.maps import CELLS, MOST_CELLS, NO_MAP, PROTEINS
from pcip_assets.assets.analyses.protein_map import parts_of, proteins_of
from pcip_assets.assets.analyses.report_cells import Cells
from pcip_assets.assets.main.quality import quality_inputs, quality_rows
from pcip_assets.assets.method_facts import feature_set_provenance, lineage_facts
from pcip_assets.resources import Library
from pcip_core.analysis.examples import evenly
from pcip_core.clustering.proteins import Proteins
from pcip_core.plots.cells.key import Scale, channel_colours
from pcip_core.plots.pictures import VECTOR
from pcip_core.report.analyses.rows import AnalysisRows, Cloud, Pair, Part, Solution
from pcip_core.report.methods import Facts, methods
from pcip_core.report.quality import well_values
from pcip_core.spec.screen import Screen
from pcip_core.store.images import Images
from pcip_core.store.schemas import stored_table

MOST_CROPS = {"proteins": 900, "pairs": 600, "variable": 300, "phenotypes": 300, "cells": MOST_CELLS}
"""Pictures of cells in a page, by section: about 3 MB together."""
_OF_A_PROTEIN, _OF_A_VARIABLE = 3, 6
_TOP = 10

Tables = Mapping[str, pl.DataFrame]


def analysis_rows(library: Library, screen: Screen, names: Iterable[str]) -> AnalysisRows:
    """Everything on the page."""
    cells = Cells.of(library, screen)
    made = [name for name in names if library.store.has(screen.name, name)]
    tables = {name: _table(library, screen, name, made=name in made) for name in names}
    compared = proteins_of(library, screen)
    parts, solutions = _solutions(library, screen, compared, tables)
    return AnalysisRows(
        title=screen.title,
        description=screen.description or screen.organism,
        simulated=screen.simulated,
        screen=screen.name,
        feature_set=screen.feature_set,
        proteins=_proteins(cells, compared, solutions, tables[PROTEINS]),
        no_map=_no_map(library, screen),
        parts=parts,
        solutions=solutions,
        enrichment=tables["enrichment"],
        pairs=_pairs(cells, tables),
        variable=_variable(cells, tables),
        variability=tables["variability"],
        phenotypes=_phenotypes(cells, tables["phenotypes"]),
        units=tables["units"],
        mismatch=tables["mismatch"],
        cells=_sample(cells, tables[CELLS]),
        classes=Images.of(library.store, screen.name).classes_of("localization"),
        figures={path.stem: path.read_bytes() for path in shown_figures(library, screen)},
        files=_files(library, screen),
        channels={
            name: to_hex(colour)
            for name, colour in channel_colours(screen.crop_channels, screen.protein).items()
        },
        picture_width=Scale.of_crop(screen).width(screen.crops.size_px),
        plates=_plates(library, screen),
        methods=methods(screen, _facts(library, screen, cells, solutions, tables)),
        tables=[_provenance(library, screen, name, tables[name].height) for name in made],
        feature_set_provenance=feature_set_provenance(library, screen),
        links=links(library, screen),
        crops=cells.shown,
        most_crops=sum(MOST_CROPS.values()),
    )


def _table(library: Library, screen: Screen, name: str, *, made: bool) -> pl.DataFrame:
    """A table; empty where it is not made."""
    if made:
        return library.store.read(screen.name, name)
    schema = stored_table(name)
    assert schema is not None
    return schema.empty()


def _solutions(
    library: Library, screen: Screen, compared: Proteins, tables: Tables
) -> tuple[dict[str, Part], list[Solution]]:
    """Trees and their clusters, without those whose proteins differ from the proteins of today's features."""
    from pcip_core.clustering.tree import from_nodes

    chosen = parts_of(library, screen)
    row_of = {name: row for row, name in enumerate(compared.names)}
    parts: dict[str, Part] = {}
    solutions: list[Solution] = []
    for tree in tables["cluster_trees"].partition_by("solution", maintain_order=True):
        name = tree["solution"][0]
        part = name.partition(" within ")[2]
        if part and part not in chosen:
            continue
        if part not in parts:
            proteins = proteins_of(library, screen, chosen[part]) if part else compared
            rows = np.array([row_of[protein] for protein in proteins.names])
            parts[part] = Part(rows, proteins.names, proteins.means)
        nodes = tree.sort("tree_node")
        if nodes["member"].drop_nulls().to_list() != list(parts[part].names):
            continue
        columns = ("parent", "height", "size", "first_leaf")
        linkage = from_nodes(**{column: nodes[column].fill_null(-1).to_numpy() for column in columns})
        clusters = _clusters(tables["clusters"].filter(solution=name), parts[part].names)
        solutions.append(Solution(name, part, linkage, clusters))
    shown = {solution.part for solution in solutions}
    return {name: part for name, part in parts.items() if name in shown}, solutions


def _clusters(rows: pl.DataFrame, leaves: Iterable[str]) -> dict[str, list[int]]:
    """Cluster -> its leaves; a node with two names has the later one, which the user gave."""
    leaf = pl.DataFrame({"member": leaves}, schema={"member": pl.String}).with_row_index("leaf")
    named = (
        rows.join(leaf, on="member", maintain_order="left")
        .group_by("tree_node", "node", maintain_order=True)
        .agg("leaf")
        .group_by("tree_node", maintain_order=True)
        .last()
    )
    return dict(named.select("node", "leaf").iter_rows())


def _proteins(cells: Cells, compared: Proteins, solutions: list[Solution], on_map: pl.DataFrame) -> Cloud:
    """The proteins, with their places on the map where there is one."""
    line = pl.col("cell_line")
    separate = (line != "") & (cells.screen.analyses.pool != "protein")
    member = pl.when(separate).then(pl.format("{} ({})", "protein", line)).otherwise("protein")
    images = cells.images.with_columns(member=member)
    rows_of = cells.by_image(images["member"])
    described = images.group_by("member").agg(
        pl.col("gene").filter(pl.col("gene") != "").unique().sort().str.join(", "),
        pl.col("terms").explode().drop_nulls().unique().sort().str.join(", ").alias("localization"),
    )
    proteins = (
        pl.DataFrame({"member": compared.names}, schema={"member": pl.String})
        .join(described, on="member", how="left", maintain_order="left")
        .join(on_map.select("member", "x", "y"), on="member", how="left", maintain_order="left")
    )
    n, most = proteins.height, MOST_CROPS["proteins"]
    each = _OF_A_PROTEIN if n * _OF_A_PROTEIN <= most else 1
    shown = set(evenly(_by_tree(compared, solutions), most))
    none = np.zeros(0, np.int64)
    members = [rows_of.get(name, none) for name in compared.names]
    wanted = [
        cells.some(rows, each) if name in shown else []
        for name, rows in zip(compared.names, members, strict=True)
    ]
    tooltip = {
        "protein": compared.names,
        "gene": proteins["gene"].fill_null("").to_list(),
        "localization": proteins["localization"].fill_null("").to_list(),
        "cells": [f"{len(rows):,}" for rows in members],
    }
    clusters = _colours(solutions[0], n) if solutions and not solutions[0].part else [""] * n
    x, y = (proteins[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("x", "y"))
    return Cloud(tooltip, cells.strips(wanted), x, y, clusters)


def _by_tree(compared: Proteins, solutions: list[Solution]) -> list[str]:
    """Names in the order of the first tree, so that an even choice takes proteins of all clusters."""
    from pcip_core.clustering.tree import leaf_order

    if not solutions or solutions[0].part:
        return compared.names
    return [compared.names[leaf] for leaf in leaf_order(solutions[0].tree)]


def _colours(solution: Solution, n: int) -> list[str]:
    """The largest cluster of each leaf: the one of the cut."""
    names = [""] * n
    for name, leaves in sorted(solution.clusters.items(), key=lambda cluster: len(cluster[1])):
        for leaf in leaves:
            names[leaf] = name
    return names


def _no_map(library: Library, screen: Screen) -> str:
    """Why there is no map of proteins; "" where there is one."""
    provenance = library.store.provenance(screen.name, PROTEINS)
    return "it needs the asset maps" if provenance is None else provenance.get(NO_MAP[PROTEINS], "")


def _pairs(cells: Cells, tables: Tables) -> list[Pair]:
    """Cells of each pair of compartments, evenly chosen along their scores."""
    scored = tables["localization_scores"]
    scored = scored.filter(cells.there(scored["cell_id"]))
    of_pairs = scored.partition_by("first", "second", maintain_order=True)
    pairs = []
    for rows in of_pairs:
        first, second = rows.select("first", "second").row(0)
        names = {"first_only": f"{first} only", "both": "both", "second_only": f"{second} only"}
        groups = [rows.filter(group=group) for group in names]
        groups = [group for group in groups if group.height]
        each = MOST_CROPS["pairs"] // len(of_pairs) // len(groups)
        chosen = pl.concat(_evenly_along("score", group, each) for group in groups)
        tooltip = cells.tooltips(chosen["cell_id"]) | {"score": [f"{score:.2f}" for score in chosen["score"]]}
        cloud = Cloud(
            tooltip,
            cells.strips([[cell] for cell in chosen["cell_id"]]),
            np.zeros(chosen.height),
            chosen["score"].to_numpy(),
            chosen["group"].replace(names).to_list(),
            rows.height,
        )
        pairs.append(Pair(first, second, cloud, tables["protein_scores"].filter(first=first, second=second)))
    return pairs


def _evenly_along(column: str, rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """At most so many rows, from the least to the greatest value of a column at equal steps of rank."""
    return rows.sort(column, maintain_order=True)[evenly(range(rows.height), most)]


def _variable(cells: Cells, tables: Tables) -> Cloud | None:
    """Variable proteins, the first with cells along their main direction."""
    rows = tables["variability"]
    if rows.is_empty():
        return None
    with_crops = MOST_CROPS["variable"] // _OF_A_VARIABLE
    places = tables["variability_cells"]
    shown = places.filter(cells.there(places["cell_id"])).join(
        rows.filter(pl.col("rank") <= with_crops), on=("protein", "cell_line"), how="semi", nulls_equal=True
    )
    cells_of = {
        key: _evenly_along("place", of_protein, _OF_A_VARIABLE)["cell_id"].to_list()
        for key, of_protein in shown.partition_by("protein", "cell_line", as_dict=True).items()
    }
    tooltip = {
        "protein": rows["protein"].to_list(),
        "cell line": rows["cell_line"].fill_null("").to_list(),
        "rank": rows["rank"].cast(pl.String).to_list(),
        "cells": rows["n"].cast(pl.String).to_list(),
    }
    wanted = [cells_of.get(key, []) for key in rows.select("protein", "cell_line").rows()]
    groups = [f"1 to {_TOP}" if rank <= _TOP else "others" for rank in rows["rank"]]
    x, y = (rows[name].fill_null(np.nan).to_numpy() for name in ("excess", "split_excess"))
    return Cloud(tooltip, cells.strips(wanted), x, y, groups)


def _phenotypes(cells: Cells, rows: pl.DataFrame) -> list[tuple[str, Cloud, pl.DataFrame]]:
    """The clustered cells of each protein, evenly chosen along the dendrogram."""
    parts = rows.filter(cells.there(rows["cell_id"])).partition_by(
        "protein", "cell_line", maintain_order=True
    )
    clouds = []
    for part in parts:
        chosen = _evenly_along("leaf", part, max(MOST_CROPS["phenotypes"] // len(parts), 1))
        cloud = Cloud(
            cells.tooltips(chosen["cell_id"]),
            cells.strips([[cell] for cell in chosen["cell_id"]]),
            chosen["x"].to_numpy(),
            chosen["y"].to_numpy(),
            chosen["phenotype"].cast(pl.String).to_list(),
            part.height,
        )
        clouds.append((f"{part['protein'][0]} {part['cell_line'][0] or ''}".strip(), cloud, part))
    return clouds


def _sample(cells: Cells, on_map: pl.DataFrame) -> Cloud | None:
    """The map of cells; None where there is none."""
    shown = on_map.filter(cells.there(on_map["cell_id"]))
    if shown.is_empty():
        return None
    ids = shown["cell_id"]
    pictures = cells.strips([[cell] for cell in ids])
    labels = cells.images_of(ids)["label"].to_list()
    x, y = (shown[name].to_numpy() for name in ("x", "y"))
    return Cloud(cells.tooltips(ids), pictures, x, y, labels, len(cells.features))


def shown_figures(library: Library, screen: Screen) -> list[Path]:
    """The files of the figures for print that the page shows."""
    folder = library.workspace.reports(screen.name)
    wanted = ("enrichment_", "localization_scores_", "variability", "phenotypes_", "units_", "mismatch")
    return [path for path in sorted(folder.glob("*.png")) if path.name.startswith(wanted)]


def _files(library: Library, screen: Screen) -> dict[str, list[tuple[str, str]]]:
    """Figure -> its files for print: kind, address."""
    files: dict[str, list[tuple[str, str]]] = {}
    for kind in ("png", *VECTOR):
        for path in sorted(library.workspace.reports(screen.name).glob(f"*.{kind}")):
            files.setdefault(path.stem, []).append((kind.upper(), path.name))
    return files


def _plates(library: Library, screen: Screen) -> pl.DataFrame:
    """Measures of the wells; empty for a screen without plates."""
    images = library.store.read(screen.name, "images", columns=["plate", "well"])
    if images.select(pl.any_horizontal(pl.col("plate", "well").is_null()).all()).item():
        return pl.DataFrame()
    return well_values(quality_rows(library, screen))


def plate_provenance(library: Library, screen: Screen) -> list[Any]:
    """What decides the maps of the plates."""
    return list(quality_inputs(library, screen).values())


def _facts(
    library: Library, screen: Screen, cells: Cells, solutions: list[Solution], tables: Tables
) -> Facts:
    """What the paragraph on methods states beside the spec."""
    used = Images.of(library.store, screen.name).table.filter(
        pl.col("image_id").is_in(cells.images["image_id"].to_list())
    )
    return Facts(
        n_images=cells.images.height,
        n_cells=len(cells.features),
        n_proteins=used["protein"].drop_nulls().n_unique(),
        clusters={each.name: len(each.clusters) for each in solutions},
        mapped=not tables[PROTEINS].is_empty() or not tables[CELLS].is_empty(),
        enriched=not tables["enrichment"].is_empty(),
        occluded=not tables["units"].is_empty(),
        **lineage_facts(library, screen),
    )


def links(library: Library, screen: Screen) -> list[tuple[str, str]]:
    """Files beside the page: the scores of all feature sets, and heat maps for print."""
    folder = library.workspace.reports(screen.name)
    benchmarks = library.workspace.benchmark_report(screen.name)
    scores = [("all scores of all feature sets", benchmarks.name)] if benchmarks.is_file() else []
    quality = library.workspace.quality_report(screen.name)
    scores += [("quality of all fields", quality.name)] if quality.is_file() else []
    return scores + [
        (path.name, path.name)
        for kind in ("png", *VECTOR)
        for path in sorted(folder.glob(f"clusters_*.{kind}"))
    ]


def _provenance(library: Library, screen: Screen, table: str, rows: int) -> dict[str, Any]:
    return {**(library.store.provenance(screen.name, table) or {}), "table": table, "rows": rows}
