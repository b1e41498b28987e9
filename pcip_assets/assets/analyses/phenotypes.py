"""`phenotypes`: the cells of one protein in clusters, and their positions (paper, Figure 6)."""

from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.analyses.cell_scores import VARIABLE, described_cells
from pcip_assets.assets.analyses.galleries import crops_of
from pcip_assets.assets.feature_sets import PREFIX, features_hash
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import all_shards, analyses_of, asset
from pcip_assets.resources import Library
from pcip_core.errors import PcipError
from pcip_core.spec.screen import Screen
from pcip_core.store import rows as frames
from pcip_core.store import schemas
from pcip_core.store.images import Images
from pcip_core.words import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pcip_core.analysis.protein_phenotypes import ProteinPhenotypes
    from pcip_core.plots.cells.fields_of_view import FieldOfView

TABLE = "phenotypes"
_RING = 0.25  # radius of a ring, as a fraction of the window of a crop


def build_phenotypes(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the phenotypes of chosen proteins."""

    @asset(
        screen,
        "phenotypes",
        deps=[*all_shards(screen, "cell_features"), dg.AssetDep([screen.name, "variability"])],
        group=analyses_of(screen),
        kinds={"scipy", "parquet"},
        table=TABLE,
        figures=True,
    )
    def phenotypes(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Cells of one protein in a tree and in clusters, with crops, proportions and positions in their fields."""
        spec = screen.analyses

        def inputs(_: str | None) -> dict[str, Any]:
            images = Images.of(library.store, screen.name).table
            ranked = library.store.provenance(screen.name, VARIABLE) or {}
            return {
                "features": features_hash(library, screen, screen.feature_set),
                "spec": [screen.feature_set, screen.pixel_um, spec.phenotypes, spec.seed],
                "images": images.select("image_id", "protein", "cell_line").rows(),
                "variability": None if spec.phenotypes.proteins else ranked.get("inputs_hash"),
            }

        def make(_: str | None) -> Made:
            return _clustered(context, library, screen)

        return Tables(TABLE, inputs, make)

    return phenotypes


def _clustered(context: dg.AssetExecutionContext, library: Library, screen: Screen) -> Made:
    """The phenotypes of all chosen proteins, with their figures."""
    from pcip_core.analysis.examples import rows_of_proteins
    from pcip_core.analysis.protein_phenotypes import chosen_proteins, protein_phenotypes
    from pcip_core.features.blocks import columns_of

    spec = screen.analyses
    settings, where = spec.phenotypes, f"{screen.name}: analyses.phenotypes.proteins"
    cells = described_cells(library, screen, PREFIX + screen.feature_set)
    columns = columns_of(cells.features, "phenotypes")
    ranked = None if settings.proteins else library.store.read(screen.name, VARIABLE)
    chosen = chosen_proteins(cells.table, ranked, settings, where)
    tables: list[pl.DataFrame] = []
    metadata: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    rows = rows_of_proteins(cells.table, chosen)
    for (protein, line, lines), members in zip(chosen.rows(), rows, strict=True):
        name = f"{protein} {line}".strip()
        if len(members) < settings.least_cells:
            metadata[f"left_out: {name}"] = f"{many(len(members), 'cell')}, fewer than {settings.least_cells}"
            continue
        context.log.info(f"{screen.name}/phenotypes: {many(len(members), 'cell')} of {name}")
        clustered = protein_phenotypes(
            cells.features, cells.table, members, columns=columns, settings=settings, seed=spec.seed
        )
        drawn, problems = _figures(library, screen, clustered, f"{screen.title}: cells of {name}")
        tables.append(clustered.table)
        metadata[name] = clustered.summary | problems
        figure = f"phenotypes_{protein}" + (f"_{line}" if lines > 1 else "")
        figures |= {figure + suffix: each for suffix, each in drawn.items()}
    if not tables:
        metadata["not_clustered"] = (
            "every protein that was named has too few cells in each cell line (analyses.phenotypes)"
            if settings.proteins
            else "`variability` ranks no protein with enough cells; name some in analyses.phenotypes"
        )
    return Made({TABLE: schemas.PHENOTYPES.stacked(tables)}, metadata=metadata, figures=figures)


def _figures(
    library: Library, screen: Screen, clustered: "ProteinPhenotypes", title: str
) -> tuple[dict[str, "Figure"], dict[str, Any]]:
    """The figures of one protein, by the suffix of their names, and why fields could not be drawn."""
    from pcip_core.plots.cells.gallery import dendrogram_gallery
    from pcip_core.plots.cells.key import Scale

    size = screen.crops.size_px
    cell_ids = clustered.table["cell_id"]
    crops = np.zeros((len(cell_ids), len(screen.crop_channels), size, size), np.uint8)
    drawn = list(clustered.captions)
    crops[drawn] = crops_of(library.store, screen, cell_ids.gather(drawn).to_list())
    tree = dendrogram_gallery(
        clustered.result.linkage, crops, title, channels=screen.crop_channels, protein=screen.protein,
        cluster=clustered.result.cluster, shown=clustered.shown, captions=clustered.captions,
        scale=Scale.of_crop(screen),
    )  # fmt: skip
    if screen.segmentation.method == "whole":
        return {"": tree}, {"fields": "not drawn: the images are single cells without positions in fields"}
    fields, unreadable = _fields(library, screen, clustered)
    where = f"{title} in their fields (letters: crops of the tree)"
    figures = {"": tree, "_fields": _drawn_fields(screen, fields, clustered.shares, where)}
    return figures, {"fields_without_picture": unreadable} if unreadable else {}


def _fields(
    library: Library, screen: Screen, clustered: "ProteinPhenotypes"
) -> tuple[list["FieldOfView"], list[str]]:
    """The fields with most of these cells, as they are drawn, and why the pictures of some could not be read."""
    from pcip_core.analysis.protein_phenotypes import fullest_fields
    from pcip_core.images.illumination.correction import read_corrected
    from pcip_core.plots.cells.fields_of_view import FieldOfView

    captions = [clustered.captions.get(cell, "") for cell in range(clustered.table.height)]
    cells = clustered.table.select("cell_id", "image_id", "phenotype", caption=pl.Series(captions))
    wanted = cells["cell_id"].implode()
    batches = library.store.batches(screen.name, "cells", columns=["cell_id", "field", "y_px", "x_px"])
    positions = pl.concat([batch.filter(pl.col("cell_id").is_in(wanted)) for batch in batches])
    fullest = fullest_fields(cells.join(positions, on="cell_id", how="left", maintain_order="left"))
    table = library.store.read(screen.name, "fields")
    table = fullest.join(table, on=["image_id", "field"], how="left", maintain_order="left")
    fields, unreadable = [], []
    of_table = frames.fields_of(screen, table, frames.illumination_of(library.store, screen))
    for field, row in zip(of_table, table.iter_rows(named=True), strict=True):
        pixels = None
        try:
            pixels = read_corrected(screen, field)[screen.protein[0]]
        except PcipError as error:  # moved or damaged since the crops were cut: drawn without the picture
            unreadable.append(str(error))
        fields.append(
            FieldOfView(
                f"{row['image_id']}, field {row['field']}: {len(row['cell_id'])} cells",
                (row["height_px"], row["width_px"]),
                np.column_stack([row["y_px"], row["x_px"]]),
                np.array(row["phenotype"]),
                row["caption"],
                pixels,
            )
        )
    return fields, unreadable


def _drawn_fields(
    screen: Screen, fields: list["FieldOfView"], shares: dict[int, float], title: str
) -> "Figure":
    from pcip_core.plots.cells.fields_of_view import phenotype_fields
    from pcip_core.plots.cells.key import Scale

    window = screen.crops.window_px or screen.crops.size_px
    legend = {number: f"phenotype {number} ({share:.0%})" for number, share in shares.items()}
    return phenotype_fields(
        fields, title, radius_px=_RING * window, legend=legend, scale=Scale.of_field(screen)
    )
