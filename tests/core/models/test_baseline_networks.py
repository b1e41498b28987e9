"""The autoencoder and the supervised network: shapes, counts by hand, what each pixel can reach, files."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pcip_core.errors import EncoderError, ShapeError
from pcip_core.models import deeploc
from pcip_core.models.autoencoder import AutoencoderConfig, build_autoencoder
from pcip_core.models.deeploc import LAYERS, DeepLocConfig, build_deeploc, standardized
from pcip_core.models.files import load_encoder, save_encoder
from pcip_core.models.inference import classify, extract_features
from pcip_core.models.inpainting import NetworkConfig, build_network, count_parameters

CHANNELS = ("cytosol", "protein")
AUTOENCODER = AutoencoderConfig(CHANNELS, size_px=16, width=0.06)
DEEPLOC = DeepLocConfig(CHANNELS, ("bud neck", "nucleus", "vacuole"), size_px=16, width=0.06)
INPAINTING = NetworkConfig(CHANNELS, ("cytosol",), ("protein",), size_px=16, width=0.06)


def crops(n: int = 5, size: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 2, size, size)).astype(np.uint8)


def test_parameters_of_the_autoencoder() -> None:
    # 9 weights an input and output filter, biases, two numbers a batch norm channel, a linear 1x1.
    filters = [2, 96, 256, 384, 384, 256, 256, 384, 384, 256, 96]
    expected = sum(9 * a * b + b for a, b in pairwise(filters)) + 2 * sum(filters[1:6]) + 96 * 2 + 2
    assert count_parameters(build_autoencoder(AutoencoderConfig(CHANNELS), 0)) == expected == 7_232_770


def test_parameters_of_the_supervised_network() -> None:
    filters = [2, 64, 64, 128, 128, 256, 256, 256, 256]
    convolutions = sum(9 * a * b + 2 * b for a, b in pairwise(filters))
    connected = 256 * 8 * 8 * 512 + 2 * 512 + 512 * 512 + 2 * 512
    expected = convolutions + connected + 512 * 19 + 19
    classes = tuple(f"class {n}" for n in range(19))
    assert count_parameters(build_deeploc(DeepLocConfig(CHANNELS, classes), 0)) == expected == 10_988_947


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (2, 24), (4, 64)])
def test_shapes(channels: int, size: int) -> None:
    names, x = tuple("abcd"[:channels]), torch.rand(2, channels, size, size)
    assert build_autoencoder(AutoencoderConfig(names, size, 0.06), 0)(x).shape == x.shape
    network = build_deeploc(DeepLocConfig(names, ("one", "other"), size, 0.0625), 0)
    assert network(x).shape == (2, 2)
    half, quarter = size // 2, size // 4
    expected = [(4, size, size)] * 2 + [(8, half, half)] * 2 + [(16, quarter, quarter)] * 4 + [(32,)] * 2
    assert [tuple(layer.shape[1:]) for layer in network.activations(x)] == expected
    assert len(LAYERS) == len(expected)


def test_the_supervised_network_equals_torch_operators_in_the_published_order() -> None:
    network, x = build_deeploc(DEEPLOC, 0).eval(), torch.rand(3, 2, 16, 16)
    with torch.no_grad():
        for block in network.blocks:
            block.norm.running_mean.uniform_(-1, 1)
        keep = torch.rand(3, sum(DEEPLOC.hidden)) < 0.5
        y = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
        for number, block in enumerate(network.blocks):
            y = torch.relu(block.norm(nn.functional.conv2d(y, block.convolution.weight, padding=1)))
            y = nn.functional.max_pool2d(y, 2) if number + 1 in (2, 4, 8) else y
        first, second = network.connected
        a = torch.relu(first.norm(y.flatten(1) @ first.linear.weight.T)) * keep[:, : DEEPLOC.hidden[0]] * 2
        b = torch.relu(second.norm(a @ second.linear.weight.T)) * keep[:, DEEPLOC.hidden[0] :] * 2
        assert torch.allclose(network(x, keep), network.output(b), atol=1e-5)
        everything = torch.ones_like(keep)
        assert not torch.allclose(network(x, keep), network(x))
        last = list(network.activations(x))[-1]
        assert torch.equal(network(x), network.output(last))
        assert not torch.allclose(network(x, everything), network(x))  # those kept count twice


def test_standardized_crops_forget_brightness_and_contrast() -> None:
    x = torch.rand(4, 2, 16, 16, dtype=torch.float64)
    out = standardized(x)
    assert torch.allclose(out.mean((2, 3)), torch.zeros(4, 2, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(out.std((2, 3), correction=0), torch.ones(4, 2, dtype=torch.float64), atol=1e-3)
    assert torch.allclose(standardized(0.5 * x + 0.2), out, atol=1e-3)
    assert standardized(torch.full((1, 2, 16, 16), 0.3)).abs().max() < 1e-4


@pytest.mark.parametrize("pixel", [0, 13, 31])
def test_how_far_a_pixel_reaches(pixel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deeploc, "standardized", lambda x: x)  # which lets each pixel reach all
    network = build_deeploc(DeepLocConfig(("a",), ("one", "other"), 32, 0.06), 0).double().eval()
    for block in network.blocks:
        block.convolution.weight.data.abs_()  # so that no ReLU hides a path
    dark = torch.full((1, 1, 32, 32), 0.1, dtype=torch.float64)
    bright = dark.clone()
    bright[0, 0, pixel] = 1e6
    low = high = pixel
    layers = zip(LAYERS, network.activations(dark), network.activations(bright), strict=True)
    for number, (name, before, after) in enumerate(layers, start=1):
        if before.ndim == 2:
            break
        side = before.shape[-1]
        low, high = max(low - 1, 0), min(high + 1, side - 1)  # a 3x3 convolution
        rows = (before != after).any(dim=(0, 1, 3)).nonzero().flatten().tolist()
        assert rows == list(range(low, high + 1)), name
        if number in (2, 4, 8):  # 2x2 pooling
            low, high = low // 2, high // 2


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
        assert {name: one.shape for name, one in empty.items()} == {
            name: (0, one.shape[1]) for name, one in features.items()
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


def test_saved_networks_are_the_same(tmp_path: Path) -> None:
    autoencoder, supervised = build_autoencoder(AUTOENCODER, 1).eval(), build_deeploc(DEEPLOC, 1).eval()
    x = torch.rand(2, 2, 16, 16)
    for network in (autoencoder, supervised):
        save_encoder(network, tmp_path / network.architecture)
        again = load_encoder(tmp_path / network.architecture)
        assert type(again) is type(network)
        assert again.config == network.config
        assert torch.equal(network(x), again(x))
    written = json.loads((tmp_path / "deeploc" / "config.json").read_text())
    assert written["network"]["classes"] == ["bud neck", "nucleus", "vacuole"]


def test_files_of_the_first_format_still_load(tmp_path: Path) -> None:
    config = """{"architecture": "paired_cell_inpainting", "network": {"channels": ["cytosol", "protein"],
        "structural": ["cytosol"], "protein": ["protein"], "size_px": 16, "width": 0.06},
        "extra": {"screen": "tiny", "inputs_hash": "abc"}}"""
    source, target, decoder = [2, 6, 15, 23, 23, 15], [1, 1, 2, 2], [17, 15, 23, 23, 15, 6]
    generator, weights = torch.Generator().manual_seed(0), {}
    for name, filters in (("source", source), ("target", target)):
        for number, (a, b) in enumerate(pairwise(filters)):
            block = f"{name}.blocks.{number}"
            weights[f"{block}.convolution.weight"] = torch.randn(b, a, 3, 3, generator=generator)
            weights[f"{block}.convolution.bias"] = torch.randn(b, generator=generator)
            for part in ("weight", "bias", "running_mean", "running_var"):
                weights[f"{block}.norm.{part}"] = torch.rand(b, generator=generator)
            weights[f"{block}.norm.num_batches_tracked"] = torch.tensor(4)
    for number, (a, b) in enumerate(pairwise(decoder)):
        weights[f"decoder.layers.{number}.weight"] = torch.randn(b, a, 3, 3, generator=generator)
        weights[f"decoder.layers.{number}.bias"] = torch.randn(b, generator=generator)
    weights["decoder.output.weight"] = torch.randn(1, 6, 1, 1, generator=generator)
    weights["decoder.output.bias"] = torch.randn(1, generator=generator)
    (tmp_path / "config.json").write_text(config)
    save_file(weights, str(tmp_path / "encoder.safetensors"))
    network = load_encoder(tmp_path)
    assert network.config == INPAINTING
    assert set(network.state_dict()) == set(weights)
    x = torch.rand(2, 2, 16, 16)
    first = next(iter(network.activations(x)))
    expected = torch.relu(
        nn.functional.conv2d(
            x,
            weights["source.blocks.0.convolution.weight"],
            weights["source.blocks.0.convolution.bias"],
            padding=1,
        )
    )
    assert torch.allclose(first, expected)


def test_files_written_for_inpainting_are_as_before(tmp_path: Path) -> None:
    save_encoder(build_network(INPAINTING, 0), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "architecture": "paired_cell_inpainting",
        "network": {
            "channels": ["cytosol", "protein"],
            "structural": ["cytosol"],
            "protein": ["protein"],
            "size_px": 16,
            "width": 0.06,
        },
        "extra": {},
    }


def test_unknown_and_mistaken_architectures_are_named(tmp_path: Path) -> None:
    save_encoder(build_deeploc(DEEPLOC, 0), tmp_path)
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    for architecture, found in (("resnet", "'resnet' is none of"), ("autoencoder", "no usable encoder")):
        path.write_text(json.dumps(written | {"architecture": architecture}))
        with pytest.raises(EncoderError, match=found):
            load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("classes", "size"), [(("a",), 16), (("a", "a"), 16), (("a", "b"), 20), (("a", "b"), 8)]
)
def test_shapes_that_cannot_be(classes: tuple[str, ...], size: int) -> None:
    with pytest.raises(EncoderError, match="supervised network"):
        DeepLocConfig(CHANNELS, classes, size)
    with pytest.raises(EncoderError, match="autoencoder"):
        AutoencoderConfig(CHANNELS, size_px=18)
