"""The reference of a program: images and the vectors that it must give for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError

from pcip_core.errors import EncoderError
from pcip_core.models.weights import read_safetensors


@dataclass(frozen=True)
class Reference:
    """Images and vectors.

    Attributes:
        images: (n, planes, h, w).
        prepared: whether the images are as the program takes them; otherwise before resizing and normalization.
        output: (n, d) vectors.
    """

    images: torch.Tensor
    prepared: bool
    output: torch.Tensor


def read_reference(path: Path, where: str) -> Reference:
    """Read a reference: a safetensors file with `output`, and one of `input` and `crops`.

    Raises:
        EncoderError: the file is missing or damaged, or lacks a tensor.
    """
    try:
        tensors = read_safetensors(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise EncoderError(
            f"{where}, reference {path}",
            found=f"no usable file ({(str(error).splitlines() or [''])[0][:200]})",
            required="a safetensors file with input, or crops, and output",
            remedy="Write it with safetensors.torch.save_file (docs/how-to/use-another-encoder.md).",
        ) from error
    prepared = "input" in tensors
    images, output = tensors.get("input", tensors.get("crops")), tensors.get("output")
    if images is None or output is None or images.ndim != 4 or output.ndim != 2 or len(images) != len(output):
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in tensors.items())
        raise EncoderError(
            f"{where}, reference {path}",
            found=shapes or "no tensors",
            required="input (n, planes, size_px, size_px), or crops (n, planes, h, w), and output (n, numbers)",
            remedy="Write these tensors to the reference.",
        )
    return Reference(images.float(), prepared, output.float())


def require_reference(vectors: torch.Tensor, reference: Reference, tolerance: float, where: str) -> None:
    """Check that a program gave the vectors of the reference.

    Raises:
        EncoderError: their length differs, or a number differs by more than `tolerance` times the largest number.
    """
    expected = reference.output
    if vectors.shape != expected.shape:
        raise EncoderError(
            where,
            found=f"vectors of {vectors.shape[1]} numbers",
            required=f"{expected.shape[1]}, as in the reference",
            remedy="Name the correct file, `output` or reference.",
        )
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    deviation = float((vectors - expected).abs().max()) / max(largest, 1e-30) if vectors.numel() else 0.0
    if not deviation <= tolerance:
        raise EncoderError(
            where,
            found=f"numbers that differ from the reference by {deviation:.2g} of its largest",
            required=f"at most {tolerance:g}",
            remedy="Export the program in evaluation mode and from the weights of the reference; correct `channels`, "
            "`normalization` or `output`; or raise `tolerance` for another processor.",
        )
