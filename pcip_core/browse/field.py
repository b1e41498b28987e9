"""The field of view that a cell comes from, with the outline of the cell."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from pcip_core.browse.cells import BrowsedCells
from pcip_core.crops.shard import CutField, cut_field
from pcip_core.plots.cells.montage import composite
from pcip_core.spec.screen import Screen
from pcip_core.store.rows import stored_field

_DARKEST, _BRIGHTEST = 0.5, 99.8  # percentiles of a plane
_SIDE = 1200  # px of a picture, at most
_OUTLINE = 150  # the outline of the cell is this fraction of the longer side
_CELL, _OTHERS = (255, 220, 0), (150, 150, 150)  # outlines


@dataclass(frozen=True)
class FieldPicture:
    """A picture of a field.

    Attributes:
        png: the picture, with the outline of the cell and fainter ones of the others.
        field_id: name of the field.
        centre: x and y of the cell, as shares of the width and the height.
        note: what is unusual about the outline; empty if nothing is.
    """

    png: bytes
    field_id: str
    centre: tuple[float, float]
    note: str


def field_picture(cells: BrowsedCells, screen: Screen, row: int) -> FieldPicture:
    """Read and segment the field of a cell as it was read for the crops, and draw it.

    Raises:
        CropError: the field is not in the table of fields.
        ImageFileError: its files cannot be read.
        RootError: the folder of the images is not there.
    """
    cell_id = str(cells.cell_id[row])
    shard = str(cells.column("shard")[row])
    field_id, _, label = cell_id.rpartition("_")
    screen.folder()
    cut = cut_field(screen, stored_field(cells.store, screen, field_id, shard))
    height, width = cut.planes.shape
    y, x = (float(cells.column(name)[row]) for name in ("y_px", "x_px"))
    number = int(label)
    fits = bool((cut.labels == number).any())
    note = "" if fits else "the cell is not found in this field any more: its files or the spec have changed"
    return FieldPicture(_drawn(screen, cut, number), field_id, (x / width, y / height), note)


def _drawn(screen: Screen, cut: CutField, number: int) -> bytes:
    from PIL import Image
    from scipy.ndimage import maximum_filter
    from skimage.segmentation import find_boundaries

    step = -(-max(cut.planes.shape) // _SIDE)
    height, width = (side // step for side in cut.planes.shape)
    planes = np.stack([_unit(cut.planes[name], step, height, width) for name in screen.crop_channels])
    colours = np.rint(composite(planes, screen.crop_channels, screen.protein) * 255).astype(np.uint8)
    labels = cut.labels[::step, ::step][:height, :width]
    colours[find_boundaries(labels, mode="inner")] = _OTHERS
    outline = find_boundaries(labels == number, mode="inner")
    wide = maximum_filter(outline, max(height, width) // _OUTLINE + 1)
    colours[wide] = _CELL
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _unit(plane: np.ndarray, step: int, height: int, width: int) -> np.ndarray:
    """Means of blocks of a plane, from its darkest to its brightest pixels, by square roots: (height, width)."""
    blocks = plane[: height * step, : width * step].reshape(height, step, width, step)
    means = blocks.mean((1, 3), dtype=np.float32)
    low, high = np.percentile(means, (_DARKEST, _BRIGHTEST))
    unit: np.ndarray = np.sqrt(np.clip((means - low) / max(high - low, 1e-9), 0, 1))
    return unit
