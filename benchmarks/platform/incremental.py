"""Does an added shard cost the same whatever the size of the screen: one shard to features, on 4, 16 and 64 shards."""

from __future__ import annotations

import csv
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import yaml

from benchmarks.common.harness import Row
from pcip_assets.cli.run import open_instance, run_screen
from pcip_assets.dagster_compat import partition_range_tags
from pcip_assets.definitions import build_definitions
from pcip_assets.partitions import register_shards
from pcip_assets.workspace import Workspace
from pcip_core.store.partitions import Store

DESCRIPTION = "seconds from files to published features of one added shard, on screens of 4, 16 and 64 shards"
SECONDS = 155
SIZES, ADDITIONS = (4, 16, 64), 15
_IMAGES = 4  # a shard, of nine cells each
_SPEC = {
    "name": "growing",
    "organism": "none (drawn discs)",
    "channels": {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}},
    "files": {"pattern": "{plate}/{well}_f{field}_{channel}.tif", "image_id": "{plate}_{well}"},
    "images": {"table": "images.csv"},
    "shards": {"by": "{plate}"},
    "segmentation": {"method": "otsu", "options": {"channel": "nucleus", "min_area_px": 40}},
    "crops": {"window_px": 32, "size_px": 16, "min_cells": 2},
    "encoder": {"width": 0.05, "epochs": 1, "batch_size": 8, "precision": "float32"},
    "benchmark": {"ks": [3]},
}


def run() -> list[Row]:
    """Three screens; in each round every one gets one more shard, so that a slow minute is slow for all."""
    logging.getLogger("dagster").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        screens = {size: Growing(Path(folder) / str(size)) for size in SIZES}
        for size, screen in screens.items():
            screen.grow_to(size - 1)
            screen.add_one()  # warm: the first one to be published after a large change
        rounds = [{size: screen.add_one() for size, screen in screens.items()} for _ in range(ADDITIONS)]
    return [
        *_costs("seconds", [{size: added.seconds for size, added in one.items()} for one in rounds]),
        *_costs("CPU seconds", [{size: added.cpu_seconds for size, added in one.items()} for one in rounds]),
        *_others(rounds),
    ]


def _costs(unit: str, rounds: list[dict[int, float]]) -> Iterator[Row]:
    least = statistics.median(one[SIZES[0]] for one in rounds)
    for size in SIZES:
        costs = [one[size] for one in rounds]
        middle = statistics.median(costs)
        yield Row(
            f"one shard of {_IMAGES} fields more on a screen of {size}: files to published features, {unit}",
            middle,
            "s",
            against=f"on a screen of {SIZES[0]}",
            against_value=least,
            ratio=middle / least,
            n=len(costs),
            spread=(min(costs), max(costs)),
            aim="within 10 %",
            held=middle <= 1.1 * least,
        )


def _others(rounds: list[dict[int, Added]]) -> Iterator[Row]:
    for size in SIZES:
        others = sum(one[size].others for one in rounds)
        what = f"partitions of other shards rewritten by {ADDITIONS} additions to a screen of {size}"
        yield Row(what, others, n=ADDITIONS, aim="0", held=others == 0)


@dataclass(frozen=True)
class Added:
    """What one more shard cost, and how many partitions of other shards were rewritten."""

    seconds: float
    cpu_seconds: float
    others: int


class Growing:
    """A screen of tiny pictures, its workspace and its job."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "images"
        self.root.mkdir(parents=True)
        self.rng = np.random.default_rng(0)
        self.shards: list[str] = []
        spec = folder / "growing.yaml"
        spec.write_text(yaml.safe_dump({**_SPEC, "root": str(self.root)}))
        with (self.root / "images.csv").open("w", newline="") as file:
            csv.writer(file).writerow(("image_id", "protein", "localization"))
        self.workspace = Workspace(folder / "data")
        self.write_shard()
        self.screen = self.workspace.find(str(spec))
        self.instance = open_instance(self.workspace)
        self.store = Store(self.workspace.store)
        self._check(run_screen(self.workspace, self.screen, instance=self.instance).success)
        self.definitions = build_definitions(self.workspace, [self.screen])
        self.job = self.definitions.resolve_job_def("growing_shards")

    def grow_to(self, size: int) -> None:
        """Bring shards up to that many, in one run over the new ones."""
        new = [self.write_shard() for _ in range(size - len(self.shards))]
        if new:
            register_shards(self.instance, self.screen)
            self._run(tags=partition_range_tags(new[0], new[-1]))

    def add_one(self) -> Added:
        """One more shard, as the sensor asks for it: partition known, one run of the shard's job."""
        before, shard = self._commits(), self.write_shard()
        register_shards(self.instance, self.screen)
        began, cpu = time.perf_counter(), time.process_time()
        self._run(partition_key=shard)
        taken, used = time.perf_counter() - began, time.process_time() - cpu
        changed = {key for key, commit in self._commits().items() if before.get(key) != commit}
        return Added(taken, used, sum(key[1] != shard for key in changed))

    def _run(self, **options: object) -> None:
        result = self.job.execute_in_process(
            instance=self.instance, run_config={"loggers": {"console": {}}}, raise_on_error=False, **options
        )
        self._check(result.success)

    def _check(self, success: bool) -> None:  # noqa: FBT001
        assert success, "the run failed"

    def _commits(self) -> dict[tuple[str, str | None], str]:
        """(table, shard) -> the commit that made it."""
        store, name = self.store, self.screen.name
        return {
            (table, shard): (store.provenance(name, table, shard) or {})["commit_id"]
            for table in store.tables(name)
            for shard in store.shards(name, table) or [None]
        }

    def write_shard(self) -> str:
        """Pictures of one more shard and its rows of the table."""
        shard = f"plate_{len(self.shards) + 1}"
        (self.root / shard).mkdir()
        with (self.root / "images.csv").open("a", newline="") as file:
            for image in range(_IMAGES):
                csv.writer(file).writerow((f"{shard}_A0{image}", f"P{image}", f"class {image % 2}"))
                for channel, plane in _picture(self.rng, inside=image % 2 == 0).items():
                    tifffile.imwrite(self.root / shard / f"A0{image}_f1_{channel}.tif", plane)
        self.shards.append(shard)
        return shard


def _picture(rng: np.random.Generator, *, inside: bool) -> dict[str, np.ndarray]:
    """Nine discs in 160 px; the protein is in them or in a ring around them."""
    y, x = np.mgrid[:160, :160]
    planes = {channel: rng.normal(100, 3, (160, 160)) for channel in ("nucleus", "protein")}
    for middle in np.stack(np.meshgrid([35, 80, 125], [35, 80, 125]), -1).reshape(-1, 2):
        away = np.hypot(*(np.stack([y, x], -1) - middle - rng.uniform(-4, 4, 2)).transpose(2, 0, 1))
        planes["nucleus"] += 800 * (away < 7)
        planes["protein"] += 600 * (away < 6 if inside else (away > 9) & (away < 12))
    return {channel: plane.astype(np.uint16) for channel, plane in planes.items()}
