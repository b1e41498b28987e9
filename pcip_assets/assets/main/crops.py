"""`crops`: the single cells of a shard."""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from pcip_assets.assets.results import Made, Tables, picture, relative
from pcip_assets.assets.skeleton import Remake, asset
from pcip_assets.compute.interface import cpus
from pcip_assets.progress import Progress
from pcip_assets.resources import Library
from pcip_core.crops.shard_cells import ShardCells
from pcip_core.spec.screen import Screen
from pcip_core.store.rows import cells_table, fields_of, illumination_of, quarantine_table

_SHOWN = 20  # warnings of a shard in the log


class Cutting(Remake):
    """Settings of a run of crops."""

    workers: int | None = Field(
        None,
        description="Processes that cut one shard, by default one per CPU; the crops do not depend on it.",
    )


def build_crops(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of the screen's crops and of its `cells` table."""

    @asset(
        screen,
        "crops",
        shards=shards,
        deps=[[screen.name, "fields"]],
        kinds={"numpy", "scikitimage", "parquet"},
        table="cells",
    )
    def crops(context: dg.AssetExecutionContext, config: Cutting, library: Library) -> Iterator[Tables]:
        """Single-cell crops of one shard, rescaled; excluded cells and fields are in quarantine."""
        from pcip_core.crops.shard import Cutters, cut_shard

        def inputs(shard: str | None) -> dict[str, Any]:
            fields = library.store.provenance(screen.name, "fields", shard) or {}
            sections = screen.section("channels", "segmentation", "crops")
            return {"spec": sections, "fields": fields.get("data_hash"), "table": _table_hash(screen)}

        def make(shard: str | None, into: Path) -> Made:
            light = illumination_of(library.store, screen, [str(shard)])
            fields = fields_of(screen, library.store.read(screen.name, "fields", shards=[str(shard)]), light)
            with Progress(context.log, f"{screen.name}/crops {shard}", len(fields), "field") as progress:
                cells = cut_shard(screen, fields, progress=progress, workers=cutters, into=into)
            for text in cells.warnings[:_SHOWN]:
                context.log.warning(text)
            images = set(cells.columns["image_id"])
            return Made(
                {
                    "cells": cells_table(cells, str(shard)),
                    "quarantine_crops": relative(
                        quarantine_table("crops", cells.rejected, str(shard)),
                        library.workspace.folder,
                        "file",
                        "reason",
                    ),
                },
                {"crops": into},
                {"found": cells.found, "data_hash": _hash(cells)},
                {
                    "cells_found": cells.found,
                    "cells_used": len(cells.pixels),
                    "cells_quarantined": sum(row.what == "cell" for row in cells.rejected),
                    "images": len(images),
                    "warnings": len(cells.warnings),
                    "preview": _montage(screen, cells),
                },
            )

        with library.store.scratch(screen.name) as folder, Cutters(config.workers or cpus()) as cutters:
            yield Tables("cells", inputs, partial(make, into=folder / "crops.npy"))

    return crops


def _montage(screen: Screen, cells: ShardCells) -> dg.MarkdownMetadataValue:
    """A picture of some crops."""
    from pcip_core.plots.cells.gallery import crop_montage
    from pcip_core.plots.cells.key import Scale
    from pcip_core.plots.pictures import preview

    scale = Scale.of_crop(screen)
    figure = crop_montage(cells.pixels, screen.crop_channels, screen.protein, screen.title, scale=scale)
    return picture(preview(figure))


def _table_hash(screen: Screen) -> str | None:
    """Hash of the table that the segmenter reads besides the fields, if any."""
    table = screen.segmentation.options.get("table")
    path = None if table is None else screen.folder() / str(table)
    return hashlib.blake2b(path.read_bytes()).hexdigest() if path is not None and path.is_file() else None


def _hash(cells: ShardCells) -> str:
    """Hash of all inputs of features: cells, their pixels and their intensities."""
    digest = hashlib.blake2b(cells.hash_of_pixels.encode(), digest_size=12)
    for name in ("cell_id", "image_id", "intensity_min", "intensity_max"):
        values = cells.columns[name]
        digest.update(repr(values).encode() if isinstance(values, list) else values.tobytes())
    return digest.hexdigest()
