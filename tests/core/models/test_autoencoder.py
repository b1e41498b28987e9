"""The autoencoder: its parameters counted by hand, and its shapes."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from pcip_core.errors import EncoderError
from pcip_core.models.autoencoder import AutoencoderConfig, build_autoencoder
from pcip_core.models.network import count_parameters
from tests.core.models.small import CHANNELS


def test_parameters_of_the_autoencoder() -> None:
    # 9 weights an input and output filter, biases, two numbers a batch norm channel, a linear 1x1.
    filters = [2, 96, 256, 384, 384, 256, 256, 384, 384, 256, 96]
    expected = sum(9 * a * b + b for a, b in pairwise(filters)) + 2 * sum(filters[1:6]) + 96 * 2 + 2
    assert count_parameters(build_autoencoder(AutoencoderConfig(CHANNELS), 0)) == expected == 7_232_770


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (2, 24), (4, 64)])
def test_the_output_has_the_shape_of_the_input(channels: int, size: int) -> None:
    names, x = tuple("abcd"[:channels]), torch.rand(2, channels, size, size)
    assert build_autoencoder(AutoencoderConfig(names, size, 0.06), 0)(x).shape == x.shape


def test_invalid_sizes_raise() -> None:
    with pytest.raises(EncoderError, match="autoencoder"):
        AutoencoderConfig(CHANNELS, size_px=18)
