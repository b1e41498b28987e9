"""`quality_report`: one page with the quality of the fields of a screen, as maps of its plates."""

from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from pcip_assets.assets.results import Page, picture
from pcip_assets.assets.skeleton import all_shards, asset
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas

if TYPE_CHECKING:
    from pcip_core.report.quality import QualityRows

_READ = ("fields", "field_quality", "illumination", "quarantine_fields", "cells")


def build_quality_report(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the page of a screen's quality."""

    @asset(
        screen,
        "quality_report",
        deps=all_shards(screen, "crops"),
        kinds={"html"},
        figures=True,
    )
    def quality_report(context: dg.AssetExecutionContext, library: Library) -> Page:
        """Flagged fields, maps of the plates by measures of quality, and mean fields before and after correction."""
        from pcip_core.plots.pictures import preview
        from pcip_core.report.quality import quality_page

        def make(made_from: str) -> tuple[str, dict[str, Any]]:
            rows = quality_rows(library, screen)
            flagged = rows.quality.filter(pl.col("flags").list.len() > 0)["field_id"].n_unique()
            html, figures = quality_page(rows, made_from=made_from)
            previews = {f"plate_{plate}": picture(preview(figure)) for plate, figure in figures.items()}
            return html, {"fields_flagged": flagged, **previews}

        return Page(
            library.workspace.quality_report(screen.name), lambda _: quality_inputs(library, screen), make
        )

    return quality_report


def quality_inputs(library: Library, screen: Screen) -> dict[str, Any]:
    """What decides the page: the title, and the commits of the tables that it reads."""
    store = library.store
    commits = {
        f"{name} {shard}": (store.provenance(screen.name, name, shard) or {}).get("commit_id")
        for name in _READ
        for shard in store.shards(screen.name, name)
    }
    return {"spec": [screen.title, screen.simulated], "tables": commits}


def quality_rows(library: Library, screen: Screen) -> "QualityRows":
    """What the page shows, from the partitions of the published tables."""
    from pcip_core.report.quality import QualityRows

    store, name = library.store, screen.name
    tables = {
        table.name: store.read(name, table.name) if store.shards(name, table.name) else table.empty()
        for table in (schemas.FIELD_QUALITY, schemas.ILLUMINATION)
    }
    counted = [
        batch.group_by("image_id", "field").agg(n_cells=pl.len())
        for batch in store.batches(name, "cells", columns=["image_id", "field"])
    ]
    cells = pl.concat(counted).group_by("image_id", "field").agg(pl.col("n_cells").sum()) if counted else None
    return QualityRows(
        title=screen.title,
        screen=name,
        simulated=screen.simulated,
        images=store.read(name, "images", columns=["image_id", "plate", "well", "shard"]),
        fields=store.read(name, "fields", columns=["field_id", "image_id", "field"]),
        quality=tables["field_quality"],
        cells=cells,
        illumination=tables["illumination"],
        excluded=store.read(name, "quarantine_fields", columns=["file"]).height,
    )
