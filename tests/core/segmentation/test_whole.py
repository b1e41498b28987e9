"""The method `whole`: one cell per picture, where a channel shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pcip_core.crops.shard import cut_shard
from pcip_core.errors import SpecError
from pcip_core.images.layout import scan
from pcip_core.segmentation import whole
from pcip_core.spec.loading import load_screen
from tests.conftest import write_spec


def _disc(y: float, x: float, radius: float, size: int = 60) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return np.hypot(rows - y, columns - x) < radius


def test_the_object_with_most_light_is_the_cell_even_at_the_border():
    rng = np.random.default_rng(0)
    true = _disc(8, 50, 11)
    plane = rng.poisson(20 + 900 * true + 400 * _disc(40, 15, 11) + 4000 * _disc(50, 50, 1.5)).astype(
        np.uint16
    )
    labels = whole({"dna": plane, "tag": plane[::-1]}, channel="dna")
    overlap = (labels[true] == 1).sum() / ((labels == 1) | true).sum()
    assert (labels.dtype, labels.max(), overlap > 0.9) == (np.int32, 1, True)


@pytest.mark.parametrize("value", [0, 7])
def test_a_channel_without_contrast_labels_the_whole_picture(value):
    planes = {"dna": np.full((5, 4), value), "tag": np.arange(20).reshape(5, 4)}
    assert whole(planes, channel="dna").tolist() == whole(planes).tolist() == np.ones((5, 4)).tolist()


def _pictures(root: Path, centres: list[tuple[int, int]]) -> None:
    root.mkdir()
    for number, (y, x) in enumerate(centres):
        light = np.random.default_rng(number).poisson(5, (2, 60, 60)) + 0.0
        light[0] += 500 * _disc(y, x, 6)
        light[1] += 300 * _disc(y + 4, x, 2)  # the protein lies below the nucleus
        for name, plane in zip(("nucleus", "protein"), light, strict=True):
            tifffile.imwrite(root / f"p_A01_{number}_{name}.tif", plane.astype(np.uint16))


def _screen(folder: Path, **changes: object):
    files = {"pattern": "{plate}_{well}_{cell}_{channel}.tif", "image_id": "{plate}_{well}"}
    spec = {"files": files, "images": {}, "root": str(folder / "images")}
    return load_screen(write_spec(folder, **spec, **changes))


def test_windows_lie_around_the_nucleus_of_each_picture(tmp_path):
    centres = [(30, 30), (12, 40), (3, 3), (56, 20)]
    _pictures(tmp_path / "images", centres)
    segmentation = {"method": "whole", "options": {"channel": "nucleus"}}
    crops = {"window_px": 24, "size_px": 24, "min_cells": 2}
    screen = _screen(tmp_path, segmentation=segmentation, crops={**crops, "edge": "pad"})
    cells = cut_shard(screen, scan(screen).fields)
    places = np.stack([cells.columns["y_px"], cells.columns["x_px"]], 1)
    assert np.abs(places[[0, 1, 3]] - [centres[number] for number in (0, 1, 3)]).max() < 1.2
    middle = np.stack([np.unravel_index(crop[1].argmax(), (24, 24)) for crop in cells.pixels])
    assert np.abs(middle - [16, 12]).max() <= 4  # the protein is at one place of all crops
    rejecting = _screen(tmp_path, segmentation=segmentation, crops=crops)
    cut = cut_shard(rejecting, scan(rejecting).fields)
    assert (len(cut.pixels), cut.found) == (2, 4)
    assert [each.reason for each in cut.rejected] == ["window over the edge of the field"] * 2


def test_padding_without_a_window_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"crops\.edge pad with window_px null; required: a window_px"):
        _screen(tmp_path, crops={"window_px": None, "edge": "pad"})
    assert _screen(tmp_path, crops={"window_px": 24, "edge": "pad"}).crops.edge == "pad"
