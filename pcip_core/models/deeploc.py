"""A supervised network after DeepLoc (Kraus et al. 2017, Mol Syst Biol 13:924): the paper's upper baseline.

As published: crops of 64 px; eight 3x3 convolutions of 64, 64, pool, 128, 128, pool, 256, 256, 256, 256
filters, pool (2x2 maximum); two fully connected layers of 512; a softmax over the classes; batch norm and
ReLU after each layer but the last; half of the fully connected units kept in training (dropout); each channel
of each crop standardized; trained by Adam on the cross-entropy with random crops, flips and rotations.

Ours, where the publication is open or we differ:
- any channels, any size that is a multiple of 8, and a `width` on every count but the classes';
- crops are not cut to 60 px: they are shifted by as much as such a cut (see `training/tasks/supervised.py`);
- rotations are quarter turns, which need no interpolation;
- layers before a batch norm have no bias, which the norm would take away again;
- first weights are Glorot uniform, as in the other networks; batch norm is torch's (momentum 0.1, epsilon 1e-5).

Original code from the publication's description; no published weights are used.
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
_FLAT = 1e-5  # added to a crop's variance (of values in [0, 1]), so that an empty channel stays 0


@dataclass(frozen=True)
class DeepLocConfig:
    """What decides the shape of the network.

    Args:
        channels: names of the channels, in the order of the crops.
        classes: names of the classes, in the order of the labels' numbers.
        size_px: side of a crop; a multiple of 8, 16 or more.
        width: factor on every count of filters and units; 1 is the publication's.

    Raises:
        EncoderError: no channel, fewer than two classes, a class twice, or another size.
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
                required="a channel, two or more different classes, crops of 16 px or more, a multiple of 8",
                remedy="Label at least two classes, or correct `crops.size_px` in the spec.",
            )

    def as_dict(self) -> dict[str, object]:
        """Plain values, as kept in `config.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DeepLocConfig:
        """The config that `as_dict` gave, also after a round trip through JSON."""
        return cls(**{**values, **{key: tuple(values[key]) for key in ("channels", "classes")}})

    @property
    def hidden(self) -> tuple[int, int]:
        """Units of fc1 and fc2."""
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
    """Tell the class of a cell; fc2 is the paper's layer for features."""

    architecture: ClassVar[str] = "deeploc"
    layers: ClassVar[tuple[str, ...]] = LAYERS
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
            keep: (B, fc1 + fc2 units) bool, the units to keep, each with a chance of one half; the others
                become 0 and these twice as large. Training only; None keeps all.

        Returns:
            (B, classes) logarithms of the classes' odds, before the softmax.
        """
        last = x
        for layer in self._steps(x, keep):
            last = layer
        return self.output(last)

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """(B, C, S, S) -> conv1 to conv8 (B, filters, h, w), fc1 and fc2 (B, units), all after ReLU."""
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
    """(B, C, S, S): each channel of each crop less its mean, over its standard deviation.

    So brightness and contrast of a crop, and its rescaling to 0..255, make no difference.
    """
    centred = x - x.mean(dim=(2, 3), keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(dim=(2, 3), keepdim=True) + _FLAT)


def build_deeploc(config: DeepLocConfig, seed: int) -> DeepLoc:
    """An untrained network, the same for the same seed."""
    return initialized(DeepLoc, config, seed)
