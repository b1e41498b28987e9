"""Features and classes of cells by a network, against naive loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pcip_core.errors import EncoderError, ShapeError
from pcip_core.models.autoencoder import build_autoencoder
from pcip_core.models.deeploc import build_deeploc
from pcip_core.models.inference import classify, extract_features, untrained_network
from pcip_core.models.inpainting import LAYERS
from tests.core.models.small import AUTOENCODER, DEEPLOC, INPAINTING, crops


def test_features_are_the_spatial_maximum_of_each_layer() -> None:
    network, pixels = untrained_network(INPAINTING, 0), crops()
    features = extract_features(network, pixels, batch_size=4)
    for n, crop in enumerate(pixels):
        x = torch.from_numpy(crop.astype(np.float32) / 255)[None]
        with torch.no_grad():
            for layer, activation in zip(LAYERS, network.source.activations(x), strict=True):
                expected = activation[0].flatten(1).max(1).values.numpy()
                assert np.allclose(features[layer][n], expected, atol=1e-5), (n, layer)
    assert list(features) == ["conv1", "conv2", "conv3", "conv4", "conv5"]


def test_chosen_layers_no_cells_and_progress() -> None:
    network = untrained_network(INPAINTING, 0)
    done: list[int] = []
    features = extract_features(network, crops(), layers=("conv3",), batch_size=4, progress=done.append)
    assert list(features) == ["conv3"]
    assert done == [4, 8, 11]
    assert extract_features(network, crops(0), layers=("conv2",))["conv2"].shape == (0, round(256 * 0.06))


def test_wrong_crops_are_refused() -> None:
    with pytest.raises(ShapeError, match="found float64"):
        extract_features(untrained_network(INPAINTING, 0), crops() / 255)
    with pytest.raises(ShapeError, match="with channels"):
        extract_features(untrained_network(INPAINTING, 0), crops()[:, :1])


def test_features_of_both_by_the_same_function() -> None:
    pixels = crops()
    autoencoder, supervised = build_autoencoder(AUTOENCODER, 0), build_deeploc(DEEPLOC, 0)
    for network in (autoencoder, supervised):
        features = extract_features(network, pixels, batch_size=2)
        assert tuple(features) == network.layers
        with torch.no_grad():
            x = torch.from_numpy(pixels / np.float32(255))
            for name, activation in zip(network.layers, network.activations(x), strict=True):
                expected = activation.flatten(2).max(2).values if activation.ndim == 4 else activation
                assert np.allclose(features[name], expected.numpy(), atol=1e-5), name
        empty = extract_features(network, pixels[:0])
        assert {name: values.shape for name, values in empty.items()} == {
            name: (0, values.shape[1]) for name, values in features.items()
        }
    with pytest.raises(EncoderError, match="found fc2"):
        extract_features(autoencoder, pixels, layers=("fc2",))
    with pytest.raises(ShapeError):
        extract_features(supervised, pixels[:, :1])


def test_classify_is_the_softmax_of_the_output() -> None:
    network, pixels = build_deeploc(DEEPLOC, 3), crops(7)
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(pixels / np.float32(255))).softmax(1).numpy()
    assert np.allclose(classify(network, pixels, batch_size=3), expected, atol=1e-5)
    assert classify(network, pixels[:0]).shape == (0, 3)
