"""Feature extraction against naive loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pcip_core.errors import ShapeError
from pcip_core.features.intensity import intensity_features
from pcip_core.models.inference import extract_features, untrained_network
from pcip_core.models.inpainting import LAYERS, NetworkConfig

CONFIG = NetworkConfig(("cytosol", "protein"), ("cytosol",), ("protein",), size_px=16, width=0.06)


def crops(n: int = 11) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 2, 16, 16)).astype(np.uint8)


def test_features_are_the_spatial_maximum_of_each_layer() -> None:
    network, pixels = untrained_network(CONFIG, 0), crops()
    features = extract_features(network, pixels, batch_size=4)
    for n, crop in enumerate(pixels):
        x = torch.from_numpy(crop.astype(np.float32) / 255)[None]
        with torch.no_grad():
            for layer, activation in zip(LAYERS, network.source.activations(x), strict=True):
                expected = activation[0].flatten(1).max(1).values.numpy()
                assert np.allclose(features[layer][n], expected, atol=1e-5), (n, layer)
    assert list(features) == ["conv1", "conv2", "conv3", "conv4", "conv5"]


def test_chosen_layers_no_cells_and_progress() -> None:
    network = untrained_network(CONFIG, 0)
    done: list[int] = []
    features = extract_features(network, crops(), layers=("conv3",), batch_size=4, progress=done.append)
    assert list(features) == ["conv3"]
    assert done == [4, 8, 11]
    assert extract_features(network, crops(0), layers=("conv2",))["conv2"].shape == (0, round(256 * 0.06))


def test_wrong_crops_are_refused() -> None:
    with pytest.raises(ShapeError, match="found float64"):
        extract_features(untrained_network(CONFIG, 0), crops() / 255)
    with pytest.raises(ShapeError, match="with channels"):
        extract_features(untrained_network(CONFIG, 0), crops()[:, :1])


def test_a_shard_without_cells_has_no_intensities_but_their_names() -> None:
    none = np.zeros((0, 2), np.float32)
    features, names = intensity_features(crops(0), none, none, ("cytosol", "protein"))
    assert features.shape == (0, len(names))


def test_intensity_features_equal_a_naive_loop() -> None:
    pixels = crops(3)
    low = np.array([[1.0, 2], [3, 4], [5, 6]], np.float32)
    high = low + np.array([[10.0, 20], [30, 40], [50, 60]], np.float32)
    features, names = intensity_features(pixels, low, high, ("cytosol", "protein"))
    assert features.shape == (3, len(names))
    column = dict(zip(names, features.T, strict=True))
    for n in range(3):
        unit = pixels[n, 1].astype(float) / 255
        original = low[n, 1] + unit * (high[n, 1] - low[n, 1])
        assert column["protein_mean"][n] == pytest.approx(original.mean(), rel=1e-5)
        assert column["protein_maximum"][n] == high[n, 1]
        assert column["protein_sd"][n] == pytest.approx(unit.std(), rel=1e-5)
        assert column["protein_p75"][n] == pytest.approx(np.percentile(unit, 75), rel=1e-5)
    with pytest.raises(ShapeError):
        intensity_features(pixels, low[:2], high, ("cytosol", "protein"))
