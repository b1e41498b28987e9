"""A supervised network after DeepLoc (Kraus et al. 2017, Mol Syst Biol 13:924): the paper's upper baseline.

As published: crops of 64 px; eight 3x3 convolutions with 64, 64, pool, 128, 128, pool, 256, 256, 256, 256 filters, and
pool (2x2 maximum); two fully connected layers with 512 units; a softmax over the classes; batch norm and ReLU after
each layer except the last; dropout of half of the fully connected units in training; standardization of each channel
of each crop; training by Adam on the cross-entropy with random crops, flips and rotations.

Choices here, where the publication gives no details or this implementation differs:
- It accepts any channels, any size that is a multiple of 8, and a `width` factor on all counts except the classes.
- Crops are not cut to 60 px. They are shifted by the same range (see `training/tasks/supervised.py`).
- Rotations are by multiples of 90 degrees, which need no interpolation.
- Layers before a batch norm have no bias, because the norm would remove it.
- Initial weights are Glorot uniform, as in the other networks; batch norm has torch's defaults (momentum 0.1,
  epsilon 1e-5).

The code was written from the description in the publication, and uses no published weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import nn

from pcip_core.errors import EncoderError
from pcip_core.models.network import CellNetwork, initialized, scaled

CONVOLUTIONS = (64, 64, 128, 128, 256, 256, 256, 256)
CONNECTED = (512, 512)
LAYERS = (*(f"conv{n}" for n in range(1, len(CONVOLUTIONS) + 1)), "fc1", "fc2")
_POOL_AFTER = (1, 3, 7)
_FLAT = 1e-5  # added to the variance of a crop (of values in [0, 1]), so that an empty channel stays 0


@dataclass(frozen=True)
class DeepLocConfig:
    """The architecture settings of the network.

    Args:
        channels: names of the channels, in the order of the crops.
        classes: names of the classes, in the order of their numbers in the labels.
        size_px: side of a crop in px, a multiple of 8 and at least 16.
        width: factor on every number of filters and units; 1 as published.

    Raises:
        EncoderError: there is no channel, fewer than two classes, a repeated class, or an invalid size.
    """

    channels: tuple[str, ...]
    classes: tuple[str, ...]
    size_px: int = 64
    width: float = 1.0

    def __post_init__(self) -> None:
        distinct = len(set(self.classes)) == len(self.classes) >= 2
        if not self.channels or not distinct or self.size_px < 16 or self.size_px % 8:
            raise EncoderError(
                "supervised network",
                found=f"channels {self.channels}, classes {self.classes}, {self.size_px} px",
                required="at least one channel, two different classes, and a crop size of at least 16 px that is a "
                "multiple of 8",
                remedy="Label at least two classes, or correct `crops.size_px` in the spec.",
            )

    def as_dict(self) -> dict[str, object]:
        """Convert to plain values, as stored in `config.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DeepLocConfig:
        """Restore the config from `as_dict`, also after a round trip through JSON."""
        return cls(**{**values, **{key: tuple(values[key]) for key in ("channels", "classes")}})

    @property
    def hidden(self) -> tuple[int, int]:
        """Numbers of units of fc1 and fc2."""
        return scaled(CONNECTED[0], self.width), scaled(CONNECTED[1], self.width)


class Convolution(nn.Module):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w)."""
        return torch.relu(self.norm(self.convolution(x)))


class Connected(nn.Module):
    """Fully connected layer, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, outputs)."""
        return torch.relu(self.norm(self.linear(x)))


class DeepLoc(CellNetwork):
    """Predict the class of a cell. The paper uses layer fc2 as features."""

    architecture: ClassVar[str] = "deeploc"
    layers: tuple[str, ...] = LAYERS
    config: DeepLocConfig

    def __init__(self, config: DeepLocConfig) -> None:
        super().__init__(config)
        filters = [len(config.channels), *(scaled(count, config.width) for count in CONVOLUTIONS)]
        units = [filters[-1] * (config.size_px // 8) ** 2, *config.hidden]
        self.blocks = nn.ModuleList(Convolution(before, after) for before, after in pairwise(filters))
        self.connected = nn.ModuleList(Connected(before, after) for before, after in pairwise(units))
        self.output = nn.Linear(units[-1], len(config.classes))

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Classify.

        Args:
            x: (B, C, S, S) in [0, 1].
            keep: (B, fc1 + fc2 units) bool, the units that dropout keeps, each with probability 1/2. These units are
                doubled, and the others set to 0. For training only; None keeps all.

        Returns:
            (B, classes) logits, before the softmax.
        """
        last = x
        for layer in self._steps(x, keep):
            last = layer
        return self.output(last)

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the layers: (B, C, S, S) -> conv1 to conv8 (B, filters, h, w), fc1 and fc2 (B, units), after ReLU."""
        return self._steps(x, None)

    def _steps(self, x: torch.Tensor, keep: torch.Tensor | None) -> Iterator[torch.Tensor]:
        x = standardized(x)
        for number, block in enumerate(self.blocks):
            x = block(x)
            yield x
            if number in _POOL_AFTER:
                x = nn.functional.max_pool2d(x, 2)
        x = x.flatten(1)
        kept = (None, None) if keep is None else keep.split(self.config.hidden, dim=1)
        for layer, mask in zip(self.connected, kept, strict=True):
            x = layer(x)
            x = x if mask is None else x * mask * 2
            yield x


def standardized(x: torch.Tensor) -> torch.Tensor:
    """Subtract the mean from each channel of each crop and divide by its standard deviation: (B, C, S, S).

    The result does not depend on the brightness and contrast of a crop, nor on its rescaling to 0..255.
    """
    centred = x - x.mean(dim=(2, 3), keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(dim=(2, 3), keepdim=True) + _FLAT)


def build_deeploc(config: DeepLocConfig, seed: int) -> DeepLoc:
    """Build an untrained network, with weights that depend only on the seed.

    >>> config = DeepLocConfig(("protein",), ("nucleus", "vacuole"), size_px=16, width=0.02)
    >>> build_deeploc(config, seed=0).eval()(torch.zeros(3, 1, 16, 16)).shape
    torch.Size([3, 2])
    """
    return initialized(DeepLoc, config, seed)
