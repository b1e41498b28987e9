"""`fields`: the raw files of a shard, each decoded once; unreadable ones are in quarantine."""

from typing import Any

import dagster as dg

from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import asset
from pcip_assets.provenance import inputs_hash, stamp
from pcip_assets.resources import Library
from pcip_core.crops.shard_cells import Rejected
from pcip_core.errors import ImageFileError
from pcip_core.images.layout import Layout, scan
from pcip_core.images.localization import annotated_images
from pcip_core.images.reading import content_hash, read_field
from pcip_core.spec.screen import Screen
from pcip_core.store.rows import fields_table, images_table, quarantine_table, screen_table, truth_tables


def build_fields(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of the screen's raw fields."""

    @asset(
        screen,
        "fields",
        shards=shards,
        kinds={"tiff"},
    )
    def fields(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Raw fields of view of one shard: files decoded and hashed; unreadable ones in quarantine."""
        layout, chosen = scan(screen), set(context.partition_keys)
        hashes = {
            field.field_id: content_hash(screen, field) for field in layout.fields if field.shard in chosen
        }
        _describe(screen, library)

        def inputs(shard: str | None) -> dict[str, Any]:
            members = layout.of_shard(str(shard))
            return {
                "spec": screen.section("channels", "files", "images", "shards"),
                "root": screen.root,
                "images": [vars(record) for record in annotated_images(screen, members).records],
                "fields": [(field.field_id, hashes[field.field_id]) for field in members],
                "left_out": [(field.field_id, reason) for field, reason in layout.left_out_of(str(shard))],
            }

        def make(shard: str | None) -> Made:
            return _checked(screen, layout, str(shard), hashes)

        return Tables("fields", inputs, make)

    return fields


def _describe(screen: Screen, library: Library) -> None:
    """Bring the table `screen` up to date."""
    store, table = library.store, screen_table(screen)
    if not (store.has(screen.name, "screen") and store.read(screen.name, "screen").equals(table)):
        store.commit(screen.name, {"screen": table}, provenance=stamp())


def _checked(screen: Screen, layout: Layout, shard: str, hashes: dict[str, str]) -> Made:
    """Decode each field of a shard once; unreadable ones go to quarantine."""
    members = layout.of_shard(shard)
    left_out = [
        Rejected(next(iter(field.files.values())), "file", field.image_id, reason, field.field_id)
        for field, reason in layout.left_out_of(shard)
    ]
    good, rejected = [], left_out.copy()
    for field in members:
        content = hashes[field.field_id]
        try:
            shape = read_field(screen, field).shape
        except ImageFileError as error:
            rejected.append(
                Rejected(error.where, "file", field.image_id, str(error), field.field_id, content)
            )
            continue
        good.append((field, content, shape))
    tables = {
        "fields": fields_table(screen, good),
        "images": images_table(annotated_images(screen, members).records),
        "quarantine_fields": quarantine_table("fields", rejected, shard),
    }
    if screen.simulated:
        tables |= truth_tables(screen.folder(), {field.image_id for field in members})
    return Made(
        tables,
        provenance={
            "found": len(members) + len(left_out),
            "data_hash": inputs_hash(
                fields=[(field.field_id, field.image_id, field.number, content) for field, content, _ in good]
            ),
        },
        metadata={
            "fields_found": len(members) + len(left_out),
            "fields_used": len(good),
            "fields_quarantined": len(rejected),
            "files_no_pattern_claims": len(layout.unclaimed),
        },
    )
