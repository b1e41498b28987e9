"""`phenotypes`: the cells of one protein in clusters, and where they lie (paper, Figure 6)."""

import string
from collections import Counter
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.analyses.cell_scores import VARIABLE, described_cells
from pcip_assets.assets.analyses.galleries import crops_of
from pcip_assets.assets.feature_sets import PREFIX, features_hash
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import all_shards, analyses_of, asset
from pcip_assets.resources import Library
from pcip_core.errors import PcipError, SpecError
from pcip_core.spec.screen import Screen
from pcip_core.store import rows as frames
from pcip_core.store import schemas

TABLE = "phenotypes"
_FIELDS = 6  # drawn of each protein
_NAMED = 10  # proteins in the message of an error
_CROPS, _CROPS_EACH = 12, 3  # below a tree, and of one phenotype
_RING = 0.25  # radius of a ring, of the window of a crop


def build_phenotypes(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the phenotypes of chosen proteins."""

    @asset(
        screen,
        "phenotypes",
        deps=[*all_shards(screen, "cell_features"), dg.AssetDep([screen.name, "variability"])],
        group=analyses_of(screen),
        kinds={"scipy", "parquet"},
        figures=True,
    )
    def phenotypes(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Cells of one protein in a tree and in clusters, with crops, proportions and places in their fields."""
        spec = screen.analyses

        def inputs(_: str | None) -> dict[str, Any]:
            images = library.store.read(screen.name, "images").to_dicts()
            ranked = library.store.provenance(screen.name, VARIABLE) or {}
            return {
                "features": features_hash(library, screen, spec.feature_set),
                "spec": [spec.feature_set, spec.phenotypes, spec.seed],
                "images": [[row[name] for name in ("image_id", "protein", "cell_line")] for row in images],
                "variability": None if spec.phenotypes.proteins else ranked.get("inputs_hash"),
            }

        def make(_: str | None) -> Made:
            from pcip_core.features.blocks import columns_of

            cells = described_cells(library, screen, PREFIX + spec.feature_set)
            columns = columns_of(cells["features"], "phenotypes")
            lines = Counter(protein for protein, _ in set(_pairs(cells)))
            rows: list[dict[str, Any]] = []
            told: dict[str, Any] = {}
            figures: dict[str, Any] = {}
            for protein, line in _chosen(library, screen, cells):
                name = f"{protein} {line}".strip()
                own = np.flatnonzero((cells["protein"] == protein) & (cells["cell_line"] == line))
                if len(own) < spec.phenotypes.least_cells:
                    told[f"left_out: {name}"] = f"{len(own)} cells, fewer than {spec.phenotypes.least_cells}"
                    continue
                context.log.info(f"{screen.name}/phenotypes: {len(own)} cells of {name}")
                found, clustered, drawn = _of_protein(library, screen, cells, columns, own, name)
                rows += found
                told[name] = clustered
                about = f"phenotypes_{protein}" + (f"_{line}" if lines[protein] > 1 else "")
                figures |= {about + suffix: figure for suffix, figure in drawn.items()}
            if not rows:
                told["not_clustered"] = (
                    "every protein that was named has too few cells in each cell line (analyses.phenotypes)"
                    if spec.phenotypes.proteins
                    else "`variability` ranks no protein with enough cells; name some in analyses.phenotypes"
                )
            return Made({TABLE: schemas.PHENOTYPES.frame(rows)}, metadata=told, figures=figures)

        return Tables(TABLE, inputs, make)

    return phenotypes


def _pairs(cells: dict[str, Any]) -> list[tuple[str, str]]:
    """Protein and cell line of each cell."""
    return list(zip(cells["protein"].tolist(), cells["cell_line"].tolist(), strict=True))


def _chosen(library: Library, screen: Screen, cells: dict[str, Any]) -> list[tuple[str, str]]:
    """The proteins to cluster, each with a cell line: those of the spec, or the most variable.

    Raises:
        SpecError: a protein has no cells.
    """
    spec = screen.analyses.phenotypes
    if not spec.proteins:
        ranked = library.store.read(screen.name, VARIABLE).to_dicts()
        ranked = sorted((row for row in ranked if row["n"] >= spec.least_cells), key=lambda row: row["rank"])
        return [(row["protein"], row["cell_line"]) for row in ranked[: spec.most_variable]]
    known = sorted(set(_pairs(cells)))
    names = list(dict.fromkeys(protein for protein, _ in known))
    if unknown := [protein for protein in spec.proteins if protein not in names]:
        raise SpecError(
            f"{screen.name}: analyses.phenotypes.proteins",
            found=f"no cells of {', '.join(unknown)}",
            required=f"some of {len(names)} proteins: {', '.join(names[:_NAMED])}"
            + (", ..." if len(names) > _NAMED else ""),
            remedy="Correct the names; spelling and case count.",
        )
    return [pair for protein in dict.fromkeys(spec.proteins) for pair in known if pair[0] == protein]


def _of_protein(
    library: Library, screen: Screen, cells: dict[str, Any], columns: Any, own: np.ndarray, name: str
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Rows of one protein in a cell line, what is told of it, and its figures by the end of their names."""
    from pcip_core.analysis import phenotypes as core
    from pcip_core.features.blocks import rows_of
    from pcip_core.plots.cells.gallery import dendrogram_gallery

    spec = screen.analyses.phenotypes
    of_all = [cells["cell_id"][row] for row in own]
    own = own[core.sample_of(of_all, core.MOST_CELLS, seed=screen.analyses.seed)]
    ids = [cells["cell_id"][row] for row in own]
    found = core.phenotypes(
        rows_of(cells["features"], own), ids, reference=columns, clusters=spec.clusters, most=spec.most
    )
    leaf = np.argsort(found.leaves)
    each = max(1, min(_CROPS_EACH, _CROPS // len(found.phenotypes)))
    shown = {one.cluster: one.rows[:each] for one in found.phenotypes}
    share = {one.cluster: one.share for one in found.phenotypes}
    drawn = sorted((row for rows in shown.values() for row in rows), key=lambda row: leaf[row])
    rows = [
        {
            "protein": str(cells["protein"][row]),
            "cell_line": str(cells["cell_line"][row]),
            "cell_id": ids[place],
            "image_id": str(cells["image_id"][row]),
            "phenotype": int(found.cluster[place]),
            "share": share[int(found.cluster[place])],
            "leaf": int(leaf[place]),
            "representative": place in set(drawn),
            "x": float(found.plane[place, 0]),
            "y": float(found.plane[place, 1]),
        }
        for place, row in enumerate(own)
    ]
    told = {
        "phenotypes": len(share),
        "cells": len(own),
        "proportions": [round(one, 3) for one in share.values()],
        "silhouette": found.silhouettes.get(len(share)),
    }
    if len(own) < len(of_all):
        told["sampled_of"] = len(of_all)
    size = screen.crops.size_px
    crops = np.zeros((len(own), len(screen.crop_channels), size, size), np.uint8)
    crops[drawn] = crops_of(library.store, screen, [ids[row] for row in drawn])
    letters = {row: _letters(number) for number, row in enumerate(drawn)}
    title = f"{screen.title}: cells of {name}"
    tree = dendrogram_gallery(
        found.linkage, crops, title, channels=screen.crop_channels, protein=screen.protein,
        cluster=found.cluster, shown=shown, captions=letters,
    )  # fmt: skip
    figures = {"": tree}
    if screen.segmentation.method == "whole":
        told["fields"] = "not drawn: cells come cropped, and where they lay in their fields is not known"
    else:
        fields, unread = _fields(library, screen, rows, {ids[row]: text for row, text in letters.items()})
        where = f"{title} in their fields (letters: crops of the tree)"
        figures["_fields"] = _drawn_fields(screen, fields, share, where)
        if unread:
            told["fields_without_picture"] = unread
    return rows, told, figures


def _letters(number: int) -> str:
    """a to z, then aa, ab, ..."""
    first, last = divmod(number, 26)
    return ("" if not first else _letters(first - 1)) + string.ascii_lowercase[last]


def _fields(
    library: Library, screen: Screen, rows: list[dict[str, Any]], letters: dict[str, str]
) -> tuple[list[Any], list[str]]:
    """The fields with most of these cells, as they are drawn, and why the pictures of some could not be read."""
    from pcip_core.images.reading import read_field
    from pcip_core.plots.cells.fields_of_view import FieldOfView

    columns = ["cell_id", "field", "y_px", "x_px"]
    wanted = [row["cell_id"] for row in rows]
    place = {
        row["cell_id"]: row
        for batch in library.store.batches(screen.name, "cells", columns=columns)
        for row in batch.filter(pl.col("cell_id").is_in(wanted)).iter_rows(named=True)
    }
    members: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        members.setdefault((row["image_id"], place[row["cell_id"]]["field"]), []).append(row)
    most = sorted(members, key=lambda key: (-len(members[key]), key))[:_FIELDS]
    table = library.store.read(screen.name, "fields")
    about = dict(zip(zip(table["image_id"].to_list(), table["field"].to_list(), strict=True),
                     range(table.height), strict=True))  # fmt: skip
    fields, unread = [], []
    for image, field in sorted(most):
        own = members[image, field]
        described = table.slice(about[image, field], 1)
        try:
            pixels = read_field(screen, frames.fields_of(screen, described)[0])[screen.protein[0]]
        except (
            PcipError
        ) as error:  # moved or damaged since the crops were cut: the cells are drawn without it
            pixels = None
            unread.append(str(error))
        spots = [place[one["cell_id"]] for one in own]
        fields.append(
            FieldOfView(
                f"{image}, field {field}: {len(own)} cells",
                (described["height_px"].item(), described["width_px"].item()),
                np.array([(spot["y_px"], spot["x_px"]) for spot in spots]),
                np.array([one["phenotype"] for one in own]),
                [letters.get(one["cell_id"], "") for one in own],
                pixels,
            )
        )
    return fields, unread


def _drawn_fields(screen: Screen, fields: list[Any], share: dict[int, float], title: str) -> Any:
    from pcip_core.plots.cells.fields_of_view import phenotype_fields

    window = screen.crops.window_px or screen.crops.size_px
    legend = {number: f"phenotype {number} ({part:.0%})" for number, part in share.items()}
    return phenotype_fields(fields, title, radius_px=_RING * window, legend=legend)
