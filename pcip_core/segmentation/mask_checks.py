"""Label images of other programs, before they are used: are the numbers whole, and do they belong to this field?

A label image is damaged if its numbers have wrapped (cell 256 of an 8-bit file is 0, 257 is 1), or if it was stored
with loss (JPEG) or resized with interpolation, which draws rims and specks of wrong numbers around each object. It
does not separate cells if one label lies over the field, or over its background.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter
from skimage.measure import label

from pcip_core.errors import ImageFileError
from pcip_core.images.reading import Planes
from pcip_core.segmentation.mask_fit import Fit, Misfit, misfit
from pcip_core.spec.screen import Screen
from pcip_core.words import many, verb

_PIECE = 0.25  # smallest area of a piece that counts, of the median object: a smaller one is a fragment
_FEW = 3  # surplus pieces that are never a reason to warn
_SOME = 0.1  # surplus pieces per label: a warning
_MANY = 0.5  # surplus pieces per label: refused
_THIN = 20  # pieces without a core: fewer are never refused
_COVERS = 0.5  # largest share of the field of one of several objects
_FILLS = 0.9  # share from which an object is the field: an ellipse that touches all sides covers 0.79
_ROOM = 1.5  # side of a field, in windows, below which it may be the image of a single cell
_COUNTED = 1 << 24  # labels below are counted without sorting
_LARGE, _SMALL = 4, 1 / 400  # median area of an object, of the area of the crop window


@dataclass(frozen=True)
class Span:
    """An object that touches all four sides of its field.

    Attributes:
        share: share of the field that it covers.
        number: its number in the label image.
        place: a pixel of it (row, column).
    """

    share: float
    number: int
    place: tuple[int, int]


@dataclass(frozen=True)
class LabelCounts:
    """What a label image consists of.

    Attributes:
        labels: number of labels, without background.
        pieces: number of connected pieces of one label each (pixels that touch at corners are connected).
        whole: number of pieces that are not fragments of a much larger object.
        thin: number of pieces without a core, a pixel whose eight neighbours have its label.
        median_area: median area of the labels, px.
        largest: share of the field that the largest label covers.
        background: whether a pixel is 0.
        exhausted: whether the highest number of the pixel type is used.
        span, span_of_pieces: the largest label, and the largest piece, that touches all four sides of the field.
    """

    labels: int
    pieces: int
    whole: int
    thin: int
    median_area: float
    largest: float
    background: bool
    exhausted: bool
    span: Span | None = None
    span_of_pieces: Span | None = None

    @property
    def surplus(self) -> int:
        """Number of whole pieces beyond one per label."""
        return max(self.whole - self.labels, 0)


def count_labels(mask: np.ndarray) -> LabelCounts:
    """Count labels and pieces of a label image (H, W).

    >>> count_labels(np.array([[7, 7, 0, 7, 7], [7, 7, 0, 7, 7]], np.uint8)).pieces
    2
    """
    background = bool(mask.min() == 0)
    objects = renumbered(mask)
    area = np.bincount(objects.ravel())[1:]
    pieces = label(objects, background=0)
    area_of_piece = np.bincount(pieces.ravel())[1:]
    core = minimum_filter(pieces, 3, mode="nearest") == maximum_filter(pieces, 3, mode="nearest")
    with_core = np.bincount(pieces[core], minlength=len(area_of_piece) + 1)[1:] > 0
    owner = np.zeros(len(area_of_piece) + 1, np.int32)
    owner[pieces.ravel()] = objects.ravel()
    largest_piece = np.zeros(len(area) + 1, np.int64)
    np.maximum.at(largest_piece, owner[1:], area_of_piece)
    whole = area_of_piece >= _PIECE * np.median(largest_piece[1:]) if len(area) else np.zeros(0, bool)
    whole |= area_of_piece == largest_piece[owner[1:]]  # each label has a piece, however small
    return LabelCounts(
        labels=len(area),
        pieces=len(area_of_piece),
        whole=int(whole.sum()),
        thin=int((~with_core).sum()),
        median_area=float(np.median(area)) if len(area) else 0.0,
        largest=float(area.max() / mask.size) if len(area) else 0.0,
        background=background,
        exhausted=mask.dtype.kind in "iu" and bool(mask.max() == np.iinfo(mask.dtype).max),
        span=_span(mask, objects, area),
        span_of_pieces=_span(mask, pieces, area_of_piece),
    )


def _span(mask: np.ndarray, objects: np.ndarray, area: np.ndarray) -> Span | None:
    """The largest object that touches all four sides, of objects with these areas."""
    sides = (objects[0], objects[-1], objects[:, 0], objects[:, -1])
    touching = set.intersection(*(set(np.unique(side).tolist()) for side in sides)) - {0}
    if not touching:
        return None
    largest = max(sorted(touching), key=lambda number: area[number - 1])
    column = int(np.flatnonzero(objects[0] == largest)[0])
    return Span(float(area[largest - 1] / mask.size), int(mask[0, column]), (0, column))


def renumbered(mask: np.ndarray) -> np.ndarray:
    """The labels as (H, W) int32 in their order: 1..n without gaps, 0 where the label image is 0.

    >>> renumbered(np.array([[0, 40], [7, 7]])).tolist()
    [[0, 2], [1, 1]]
    """
    highest = mask.max(initial=0)
    if mask.dtype.kind in "iu" and highest < _COUNTED:  # without sorting the pixels
        numbers = mask.astype(np.intp, copy=False)  # NumPy does not count uint64
        present = np.bincount(numbers.ravel(), minlength=1) > 0
        present[0] = False
        return np.cumsum(present, dtype=np.int32)[numbers]
    numbers, objects = np.unique(mask, return_inverse=True)
    return objects.reshape(mask.shape).astype(np.int32) + int(numbers[0] != 0)


def check_masks(screen: Screen, planes: Planes) -> list[str]:
    """Check the label images of a field, whoever reads them.

    Args:
        screen: the spec.
        planes: the field.

    Returns:
        What is unusual, with the file and the numbers.

    Raises:
        ImageFileError: the method is `labels`, and the label image is damaged beyond doubt: at least 20 pieces, and
            half of all, are rims and specks without a core; or labels have several pieces, at least 3 in all and
            one for two labels (or the numbers of the pixel type are used up), and the spec does not set `split`;
            or one object touches all four sides of a field larger than the crop window, and covers more than half of
            it (with `split`: 0.9), or is darker than the rest, as an inverted mask is; or the label image fits the
            field only when mirrored or turned.
    """
    warnings: list[str] = []
    for name in [name for name, channel in screen.channels.items() if channel.role == "labels"]:
        file = str(planes.root / planes.field.files[name])
        used = screen.segmentation.method == "labels" and screen.segmentation.options.get("channel") == name
        split = screen.segmentation.options.get("split") if used else True
        counts = count_labels(planes[name])
        channels = {other: planes[other] for other in screen.crop_channels}
        fit = misfit(planes[name] > 0, channels)
        problem = (
            _damage(counts, file, split=split)
            or _background(counts, planes[name], channels, screen, file, split=split)
            or _turned(fit, file)
        )
        if problem is not None and used:
            raise problem
        texts = [] if problem is None else [problem.found]
        texts += _oddities(counts, screen.crops.window_px, split=split, refused=problem is not None)
        if fit is not None and fit.turned is None and fit.chance:
            texts.append(
                f"the label image fits no channel of its field better than by chance ({fit.of_mask:.2f}; 0.5 is "
                "chance, 1 a perfect fit). Is it the label image of another field?"
            )
        warnings += [f"{file}: {text}" for text in texts]
    return warnings


def _turned(fit: Misfit | None, file: str) -> ImageFileError | None:
    """The error of a label image that fits its field only when turned."""
    if fit is None or fit.turned is None:
        return None
    return ImageFileError(
        file,
        found=f"a label image that fits its field {fit.turned} ({fit.of_turned:.2f}), and as it is by chance only "
        f"({fit.of_mask:.2f}; 0.5 is chance, 1 a perfect fit)",
        required="a label image with the orientation of the planes",
        remedy="Export the label image again, or turn it.",
    )


def _damage(counts: LabelCounts, file: str, *, split: object) -> ImageFileError | None:
    """The error of a label image that is damaged beyond doubt."""
    if counts.thin >= max(_THIN, counts.pieces / 2):
        return ImageFileError(
            file,
            found=(
                f"a label image of {many(counts.labels, 'label')} in {many(counts.pieces, 'piece')}, "
                f"{counts.thin} of which {verb(counts.thin, 'are')} "
                "rims or specks without a pixel inside"
            ),
            required="whole objects, each with one number",
            remedy="Export the label image again as TIFF or PNG, not as JPEG, and resize it, if at all, without "
            "interpolation (nearest neighbour).",
        )
    surplus = counts.surplus
    if split is None and surplus >= _FEW and (counts.exhausted or surplus >= _MANY * counts.labels):
        wrapped = ", and the highest number of its pixel type is used" if counts.exhausted else ""
        return ImageFileError(
            file,
            found=f"{many(counts.labels, 'label')} in {many(counts.pieces, 'separate piece')}{wrapped}",
            required="one number for each object",
            remedy="Export the label image with 16 or 32 bits, in which numbers do not wrap; or set split: true in "
            "segmentation.options, which makes each piece a cell. Set split: false if pieces belong together.",
        )
    return None


def _background(
    counts: LabelCounts,
    mask: np.ndarray,
    channels: Mapping[str, np.ndarray],
    screen: Screen,
    file: str,
    *,
    split: object,
) -> ImageFileError | None:
    """The error of a label image in which one object is the field or its background.

    A cell can touch all four sides of the image of a single cell, but not of a field much larger than the window.
    Pieces of a black-and-white mask that join many cells are a reason only if they leave nearly nothing of the field.
    """
    span, window = counts.span_of_pieces if split else counts.span, screen.crops.window_px
    if span is None or window is None or min(mask.shape) < _ROOM * window:
        return None
    structural = {name: channels[name] for name in screen.structural}
    objects = renumbered(mask) if not split else label(renumbered(mask), background=0)
    dark = span.share < _FILLS and Fit(structural).is_dark(objects == objects[span.place])
    if not dark and span.share <= (_FILLS if split else _COVERS):
        return None
    n = counts.pieces if split else counts.labels
    which = f"one label ({span.number})" if n == 1 else f"label {span.number}, one of {n},"
    marks = ", and is darker than the rest" if dark else ""
    marks += "" if counts.background else ", and no pixel is 0"
    remedy = (
        f"If the background has the number {span.number}, export the label image again with 0 for it. "
        if n > 1
        else "If black and white are inverted, invert the label image. "
    )
    return ImageFileError(
        file,
        found=f"{which} that covers {span.share:.0%} of the field from side to side{marks}",
        required="0 for the background, and one number for each cell",
        remedy=f"{remedy}Otherwise segment the field again.",
    )


def _oddities(counts: LabelCounts, window: int | None, *, split: object, refused: bool) -> Iterator[str]:
    """What is unusual about a label image, in words. Of one that is refused, the share of a label is known."""
    labels, surplus = counts.labels, counts.surplus
    if split is None and surplus >= max(_FEW, _SOME * labels) and surplus < _MANY * labels:
        yield (
            f"{many(labels, 'label')} in {many(counts.pieces, 'separate piece')} (split: true makes "
            f"each piece a cell)"
        )
    if labels >= _FEW and counts.largest > _COVERS and not refused:
        numbered = "" if counts.background else ", and no pixel is 0: is the background numbered?"
        yield f"one of {many(labels, 'label')} covers {counts.largest:.0%} of the field{numbered}"
    if window is None or not labels:
        return
    area = counts.median_area / window**2
    if area > _LARGE:
        yield (
            f"labels have a median area of {counts.median_area:,.0f} px, {area:.1f} times the crop window "
            f"of {window} x {window} px"
        )
    elif area < _SMALL:
        yield (
            f"labels have a median area of {counts.median_area:,.0f} px, {area:.2%} of the crop window "
            f"of {window} x {window} px"
        )
