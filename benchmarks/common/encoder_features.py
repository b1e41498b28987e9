"""Features that the benchmark of encoders compares with those of trained encoders, and combinations of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.common.encoder_screens import Cells
from pcip_assets.workspace import REPOSITORY
from pcip_core.features.blocks import Columns
from pcip_core.features.combined import combined
from pcip_core.features.designed.classic import classic_features
from pcip_core.features.intensity import intensity_features
from pcip_core.features.transfer import BEST_LAYER, feature_set_name, vgg16_features
from pcip_core.models.vgg16 import load_vgg16

DATA = REPOSITORY.parent / "shared" / "data"
CLASSIC, VGG16 = "classic", feature_set_name("protein", BEST_LAYER)
VGG16_FILE = "weights/vgg16_imagenet_features.safetensors"  # docs/how-to/use-vgg16.md tells how to get it
_LEVELS = 32  # grey levels of the texture


def other_features(cells: Cells) -> dict[str, np.ndarray]:
    """Name -> features of the same cells without training: intensities, classic features, and VGG16 on photographs."""
    channels = cells.crops.channels
    low, high = cells.low[cells.rows], cells.high[cells.rows]
    classic = classic_features(
        cells.pixels, low, high, channels, cells.structural, ("protein",), levels=_LEVELS
    )
    others = {"intensity": intensity_features(cells.pixels, low, high, channels)[0], CLASSIC: classic[0]}
    weights = DATA / VGG16_FILE
    if weights.is_file():
        network = load_vgg16(weights)
        values = vgg16_features(network, cells.pixels, channels, strategy="protein", protein=["protein"])
        others[VGG16] = values[BEST_LAYER]
    return others


def together(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Combine (n, d) features of the same cells as `features.<name>.combine` does; constant columns are left out.

    >>> together([np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[0.0], [2.0]])]).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    varied = [part[:, part.std(0) > 0] for part in parts]
    return combined(varied, [Columns(part.mean(0), part.std(0)) for part in varied])


def combinations(
    layers: Mapping[str, np.ndarray], last: str, others: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Name -> combined features: the last three layers, and the last one with each feature set that was not trained.

    Args:
        layers: layer -> (n, d), in their order.
        last: the layer that analyses use.
        others: of `other_features`.
    """
    three = list(layers)[-3:]
    sets = {" + ".join(three): [layers[each] for each in three]}
    for name in (CLASSIC, VGG16):
        if name in others:
            sets[f"{last} + {name}"] = [layers[last], others[name]]
    return {name: together(parts) for name, parts in sets.items()}
