"""`fields`: the raw files of a shard, each decoded once; unreadable ones are in quarantine."""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from pcip_assets.assets.results import Made, Tables, picture, relative
from pcip_assets.assets.skeleton import asset
from pcip_assets.provenance import inputs_hash, stamp
from pcip_assets.resources import Library
from pcip_core.crops.shard_cells import Rejected
from pcip_core.images.annotations import ImageTables, match_tables
from pcip_core.images.decoding import decoder_warnings
from pcip_core.images.illumination.correction import fingerprint
from pcip_core.images.layout import Layout, scan
from pcip_core.images.localization import annotated_images
from pcip_core.images.reading import content_hash
from pcip_core.spec.screen import Screen
from pcip_core.store.rows import (
    field_quality_table,
    fields_table,
    illumination_table,
    images_table,
    quarantine_table,
    screen_table,
    truth_tables,
)

if TYPE_CHECKING:
    from pcip_core.images.quality.survey import Survey

_OFTEN_EMPTY = ("field_quality", "illumination")


def build_fields(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of the screen's raw fields."""

    @asset(
        screen,
        "fields",
        shards=shards,
        kinds={"tiff", "parquet"},
        table="fields",
    )
    def fields(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Raw fields of view of one shard: files decoded and hashed; unreadable ones in quarantine."""
        layout = scan(screen)

        @functools.lru_cache(maxsize=1)  # of the shard that is looked at, then made
        def hashes_of(shard: str) -> dict[str, str]:
            return {field.field_id: content_hash(screen, field) for field in layout.of_shard(shard)}

        tables = match_tables(screen, layout.with_left_out())
        _describe(screen, library)

        def inputs(shard: str | None) -> dict[str, Any]:
            members, hashes = layout.of_shard(str(shard)), hashes_of(str(shard))
            return {
                "spec": screen.section("channels", "files", "images", "shards", "illumination", "quality"),
                "illumination": fingerprint(screen, members),
                "root": library.workspace.relative(screen.folder()),
                "images": [vars(record) for record in annotated_images(screen, members, tables).records],
                "fields": [(field.field_id, hashes[field.field_id]) for field in members],
                "left_out": [(field.field_id, reason) for field, reason in layout.left_out_of(str(shard))],
            }

        def make(shard: str | None) -> Made:
            made = _checked(
                screen, layout, str(shard), hashes_of(str(shard)), tables, library.workspace.folder
            )
            replaced = [name for name in _OFTEN_EMPTY if library.store.has(screen.name, name, shard)]
            return replace(made, tables=_written(made.tables, replaced))

        return Tables("fields", inputs, make)

    return fields


def _written(tables: Mapping[str, pl.DataFrame], replaced: Sequence[str]) -> dict[str, pl.DataFrame]:
    """The tables to write: those that may be empty only with rows, or in place of stored ones."""
    return {
        name: table
        for name, table in tables.items()
        if table.height or name not in _OFTEN_EMPTY or name in replaced
    }


def _describe(screen: Screen, library: Library) -> None:
    """Bring the table `screen` up to date."""
    store, folder = library.store, library.workspace.folder
    described = replace(screen, root=library.workspace.relative(screen.folder()))
    table = relative(screen_table(described), folder, "spec")
    if not (store.has(screen.name, "screen") and store.read(screen.name, "screen").equals(table)):
        store.commit(screen.name, {"screen": table}, provenance=stamp())


def _checked(
    screen: Screen, layout: Layout, shard: str, hashes: dict[str, str], matched: ImageTables, within: Path
) -> Made:
    """Decode each field of a shard once; unreadable ones, and those outside of the limits, go to quarantine."""
    from pcip_core.images.quality.survey import survey

    members = layout.of_shard(shard)
    left_out = [
        Rejected(next(iter(field.files.values())), "file", field.image_id, reason, field.field_id)
        for field, reason in layout.left_out_of(shard)
    ]
    result = survey(screen, members)
    good = [(field, hashes[field.field_id], shape) for field, shape in result.used]
    rejected = left_out + [
        Rejected(where, "file", field.image_id, reason, field.field_id, hashes[field.field_id])
        for field, where, reason in result.rejected
    ]
    tables = {
        "fields": fields_table(screen, good, result.quality),
        "field_quality": field_quality_table(good, result.quality),
        "illumination": relative(illumination_table(result.illumination, shard), within, "source"),
        "images": images_table(annotated_images(screen, members, matched).records),
        "quarantine_fields": relative(quarantine_table("fields", rejected, shard), within, "file", "reason"),
    }
    if screen.simulated:
        tables |= truth_tables(screen.folder(), {field.image_id for field in members})
    return Made(
        tables,
        provenance={
            "found": len(members) + len(left_out),
            "data_hash": inputs_hash(
                fields=[
                    (field.field_id, field.image_id, field.number, content) for field, content, _ in good
                ],
                illumination=[(row["channel"], row["profile"]) for row in result.illumination],
            ),
        },
        metadata={
            "fields_found": len(members) + len(left_out),
            "fields_used": len(good),
            "fields_quarantined": len(rejected),
            "files_no_pattern_claims": len(layout.unclaimed),
            **({"decoder_warnings": kept} if (kept := decoder_warnings()) else {}),
            **_described(screen, result),
        },
    )


def _described(screen: Screen, result: "Survey") -> dict[str, Any]:
    """Metadata: flagged fields, and the mean fields before and after correction."""
    flags = Counter(
        result.quality.explode("flags").drop_nulls("flags").unique(["field_id", "flags"])["flags"]
    )
    described: dict[str, Any] = {f"fields_{flag}": count for flag, count in sorted(flags.items())}
    for row in result.illumination:
        text = row.get("note") or f"gain {row['gain_min']:.3f} to {row['gain_max']:.3f}"
        described[f"illumination_{row['channel']}"] = f"{row['method']}: {text}"
    if any("mean_after" in row for row in result.illumination):
        from pcip_core.plots.illumination import mean_fields
        from pcip_core.plots.pictures import preview

        described["illumination"] = picture(preview(mean_fields(result.illumination, screen.title)))
    return described
