"""Features of cells by a program of the user: its images are made from crops, as the spec states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from pcip_core.errors import EncoderError
from pcip_core.models.programs.loading import load_program
from pcip_core.models.programs.program import Program, require_input, vectors_of
from pcip_core.models.programs.reference import read_reference, require_reference
from pcip_core.spec.features import FeatureSet, PlaneStatistics

_IMAGENET = PlaneStatistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SAME = 1e-3  # deviation of a second run, as a share of the largest number


def open_program(name: str, spec: FeatureSet, *, device: str = "cpu") -> Program:
    """Load the program of a feature set, and check its input and its reference.

    Args:
        name: name of the feature set.
        spec: its settings.
        device: where it will compute.

    Raises:
        EncoderError: the file or its reference cannot be used, or the program gives other vectors than the reference.
        MissingPackageError: a package for its format is not installed.
    """
    path, size_px = Path(str(spec.program)), int(spec.size_px or 0)
    where = f"features.{name} ({path})"
    program = load_program(
        path,
        where=where,
        planes=spec.planes,
        size_px=size_px,
        timm=spec.timm,
        sha256=spec.sha256,
        device=device,
    )
    require_input(program, spec.planes, size_px)
    if spec.reference is not None:
        reference = read_reference(Path(spec.reference), where)
        images = reference.images
        if not reference.prepared:
            images = normalized(resized(images, size_px), spec)
        require_reference(vectors_of(program, images, spec.output), reference, spec.tolerance, where)
    return program


def program_features(
    program: Program,
    crops: Iterable[np.ndarray],
    spec: FeatureSet,
    *,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Describe cells by a program.

    Args:
        program: from `open_program`.
        crops: (m, channels, h, w) of some cells at a time, in the units of the image; one plane for each channel
            that `spec.sources` names, in its order, without the empty ones.
        spec: how the crops become the program's images.
        progress: called with the number of cells done.

    Returns:
        (cells, numbers) float32, in the order of the crops; for channels alone their vectors, concatenated.

    Raises:
        EncoderError: the program fails, returns something other than finite vectors of one length, or gives the same
            image another vector in another batch.

    >>> program = Program("example", lambda images: images.amax(dim=(2, 3)))
    >>> spec = FeatureSet(inputs=("a", "b"), channels={"a": "dna"}, size_px=8)
    >>> program_features(program, [np.arange(32.0).reshape(2, 1, 4, 4)], spec).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """
    parts: list[np.ndarray] = []
    for batch in _batches(crops, spec.batch_size):
        images = list(_images(torch.from_numpy(batch), spec))
        vectors = [vectors_of(program, image, spec.output) for image in images]
        if not parts:
            _require_repeatable(program, images[0], vectors[0], spec)
        described = torch.cat(vectors, dim=1).numpy()
        if parts and described.shape[1] != parts[0].shape[1]:
            raise EncoderError(
                program.where,
                found=f"vectors of {parts[0].shape[1]} and of {described.shape[1]} numbers",
                required="vectors of one length",
                remedy="Export the program with an output whose size does not depend on the image.",
            )
        parts.append(described)
        if progress is not None:
            progress(sum(map(len, parts)))
    return np.concatenate(parts) if parts else _no_vectors(program, spec)


def _no_vectors(program: Program, spec: FeatureSet) -> np.ndarray:
    """The vectors of no cell, (0, numbers): an empty image shows how many numbers there are."""
    channels = sum(channel is not None for channel in spec.sources)
    empty = torch.zeros(1, channels, int(spec.size_px or 0), int(spec.size_px or 0))
    numbers = sum(vectors_of(program, image, spec.output).shape[1] for image in _images(empty, spec))
    return np.zeros((0, numbers), np.float32)


def resized(planes: torch.Tensor, side: int) -> torch.Tensor:
    """Resize (B, P, h, w) to (B, P, side, side) bilinearly, with antialiasing."""
    if planes.shape[-2:] == (side, side):
        return planes
    return functional.interpolate(planes, (side, side), mode="bilinear", antialias=True)


def normalized(images: torch.Tensor, spec: FeatureSet) -> torch.Tensor:
    """Normalize the planes of images as the spec states: (B, P, S, S) float32. A constant plane becomes 0 before.

    >>> planes = torch.tensor([[[[2.0, 4.0]], [[7.0, 7.0]]]])
    >>> normalized(planes, FeatureSet(normalization="minmax")).tolist()
    [[[[0.0, 1.0]], [[0.0, 0.0]]]]
    >>> normalized(planes, FeatureSet(normalization="minmax_together"))[0, :, 0].tolist()
    [[0.0, 0.4000000059604645], [1.0, 1.0]]
    """
    kind = spec.normalization
    if kind == "standardized":
        centred = images - images.mean(dim=(2, 3), keepdim=True)
        spread = centred.square().mean(dim=(2, 3), keepdim=True).sqrt()
        return centred / torch.where(spread > 0, spread, torch.ones_like(spread))
    over = (1, 2, 3) if kind == "minmax_together" else (2, 3)
    low, high = images.amin(over, keepdim=True), images.amax(over, keepdim=True)
    unit = (images - low) / torch.where(high > low, high - low, torch.ones_like(high))
    if kind == "bytes":
        return unit * 255
    statistics = _IMAGENET if kind == "imagenet" else kind
    if isinstance(statistics, PlaneStatistics):
        mean, deviation = (unit.new_tensor(each)[:, None, None] for each in (statistics.mean, statistics.std))
        return (unit - mean) / deviation
    return unit


def _images(batch: torch.Tensor, spec: FeatureSet) -> Iterator[torch.Tensor]:
    """The images of each cell of a batch: one with all channels, or one for each channel."""
    planes = resized(batch, int(spec.size_px or 0))  # (B, channels, S, S)
    if not isinstance(spec.channels, dict):
        for number in range(planes.shape[1]):
            yield normalized(planes[:, number : number + 1].repeat(1, spec.copies, 1, 1), spec)
        return
    present = iter(planes.unbind(1))
    empty = torch.zeros_like(planes[:, 0])
    yield normalized(
        torch.stack([empty if each is None else next(present) for each in spec.sources], dim=1), spec
    )


def _batches(crops: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The crops as float32, `size` at a time."""
    waiting: list[np.ndarray] = []
    for part in crops:
        waiting += list(np.asarray(part, np.float32))
        while len(waiting) >= size:
            yield np.stack(waiting[:size])
            waiting = waiting[size:]
    if waiting:
        yield np.stack(waiting)


def _require_repeatable(
    program: Program, images: torch.Tensor, vectors: torch.Tensor, spec: FeatureSet
) -> None:
    """Check that a vector does not depend on chance nor on the other images of its batch."""
    again = vectors_of(program, images.flip(0), spec.output).flip(0)
    deviation = float((again - vectors).abs().max()) / max(float(vectors.abs().max()), 1e-30)
    if deviation > _SAME:
        raise EncoderError(
            program.where,
            found=f"other vectors of the same images in another order (by {deviation:.2g} of the largest number)",
            required="a vector that depends on its image alone",
            remedy="Export the network in evaluation mode: call .eval() before.",
        )
