"""Features and classes of cells by a network, against naive loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pcip_core.errors import EncoderError, PrecisionError, ShapeError
from pcip_core.models.autoencoder import build_autoencoder
from pcip_core.models.deeploc import build_deeploc
from pcip_core.models.inference import classify, extract_features, untrained_network
from pcip_core.models.inpainting import LAYERS, PairedCellInpainting
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


def test_float32_is_plain_arithmetic_bit_for_bit() -> None:
    """The path without any choice of a precision: batches of 16, channels last, maxima by pooling."""
    pixels = crops(37)
    for network in (untrained_network(INPAINTING, 0), build_deeploc(DEEPLOC, 0).eval()):
        expected: dict[str, list[np.ndarray]] = {layer: [] for layer in network.layers}
        network.to(memory_format=torch.channels_last)
        with torch.inference_mode():
            for part in np.split(pixels, [16, 32]):
                x = torch.from_numpy(part).to(torch.float32, memory_format=torch.channels_last).div_(255)
                for layer, values in zip(network.layers, network.activations(x), strict=True):
                    pooled = (
                        torch.nn.functional.max_pool2d(values, values.shape[2:])
                        if values.ndim == 4
                        else values
                    )
                    expected[layer].append(pooled.flatten(1).numpy())
        features = extract_features(network, pixels, precision="float32")
        for layer, parts in expected.items():
            assert np.array_equal(features[layer], np.concatenate(parts)), layer


U = 2.0**-9  # relative error of rounding to the 8 significant bits of bf16


def largest_errors(network: PairedCellInpainting, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """layer -> (n, filters), how far rounding inputs, weights and results to bf16 can move the spatial maximum."""
    x = torch.from_numpy(pixels / np.float32(255))
    error = torch.zeros_like(x)
    errors = {}
    for number, block in enumerate(network.source.blocks):
        weight = block.convolution.weight
        size, moved = weight.abs(), error + U * (x.abs() + error)  # the input is rounded
        moved = torch.conv2d(moved, size * (1 + U), padding=1) + torch.conv2d(x.abs(), size * U, padding=1)
        y = torch.relu(torch.conv2d(x, weight, block.convolution.bias, padding=1))
        moved = moved * (1 + U) + U * y + 1e-5
        errors[LAYERS[number]] = moved.flatten(2).max(2).values.numpy()
        scale = (block.norm.weight.abs() * torch.rsqrt(block.norm.running_var + block.norm.eps)).view(
            1, -1, 1, 1
        )
        x, error = block.norm(y), moved * scale
        error = error * (1 + U) + U * x.abs()
        if number < 2:
            x, error = (torch.nn.functional.max_pool2d(each, 2) for each in (x, error))
    return errors


@torch.no_grad()
def test_bf16_features_are_those_of_float32_within_rounding() -> None:
    network, pixels = untrained_network(INPAINTING, 0), crops()
    before = [value.clone() for value in network.state_dict().values()]
    exact, rounded = (extract_features(network, pixels, precision=name) for name in ("float32", "bf16"))
    bounds = largest_errors(network, pixels)
    for layer, values in rounded.items():
        assert values.dtype == np.float32
        assert (np.abs(values - exact[layer]) <= bounds[layer]).all(), layer
        assert not np.array_equal(values, exact[layer])
        assert np.corrcoef(values.ravel(), exact[layer].ravel())[0, 1] > 0.999
    for value, old in zip(network.state_dict().values(), before, strict=True):
        assert value.dtype == old.dtype  # the network stays in float32
        assert torch.equal(value, old)
    with pytest.raises(PrecisionError, match="precision 'float16'"):
        extract_features(network, pixels, precision="float16")


def test_classes_in_bf16_have_the_probabilities_of_float32() -> None:
    network, pixels = build_deeploc(DEEPLOC, 3), crops(7)
    exact, rounded = (classify(network, pixels, precision=name) for name in ("float32", "bf16"))
    assert rounded.dtype == np.float32
    assert np.abs(exact - rounded).max() < 2**-4
    assert not np.array_equal(exact, rounded)
