"""VGG16 trained on photographs, on each labelled screen: what transfer learning gives without any training on cells.

The weights are torchvision's convolutions (docs/how-to/use-vgg16.md tells how to get them), the protocol is the paper's
transfer learning baseline: the maximum of each filter over the crop, at the crop's own size.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.accuracy.precision import Cells, cells_of
from benchmarks.common.harness import Row
from pcip_assets.workspace import REPOSITORY
from pcip_core.evaluation.classifiers import cross_validated
from pcip_core.evaluation.scores import knn_scores
from pcip_core.features.transfer import BEST_LAYER, vgg16_features
from pcip_core.models.vgg16 import VGG16, load_vgg16
from pcip_core.training.device import choose_device

DESCRIPTION = "VGG16 trained on photographs: scores on each labelled screen, by layer and input"
SECONDS = 900
LONG = True
SCREENS = ("simulated_human", "simulated_yeast", "human_labelled_cells")
LAYERS = ("block1_conv2", "block2_conv2", "block3_conv1", BEST_LAYER, "block5_conv1")
STRATEGIES = ("protein", "channels")
_REAL = REPOSITORY.parent / "shared" / "data"
_WEIGHTS = _REAL / "weights" / "vgg16_imagenet_features.safetensors"
_FOLDS = 3


def run() -> list[Row]:
    """The screens that are here, if the weights are."""
    if not _WEIGHTS.is_file():
        return [Row(f"not run: no weights ({_WEIGHTS}; docs/how-to/use-vgg16.md)", None)]
    network, rows = load_vgg16(_WEIGHTS), []
    for name in SCREENS:
        root = None if name.startswith("simulated") else _REAL / name
        if root is not None and not root.is_dir():
            rows.append(Row(f"{name}: not run: its images cannot be distributed", None))
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows += screen_rows(cells_of(name, root, Path(folder)), network)
    return rows


def screen_rows(cells: Cells, network: VGG16) -> list[Row]:
    """11-NN of each layer, and logistic regression of the best one, by input."""
    pixels = np.asarray(cells.given.pixels)[cells.rows]
    kind = "SIMULATED" if cells.screen.simulated else "real"
    rows = []
    for strategy in STRATEGIES:
        about = f"{cells.screen.name} ({kind} images), VGG16, {strategy}"
        layers = vgg16_features(
            network,
            pixels,
            cells.screen.crop_channels,
            strategy=strategy,
            layers=LAYERS,
            protein=cells.screen.protein,
            device=choose_device("auto"),
        )
        scores = {layer: _knn(features, cells) for layer, features in layers.items()}
        best = max(scores, key=lambda layer: scores[layer])
        rows += [_row(f"{about}, {layer}: 11-NN, leave image out", scores[layer], cells) for layer in LAYERS]
        folds = cross_validated(
            layers[best], cells.labels, classifier="logistic", groups=cells.images, folds=_FOLDS
        )
        logistic = statistics.mean(folds.balanced_accuracies)
        rows.append(_row(f"{about}, {best} (best by 11-NN): logistic, grouped folds", logistic, cells))
        print(*(f"{row.what}: {row.value:.3f}" for row in rows[-len(LAYERS) - 1 :]), sep="\n", flush=True)
    return rows


def _knn(features: np.ndarray, cells: Cells) -> float:
    rows = knn_scores(features, cells.labels, groups=cells.images, ks=(11,)).rows
    return float(next(row["value"] for row in rows if row["metric"] == "balanced_accuracy"))


def _row(what: str, value: float, cells: Cells) -> Row:
    return Row(what, value=value, unit="balanced accuracy", n=len(cells.rows))
