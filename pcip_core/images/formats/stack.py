"""Planes of a file: the channel that a reference selects; one focal plane and time point, or one plane made of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.reference import Select
from pcip_core.spec.bounds import meant
from pcip_core.words import many

STACK_KEYS = ("scene", "z", "t", "project")
"""Keys of a reference that select images, focal planes and times of a file; each counts from 1."""

SCORES = "scores"
"""In place of a rule of `project`: not a plane, but the sharpness of each focal plane: (depth,)."""

LABELS = "labels"
"""In place of a rule of `project`: the plane is a label image, which cannot be projected, and may be the only one."""

Z_REMEDY = "Add to files in the spec `project: {z: max}` (or mean, sharpest, middle), or `only: {z: 1}`."
TIME_REMEDY = (
    "Add to files in the spec `only: {time: 1}`; or, with the layouts ome_tiff, ome_zarr and vendor, name {time} in "
    "files.image_id."
)
MAX_STACK_BYTES = 1 << 35  # of the focal planes of one channel
_ROWS = 512  # of a plane whose Laplacian is in memory


def channel_number(path: object, select: Select, names: Sequence[str], count: int) -> int:
    """Return the number of the channel that a reference selects by number or by name, ignoring letter case.

    Args:
        path: the file, for the error.
        select: the reference's keys.
        names: names of the channels, if the file has them.
        count: number of channels.

    Raises:
        ImageFileError: there is no such channel.
    """
    available = many(count, "channel") + (f" named {', '.join(names)}" if names else " without names")
    if "channel" in select:
        lower = [name.lower() for name in names]
        if lower.count(select["channel"].lower()) == 1:
            number = lower.index(select["channel"].lower())
            if number < count:
                return number
        wanted = f"one named {select['channel']}{meant(select['channel'], names)}"
    else:
        number = int(select.get("c", 0))
        if number < count and ("c" in select or count == 1):
            return number
        wanted = f"channel number {number}" if "c" in select else "the name or number of a channel"
    raise ImageFileError(
        path,
        found=available,
        required=wanted,
        remedy="Correct channels.*.named in the spec, or set channels.*.plane to the number (from 0).",
    )


class Projection:
    """One plane of several, which are added one after the other.

    Args:
        how: `max`, or `mean`, which is rounded to the pixel type of the planes.
    """

    def __init__(self, how: str) -> None:
        self._how, self._count = how, 0
        self._plane: np.ndarray | None = None
        self._type: np.dtype = np.dtype(np.uint8)

    def add(self, plane: np.ndarray, where: object) -> None:
        """Add a plane.

        Raises:
            ImageFileError: its shape or pixel type differs from that of the first plane.
        """
        self._count += 1
        if self._plane is None:
            self._type = plane.dtype
            short = (
                plane.dtype.kind in "iu" and plane.dtype.itemsize <= 2
            )  # the sum of 10,000 fits into 32 bits
            of_sum: type = np.int32 if short else np.float64
            self._plane = plane.astype(of_sum if self._how == "mean" else plane.dtype)
            return
        if plane.shape != self._plane.shape or plane.dtype != self._type:
            raise ImageFileError(
                where,
                found=f"a focal plane of shape {plane.shape}, type {plane.dtype}",
                required=f"shape {self._plane.shape}, type {self._type}, as the first plane of the stack",
                remedy="Export the stack again.",
            )
        if self._how == "mean":
            self._plane += plane
        else:
            np.maximum(self._plane, plane, out=self._plane)

    def result(self) -> np.ndarray:
        """The projection, in the pixel type of the planes."""
        assert self._plane is not None
        if self._how != "mean":
            return self._plane
        mean = np.empty(self._plane.shape, self._type)
        for start in range(0, len(mean), _ROWS):
            rows = self._plane[start : start + _ROWS] / self._count
            mean[start : start + _ROWS] = np.rint(rows) if self._type.kind in "iu" else rows
        return mean


@dataclass(frozen=True)
class Extent:
    """The size of an image in time and depth.

    Attributes:
        path: the file, for errors.
        times, depth: number of time points and of focal planes.
        channels: number of channels.
        shape, axes: of the image, for errors.
        hint: a further remedy if there are several focal planes, for errors.
    """

    path: object
    times: int
    depth: int
    channels: int
    shape: Sequence[int]
    axes: str
    hint: str = ""


def selected_plane(extent: Extent, select: Select, read: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """The plane of a stack that a reference selects. At most two planes are in memory.

    Args:
        extent: the size of the stack.
        select: the reference's keys; `t`, `z` and `project` are used.
        read: (time point, focal plane), both from 0 -> (H, W).

    Raises:
        ImageFileError: there is no such plane, or the spec does not say which of several is meant.
    """
    time = _number(extent, select, "t", extent.times, "time points", TIME_REMEDY)
    how = select.get("project")
    if how == LABELS:
        if extent.depth == 1:
            return read(time, 0)
        if "z" not in select:
            raise ImageFileError(
                extent.path,
                found=f"a label image of {extent.depth} focal planes",
                required="one label image per field, because numbers of objects cannot be projected",
                remedy="Use `only: {z: 1}` in files of the spec, or label a projection.",
            )
        how = None
    if how is None or extent.depth == 1:
        remedy = f"{Z_REMEDY} {extent.hint}".strip()
        return read(time, _number(extent, select, "z", extent.depth, "focal planes", remedy))
    if how == "middle":
        return read(time, middle(extent.depth))
    if how == SCORES:
        return np.array([sharpness(read(time, z)) for z in range(extent.depth)])
    projection = Projection(how)
    for z in range(extent.depth):
        plane = read(time, z)
        if plane.nbytes * extent.depth > MAX_STACK_BYTES:
            raise ImageFileError(
                extent.path,
                found=f"{extent.depth:,} focal planes of {plane.nbytes / 2**20:,.0f} MiB",
                required=f"at most {MAX_STACK_BYTES >> 30} GiB to project",
                remedy="Choose a plane with files.only in the spec, or export a projection.",
            )
        projection.add(plane, extent.path)
    return projection.result()


def require_channel(extent: Extent, select: Select) -> None:
    """Raise if a reference takes focal planes or time points for channels.

    Raises:
        ImageFileError: it selects a second channel of a stack that has one.
    """
    if extent.channels == 1 and select.get("c", "0") != "0" and extent.times * extent.depth > 1:
        raise ImageFileError(
            extent.path,
            found=f"a stack of shape {tuple(extent.shape)}, axes {extent.axes}, of one channel",
            required=f"channel number {select['c']}, as the spec says",
            remedy=f"{extent.hint} If they are focal planes or times, add `project: {{z: max}}` or `only: {{z: 1}}` to "
            "files in the spec, and take each channel from the file that holds it (channels.*.plane counts channels).",
        )


def require_no_stack(path: object, selects: Sequence[Select]) -> None:
    """Raise if references select a further focal plane or time of a file whose format holds one plane.

    Raises:
        ImageFileError: a number is not 1.
    """
    extent = Extent(path, 1, 1, 1, (), "")
    for select in selects:
        if select.get("project") != LABELS:
            _number(extent, select, "z", 1, "focal plane", "")
        _number(extent, select, "t", 1, "time point", "")


def _number(extent: Extent, select: Select, key: str, count: int, what: str, remedy: str) -> int:
    """The plane that a key selects, from 0."""
    if key not in select and count > 1:
        raise ImageFileError(
            extent.path,
            found=f"a stack of shape {tuple(extent.shape)}, axes {extent.axes} ({count} {what})",
            required="one plane (height, width) per channel",
            remedy=remedy,
        )
    number = int(select.get(key, 1))
    if not 1 <= number <= count:
        raise ImageFileError(
            extent.path,
            found=f"{count} {what}",
            required=f"number {number}, as files.only in the spec says",
            remedy="Correct files.only. The numbers of planes within a file start at 1.",
        )
    return number - 1


def middle(depth: int) -> int:
    """The middle of a number of planes, from 0; of an even number, the lower one of the two."""
    return (depth - 1) // 2


def sharpness(plane: np.ndarray) -> float:
    """The variance of the Laplacian (4 neighbours) of a plane, which is greatest in focus.

    Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy" (LAPV).

    >>> ramp = np.arange(25).reshape(5, 5)
    >>> sharpness(ramp), round(sharpness(ramp % 2), 1)
    (0.0, 15.8)
    """
    total = squares = count = 0.0
    for start in range(1, plane.shape[0] - 1, _ROWS):
        rows = plane[start - 1 : start + _ROWS + 1].astype(np.float64)
        inner = rows[1:-1, 1:-1]
        laplacian = rows[:-2, 1:-1] + rows[2:, 1:-1] + rows[1:-1, :-2] + rows[1:-1, 2:] - 4 * inner
        total += float(laplacian.sum())
        squares += float(np.square(laplacian).sum())
        count += laplacian.size
    return squares / count - (total / count) ** 2 if count else 0.0


def sharpest(planes: Sequence[float]) -> int:
    """The place of the greatest sharpness, from 0; the first of equal ones."""
    return max(range(len(planes)), key=lambda place: (planes[place], -place))
