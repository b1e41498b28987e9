"""Does bf16 cost anything? Features, losses and speed of networks that are trained and used in bf16 and in float32.

Each screen is trained on with three seeds in both precisions, and describes its cells in the same precision. The loss
curves are drawn by `python -m benchmarks.common.precision_figure`. Speed is processor time in one thread, in turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.common.assets import call_asset
from benchmarks.common.harness import Row
from benchmarks.common.screens import INPAINTING
from benchmarks.speed.training import drawn, network
from pcip_assets.assets.encoders.training_cells import all_crops
from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.assets.main.crops import Cutting
from pcip_assets.cli.simulated import ensure_simulated
from pcip_assets.definitions import screen_assets
from pcip_assets.resources import Library
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.evaluation.classifiers import cross_validated
from pcip_core.evaluation.scores import knn_scores
from pcip_core.images.layout import scan
from pcip_core.models.inference import extract_features
from pcip_core.models.inpainting import NetworkConfig, build_network
from pcip_core.models.precision import dtype_of
from pcip_core.spec.screen import Screen
from pcip_core.spec.templates import TEMPLATES
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.device import choose_device
from pcip_core.training.loop import build_optimizer, train
from pcip_core.training.precision import LARGEST_DIFFERENCE, multiplies_bf16, try_steps
from pcip_core.training.task import output_of, share_of_loss
from pcip_core.training.tasks.inpainting import Inpainting
from pcip_core.training.tracker import SilentTracker

DESCRIPTION = "bf16 against float32: scores of features by kNN and logistic regression, losses, speed"
SECONDS = 700
LONG = True
PRECISIONS = ("float32", "bf16")
SEEDS = 3
LAYER = "conv3"
WAYS = ("11-NN", "logistic regression")
_REAL = REPOSITORY.parent / "shared" / "data"
_PAIRS = 5_000  # per training, in whole epochs
_FOLDS = 3
_CHANNELS = ("nucleus", "microtubules", "protein")
_SPEED = ((1.0, 4, 32), (0.25, 16, 128))  # width, pairs per step, cells extracted
_BATCHES = (8, 32)  # beside the default size
_REPEATS = 5


@dataclass(frozen=True)
class Cells:
    """The crops of a screen, and the label of some of them.

    Attributes:
        screen: with its encoder's settings.
        given: all crops, with their images.
        rows: (n,) positions of the labelled cells among them.
        labels, images: (n,) of these.
    """

    screen: Screen
    given: CellSet
    rows: np.ndarray
    labels: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class Trained:
    """The losses of one training by epoch, and the scores of its features by way."""

    losses: list[float]
    scores: dict[str, float]


def run() -> list[Row]:
    """Speed, then the screens; the real one where its images are."""
    rows = list(speed_rows())
    native = multiplies_bf16(choose_device("auto"))
    for name in ("simulated_human", "simulated_yeast", "human_labelled_cells"):
        root = None if name.startswith("simulated") else _REAL / name
        if not native:
            rows.append(
                Row(f"{name}: not run: nothing here multiplies bf16 natively, it would take hours", None)
            )
        elif root is not None and not root.is_dir():
            rows.append(Row(f"{name}: not run: its images cannot be distributed ({root})", None))
        else:
            with tempfile.TemporaryDirectory() as folder:
                cells = cells_of(name, root, Path(folder))
                rows += screen_rows(cells, pairs=_PAIRS, seeds=SEEDS)
    return rows


def cells_of(name: str, root: Path | None, folder: Path) -> Cells:
    """The crops of a screen, by its assets `fields` and `crops`."""
    workspace = Workspace(folder)
    screen = workspace.find(str(TEMPLATES[name]), root=None if root is None else str(root))
    ensure_simulated(screen)
    assets = {asset.key.path[-1]: asset for asset in screen_assets(screen)}
    library = Library(data=str(folder))
    shards = scan(screen).shards()
    call_asset(assets["fields"], shards, library=library)
    call_asset(assets["crops"], shards, config=Cutting(force=True), library=library)
    pixels, cells = all_crops(library, screen)
    labelled = labelled_cells_of(library, screen)
    place = {cell: row for row, cell in enumerate(cells["cell_id"].to_list())}
    image = np.unique(cells["image_id"].to_numpy(), return_inverse=True)[1]
    return Cells(
        screen,
        CellSet(np.asarray(pixels[:]), image, screen.crop_channels),
        np.array([place[cell] for cell in labelled.cell_ids.to_list()]),
        labelled.labels,
        labelled.image_ids,
    )


def screen_rows(cells: Cells, *, pairs: int, seeds: int) -> list[Row]:
    """Scores and losses of one screen, over all seeds."""
    epochs = max(1, round(pairs / len(cells.given.image)))
    by_precision: dict[str, list[Trained]] = {name: [] for name in PRECISIONS}
    for seed in range(seeds):
        for precision in PRECISIONS:
            config = TrainingConfig(
                **INPAINTING, epochs=epochs, seed=seed, precision=precision, preview_every=epochs + 1
            )
            start = time.perf_counter()
            by_precision[precision].append(trained(cells, config))
            seconds = time.perf_counter() - start
            print(f"{cells.screen.name}, seed {seed}, {precision}: {seconds:.0f} s", flush=True)
    kind = "SIMULATED" if cells.screen.simulated else "real"
    about = f"{cells.screen.name} ({kind} images, {len(cells.given.image):,} cells, {epochs} epochs)"
    return [
        *(score_row(about, way, by_precision, len(cells.rows)) for way in WAYS),
        loss_row(about, by_precision),
        *curve_rows(about, by_precision),
    ]


def trained(cells: Cells, config: TrainingConfig) -> Trained:
    """Train, describe the labelled cells, and score them; cells of one image never help each other."""
    screen = cells.screen
    shape = NetworkConfig(
        screen.crop_channels, screen.structural, screen.protein, screen.crops.size_px, config.width
    )
    result = train(cells.given, shape, config, tracker=SilentTracker())
    pixels = np.asarray(cells.given.pixels)[cells.rows]
    features = extract_features(
        result.network, pixels, layers=[LAYER], device=result.device, precision=result.precision
    )[LAYER]
    knn = knn_scores(features, cells.labels, groups=cells.images, ks=(11,)).rows
    logistic = cross_validated(
        features, cells.labels, classifier="logistic", groups=cells.images, folds=_FOLDS
    )
    scores = (
        next(row["value"] for row in knn if row["metric"] == "balanced_accuracy"),
        statistics.mean(logistic.balanced_accuracies),
    )
    return Trained([row["loss"] for row in result.history], dict(zip(WAYS, scores, strict=True)))


def score_row(about: str, way: str, found: dict[str, list[Trained]], cells: int) -> Row:
    """The mean scores of both, against the spread of the seeds: the larger range of the two precisions."""
    full, short = ([each.scores[way] for each in found[name]] for name in PRECISIONS)
    difference = statistics.mean(short) - statistics.mean(full)
    spread = max(max(values) - min(values) for values in (full, short))
    return Row(
        what=f"{about}: {LAYER} in bf16, {way}, images left out; float32 {min(full):.3f} to {max(full):.3f}",
        value=statistics.mean(short),
        unit="balanced accuracy",
        against="float32, the same seeds",
        against_value=statistics.mean(full),
        ratio=statistics.mean(short) / statistics.mean(full),
        n=cells,
        spread=(min(short), max(short)),
        aim=f"means differ by at most the range of the seeds, {spread:.3f}",
        held=abs(difference) <= spread,
    )


def loss_row(about: str, found: dict[str, list[Trained]]) -> Row:
    """The loss of the last epoch; the range of the seeds is that of float32."""
    full, short = ([each.losses[-1] for each in found[name]] for name in PRECISIONS)
    value, against = statistics.mean(short), statistics.mean(full)
    return Row(
        what=f"{about}: loss of the last epoch in bf16",
        value=value,
        unit="mean squared error",
        against="float32, the same seeds",
        against_value=against,
        ratio=value / against,
        n=len(full),
        spread=(min(short), max(short)),
        aim="at most 1.03 of it",
        held=value <= 1.03 * against,
    )


def curve_rows(about: str, found: dict[str, list[Trained]]) -> Iterator[Row]:
    """The mean loss of each epoch, for the figure."""
    for name, trainings in found.items():
        for epoch, values in enumerate(zip(*(each.losses for each in trainings), strict=True), 1):
            yield Row(
                f"{about}: loss in {name} of epoch {epoch}",
                statistics.mean(values),
                "mean squared error",
                n=len(values),
                spread=(min(values), max(values)),
            )


def speed_rows() -> Iterator[Row]:
    """A training step and extraction in both precisions, and how far the features of one network differ."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for width, batch, cells in _SPEED:
            yield from width_rows(network(_CHANNELS, width), batch=batch, cells=cells, repeats=_REPEATS)
            print(f"speed at width {width:g}: measured", flush=True)
    finally:
        torch.set_num_threads(threads)


def width_rows(shape: NetworkConfig, *, batch: int, cells: int, repeats: int) -> Iterator[Row]:
    """The rows of one width."""
    device = choose_device("auto")
    full, short = (step_of(shape, batch, name, device) for name in PRECISIONS)
    what = f"training step in bf16, width {shape.width:g}, {batch} pairs"
    yield _compared(what, "pairs/s", batch, short, full, "float32", repeats)
    given = TrainingConfig(batch_size=batch, validation_fraction=0.0)
    _, losses = try_steps(Inpainting(drawn(shape, batch), shape, given, device), device, rounds=1)
    difference = abs(losses["bf16"] / losses["float32"] - 1)
    yield Row(f"loss of the first pairs in bf16, width {shape.width:g}: relative difference from float32",
              difference, "", n=batch, aim=f"at most {LARGEST_DIFFERENCE:.3g}",
              held=difference <= LARGEST_DIFFERENCE)  # fmt: skip
    model, pixels = build_network(shape, 0), np.asarray(drawn(shape, cells).pixels)
    described: dict[str, dict[str, np.ndarray]] = {}

    def extraction(name: str, size: int | None = None) -> Callable[[], None]:
        def extract() -> None:
            described[name] = extract_features(model, pixels, device=device, precision=name, batch_size=size)

        return extract

    full, short = (extraction(name) for name in PRECISIONS)
    what = f"extraction of conv1 to conv5 in bf16, width {shape.width:g}"
    yield _compared(what, "cells/s", cells, short, full, "float32", repeats)
    for name in PRECISIONS:
        for size in _BATCHES:
            what = f"extraction in {name}, width {shape.width:g}, batches of {size} cells"
            other, default = extraction(name, size), extraction(name)
            yield _compared(what, "cells/s", cells, other, default, "batches of the default size", repeats)
    worst = max(
        float(np.abs(described["bf16"][layer] - values).max() / np.abs(values).max())
        for layer, values in described["float32"].items()
    )
    yield Row(f"features in bf16, width {shape.width:g}: largest difference from float32, over the layer's maximum",
              worst, "", n=cells, aim="at most 1/32", held=worst <= 2**-5)  # fmt: skip


def step_of(shape: NetworkConfig, batch: int, precision: str, device: torch.device) -> Callable[[], None]:
    """A training step on one batch of random cells: forward, backward, and Adam."""
    config, cells = TrainingConfig(batch_size=batch, validation_fraction=0.0), drawn(shape, batch)
    work = Inpainting(cells, shape, config, device)
    model = work.build().to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer, given, dtype = build_optimizer(model, config), next(work.batches(1)), dtype_of(precision)

    def step() -> None:
        loss = share_of_loss(work, output_of(model, given, dtype), given)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def _compared(
    what: str,
    unit: str,
    count: int,
    ours: Callable[[], None],
    other: Callable[[], None],
    against: str,
    repeats: int,
) -> Row:
    """Both in turns, of which the first warms up; processor time, on a GPU the time of the clock."""
    cuda = torch.cuda.is_available()
    clock = time.perf_counter if cuda else time.process_time
    speeds: list[list[float]] = []
    for _ in range(repeats + 1):
        pair = []
        for call in (other, ours):
            start = clock()
            call()
            if cuda:
                torch.cuda.synchronize()
            pair.append(count / (clock() - start))
        speeds.append(pair)
    ratios = [mine / theirs for theirs, mine in speeds[1:]]
    return Row(
        what=f"{what}, {'on a GPU' if cuda else 'one thread'}",
        value=statistics.median(mine for _, mine in speeds[1:]),
        unit=unit,
        against=against,
        against_value=statistics.median(theirs for theirs, _ in speeds[1:]),
        ratio=statistics.median(ratios),
        n=repeats,
        spread=(min(ratios), max(ratios)),
    )
