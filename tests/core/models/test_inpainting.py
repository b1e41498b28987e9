"""The network of paired cell inpainting against the paper's numbers and torch's own operators."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pcip_core.errors import EncoderError
from pcip_core.models.autoencoder import AutoencoderConfig, build_autoencoder
from pcip_core.models.files import load_encoder, save_encoder
from pcip_core.models.inference import extract_features
from pcip_core.models.inpainting import LAYERS, NetworkConfig, UpsampleConv, build_network
from pcip_core.models.network import count_parameters
from pcip_core.models.pairs import PairConfig, build_pairs
from tests.core.models.small import INPAINTING

HUMAN = NetworkConfig(("nucleus", "microtubules", "protein"), ("nucleus", "microtubules"), ("protein",))


def test_parameters_at_full_width() -> None:
    # Counted by hand: 9 weights an input and output filter, biases, two numbers a batch norm channel.
    def convolutions(counts: list[int]) -> int:
        return sum(9 * a * b + b for a, b in pairwise(counts))

    source, target = [3, 96, 256, 384, 384, 256], [2, 16, 32, 32]
    decoder = [288, 256, 384, 384, 256, 96]
    norms = 2 * (sum(source[1:]) + sum(target[1:]))
    expected = convolutions(source) + convolutions(target) + convolutions(decoder) + norms + 96 + 1
    assert count_parameters(build_network(HUMAN, seed=0)) == expected == 7_321_617


def test_shapes() -> None:
    network = build_network(HUMAN, seed=0).eval()
    x = torch.rand(2, 3, 64, 64)
    assert network(x, x[:, :2]).shape == (2, 1, 64, 64)
    shapes = {
        layer: tuple(a.shape[1:]) for layer, a in zip(LAYERS, network.source.activations(x), strict=True)
    }
    assert shapes == {
        "conv1": (96, 64, 64),
        "conv2": (256, 32, 32),
        "conv3": (384, 16, 16),
        "conv4": (384, 16, 16),
        "conv5": (256, 16, 16),
    }
    assert tuple(shapes) == LAYERS


@pytest.mark.parametrize(("stages", "size"), [(6, 128), (7, 256)])
def test_further_stages_halve_larger_crops_before_the_layers_of_the_paper(stages: int, size: int) -> None:
    config = dataclasses.replace(HUMAN, size_px=size, width=0.1, stages=stages)
    x = torch.rand(1, 3, size, size)
    network = build_network(config, seed=0).eval()
    shapes = [tuple(a.shape[1:]) for a in network.activations(x)]
    paper = build_network(dataclasses.replace(HUMAN, width=0.1), seed=0).eval()
    assert shapes[-5:] == [tuple(a.shape[1:]) for a in paper.activations(torch.rand(1, 3, 64, 64))]
    assert shapes[: stages - 5] == [(3, 64, 64)] if stages == 6 else [(2, 128, 128), (3, 64, 64)]
    assert network.layers == tuple(f"conv{number}" for number in range(1, stages + 1))
    assert network(x, x[:, :2]).shape == (1, 1, size, size)
    last = list(network.activations(x))[-1]
    torch.testing.assert_close(network.source(x), network.source.blocks[-1].after(last))
    pairs = build_pairs(PairConfig(**vars(config), tasks=("inpainting", "agreement")), seed=0).eval()
    assert pairs.layers == network.layers
    assert pairs(x, x)["inpainting"].shape == (1, 1, size, size)
    copied = AutoencoderConfig(config.channels, size, 0.1, stages=stages)
    reconstructing = build_autoencoder(copied, seed=0).eval()
    assert (reconstructing.layers, reconstructing(x).shape) == (network.layers, x.shape)
    assert list(extract_features(network, np.zeros((2, 3, size, size), np.uint8))) == list(network.layers)


def test_other_numbers_of_stages_are_refused_and_kept_with_the_weights(tmp_path: Path) -> None:
    for config in (HUMAN, AutoencoderConfig(("protein",))):
        with pytest.raises(EncoderError, match="8 stages; required: one of 5, 6, 7"):
            dataclasses.replace(config, stages=8)
    network = build_network(dataclasses.replace(INPAINTING, stages=6), seed=0)
    save_encoder(network, tmp_path)
    loaded = load_encoder(tmp_path)
    assert (loaded.config, loaded.layers) == (network.config, network.layers)


def test_upsampling_convolution_equals_nearest_then_convolution() -> None:
    layer = UpsampleConv(3, 5).double()
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    grown = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    expected = nn.functional.conv2d(grown, layer.weight, layer.bias, padding=1)
    assert torch.allclose(layer(x), expected)


def test_activations_are_after_relu_and_before_norm() -> None:
    network = build_network(INPAINTING, seed=0).eval()
    x = torch.rand(3, 2, 16, 16)
    first = network.source.blocks[0]
    layers = dict(zip(LAYERS, network.source.activations(x), strict=True))
    assert torch.equal(layers["conv1"], torch.relu(first.convolution(x)))
    after_norm = nn.functional.max_pool2d(first.norm(layers["conv1"]), 2)
    assert torch.equal(layers["conv2"], torch.relu(network.source.blocks[1].convolution(after_norm)))
    last = network.source.blocks[-1].norm(layers["conv5"])
    assert torch.equal(network.source(x), last)


def test_weights_are_glorot_uniform_and_keyed_by_the_seed() -> None:
    state = torch.get_rng_state()
    one, same, other = (build_network(HUMAN, seed) for seed in (4, 4, 5))
    assert torch.equal(torch.get_rng_state(), state)
    weight = one.source.blocks[1].convolution.weight
    assert torch.equal(weight, same.source.blocks[1].convolution.weight)
    assert not torch.equal(weight, other.source.blocks[1].convolution.weight)
    bound = (6 / (9 * 96 + 9 * 256)) ** 0.5
    assert float(weight.detach().abs().max()) <= bound
    assert float(weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.01)


def test_channels_must_be_known() -> None:
    with pytest.raises(EncoderError, match="structural"):
        NetworkConfig(("nucleus", "protein"), ("cytosol",), ("protein",))
