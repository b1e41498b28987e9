"""Speed of VGG16 features, on crops of 64 px and resized to 224 px; and equality with the network of Keras.

The weights are random, because speed does not depend on them. The comparison needs Keras, which pcip does not require:

    pip install --no-deps --target KERAS keras absl-py namex optree ml-dtypes
    PYTHONPATH=KERAS pcip bench transfer
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import torch

from benchmarks.common.harness import Row
from pcip_core.features.transfer import BEST_LAYER, FEATURE_LAYERS, vgg16_features
from pcip_core.models.vgg16 import SIDE_PX, VGG16, assemble, load_vgg16, random_weights
from pcip_core.training.device import choose_device

DESCRIPTION = "VGG16: seconds per cell at 64 px and at 224 px, and the difference from Keras's network"
SECONDS = 20
_REPEATS, _CELLS = 5, {False: 32, True: 8}
_PAPER = {False: 0.02, True: 0.31}  # seconds an image, on the paper's machine
_LAYER = {False: BEST_LAYER, True: "fc2"}
_TOLERANCE = 1e-4


def run() -> list[Row]:
    """Alternating repeats of both sizes in one process; then the comparison."""
    weights = random_weights("keras", width=1)
    network = assemble(weights, where="benchmark")
    pixels = np.random.default_rng(0).integers(0, 256, (max(_CELLS.values()), 2, 64, 64), np.uint8)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for repeat in range(_REPEATS + 1):
        for resized, times in seconds.items():
            spent = _seconds(network, pixels[: _CELLS[resized]], resized=resized)
            if repeat:  # the first one warms up
                times.append(spent)
    return [
        *(_timed(resized, times) for resized, times in seconds.items()),
        _ratio(seconds),
        _beside_keras(weights),
    ]


def _seconds(network: VGG16, pixels: np.ndarray, *, resized: bool) -> float:
    start = time.perf_counter()
    vgg16_features(
        network,
        pixels,
        ("cytosol", "protein"),
        strategy="protein",
        protein=["protein"],
        layers=[_LAYER[resized]],
        resized=resized,
        device=choose_device("auto"),
    )
    return (time.perf_counter() - start) / len(pixels)


def _timed(resized: bool, times: list[float]) -> Row:  # noqa: FBT001
    value = statistics.median(times)
    size = f"resized to {SIDE_PX} px" if resized else "64 px"
    return Row(
        what=f"VGG16 up to {_LAYER[resized]}, {size}, on {choose_device('auto')}, {torch.get_num_threads()} threads",
        value=value,
        unit="s/cell",
        against="the paper, on its own machine",
        against_value=_PAPER[resized],
        ratio=value / _PAPER[resized],
        n=_CELLS[resized],
        spread=(min(times), max(times)),
    )


def _ratio(seconds: dict[bool, list[float]]) -> Row:
    ratios = [large / small for small, large in zip(seconds[False], seconds[True], strict=True)]
    value, paper = statistics.median(ratios), _PAPER[True] / _PAPER[False]
    return Row(
        what=f"how much longer {SIDE_PX} px up to fc2 takes than 64 px up to {BEST_LAYER}",
        value=value,
        unit="times",
        against="the paper",
        against_value=paper,
        ratio=value / paper,
        n=_REPEATS,
        spread=(min(ratios), max(ratios)),
    )


def _beside_keras(weights: dict[str, torch.Tensor]) -> Row:
    """The largest difference in any layer up to fc2, from one file that Keras' own loader reads too."""
    what = "largest difference from keras.applications.vgg16 in any layer, over the layer's maximum"
    aim = f"at most {_TOLERANCE:g}"
    if find_spec("keras") is None:
        return Row(
            what=f"{what}: Keras is not installed (the docstring of the benchmark says how)",
            value=None,
            aim=aim,
        )
    os.environ["KERAS_BACKEND"] = "torch"
    from keras import Model
    from keras.applications import vgg16

    theirs = vgg16.VGG16(weights=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.h5"
        _write_as_keras(path, weights)
        theirs.load_weights(str(path))
        ours = load_vgg16(path)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 2, SIDE_PX, SIDE_PX), np.uint8)
    found = vgg16_features(
        ours,
        pixels,
        ("rfp", "gfp"),
        strategy="rgb",
        rgb={"red": "rfp", "green": "gfp"},
        layers=FEATURE_LAYERS,
        resized=True,
    )
    rgb = np.stack([pixels[:, 0], pixels[:, 1], np.zeros_like(pixels[:, 0])], axis=-1).astype(np.float32)
    probe = Model(theirs.input, [theirs.get_layer(name).output for name in FEATURE_LAYERS])
    worst = 0.0
    with torch.no_grad():
        for name, output in zip(FEATURE_LAYERS, probe(vgg16.preprocess_input(rgb)), strict=True):
            values = output.detach().cpu().numpy()
            truth = values.max((1, 2)) if values.ndim == 4 else values
            worst = max(worst, float(np.abs(found[name] - truth).max() / truth.max()))
    return Row(what=what, value=worst, n=len(FEATURE_LAYERS), aim=aim, held=worst <= _TOLERANCE)


def _write_as_keras(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """An HDF5 as Keras published it: groups of layers, and attributes that list them."""
    layers: dict[str, list[str]] = {}
    for key in weights:
        layer, name = key.split("/")
        layers.setdefault(layer, []).append(name)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, names in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name in names:
                group[name] = weights[f"{layer}/{name}"].numpy()
