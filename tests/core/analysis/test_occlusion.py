"""Occlusion maps of responses, and of a network made by hand, whose right answer is known."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from pcip_core.analysis.occlusion import occlusion_maps
from pcip_core.models.inference import extract_features
from pcip_core.models.network import CellNetwork

SIZE = 32


class HandMade(CellNetwork):
    """One layer of two units: the protein itself, and the nucleus minus the protein at the same pixel."""

    architecture: ClassVar[str] = "hand_made"
    layers: ClassVar[tuple[str, ...]] = ("conv1",)

    def __init__(self) -> None:
        config: Any = SimpleNamespace(channels=("nucleus", "protein"), size_px=SIZE)
        super().__init__(config)
        self.convolution = nn.Conv2d(2, 2, 1, bias=False)
        weights = torch.tensor([[0.0, 1.0], [1.0, -1.0]])
        self.convolution.weight.data = weights[:, :, None, None]

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        yield torch.relu(self.convolution(x))


def respond(unit: int) -> Any:
    network = HandMade()
    return lambda crops: extract_features(network, crops)["conv1"][:, unit]


def spots() -> np.ndarray:
    """A nucleus of rows and columns 20 to 23 and a protein spot of rows 4 to 7, columns 8 to 11, on grey."""
    crop = np.full((2, SIZE, SIZE), 10, np.uint8)
    crop[0, 20:24, 20:24] = 210
    crop[1, 4:8, 8:12] = 250
    return crop


def test_the_map_of_a_spot_is_the_spot_in_its_channel() -> None:
    maps, whole = occlusion_maps(spots(), respond(0), patch_px=4, stride_px=4)
    expected = np.zeros((2, SIZE, SIZE))
    expected[1, 4:8, 8:12] = (250 - 10) / 255  # occluded, the brightest pixel is background
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    assert whole == np.float32(250 / 255)


def test_pixels_that_hold_a_unit_back_have_negative_drops() -> None:
    crop = spots()
    crop[1, 20:24, 20:24] = 100  # protein in the nucleus lowers the second unit
    maps, whole = occlusion_maps(crop, respond(1), patch_px=4, stride_px=4)
    assert np.isclose(whole, (210 - 100) / 255)
    inside = np.s_[20:24, 20:24]
    assert np.allclose(maps[0][inside], whole)  # without the nucleus nothing is left
    assert np.allclose(maps[1][inside], -(100 - 10) / 255)
    maps[:, 20:24, 20:24] = 0
    assert np.allclose(maps, 0)


def test_overlapping_patches_average_and_reach_the_edges() -> None:
    crop = np.full((1, 9, 9), 5, np.uint8)
    crop[0, 8, 8] = 105
    maps, _ = occlusion_maps(crop, lambda crops: crops.sum((1, 2, 3)).astype(float), patch_px=4, stride_px=2)
    # each patch over the corner lowers the sum by 100; those over other pixels by nothing
    assert maps[0, 8, 8] == 100
    assert np.isclose(
        maps[0, 5, 5], 100 / 9
    )  # patches start at 2, 4 and 5 in both directions, one is at the corner
    assert maps[0, 0, 0] == 0
    assert maps.shape == (1, 9, 9)


def test_by_default_the_patch_is_an_eighth_of_the_crop() -> None:
    asked: list[int] = []

    def counted(crops: np.ndarray) -> np.ndarray:
        asked.append(len(crops))
        return np.zeros(len(crops))

    maps, _ = occlusion_maps(np.zeros((3, 64, 64), np.uint8), counted)
    assert asked == [1, 225, 225, 225]
    assert not maps.any()
