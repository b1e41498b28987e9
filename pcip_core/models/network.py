"""What all networks share: names of layers, a way to see them, and first weights from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import nn


class Shape(Protocol):
    """What every network's config says; a config adds what its own network needs."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in the order of the crops."""

    @property
    def size_px(self) -> int:
        """Side of a crop."""

    def as_dict(self) -> dict[str, object]:
        """Plain values, as kept in `config.json`."""


class CellNetwork(nn.Module):
    """A network that describes single cells by the activations of its layers.

    Attributes:
        architecture: the name in `config.json`.
        layers: names of the layers that describe a cell, in the order of `activations`.
        config: what the network was built from.
    """

    architecture: ClassVar[str]
    layers: ClassVar[tuple[str, ...]]

    def __init__(self, config: Shape) -> None:
        super().__init__()
        self.config = config

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """(B, C, S, S) in [0, 1] -> each layer's (B, filters, h, w), or (B, units) where it has no place."""
        raise NotImplementedError


Built = TypeVar("Built", bound=CellNetwork)


def initialized(network: type[Built], config: Any, seed: int) -> Built:
    """A network with Glorot-uniform weights and zero biases, the same for the same seed.

    torch's global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):  # torch draws weights of its own, which are not used
        built = network(config)
    generator = torch.Generator().manual_seed(seed)
    for module in built.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return built


def scaled(count: int, width: float) -> int:
    """A filter count of a publication, scaled by a network's width."""
    return max(1, round(count * width))


def count_parameters(network: nn.Module) -> int:
    """Trainable numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters())
