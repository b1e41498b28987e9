"""Crops of one field against naive slicing and rescaling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pcip_core.crops.cut import cut_cells
from pcip_core.errors import ImageFileError
from pcip_core.spec.screen import Crops


def _spotted(rng, centres, size=100):
    planes = {name: rng.integers(100, 4000, (size, size)).astype(np.uint16) for name in ("dna", "tag")}
    labels = np.zeros((size, size), np.int32)
    for number, (y, x) in enumerate(centres, 1):
        labels[y - 3 : y + 4, x - 3 : x + 4] = number
    return planes, labels


def test_equal_to_naive_slicing():
    planes, labels = _spotted(np.random.default_rng(0), [(30, 40), (60, 55)])
    cut = cut_cells(planes, labels, Crops(window_px=32, size_px=16, floor={"dna": 0.3}))
    for cell, (y, x) in enumerate([(30, 40), (60, 55)]):
        for channel, name in enumerate(planes):
            window = planes[name][y - 16 : y + 16, x - 16 : x + 16].astype(float)
            small = window.reshape(16, 2, 16, 2).mean((1, 3))
            unit = (small - small.min()) / (small.max() - small.min())
            if name == "dna":
                unit[unit < 0.3] = 0
            assert np.abs(cut.pixels[cell, channel] - np.rint(unit * 255)).max() <= 1
            assert cut.intensity_min[cell, channel] == pytest.approx(small.min(), rel=1e-6)
            assert cut.intensity_max[cell, channel] == pytest.approx(small.max(), rel=1e-6)


def test_centres_and_areas_are_scipys():
    rng = np.random.default_rng(0)
    planes = {"tag": rng.integers(0, 99, (24, 17))}
    for seed in range(5):
        labels = np.random.default_rng(seed).integers(0, 4, (24, 17)).astype(np.int32)
        labels[labels == 3] = 7  # a gap in the numbers
        labels[5:7] = 2  # runs that meet at the end of a row
        cut = cut_cells(planes, labels, Crops(window_px=None, size_px=8))
        present = np.unique(labels[labels > 0])
        assert cut.label.tolist() == present.tolist()
        centres = ndimage.center_of_mass(labels > 0, labels, present)
        np.testing.assert_allclose(np.stack([cut.y_px, cut.x_px], 1), centres, rtol=1e-12)
        assert cut.area_px.tolist() == np.bincount(labels.ravel())[present].tolist()


def test_colours_of_an_rgb_image_are_cut_as_planes_of_their_own():
    _, labels = _spotted(np.random.default_rng(0), [(30, 40), (60, 55)])
    picture = np.random.default_rng(1).integers(0, 255, (100, 100, 3)).astype(np.uint8)
    views = {name: picture[:, :, number] for number, name in enumerate(("dna", "tag"))}
    copies = {name: np.ascontiguousarray(plane) for name, plane in views.items()}
    cut, expected = (cut_cells(planes, labels, Crops(window_px=32, size_px=16)) for planes in (views, copies))
    assert np.array_equal(cut.pixels, expected.pixels)
    assert cut.pixel_hash == expected.pixel_hash


def test_windows_over_the_edge_and_areas_out_of_range_are_rejected_with_a_reason():
    planes, labels = _spotted(np.random.default_rng(1), [(10, 50), (50, 50)])
    labels[80, 80] = 3
    cut = cut_cells(planes, labels, Crops(window_px=32, size_px=16, area_fraction=(0.02, 0.95)))
    assert cut.label.tolist() == [2]
    assert [(label, reason.split(" ")[0]) for label, reason in cut.rejected] == [(1, "window"), (3, "area")]


def test_a_channel_constant_in_the_crop_is_rejected():
    planes, labels = _spotted(np.random.default_rng(2), [(50, 50)])
    planes["tag"][:] = 5
    cut = cut_cells(planes, labels, Crops(window_px=32, size_px=16))
    assert cut.rejected == [(1, "constant channel tag in the crop")]
    assert cut.pixels.shape == (0, 2, 16, 16)


def test_a_window_larger_than_the_field():
    planes, labels = _spotted(np.random.default_rng(3), [(50, 50)])
    with pytest.raises(ImageFileError, match="window, 128 x 128") as caught:
        cut_cells(planes, labels, Crops(window_px=128))
    assert "crops.edge: pad" in caught.value.remedy
    assert len(cut_cells(planes, labels, Crops(window_px=128, edge="pad")).label) == 1


def test_a_window_over_the_edge_is_filled_where_the_spec_says_so():
    planes, labels = _spotted(np.random.default_rng(4), [(4, 50), (50, 50), (95, 96)])
    spec = Crops(window_px=32, size_px=32, edge="pad")
    cut, inside = cut_cells(planes, labels, spec), cut_cells(planes, labels, Crops(window_px=32, size_px=32))
    assert (cut.label.tolist(), cut.rejected, inside.label.tolist()) == ([1, 2, 3], [], [2])
    assert np.array_equal(cut.pixels[1], inside.pixels[0])
    assert cut.pixel_hash[1] == inside.pixel_hash[0]
    for channel, plane in enumerate(planes.values()):
        for cell, part in ((0, plane[:20, 34:66]), (2, plane[79:, 80:])):
            expected = np.full((32, 32), part.min(), float)
            expected[(slice(12, None), slice(None)) if cell == 0 else (slice(21), slice(20))] = part
            unit = (expected - part.min()) / np.ptp(part)
            assert np.abs(cut.pixels[cell, channel] - np.rint(unit * 255)).max() <= 1


def test_a_window_that_reaches_over_the_field_from_any_centre_is_large_enough():
    planes, labels = _spotted(np.random.default_rng(5), [(4, 4)])
    with pytest.raises(ImageFileError, match="half of the window, 201 px") as caught:
        cut_cells(planes, labels, Crops(window_px=201, edge="pad"))
    allowed = int(caught.value.remedy.split("at most ")[1].split(",")[0])
    cut = cut_cells(planes, labels, Crops(window_px=allowed, size_px=allowed, edge="pad"))
    field = [
        np.rint((plane - plane.min()) / np.ptp(plane) * 255) for plane in map(np.asarray, planes.values())
    ]
    assert np.abs(cut.pixels[0, :, 96:196, 96:196] - np.stack(field)).max() <= 1
