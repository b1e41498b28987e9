"""Section `features` of a spec: feature sets by programs that a user has, and combinations of feature sets."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pcip_core.spec.bounds import Bounds, meant, shown
from pcip_core.spec.training import TASKS

_STRICT = {"extra": "forbid"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN = {  # names of pcip's own feature sets, and first parts of the names of its assets of features
    *("classic", "designed", "cellprofiler", "autoencoder", "supervised", "vgg16", "intensity", "untrained"),
    *("cell", "control", "protein", "corrected", "yardstick_protein", *TASKS),
}
_METHODS = ("autoencoder_", "supervised_", "vgg16_", "untrained_", *(f"{task}_" for task in TASKS))
_CORRECTIONS = ("_by_plate", "_by_cell_line", "_whitened")
_IMAGENET_PLANES = 3


@dataclass(frozen=True)
class PlaneStatistics:
    """Mean and standard deviation by which each plane of a program's input is normalized, in its order.

    They apply to planes that were rescaled from their extremes to 0..1, as statistics of photographs do.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    mean: tuple[Annotated[float, Bounds(-1e6, 1e6)], ...]
    std: tuple[Annotated[float, Bounds(0, 1e6, above=True)], ...]


Normalization = Literal["minmax", "minmax_together", "standardized", "imagenet", "bytes"]


def problems_of(features: Mapping[str, FeatureSet], channels: Collection[str]) -> Iterator[tuple[str, str]]:
    """Invalid settings of the section for a screen with these channels: (found, required)."""
    for name, each in features.items():
        yield from each.problems(name, channels)
        if twice := [other for other in each.combine if other in features and features[other].combine]:
            yield f"features.{name} combines {twice[0]}, a combination", "the sets that it combines"


@dataclass(frozen=True)
class FeatureSet:
    """One feature set of the user: by a program, or combined from other sets (docs/how-to/use-another-encoder.md).

    Args:
        program: file of the program: `.pt2` (torch.export), `.ts` or `.pt` (TorchScript), `.onnx`, or `.safetensors`
            (weights of the model `timm`); a relative path starts at the folder of the spec. It takes one image,
            (batch, planes, size_px, size_px) float32, and returns (batch, numbers).
        timm: name of the model of timm to which the weights belong.
        sha256: SHA-256 digest of the file, verified if given.
        inputs: names of the planes of the program's image, in its order.
        channels: input -> channel of the screen; the plane of an input without a channel is empty. Or a list of
            channels, without `inputs`: the program sees each of them alone, in `copies` equal planes, and the
            vectors are concatenated.
        copies: planes of the image of a channel alone.
        size_px: side of the image that the program takes.
        window_px: side of the square around a cell, in pixels of the field, that becomes this image. If given, the
            cells are cut again from the fields; otherwise the stored crops are resized.
        scale: pixels of the field per pixel of the program, instead of `window_px`: the program's micrometres per
            pixel divided by the screen's.
        normalization: `minmax` (each plane from its extremes to 0..1), `minmax_together` (all planes of a cell from
            their common extremes), `standardized` (each plane to mean 0 and standard deviation 1), `imagenet` (0..1,
            then the statistics of ImageNet), `bytes` (`minmax` to 0..255), or `mean` and `std` for each plane.
        output: name or number of the output, if the program returns several.
        batch_size: images per call; it affects memory only. A program that was exported for one number of images
            is always called with that number.
        reference: safetensors file with `output`, (n, numbers), and `input`, (n, planes, size_px, size_px) as the
            program takes it, or `crops`, (n, planes, h, w) before resizing and normalization.
        tolerance: largest deviation from the reference, as a share of its largest number.
        combine: feature sets to combine; each is standardized and divided by the root of its length.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    program: str | None = None
    timm: str | None = None
    sha256: str | None = None
    inputs: tuple[str, ...] = ()
    channels: dict[str, str] | tuple[str, ...] = ()
    copies: Annotated[int, Bounds(1, 64)] = 3
    size_px: Annotated[int, Bounds(8, 4096)] | None = None
    window_px: Annotated[int, Bounds(2, 20_000)] | None = None
    scale: Annotated[float, Bounds(0, 1000, above=True)] | None = None
    normalization: Normalization | PlaneStatistics = "minmax"
    output: str | Annotated[int, Bounds(0, 1000)] | None = None
    batch_size: Annotated[int, Bounds(1, 4096)] = 32
    reference: str | None = None
    tolerance: Annotated[float, Bounds(0, 1)] = 1e-3
    combine: tuple[str, ...] = field(default=())

    @property
    def planes(self) -> int:
        """Number of planes of the program's image."""
        return len(self.inputs) if isinstance(self.channels, dict) else self.copies

    @property
    def sources(self) -> tuple[str | None, ...]:
        """The channel of each input, in the program's order, None for an empty plane; or the channels seen alone."""
        return (
            tuple(map(self.channels.get, self.inputs)) if isinstance(self.channels, dict) else self.channels
        )

    @property
    def cut_px(self) -> int | None:
        """Side of the window that is cut again from the fields, in their pixels; None for the stored crops.

        >>> FeatureSet(size_px=448, scale=1.25).cut_px, FeatureSet(size_px=448).cut_px
        (560, None)
        """
        if self.scale is not None and self.size_px is not None:
            return max(2, round(self.size_px * self.scale))
        return self.window_px

    def deciding(self) -> dict[str, Any]:
        """The settings that determine the numbers, except for the content of files."""
        return {
            "timm": self.timm,
            "alone": not isinstance(self.channels, dict),
            "channels": self.sources,
            "copies": self.copies,
            "size_px": self.size_px,
            "cut_px": self.cut_px,
            "normalization": self.normalization,
            "output": self.output,
        }

    def problems(self, name: str, channels: Collection[str]) -> Iterator[tuple[str, str]]:
        """Invalid settings of the set of this name for a screen with these channels: (found, required)."""
        where = f"features.{name}"
        if not _NAME.fullmatch(name):
            yield f"features named {shown(name)}", "lower-case letters, digits and _, at most 40"
        if name in _TAKEN or name.startswith(_METHODS) or name.endswith(_CORRECTIONS):
            yield f"features named {name}", "a name that no feature set of pcip and no correction has"
        if (self.program is None) == (not self.combine):
            yield f"{where}: neither or both of `program` and `combine`", "exactly one of them"
        elif self.combine:
            if self != FeatureSet(combine=self.combine):
                yield f"{where}: `combine` beside settings of a program", "`combine` alone"
            if len(set(self.combine)) < max(2, len(self.combine)) or name in self.combine:
                yield f"{where}.combine {list(self.combine)}", "two or more other feature sets, each once"
        else:
            yield from self._program_problems(where, channels)

    def _program_problems(self, where: str, channels: Collection[str]) -> Iterator[tuple[str, str]]:
        if self.size_px is None:
            yield f"{where}: no size_px", "the side of the image that the program takes"
        mapped = isinstance(self.channels, dict)
        if not self.channels:
            yield f"{where}: no channels", "input of the program -> channel, or a list of channels"
        if mapped != bool(self.inputs) and self.channels:
            yield (
                f"{where}: only one of `inputs` and channels by input",
                "both, or neither for a list of channels",
            )
        if len(set(self.inputs)) < len(self.inputs):
            yield f"{where}.inputs {list(self.inputs)}", "each once"
        if mapped and (others := set(self.channels) - set(self.inputs)):
            yield f"{where}.channels of input {min(others)}", f"inputs of {list(self.inputs)}"
        named = self.channels.values() if isinstance(self.channels, dict) else self.channels
        if unknown := [name for name in named if name not in channels]:
            like = meant(unknown[0], channels)
            yield f"{where}.channels names {', '.join(unknown)}{like}", f"channels of {list(channels)}"
        if self.window_px is not None and self.scale is not None:
            yield f"{where}: both of `window_px` and `scale`", "at most one of them"
        safetensors = str(self.program).endswith(".safetensors")
        if safetensors != (self.timm is not None):
            yield f"{where}: only one of a file .safetensors and `timm`", "both, or neither"
        counts = {self.planes}
        if isinstance(self.normalization, PlaneStatistics):
            counts = {len(self.normalization.mean), len(self.normalization.std)}
        elif self.normalization == "imagenet":
            counts = {_IMAGENET_PLANES}
        if counts != {self.planes}:
            yield f"{where}.normalization of {max(counts)} planes", f"one of {self.planes} planes"
