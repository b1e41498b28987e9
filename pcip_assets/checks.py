"""Asset checks: each says whether a screen's tables hold what they should, and names those that do not.

A run over some shards checks those; a run over all, or of the checks alone, checks all.
"""

from collections import Counter
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from pcip_assets.assets.analyses.source_swaps import measured
from pcip_assets.assets.feature_sets import CONTROLS, INPAINTING, PREFIX
from pcip_assets.assets.shared import GPU_POOL, picture
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_core.features.blocks import Moments
from pcip_core.spec.screen import Screen
from pcip_core.store.vectors import features_of

_SHOWN = 20
_RANGE = (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)


def build_checks(screen: Screen) -> list[dg.AssetChecksDefinition]:
    """All checks of one screen."""
    own_encoder = [] if screen.encoder_from else [_follows_its_source(screen)]
    return [
        *own_encoder,
        _channels_present(screen),
        _counts_reconcile(screen),
        _cells_per_image(screen),
        _no_duplicate_cells(screen),
        _features_finite(screen),
        _features_vary(screen),
        _store_and_files_agree(screen),
    ]


def _result(offenders: list[str], *, warn: bool = False, **metadata: Any) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        passed=not offenders,
        severity=severity,
        metadata={"offenders": len(offenders), "first_offenders": offenders[:_SHOWN], **metadata},
    )


def _shards(
    context: dg.AssetCheckExecutionContext, library: Library, screen: Screen, table: str
) -> list[str]:
    """Shards of a table that the run is about: adding one must not cost a look at all others."""
    store, tags = library.store, context.run.tags
    if PARTITION_NAME_TAG in tags:
        named = [tags[PARTITION_NAME_TAG]]
    elif ASSET_PARTITION_RANGE_START_TAG in tags:
        known = list(context.instance.get_dynamic_partitions(f"{screen.name}_shards"))
        first, last = (known.index(tags[tag]) for tag in _RANGE)
        named = known[first : last + 1]
    else:
        return store.shards(screen.name, table)
    return [shard for shard in named if store.has(screen.name, table, shard)]


def _channels_present(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=[screen.name, "fields"], name="channels_present")
    def check(context: dg.AssetCheckExecutionContext, library: Library) -> dg.AssetCheckResult:
        """No field lacks a file of a named channel."""
        shards = _shards(context, library, screen, "quarantine_fields")
        rows = library.store.read(screen.name, "quarantine_fields", shards=shards).to_dicts()
        return _result([row["file"] for row in rows if "no file for channel" in row["reason"]], warn=True)

    return check


def _counts_reconcile(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=[screen.name, "crops"], name="counts_reconcile", blocking=True)
    def check(context: dg.AssetCheckExecutionContext, library: Library) -> dg.AssetCheckResult:
        """In each shard, fields and cells found are those used plus those in quarantine."""
        offenders, store = [], library.store
        for table, quarantine, what in (
            ("fields", "quarantine_fields", "file"),
            ("cells", "quarantine_crops", "cell"),
        ):
            for shard in _shards(context, library, screen, table):
                found = int((store.provenance(screen.name, table, shard) or {}).get("found", -1))
                used = store.read(screen.name, table, shards=[shard]).height
                kept_out = store.read(screen.name, quarantine, shards=[shard])["what"].to_list().count(what)
                if found != used + kept_out:
                    offenders.append(f"{table} {shard}: found {found}, used {used}, quarantined {kept_out}")
        return _result(offenders)

    return check


def _cells_per_image(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=[screen.name, "crops"], name="cells_per_image", blocking=True)
    def check(context: dg.AssetCheckExecutionContext, library: Library) -> dg.AssetCheckResult:
        """Every image that is used has at least the spec's `crops.min_cells` cells."""
        shards = _shards(context, library, screen, "cells")
        counts: Counter[str] = Counter()
        for cells in library.store.batches(screen.name, "cells", shards=shards, columns=["image_id"]):
            counts.update(cells["image_id"].to_list())
        few = [f"{image}: {n}" for image, n in counts.items() if n < screen.crops.min_cells]
        median = float(np.median(list(counts.values()))) if counts else 0.0
        nothing = f"no cells at all; SELECT reason, count(*) FROM {screen.name}.quarantine GROUP BY ALL"
        return _result(few if counts else [nothing], images=len(counts), median_cells=median)

    return check


def _no_duplicate_cells(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=[screen.name, "crops"], name="no_duplicate_cells")
    def check(library: Library) -> dg.AssetCheckResult:
        """No cell stands in two shards with the same pixels (within a shard they are in quarantine)."""
        columns = ["cell_id", "pixel_hash"]
        batches = library.store.batches(screen.name, "cells", columns=columns)
        marks = np.concatenate([np.zeros(0, np.int64), *map(_marks, batches)])  # 8 bytes a cell
        values, counts = np.unique(marks, return_counts=True)
        repeated = values[counts > 1]
        seen: dict[str, str] = {}
        twins = []
        for cells in library.store.batches(screen.name, "cells", columns=columns):
            cells = cells.filter(np.isin(_marks(cells), repeated))
            for cell_id, pixels in zip(*(cells[name].to_list() for name in columns), strict=True):
                first = seen.setdefault(pixels, cell_id)
                if first != cell_id:
                    twins.append(f"{cell_id} = {first}")
        return _result(twins, warn=True)

    return check


def _marks(cells: pl.DataFrame) -> np.ndarray:
    """A number for each pixel hash, (n,): the same for the same, and for hardly any others."""
    return np.fromiter(map(hash, cells["pixel_hash"].to_list()), np.int64, cells.height)


def _features_finite(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=[screen.name, "cell_features"], name="features_finite", blocking=True)
    def check(context: dg.AssetCheckExecutionContext, library: Library) -> dg.AssetCheckResult:
        """No NaN and no infinity in any inpainting feature."""
        offenders = []
        for name in INPAINTING:
            shards = _shards(context, library, screen, PREFIX + name)
            for cells in library.store.batches(screen.name, PREFIX + name, shards=shards):
                bad = ~np.isfinite(features_of(cells)).all(1)
                offenders += [f"{name}: {cells['cell_id'][int(i)]}" for i in np.flatnonzero(bad)]
        return _result(offenders)

    return check


def _features_vary(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=[screen.name, "cell_features"], name="features_vary")
    def check(context: dg.AssetCheckExecutionContext, library: Library) -> dg.AssetCheckResult:
        """At least half of each layer's features differ from cell to cell: no collapsed encoder."""
        share = {}
        for name in INPAINTING:
            shards = _shards(context, library, screen, PREFIX + name)
            moments = None
            for cells in library.store.batches(
                screen.name, PREFIX + name, shards=shards, columns=["features"]
            ):
                vectors = features_of(cells)
                moments = moments or Moments(vectors.shape[1])
                moments.add(vectors)
            share[name] = 0.0 if moments is None else float((moments.deviation > 1e-6).mean())
        return _result(
            [f"{name}: {value:.0%}" for name, value in share.items() if value < 0.5], share_that_vary=share
        )

    return check


def _store_and_files_agree(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=[screen.name, "cell_features"], name="store_and_files_agree")
    def check(context: dg.AssetCheckExecutionContext, library: Library) -> dg.AssetCheckResult:
        """Crops on disk, the cells table and every feature table hold the same cells, shard by shard."""
        offenders, store = [], library.store
        for shard in _shards(context, library, screen, "cells"):
            cells, crops = store.read_with_array(screen.name, "cells", "crops", shard)
            if len(crops) != cells.height:
                offenders.append(f"{shard}: {len(crops)} crops, {cells.height} cells")
            for name in (*INPAINTING, *CONTROLS):
                if not store.has(screen.name, PREFIX + name, shard):
                    continue
                described = store.read(screen.name, PREFIX + name, shards=[shard], columns=["cell_id"])
                if described["cell_id"].to_list() != cells["cell_id"].to_list():
                    offenders.append(f"{shard}: {PREFIX}{name} describes other cells than the cells table")
        return _result(offenders)

    return check


def _follows_its_source(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=[screen.name, "encoder"],
        name="follows_its_source",
        pool=GPU_POOL,
    )
    def check(library: Library, tracking: Tracking) -> dg.AssetCheckResult:
        """Predictions follow the source more than an untrained network's do (docs/explanation/analyses.md)."""
        from pcip_core.plots.pictures import preview

        found = measured(library, tracking, screen)
        judged, run_id = found.verdict, tracking.champion(screen.name).run_id
        tracking.log_scores(run_id, {f"mismatch_{name}": value for name, value in found.scores.items()})
        if judged is not None:
            tracking.log_pictures(run_id, {"mismatch.png": found.figure})
        why = () if judged is None or judged.follows else judged.reasons
        return dg.AssetCheckResult(
            passed=not why,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(why) or None,
            metadata={**found.told, **found.scores, "mismatch": picture(preview(found.figure))},
        )

    return check
