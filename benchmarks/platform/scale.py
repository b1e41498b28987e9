"""Does peak memory stay constant as the number of cells grows from 50,000 to 400,000, in every asset that streams.

Each asset runs in its own process, over all shards of the screen, without a Dagster run. The figure is the peak memory
of the process, imports included. The features are random, because memory does not depend on their values. The screen
grows by plates of 12,500 cells, from 4 to 32 plates.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.common.harness import Row
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.crops.shard_cells import ShardCells
from pcip_core.images.annotations import ImageRecord
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import feature_table

DESCRIPTION = "peak memory of every asset that streams, at 50,000 to 400,000 cells; needs 6 GB of disk"
SECONDS = 800
LONG = True
SIZES = (50_000, 100_000, 200_000, 400_000)
A_SHARD, AN_IMAGE, PROTEINS = 12_500, 50, 1_000  # cells, cells, and proteins of the screen
COLUMNS, _SMALL = 384, 4  # features of the layer that the analyses are of, and of the others
MOST = 1.25  # times the memory at the smallest size, for eight times the cells

NAME, CROPPED, FEW = "scale", "scale_cropped", "scale_few"  # screens
_DESIGNED = 100  # cells a shard of the screen whose cells are measured one by one
_SPEC: dict[str, Any] = {
    "organism": "none (random numbers)",
    "channels": {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}},
    "files": {"pattern": "{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}"},
    "shards": {"by": "{plate}"},
    "segmentation": {"method": "whole"},
    "crops": {"window_px": 16, "size_px": 16, "min_cells": 2},
    "encoder": {"width": 0.05},
    "baselines": {
        "sets": ["classic"], "umap": {"cells": 2000}, "classifiers": ["inpainting_conv3"],
        "corrected": ["inpainting_conv3"], "corrections": ["by_plate", "whitened"], "grey_levels": 8,
    },
    "analyses": {"compartments": [["A", "B"]], "clusters": {"methods": ["ward"], "number": 20}},
}  # fmt: skip

CHECKS = (
    "features_finite", "features_vary", "store_and_files_agree", "cells_per_image", "no_duplicate_cells",
)  # fmt: skip
LANES: tuple[dict[str, tuple[str, ...]], ...] = (  # one core each; later ones read what earlier ones make
    {
        "cell_features": ("asset", "cell_features", CROPPED),
        "control_features": ("asset", "control_features", CROPPED),
        "designed_features": ("asset", "designed_features", FEW),
        "mismatch": ("asset", "mismatch", CROPPED),
        **{f"check {name}": ("check", name) for name in CHECKS},
    },
    {
        noun: ("asset", noun, NAME)
        for noun in (
            *("corrected_features", "protein_features", "clusters", "localization_scores", "variability"),
            *("phenotypes", "maps", "like", "analysis_report", "umap", "benchmark_report"),
        )
    },
)
ELSEWHERE = {
    "fields, crops": "by shard; pcip bench cropping tells their memory up to 576 fields",
    "autoencoder_features, supervised_features, vgg16_features": "by shard, by the loop of cell_features",
    "enrichment": "reads clusters of proteins, no cells",
    "units": "reads the vectors in blocks, as clusters does, and the crops of 16 cells per unit",
    "encoder, autoencoder, supervised": "hold all crops where memory suffices, else read them from their files "
    "(pcip bench training)",
    "knn_benchmark, yardstick_benchmark, classifier_benchmark, supervised_benchmark": "hold the vectors of all "
    "labelled cells of one feature set at a time, as all are compared with all (pcip bench knn)",
    "pairwise_benchmark, retrieval_benchmark": "hold the vectors of all labelled cells of one set at a time",
}


def run() -> list[Row]:
    """The screens grow from size to size; at each, every asset in turn."""
    peaks: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        made = 0
        for size in SIZES:
            peaks.setdefault("(the screens are written)", {})[size] = _measured(
                folder, "fill", made, size // A_SHARD
            )
            made = size // A_SHARD
            peaks.setdefault("publish, into a new file", {})[size] = _measured(folder, "publish")
            with ThreadPoolExecutor(len(LANES)) as pool:  # of processes: what they hold is their own
                for found in pool.map(partial(_in_turn, folder), LANES):
                    for what, peak in found.items():
                        peaks.setdefault(what, {})[size] = peak
        one = _measured(folder, "asset", "cell_features", CROPPED, "plate_1")
    rows = [row for what, found in peaks.items() if what[0] != "(" for row in rows_of(what, found)]
    alone = Row(
        f"cell_features, one shard of {A_SHARD:,} cells: peak memory", one, "MiB", n=1, aim=None,
        against=f"all {SIZES[-1] // A_SHARD} shards in one run", against_value=peaks["cell_features"][SIZES[-1]],
        ratio=peaks["cell_features"][SIZES[-1]] / one,
    )  # fmt: skip
    return [*rows, alone, *(Row(f"{noun}: not run here, {why}", None) for noun, why in ELSEWHERE.items())]


def _in_turn(folder: str, lane: dict[str, tuple[str, ...]]) -> dict[str, float]:
    return {what: _measured(folder, *asked) for what, asked in lane.items()}


def rows_of(what: str, peaks: dict[int, float]) -> Iterator[Row]:
    """One row per size of the screen (cells -> peak memory, MiB), beside that of the smallest."""
    least = peaks[SIZES[0]]
    for size, peak in peaks.items():
        few = f", of which {_DESIGNED:,} a shard are measured" if what == "designed_features" else ""
        last = size == SIZES[-1]
        yield Row(
            f"{what}: peak memory, {size:,} cells by {size // A_SHARD} shards{few} (random)", peak, "MiB", n=1,
            against=f"{SIZES[0]:,} cells", against_value=least, ratio=peak / least,
            aim=f"at most {MOST} times" if last else None, held=peak <= MOST * least if last else None,
        )  # fmt: skip


def _measured(folder: str, *asked: object) -> float:
    """Peak memory in MiB of a process that does one thing."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.platform.scale", folder, *map(str, asked)],
        cwd=REPOSITORY,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mb"])


def peak_mb() -> float:
    """The most that this process has had in memory, MiB; of `ru_maxrss` the parent's is part."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


# -- the screens --------------------------------------------------------------------------------------


def screen_of(folder: Path, name: str) -> Screen:
    """One of the three screens, its spec written where it is not there."""
    from pcip_core.spec.loading import load_screen

    spec = folder / f"{name}.yaml"
    if not spec.is_file():
        spec.write_text(yaml.safe_dump({"name": name, **_SPEC}))
    return load_screen(spec)


def fill(folder: Path, first: int, last: int) -> None:
    """Write the shards from `first` on up to `last` of every screen, and a network where there is none."""
    from pcip_core.models.files import save_encoder
    from pcip_core.models.inference import untrained_network
    from pcip_core.models.inpainting import NetworkConfig

    store = Store(Workspace(folder).store)
    for number in range(first, last):
        for name, cells in ((NAME, A_SHARD), (CROPPED, A_SHARD), (FEW, _DESIGNED)):
            write_shard(store, screen_of(folder, name), number, cells)
    screen = screen_of(folder, CROPPED)
    if first == 0:
        shape = NetworkConfig(screen.crop_channels, screen.structural, screen.protein, 16, 0.05)
        save_encoder(untrained_network(shape, 0), folder / "network")


def write_shard(store: Store, screen: Screen, number: int, cells: int) -> None:
    """Random cells and crops of one plate, and in the first screen random features."""
    from pcip_core.store import rows as frames

    shard, rng = f"plate_{number + 1}", np.random.default_rng(number)
    images = [f"{shard}_{place:05d}" for place in range(cells // AN_IMAGE)]
    first = number * len(images)
    records = [
        ImageRecord(
            image, shard, 1, terms(place % PROTEINS), {"protein": f"P{place % PROTEINS:04d}", "plate": shard}
        )
        for place, image in enumerate(images, first)
    ]
    ids = [f"{image}_1_{cell:04d}" for image in images for cell in range(AN_IMAGE)]
    of_image = [image for image in images for _ in range(AN_IMAGE)]
    pixels = rng.integers(0, 256, (cells, 2, 16, 16), np.uint8)
    ends = rng.uniform(10, 20, (cells, 2)).astype(np.float32)
    columns: dict[str, Any] = {
        "cell_id": ids, "image_id": of_image, "field": ["1"] * cells,
        **{name: np.full(cells, 8.0) for name in ("y_px", "x_px", "area_px")},
        "crop_row": np.arange(cells), "intensity_min": ends, "intensity_max": ends + 100,
        "pixel_hash": [f"{number:04d}{cell:016x}{'0' * 12}" for cell in range(cells)],
    }  # fmt: skip
    about = {"data_hash": f"{number}", "inputs_hash": f"{number}", "found": cells}
    found = ShardCells(pixels, columns, found=cells)
    tables = {
        "images": frames.images_table(records),
        "cells": frames.cells_table(found, shard),
        "quarantine_crops": frames.quarantine_table("crops", [], shard),
    }
    store.commit(screen.name, tables, shard=shard, arrays={"crops": pixels}, provenance=about)
    if screen.name != NAME:
        return
    known: dict[str, Any] = {"cell_id": ids, "image_id": of_image, "encoder_version": ["scale/1"] * cells}
    sizes = {f"inpainting_conv{layer}": COLUMNS if layer == 3 else _SMALL for layer in range(1, 6)}
    for name, size in (*sizes.items(), ("intensity", 18)):
        drawn = rng.standard_normal((cells, size), np.float32)
        table = feature_table(known, np.maximum(drawn + 1, 0) if name != "intensity" else drawn + 100)
        about |= {"encoder_version": "scale/1", "created_at": f"2020-01-01T00:00:{number:02d}"}
        store.commit(screen.name, {f"cell_features_{name}": table}, shard=shard, provenance=about)


def terms(protein: int) -> list[str]:
    """Where a protein lies: a fifth of them in A, as many in B, a tenth in both, the others elsewhere."""
    kind = protein % 10
    return [["A"], ["A"], ["B"], ["B"], ["A", "B"]][kind] if kind < 5 else [f"C{kind}"]


# -- in a process of its own --------------------------------------------------------------------------


class Untrained:
    """In the place of MLflow: one network, which nobody has trained, is the champion of all models."""

    def __init__(self, folder: Path) -> None:
        from pcip_assets.tracking import Encoder

        self._network = Encoder("scale/1", "none", folder / "network", {"weights_sha256": "none"})

    def champion(self, _: str) -> Any:
        """The network."""
        return self._network

    champion_version = champion

    def log_extraction(self, *_: object, **__: object) -> str:
        """No note is taken."""
        return "none"

    def log_evaluation(self, *_: object) -> str:
        """No score is logged."""
        return "none"

    def show_scores(self, *_: object) -> None:
        """There is no card."""

    def url(self, *_: object) -> str:
        """Nowhere."""
        return "http://localhost"


def ask_asset(folder: Path, noun: str, name: str, *shards: str) -> None:
    """Make one asset of a screen, over all its shards or over some."""
    from benchmarks.common.assets import call_asset
    from pcip_assets.assets.analyses.like import Like
    from pcip_assets.definitions import screen_assets

    screen, library = screen_of(folder, name), _library(folder)
    asset = next(one for one in screen_assets(screen) if one.key.path[-1] == noun)
    given: dict[str, Any] = {"library": library}
    if noun in ("cell_features", "control_features", "mismatch"):
        given["tracking"] = Untrained(folder)
    config = Like(seeds=["plate_1_00000_1_0000"]) if noun == "like" else None
    call_asset(asset, shards or library.store.shards(name, "cells"), config=config, **given)


def ask_check(folder: Path, name: str) -> None:
    """One check of the screen, over all its shards."""
    from pcip_assets import checks

    result = getattr(checks, name)(Store(Workspace(folder).store), screen_of(folder, NAME), None)
    assert result.passed or name == "store_and_files_agree", result.metadata


def ask_publish(folder: Path) -> None:
    """Publish everything, into a file that is not there yet."""
    from pcip_core.store.publish import publish

    target = folder / "new.duckdb"
    publish(Store(Workspace(folder).store), target)
    target.unlink()


def _library(folder: Path) -> Any:
    from pcip_assets.resources import Library

    class Unpublished(Library):
        """Publication is measured apart, by `publish`."""

        def publishing(self, log: Any) -> Any:
            """Publish nothing."""
            return nullcontext()

    return Unpublished(data=str(folder))


def main(folder: str, what: str, *asked: str) -> None:
    """Do one thing and print the memory that it took."""
    doings: dict[str, Callable[..., None]] = {
        "asset": ask_asset, "check": ask_check, "publish": ask_publish,
        "fill": lambda place, first, last: fill(place, int(first), int(last)),
    }  # fmt: skip
    doings[what](Path(folder), *asked)
    print(json.dumps({"peak_mb": peak_mb(), "seconds": sum(os.times()[:2])}))


if __name__ == "__main__":
    main(*sys.argv[1:])
