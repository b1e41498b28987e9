"""Asset checks: whether the tables of a screen hold what they should; each names the rows that do not.

A check is a plain function of the store, the screen and the shards of the run. A run over some shards checks those
shards; a run over all shards, or of the checks alone, checks all.
"""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.analyses.mismatch import TABLE as MISMATCH
from pcip_assets.assets.analyses.mismatch import metadata_of
from pcip_assets.assets.benchmarks.scoring import KNN, benchmark_tables
from pcip_assets.assets.encoders.training_cells import TRAINING_CELLS
from pcip_assets.assets.feature_sets import PREFIX, control_sets, encoder_sets
from pcip_assets.assets.pictures import apart, picture
from pcip_assets.dagster_compat import partitions_of_run
from pcip_assets.records.settings import trained_as
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_core.analysis.mismatch import verdict
from pcip_core.evaluation.checks.familiarity import TrainingCells
from pcip_core.evaluation.checks.order import papers_order
from pcip_core.features.blocks import Moments
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import features_of
from pcip_core.words import many

_SHOWN = 20  # offenders in the metadata
_LEAST_VARYING = 0.5  # share of the features of a layer
_MOST_BEYOND = 0.2  # share of the cells; of cells like those of the training, 0.01 are expected
_LEAST_DEVIATION = 1e-6  # of a feature that varies

Check = Callable[[Store, Screen, list[str] | None], dg.AssetCheckResult]
"""Takes the shards of the run, None for all of them."""


def build_checks(screen: Screen) -> list[dg.AssetChecksDefinition]:
    """All checks of one screen."""
    checks = [
        _asset_check(screen, "fields", channels_present),
        _asset_check(screen, "crops", counts_reconcile, blocking=True),
        _asset_check(screen, "crops", cells_per_image, blocking=True),
        _asset_check(screen, "crops", no_duplicate_cells),
        _asset_check(screen, "cell_features", features_finite, blocking=True),
        _asset_check(screen, "cell_features", features_vary),
        _asset_check(screen, "cell_features", store_and_files_agree),
        _asset_check(screen, "knn_benchmark", ranked_as_in_the_paper),
    ]
    if screen.baselines.sets:  # again when all feature sets are scored
        checks.append(_asset_check(screen, "benchmark_report", ranked_as_in_the_paper))
    checks += [_like_training_cells(screen), _trained_as_the_spec_says(screen)]
    return checks if screen.encoder_from else [_follows_its_source(screen), *checks]


def _asset_check(
    screen: Screen, noun: str, function: Check, *, blocking: bool = False
) -> dg.AssetChecksDefinition:
    """The check of one asset, over the shards of the run: adding a shard must not cost a look at all others."""

    @dg.asset_check(
        asset=[screen.name, noun],
        name=function.__name__,
        description=function.__doc__,
        blocking=blocking,
    )
    def check(context: dg.AssetCheckExecutionContext, library: Library) -> dg.AssetCheckResult:
        known = context.instance.get_dynamic_partitions(f"{screen.name}_shards")
        return function(library.store, screen, partitions_of_run(context.run.tags, known))

    return check


def _result(offenders: list[str], *, warn: bool = False, **metadata: Any) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        passed=not offenders,
        severity=severity,
        metadata={"offenders": len(offenders), "first_offenders": offenders[:_SHOWN], **metadata},
    )


def _existing(store: Store, screen: Screen, table: str, shards: list[str] | None) -> list[str]:
    """The shards of a table; of `shards` those that the table has."""
    if shards is None:
        return store.shards(screen.name, table)
    return [shard for shard in shards if store.has(screen.name, table, shard)]


def channels_present(store: Store, screen: Screen, shards: list[str] | None) -> dg.AssetCheckResult:
    """Every field has a file for each named channel."""
    shards = _existing(store, screen, "quarantine_fields", shards)
    fields = store.read(screen.name, "quarantine_fields", shards=shards)
    incomplete = fields.filter(pl.col("reason").str.contains("no file for channel", literal=True))
    return _result(incomplete["file"].to_list(), warn=True)


def counts_reconcile(store: Store, screen: Screen, shards: list[str] | None) -> dg.AssetCheckResult:
    """In each shard, the fields and cells found are those used plus those in quarantine."""
    offenders = []
    for table, quarantine, what in (
        ("fields", "quarantine_fields", "file"),
        ("cells", "quarantine_crops", "cell"),
    ):
        for shard in _existing(store, screen, table, shards):
            n_found = int((store.provenance(screen.name, table, shard) or {}).get("found", -1))
            n_used = store.read(screen.name, table, shards=[shard]).height
            rejected = store.read(screen.name, quarantine, shards=[shard])
            n_rejected = rejected.filter(what=what).height
            if n_found != n_used + n_rejected:
                offenders.append(f"{table} {shard}: found {n_found}, used {n_used}, quarantined {n_rejected}")
    return _result(offenders)


def cells_per_image(store: Store, screen: Screen, shards: list[str] | None) -> dg.AssetCheckResult:
    """Every image that is used has at least `crops.min_cells` cells (a key of the spec)."""
    shards = _existing(store, screen, "cells", shards)
    batches = store.batches(screen.name, "cells", shards=shards, columns=["image_id"])
    none = pl.DataFrame(schema={"image_id": pl.String, "n": pl.UInt32})
    counted = (cells.group_by("image_id", maintain_order=True).len("n") for cells in batches)
    counts = pl.concat([none, *counted]).group_by("image_id", maintain_order=True).sum()
    if counts.is_empty():
        nothing = f"no cells at all; SELECT reason, count(*) FROM {screen.name}.quarantine GROUP BY ALL"
        return _result([nothing], images=0, median_cells=0.0)
    few = counts.filter(pl.col("n") < screen.crops.min_cells)
    return _result(
        [f"{image}: {n}" for image, n in few.iter_rows()],
        images=counts.height,
        median_cells=float(np.median(counts["n"])),
    )


def no_duplicate_cells(store: Store, screen: Screen, shards: list[str] | None) -> dg.AssetCheckResult:
    """No two cells of different shards have the same pixels (within a shard, one of them is in quarantine).

    All shards are read whichever the run covers. The first pass keeps 8 bytes per cell; only if it finds a
    repeated hash, a second one reads the ids.
    """

    def batches(*columns: str) -> Any:
        for cells in store.batches(screen.name, "cells", columns=[*columns, "pixel_hash"]):
            yield cells.with_columns(mark=pl.col("pixel_hash").hash())

    marks = pl.concat([pl.Series("mark", [], pl.UInt64), *(cells["mark"] for cells in batches())])
    repeated = marks.filter(marks.is_duplicated()).unique()
    if repeated.is_empty():
        return _result([], warn=True)
    candidates = [cells.filter(pl.col("mark").is_in(repeated.implode())) for cells in batches("cell_id")]
    twins = (
        pl.concat(candidates)
        .with_columns(first=pl.col("cell_id").first().over("pixel_hash"))
        .filter(pl.col("cell_id") != pl.col("first"))
        .select(pl.format("{} = {}", "cell_id", "first"))
    )
    return _result(twins.to_series().to_list(), warn=True)


def features_finite(store: Store, screen: Screen, shards: list[str] | None) -> dg.AssetCheckResult:
    """No feature of the encoder is NaN or infinite."""
    offenders = []
    for name in encoder_sets(screen):
        existing = _existing(store, screen, PREFIX + name, shards)
        for cells in store.batches(screen.name, PREFIX + name, shards=existing):
            bad = ~np.isfinite(features_of(cells)).all(1)
            offenders += [f"{name}: {cell}" for cell in cells["cell_id"].filter(bad)]
    return _result(offenders)


def features_vary(store: Store, screen: Screen, shards: list[str] | None) -> dg.AssetCheckResult:
    """At least half of each layer's features differ between cells; otherwise the encoder has collapsed."""
    shares = {}
    for name in encoder_sets(screen):
        existing = _existing(store, screen, PREFIX + name, shards)
        moments = None
        for cells in store.batches(screen.name, PREFIX + name, shards=existing, columns=["features"]):
            vectors = features_of(cells)
            moments = moments or Moments(vectors.shape[1])
            moments.add(vectors)
        shares[name] = 0.0 if moments is None else float((moments.deviation > _LEAST_DEVIATION).mean())
    collapsed = [f"{name}: {share:.0%}" for name, share in shares.items() if share < _LEAST_VARYING]
    return _result(collapsed, share_that_vary=shares)


def store_and_files_agree(store: Store, screen: Screen, shards: list[str] | None) -> dg.AssetCheckResult:
    """In each shard, the crops on disk, the cells table and every feature table hold the same cells."""
    offenders = []
    for shard in _existing(store, screen, "cells", shards):
        cells, crops = store.read_with_array(screen.name, "cells", "crops", shard)
        if len(crops) != cells.height:
            offenders.append(f"{shard}: {many(len(crops), 'crop')}, {many(cells.height, 'cell')}")
        for name in (*encoder_sets(screen), *control_sets(screen)):
            if not store.has(screen.name, PREFIX + name, shard):
                continue
            described = store.read(screen.name, PREFIX + name, shards=[shard], columns=["cell_id"])
            if not described["cell_id"].equals(cells["cell_id"]):
                offenders.append(f"{shard}: the cells of {PREFIX}{name} are not those of the cells table")
    return _result(offenders)


def ranked_as_in_the_paper(store: Store, screen: Screen, shards: list[str] | None) -> dg.AssetCheckResult:
    """By 11-NN, the supervised network is above the encoder, that above the autoencoder, and that above no training.

    This is the order of the paper (Figure 2A). It is judged on the labels of the screen; steps without scores are
    not judged.
    """
    tables = benchmark_tables(store.tables(screen.name), KNN)
    scores = pl.concat([schemas.BENCHMARKS.empty(), *(store.read(screen.name, table) for table in tables)])
    order = papers_order(scores, screen.benchmark.protocols[0], encoder=screen.encoder.method)
    return dg.AssetCheckResult(
        passed=not order.violated,
        severity=dg.AssetCheckSeverity.WARN,
        description=order.reason or None,
        metadata={
            "scores": dg.MetadataValue.json(order.scores),
            "violated": order.violated,
            "not_judged": order.not_judged,
        },
    )


def _like_training_cells(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=[screen.name, "cell_features"], name="like_training_cells")
    def check(
        context: dg.AssetCheckExecutionContext, library: Library, tracking: Tracking
    ) -> dg.AssetCheckResult:
        """At most 20 % of cells lie farther from the mean cell of the encoder's training than 99 % of its cells do."""
        from pcip_core.models.files import read_extra

        known = read_extra(tracking.champion(screen.encoder_screen).folder).get(TRAINING_CELLS)
        if known is None:
            reason = "Not judged: the encoder does not state what it was trained on. Train again to have it judged."
            return dg.AssetCheckResult(passed=True, severity=dg.AssetCheckSeverity.WARN, description=reason)
        training = TrainingCells.from_dict(known)
        table = f"{PREFIX}{screen.encoder.method}_{training.layer}"
        shards = partitions_of_run(
            context.run.tags, context.instance.get_dynamic_partitions(f"{screen.name}_shards")
        )
        cells, beyond = 0, 0
        for batch in library.store.batches(
            screen.name, table, shards=_existing(library.store, screen, table, shards), columns=["features"]
        ):
            cells, beyond = cells + batch.height, beyond + int(training.beyond(features_of(batch)).sum())
        share = beyond / max(cells, 1)
        return dg.AssetCheckResult(
            passed=share <= _MOST_BEYOND,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{share:.1%} of {many(cells, 'cell', ',')} lie beyond the limit, by {training.layer}",
            metadata={"cells": cells, "beyond": beyond, "share_beyond": share, "limit": training.limit},
        )

    return check


def _trained_as_the_spec_says(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=[screen.name, "cell_features"], name="trained_as_the_spec_says")
    def check(library: Library) -> dg.AssetCheckResult:
        """The encoder that describes the cells was trained with the settings of `encoder` in the spec."""
        trained = trained_as(library.workspace, screen)
        text = None if trained is None else trained.differs(screen)
        differences = {} if trained is None else screen.encoder.differences(trained.settings)
        return dg.AssetCheckResult(
            passed=text is None,
            severity=dg.AssetCheckSeverity.WARN,
            description=text or ("No file says how the encoder was trained." if trained is None else None),
            metadata={
                "differences": dg.MetadataValue.json(
                    {name: {"training": before, "spec": now} for name, (before, now) in differences.items()}
                ),
                "overrides": dg.MetadataValue.json({} if trained is None else trained.overrides),
            },
        )

    return check


def _follows_its_source(screen: Screen) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=[screen.name, MISMATCH], name="follows_its_source")
    def check(context: dg.AssetCheckExecutionContext, library: Library) -> dg.AssetCheckResult:
        """Predictions follow the source more than an untrained network's do (docs/explanation/analyses.md)."""
        from pcip_core.plots.pictures import preview

        table = library.store.read(screen.name, MISMATCH)
        provenance = library.store.provenance(screen.name, MISMATCH) or {}
        reasons = () if table.is_empty() else verdict(table).reasons
        figure = library.workspace.figure(screen.name, MISMATCH)
        return dg.AssetCheckResult(
            passed=not reasons,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(reasons) or None,
            metadata=apart(
                context,
                {
                    **metadata_of(table, json.loads(provenance.get("description", "{}"))),
                    **({"mismatch": picture(preview(figure))} if figure.is_file() else {}),
                },
            ),
        )

    return check
