"""All cells of one shard: read, segment, cut, and account for every object that was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from pcip_core.crops.cut import CutCells, cut_cells
from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.reading import read_field
from pcip_core.screen import Screen
from pcip_core.segmentation import segmenter


@dataclass(frozen=True)
class Rejected:
    """Something that was found and is not used: a `file`, a `cell` or an `image`, and why.

    Of a field that cannot be read, `field_id` and `content_hash` tell later whether it was mended.
    """

    file: str
    what: str
    image_id: str | None
    reason: str
    field_id: str | None = None
    content_hash: str | None = None


@dataclass(frozen=True)
class ShardCells:
    """The cells of a shard, those of an image together.

    Attributes:
        pixels: (n, C, size, size) uint8.
        columns: name -> n values: cell_id, image_id, field, y_px, x_px, area_px, crop_row,
            intensity_min, intensity_max, pixel_hash.
        rejected: one row for each object, file or image that is left out.
        found: objects found by the segmenter; equals the cells plus the rejected objects.
    """

    pixels: np.ndarray
    columns: dict[str, list]
    rejected: list[Rejected] = field(default_factory=list)
    found: int = 0


def cut_shard(
    screen: Screen, fields: Iterable[Field], *, progress: Callable[[int], None] | None = None
) -> ShardCells:
    """Cut every cell of the fields of one shard.

    Args:
        screen: the spec; `segmentation` and `crops` are used.
        fields: the shard's fields, those of one image together.
        progress: called with the number of fields done.
    """
    segment = segmenter(screen.segmentation.method)
    pieces: list[tuple[Field, CutCells]] = []
    rejected: list[Rejected] = []
    found = 0
    for number, one in enumerate(fields, 1):
        first_file = next(iter(one.files.values()))
        try:
            planes = read_field(screen, one)
            labels = segment(planes, **screen.segmentation.options)
            cut = cut_cells({name: planes[name] for name in screen.crop_channels}, labels, screen.crops)
        except ImageFileError as error:
            rejected.append(Rejected(first_file, "file", one.image_id, str(error)))
            continue
        found += len(cut.label) + len(cut.rejected)
        rejected += [Rejected(first_file, "cell", one.image_id, reason) for _, reason in cut.rejected]
        pieces.append((one, cut))
        if progress is not None:
            progress(number)
    return _assembled(screen, pieces, rejected, found)


def _assembled(
    screen: Screen, pieces: list[tuple[Field, CutCells]], rejected: list[Rejected], found: int
) -> ShardCells:
    """Leave out duplicates and images with too few cells; number the rest."""
    first_with: dict[str, str] = {}
    rows: list[tuple[Field, CutCells, int, str]] = []
    for one, cut in pieces:
        for i, label in enumerate(cut.label):
            cell_id = f"{one.field_id}_{label:04d}"
            twin = first_with.setdefault(cut.pixel_hash[i], cell_id)
            if twin != cell_id:
                file = next(iter(one.files.values()))
                rejected.append(Rejected(file, "cell", one.image_id, f"same pixels as cell {twin}"))
            else:
                rows.append((one, cut, i, cell_id))
    counts = Counter(one.image_id for one, _, _, _ in rows)
    minimum = screen.crops.min_cells
    for image_id in {one.image_id for one, _ in pieces} - set(counts):
        file = next(next(iter(one.files.values())) for one, _ in pieces if one.image_id == image_id)
        rejected.append(Rejected(file, "image", image_id, f"no cells (required: {minimum} or more)"))
    for one, _, _, _ in rows:
        if counts[one.image_id] < minimum:
            reason = f"image with {counts[one.image_id]} cells (required: {minimum} or more)"
            rejected.append(Rejected(next(iter(one.files.values())), "cell", one.image_id, reason))
    rows = [row for row in rows if counts[row[0].image_id] >= minimum]
    size = screen.crops.size_px
    pixels = np.zeros((len(rows), len(screen.crop_channels), size, size), np.uint8)
    for row, (_, cut, i, _) in enumerate(rows):
        pixels[row] = cut.pixels[i]
    columns: dict[str, list] = {
        "cell_id": [cell_id for *_, cell_id in rows],
        "image_id": [one.image_id for one, *_ in rows],
        "field": [one.number for one, *_ in rows],
        "y_px": [float(cut.y_px[i]) for _, cut, i, _ in rows],
        "x_px": [float(cut.x_px[i]) for _, cut, i, _ in rows],
        "area_px": [float(cut.area_px[i]) for _, cut, i, _ in rows],
        "crop_row": list(range(len(rows))),
        "intensity_min": [cut.intensity_min[i].tolist() for _, cut, i, _ in rows],
        "intensity_max": [cut.intensity_max[i].tolist() for _, cut, i, _ in rows],
        "pixel_hash": [cut.pixel_hash[i] for _, cut, i, _ in rows],
    }
    return ShardCells(pixels, columns, rejected, found)
