"""A program that takes images and returns one vector per image, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from pcip_core.errors import EncoderError
from pcip_core.words import many

Dimension = int | None


@dataclass(frozen=True)
class Program:
    """A program, ready to be called.

    Attributes:
        where: its place in the spec and its file, for errors.
        run: (batch, planes, side, side) float32 -> a tensor, or several as a sequence or a mapping.
        shape: the input that it accepts; None for a dimension of any size, or of a size that is not known.
        device: where it computes.
    """

    where: str
    run: Callable[[torch.Tensor], object]
    shape: tuple[Dimension, ...] = (None, None, None, None)
    device: str = "cpu"

    @property
    def batch_size(self) -> int | None:
        """The only number of images that it takes; None for any."""
        return self.shape[0] if self.shape else None


def require_input(program: Program, planes: int, size_px: int) -> None:
    """Check that the program takes one image of this size.

    Raises:
        EncoderError: it was exported for another number of planes or another size.
    """
    required = (None, planes, size_px, size_px)
    same = len(program.shape) == len(required) and all(
        None in (size, wanted) or size == wanted for size, wanted in zip(program.shape, required, strict=True)
    )
    if not same:
        raise EncoderError(
            program.where,
            found=f"a program that takes {_shown(program.shape)}",
            required=f"{_shown(required)}: the number of channels and size_px of the spec",
            remedy="Correct `channels` and `size_px`, or export the program for this input.",
        )


@torch.inference_mode()
def vectors_of(program: Program, images: torch.Tensor, output: str | int | None = None) -> torch.Tensor:
    """Run the program.

    Args:
        program: the program.
        images: (B, planes, side, side) float32. A program of one number of images is called as often as necessary,
            the last time with copies of the last image.
        output: name or number of the output, if there are several.

    Returns:
        (B, d) float32, on the CPU.

    Raises:
        EncoderError: the program fails, or returns something other than one vector of finite numbers per image.

    >>> double = Program("example", lambda images: images.flatten(1) * 2, (2, None, None, None))
    >>> vectors_of(double, torch.ones(3, 1, 1, 2)).tolist()
    [[2.0, 2.0], [2.0, 2.0], [2.0, 2.0]]
    """
    size = program.batch_size or max(len(images), 1)
    parts = []
    for start in range(0, len(images), size):
        part = images[start : start + size]
        missing = (program.batch_size or len(part)) - len(part)
        full = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) if missing else part
        parts.append(_vectors(program, full, output)[: len(part)])
    return torch.cat(parts) if parts else torch.zeros(0, 0)


def _vectors(program: Program, images: torch.Tensor, output: str | int | None) -> torch.Tensor:
    try:
        result = program.run(images.to(program.device))
    except Exception as error:  # whatever a program raises
        line = (str(error).strip().splitlines() or [""])[0]
        raise EncoderError(
            program.where,
            found=f"a program that fails on {tuple(images.shape)} ({type(error).__name__}: {line[:200]})",
            required=f"one that takes {_shown((None, *images.shape[1:]))} float32",
            remedy="Correct `channels` and `size_px`, or export the program for this input and any number of images.",
        ) from error
    vectors = _chosen(program, result, output)
    if vectors.ndim != 2 or len(vectors) != len(images) or not vectors.shape[1]:
        raise EncoderError(
            program.where,
            found=f"an output {tuple(vectors.shape)} for {many(len(images), 'image')}",
            required=f"one vector per image, ({len(images)}, numbers)",
            remedy="Export the program with its pooling (docs/how-to/use-another-encoder.md), or name an `output`.",
        )
    vectors = vectors.detach().float().cpu()
    if not bool(torch.isfinite(vectors).all()):
        raise EncoderError(
            program.where,
            found=f"{int((~torch.isfinite(vectors)).sum())} of {vectors.numel()} numbers NaN or infinite",
            required="finite numbers",
            remedy="Correct `normalization`, or export the program in float32.",
        )
    return vectors


def _chosen(program: Program, result: object, output: str | int | None) -> torch.Tensor:
    """The output that the spec names, or the only one."""
    outputs: dict[str | int, object]
    if isinstance(result, Mapping):
        outputs = dict(result)
        outputs |= dict(enumerate(result.values()))
    elif isinstance(result, Sequence):
        outputs = dict(enumerate(result))
    else:
        outputs = {0: result}
    names = [str(name) for name in (result if isinstance(result, Mapping) else outputs)]
    wanted = 0 if output is None and len(names) == 1 else output
    chosen = outputs.get(wanted) if wanted is not None else None
    if not isinstance(chosen, torch.Tensor):
        wrong = "" if wanted is None else f" and no tensor under {wanted!r}"
        raise EncoderError(
            program.where,
            found=f"outputs {', '.join(names)}{wrong}",
            required="one output that is a tensor",
            remedy="Name it in `output`.",
        )
    return chosen


def _shown(shape: Sequence[Dimension]) -> str:
    """A shape for an error: `(any, 4, 448, 448)`."""
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
