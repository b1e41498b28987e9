"""The common base of all networks: layer names, access to activations, and initial weights from a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import nn


class Shape(Protocol):
    """The settings that all network configs share. Each config adds the settings of its network."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in the order of the crops."""

    @property
    def size_px(self) -> int:
        """Side of a crop in px."""

    def as_dict(self) -> dict[str, object]:
        """Convert to plain values, as stored in `config.json`."""


class CellNetwork(nn.Module):
    """A network that describes single cells by the activations of its layers.

    Attributes:
        architecture: name of the architecture in `config.json`.
        layers: names of the layers that describe a cell, in the order of `activations`.
        config: settings from which the network was built.
    """

    architecture: ClassVar[str]
    layers: tuple[str, ...]

    def __init__(self, config: Shape) -> None:
        super().__init__()
        self.config = config

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield (B, filters, h, w), or (B, units), of each layer for (B, C, S, S) in [0, 1]."""
        raise NotImplementedError


Built = TypeVar("Built", bound=CellNetwork)


def initialized(network: type[Built], config: Any, seed: int) -> Built:
    """Build a network with weights that depend only on the seed. The global random state of torch does not change.

    Args:
        network: the class of the network.
        config: its settings. `config.initial_weights`, if there is one, is `glorot` (Glorot-uniform weights, zero
            biases: the authors'), `torch` (uniform with a third of the variance of 1 / inputs, also the biases), or a
            factor on the weights of `torch`.
        seed: the seed.
    """
    with torch.random.fork_rng(devices=[]):  # torch draws weights, which are then replaced
        built = network(config)
    kind = getattr(config, "initial_weights", "glorot")
    generator = torch.Generator().manual_seed(seed)
    for module in built.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if kind == "glorot":
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            continue
        bound = (1.0 if kind == "torch" else float(kind)) / math.sqrt(module.weight[0].numel())
        for values in (module.weight, module.bias):
            if values is not None:
                nn.init.uniform_(values, -bound, bound, generator=generator)
    return built


def scaled(count: int, width: float) -> int:
    """Scale a published filter count by the width of a network.

    >>> scaled(96, 0.25), scaled(96, 0.001)
    (24, 1)
    """
    return max(1, round(count * width))


def count_parameters(network: nn.Module) -> int:
    """Count the trainable parameters of a network.

    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in network.parameters())
