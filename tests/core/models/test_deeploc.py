"""The supervised network: parameters counted by hand, shapes, and what each pixel can reach."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from pcip_core.errors import EncoderError
from pcip_core.models import deeploc
from pcip_core.models.deeploc import LAYERS, DeepLocConfig, build_deeploc, standardized
from pcip_core.models.network import count_parameters
from tests.core.models.small import CHANNELS, DEEPLOC


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


def test_standardized_crops_do_not_depend_on_brightness_and_contrast() -> None:
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


@pytest.mark.parametrize(
    ("classes", "size"), [(("a",), 16), (("a", "a"), 16), (("a", "b"), 20), (("a", "b"), 8)]
)
def test_invalid_shapes_raise(classes: tuple[str, ...], size: int) -> None:
    with pytest.raises(EncoderError, match="supervised network"):
        DeepLocConfig(CHANNELS, classes, size)
