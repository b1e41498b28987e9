"""Other source encoders for the tasks on pairs, tried but not shipped.

They have residual blocks, blocks of ConvNeXt or layers of a vision transformer, or are a network of timm. None is
pretrained.
"""

from __future__ import annotations

import math
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
_PATCH = 8  # px; a crop of 64 px has 8 x 8 patches
_HEADS = 4
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


class ConvNextBlock(nn.Module):
    """A 1x1 convolution to the filters; then a depthwise 7x7 convolution, layer norm and two linear layers beside it.

    Source: Liu, Mao, Wu, Feichtenhofer, Darrell and Xie, "A ConvNet for the 2020s", CVPR 2022.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(inputs, outputs, 1)
        self.depthwise = nn.Conv2d(outputs, outputs, 7, padding=3, groups=outputs)
        self.norm = nn.LayerNorm(outputs)
        self.inner = nn.Sequential(
            nn.Linear(outputs, 4 * outputs), nn.GELU(), nn.Linear(4 * outputs, outputs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        x = self.before(x)
        inner = self.inner(self.norm(self.depthwise(x).permute(0, 2, 3, 1)))
        return x + inner.permute(0, 3, 1, 2)


class _Stages(nn.Module):
    """An encoder that yields the output of each of its stages."""

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield (B, filters, h, w) of each stage."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, S, S) -> (B, filters of the last stage, s, s)."""
        *_, last = self.activations(x)
        return last


class BlockEncoder(_Stages):
    """Another block in place of each block of the shipped encoder, with the same filters and poolings."""

    block: Callable[[int, int], nn.Module]

    def __init__(self, inputs: int, filters: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(self.block(*counts) for counts in pairwise([inputs, *filters]))

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield (B, filters, h, w) of each block."""
        for number, block in enumerate(self.blocks):
            x = block(x)
            yield x
            if number in _POOL_AFTER:
                x = nn.functional.max_pool2d(x, 2)


class ResidualEncoder(BlockEncoder):
    """Residual blocks."""

    block = ResidualBlock


class ConvNextEncoder(BlockEncoder):
    """Blocks of ConvNeXt."""

    block = ConvNextBlock


class TransformerEncoder(_Stages):
    """Layers of a vision transformer over patches, as many as the shipped encoder has blocks, as wide as its last.

    Positions are encoded by a depthwise convolution, so that crops may have any size.

    Sources: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021; Chu et al., "Conditional positional
    encodings for vision transformers", ICLR 2023.
    """

    def __init__(self, inputs: int, filters: Sequence[int]) -> None:
        super().__init__()
        width = filters[-1]
        self.patches = nn.Conv2d(inputs, width, _PATCH, _PATCH)
        self.position = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                math.gcd(width, _HEADS),
                4 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in filters
        )

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield (B, width, h, w) of each layer, one position per patch."""
        x = self.patches(x)
        x = x + self.position(x)
        shape = x.shape
        tokens = x.flatten(2).transpose(1, 2)  # (B, h * w, width)
        for block in self.blocks:
            tokens = block(tokens)
            yield tokens.transpose(1, 2).reshape(shape)


class TimmEncoder(_Stages):
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


ENCODERS: dict[str, Callable[[int, Sequence[int]], nn.Module]] = {
    "residual blocks": ResidualEncoder,
    "blocks of ConvNeXt": ConvNextEncoder,
    "layers of a vision transformer": TransformerEncoder,
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
