"""The overhead of Dagster: one run over 64 shards against the same functions called directly; planning of 1,000."""

from __future__ import annotations

import csv
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.common.assets import call_asset
from benchmarks.common.harness import Row
from benchmarks.platform.incremental import Growing
from pcip_assets.assets.main.crops import Cutting
from pcip_assets.dagster_compat import create_execution_plan, partition_range_tags
from pcip_assets.definitions import build_definitions
from pcip_assets.partitions import register_shards
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_core.crops.shard import cut_shard
from pcip_core.images.layout import scan
from pcip_core.images.localization import annotated_images
from pcip_core.images.reading import content_hash, read_field
from pcip_core.models.files import load_encoder
from pcip_core.models.inference import extract_features
from pcip_core.store import rows as frames
from pcip_core.store import schemas
from pcip_core.store.publish import publish

DESCRIPTION = (
    "overhead of Dagster per shard against the same functions called directly; planning of 1,000 shards"
)
SECONDS = 310
SHARDS, REPEATS = 64, 3
PLANNED = (125, 250, 500, 1000)
_NOUNS = ("fields", "crops", "cell_features", "control_features")


def run() -> list[Row]:
    """Both sides make every shard again in turns; then screens of more and more shards are planned."""
    logging.getLogger("dagster").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        return [*overhead(Path(folder) / "overhead"), *planning(Path(folder) / "planned")]


# -- overhead -----------------------------------------------------------------------------------------


def overhead(folder: Path) -> list[Row]:
    """Fields to features of all shards, published: by Dagster, by the assets' functions, by the library's."""
    screen = Growing(folder)
    screen.grow_to(SHARDS)
    ways: dict[str, Callable[[Growing], None]] = {
        "dagster": by_dagster, "assets": by_assets, "library": by_library
    }  # fmt: skip
    by_library(screen)  # warm
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            start = time.perf_counter()
            way(screen)
            seconds[name].append((time.perf_counter() - start) / SHARDS)
    what = f"one run over {SHARDS} shards of four small fields, four assets, published: a shard"
    return [
        _against(what, seconds["dagster"], seconds["assets"], "the assets' functions called without Dagster"),
        _against(what, seconds["dagster"], seconds["library"], "reading, cutting, extracting, committing alone"),
    ]  # fmt: skip


def _against(what: str, ours: list[float], bare: list[float], against: str) -> Row:
    more = [one - other for one, other in zip(ours, bare, strict=True)]
    value, least, extra = (statistics.median(each) for each in (ours, bare, more))
    return Row(
        f"{what} (overhead {extra:.3f} s)", value, "s", against=against, against_value=least, ratio=value / least,
        n=len(ours), spread=(min(ours), max(ours)), aim="overhead <= 1.5 s a partition", held=extra <= 1.5,
    )  # fmt: skip


def by_dagster(screen: Growing) -> None:
    """One run of the shards' job over all of them, each made again."""
    ops = {f"{screen.screen.name}__{noun}": {"config": {"force": True}} for noun in _NOUNS}
    result = screen.job.execute_in_process(
        instance=screen.instance,
        run_config={"loggers": {"console": {}}, "ops": ops},
        tags=partition_range_tags(screen.shards[0], screen.shards[-1]),
    )
    assert result.success


def by_assets(screen: Growing) -> None:
    """What these assets do, called in turn with a context that takes no note of anything."""
    data = str(screen.workspace.data)
    library, tracking = Library(data=data), Tracking(data=data)
    for noun in _NOUNS:
        asset = screen.definitions.resolve_assets_def([screen.screen.name, noun])
        config = Cutting(force=True) if noun == "crops" else None
        given = {"library": library} | ({"tracking": tracking} if noun.endswith("features") else {})
        call_asset(asset, screen.shards, config=config, **given)


def by_library(screen: Growing) -> None:
    """The arithmetic and the commits: no hash of inputs, no preview, no clock, no log."""
    spec, store = screen.screen, screen.store
    network = load_encoder(Tracking(data=str(screen.workspace.data)).champion(spec.name).folder)
    layout = scan(spec)
    for shard in screen.shards:
        members = layout.of_shard(shard)
        good = [(one, content_hash(spec, one), read_field(spec, one).shape) for one in members]
        tables = {
            "fields": frames.fields_table(spec, good),
            "images": frames.images_table(annotated_images(spec, members).records),
        }
        store.commit(spec.name, tables, shard=shard)
        with store.scratch(spec.name) as folder:
            cells = cut_shard(spec, members, into=folder / "crops.npy")
            table = frames.cells_table(cells, shard)
            store.commit(spec.name, {"cells": table}, shard=shard, arrays={"crops": folder / "crops.npy"})
        rows, crops = store.read_with_array(spec.name, "cells", "crops", shard)
        ids = {name: rows[name].to_list() for name in ("cell_id", "image_id")}
        ids["encoder_version"] = ["none"] * rows.height
        for method in ("inpainting", "untrained"):
            layers = extract_features(network, crops)
            sets = {
                f"cell_features_{method}_{name}": schemas.CELL_FEATURES.frame({**ids, "features": vectors})
                for name, vectors in layers.items()
            }
            store.commit(spec.name, sets, shard=shard)
    publish(store, screen.workspace.published)


# -- planning -----------------------------------------------------------------------------------------


def planning(folder: Path) -> list[Row]:
    """Screens of more and more shards of one field: made known, their graph built, a run over all planned and run."""
    rows, first = [], None
    for size in PLANNED:
        screen = Growing(folder / str(size))
        _fill(screen, size)
        steps = _planned(screen)
        a_shard = steps["run"] / size
        first = first or a_shard
        last = size == PLANNED[-1]
        rows += [
            Row(f"{size} shards: {what}", steps[name], "s", n=size, aim=aim if last else None,
                held=steps[name] < 5 if last and aim else None)
            for name, what, aim in (
                ("known", "found under the root and made known to Dagster", "< 5 s"),
                ("built", "graph and jobs built, job resolved", "< 5 s"),
                ("plan", "execution of one run over all planned", "< 5 s"),
                ("looked", "which shards are made, asked of the instance", "< 5 s"),
            )
        ]  # fmt: skip
        rows.append(
            Row(f"{size} shards: one run of the fields over all, a shard", a_shard, "s", n=size,
                against=f"{PLANNED[0]} shards", against_value=first, ratio=a_shard / first,
                aim="<= 1.5 s" if last else None, held=a_shard <= 1.5 if last else None)
        )  # fmt: skip
    return rows


def _fill(screen: Growing, size: int) -> None:
    """More plates of one field each: names of their own, the pixels of the first plate."""
    one = screen.root / screen.shards[0]
    with (screen.root / "images.csv").open("a", newline="") as file:
        for number in range(2, size + 1):
            shard = f"plate_{number}"
            (screen.root / shard).mkdir()
            csv.writer(file).writerow((f"{shard}_A00", "P0", "class 0"))
            for picture in one.glob("A00_f1_*.tif"):
                os.link(picture, screen.root / shard / picture.name)
            screen.shards.append(shard)


def _planned(screen: Growing) -> dict[str, float]:
    """Seconds of each step, with a run of `fields` over all shards."""
    seconds: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = call()
        seconds[name] = time.perf_counter() - start
        return result

    spec, instance = screen.screen, screen.instance
    timed("known", lambda: register_shards(instance, spec))
    name = f"{spec.name}_shards"
    job = timed("built", lambda: build_definitions(screen.workspace, [spec]).resolve_job_def(name))
    tags = partition_range_tags(screen.shards[0], screen.shards[-1])
    quiet: dict[str, Any] = {"loggers": {"console": {}}}
    timed("plan", lambda: create_execution_plan(job, run_config=quiet, tags=tags))
    key = dg.AssetKey([spec.name, "fields"])
    result = timed(
        "run",
        lambda: job.execute_in_process(instance=instance, run_config=quiet, tags=tags, asset_selection=[key]),
    )
    assert result.success
    made = timed("looked", lambda: instance.get_materialized_partitions(key))
    assert len(made) == len(screen.shards)
    return seconds
