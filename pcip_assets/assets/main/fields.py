"""`fields`: the raw files of a shard, found, decoded once and accounted for."""

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
from pcip_core.store import rows as frames


def build_fields(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of the screen's raw fields."""

    @asset(
        screen,
        "fields",
        shards=shards,
        kinds={"tiff"},
    )
    def fields(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Raw fields of view of one shard: files found, decoded, hashed; bad ones in quarantine."""
        layout, chosen = scan(screen), set(context.partition_keys)
        hashes = {one.field_id: content_hash(screen, one) for one in layout.fields if one.shard in chosen}
        _describe(screen, library)

        def inputs(shard: str | None) -> dict[str, Any]:
            members = layout.of_shard(str(shard))
            return {
                "spec": screen.section("channels", "files", "images", "shards"),
                "root": screen.root,
                "images": [vars(record) for record in annotated_images(screen, members).records],
                "fields": [(one.field_id, hashes[one.field_id]) for one in members],
            }

        def make(shard: str | None) -> Made:
            return _checked(screen, layout, str(shard), hashes)

        return Tables("fields", inputs, make)

    return fields


def _describe(screen: Screen, library: Library) -> None:
    """Bring the one row that says what the screen is up to date."""
    about = frames.screen_table(screen)
    if not (
        library.store.has(screen.name, "screen") and library.store.read(screen.name, "screen").equals(about)
    ):
        library.store.commit(screen.name, {"screen": about}, provenance=stamp())


def _checked(screen: Screen, layout: Layout, shard: str, hashes: dict[str, str]) -> Made:
    """Decode each field of a shard once; the bad ones go to quarantine."""
    members = layout.of_shard(shard)
    good, rejected = [], []
    for one in members:
        try:
            shape = read_field(screen, one).shape
        except ImageFileError as error:
            named = (one.field_id, hashes[one.field_id])
            rejected.append(Rejected(error.where, "file", one.image_id, str(error), *named))
            continue
        good.append((one, hashes[one.field_id], shape))
    tables = {
        "fields": frames.fields_table(screen, good),
        "images": frames.images_table(annotated_images(screen, members).records),
        "quarantine_fields": frames.quarantine_table("fields", rejected, shard),
    }
    if screen.simulated:
        tables |= frames.truth_tables(screen.folder(), {one.image_id for one in members})
    return Made(
        tables,
        provenance={
            "found": len(members),
            "data_hash": inputs_hash(fields=[(one.field_id, content) for one, content, _ in good]),
        },
        metadata={
            "fields_found": len(members),
            "fields_used": len(good),
            "fields_quarantined": len(rejected),
            "files_no_pattern_claims": len(layout.unclaimed),
        },
    )
