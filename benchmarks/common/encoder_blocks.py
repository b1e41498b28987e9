"""Other source encoders for the tasks on pairs, tried but not shipped: residual blocks, and a network of timm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise

import torch
from torch import nn

from pcip_core.models.inpainting import filters_of
from pcip_core.models.pairs import PairedCells
from pcip_core.training.task import TaskKind
from pcip_core.training.tasks.pairs import Pairs

_POOL_AFTER = (0, 1)  # as in the shipped encoder
_TIMM = "resnet10t"
_STRIDE = 16  # of its last stage, so that a crop of 64 px has 4 x 4 positions there


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside an identity or a 1x1 convolution.

    Source: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.05) for _ in range(2))
        self.around = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        inner = torch.relu(self.norms[0](self.first(x)))
        return torch.relu(self.norms[1](self.second(inner)) + self.around(x))


class ResidualEncoder(nn.Module):
    """One residual block in place of each block of the shipped encoder, with the same filters and poolings."""

    def __init__(self, inputs: int, filters: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(*counts) for counts in pairwise([inputs, *filters]))

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield (B, filters, h, w) of each block."""
        for number, block in enumerate(self.blocks):
            x = block(x)
            yield x
            if number in _POOL_AFTER:
                x = nn.functional.max_pool2d(x, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, S, S) -> (B, filters of the last block, S/4, S/4)."""
        *_, last = self.activations(x)
        return last


class TimmEncoder(nn.Module):
    """The five stages of a network of timm, without pretrained weights; the last one ends with a 1x1 convolution."""

    def __init__(self, inputs: int, filters: Sequence[int]) -> None:
        super().__init__()
        import timm

        self.body = timm.create_model(
            _TIMM, features_only=True, in_chans=inputs, pretrained=False, output_stride=_STRIDE
        )
        self.last = nn.Conv2d(self.body.feature_info.channels()[-1], filters[-1], 1)

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield (B, filters, h, w) of each stage, the last one after the 1x1 convolution."""
        *stages, last = self.body(x)
        yield from stages
        yield self.last(last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, S, S) -> (B, filters, s, s)."""
        *_, last = self.activations(x)
        return last


ENCODERS: dict[str, Callable[[int, Sequence[int]], nn.Module]] = {
    "residual blocks": ResidualEncoder,
} | ({f"timm's {_TIMM}": TimmEncoder} if find_spec("timm") else {})  # an extra


def with_encoder(make: Callable[[int, Sequence[int]], nn.Module]) -> TaskKind:
    """The tasks on pairs with another source encoder, whose initial weights depend only on the seed."""

    class Other(Pairs):
        def build(self) -> PairedCells:
            network, config = super().build(), self._network
            filters = filters_of(config.stages, config.width)[0]
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self._config.seed)
                network.source = make(len(config.channels), filters)  # type: ignore[assignment]
            return network

    return Other
