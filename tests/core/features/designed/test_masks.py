"""Masks of centre cells against discs and the simulator's truth."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.crops.cut import cut_cells
from pcip_core.errors import ShapeError
from pcip_core.features.designed.masks import centre_masks, edge_distance, split_at_waists
from pcip_core.simulate.plan import plan_screen
from pcip_core.simulate.screen import photograph, true_labels
from pcip_core.spec.screen import Crops
from pcip_core.spec.simulation import Simulation
from tests.conftest import real_folder

Y, X = np.indices((64, 64))


def disc(y, x, radius):
    return np.hypot(Y - y, X - x) <= radius


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


def found_in(*planes):
    pixels = np.stack(planes)[:, None].astype(np.uint8)
    return centre_masks(pixels, ("cytosol",), "cytosol")


def test_a_central_disc_is_segmented_beside_other_objects():
    cell = disc(31.5, 31.5, 12)
    planes = [
        200 * cell,
        200 * cell + 250 * disc(5, 5, 9),
        200 * (cell | disc(31.5, 55, 12)),  # touches
        50 * cell + 255 * disc(58, 10, 12),  # dim beside bright
        200 * (cell & ~disc(31.5, 31.5, 4)),  # a vacuole
    ]
    masks, found = found_in(*planes)
    assert found.all()
    for mask in masks:
        assert overlap(mask, cell) > 0.9


def test_a_bud_stays_with_its_mother_and_its_waist_is_found():
    cell = disc(31.5, 26, 13) | disc(31.5, 43, 7)
    (mask,), _ = found_in(200 * cell)
    assert overlap(mask, cell) > 0.95
    parts = split_at_waists(cell, 1.0)
    assert len(np.unique(parts[cell])) == 2
    assert parts[31, 26] != parts[31, 45]
    assert len(np.unique(split_at_waists(disc(31, 31, 13), 1.0))) == 2  # the disc and the outside


def test_undetected_cells_get_a_disc():
    result = found_in(
        np.zeros((64, 64)), np.full((64, 64), 255), 200 * disc(5, 5, 9), 200 * disc(31.5, 31.5, 12)
    )
    assert result.detected.tolist() == [False, False, False, True]
    assert result.missing == 3
    assert overlap(result.masks[0], disc(31.5, 31.5, 16)) == 1


def test_distance_to_the_edge_counts_the_border_as_outside():
    assert edge_distance(np.ones((5, 5), bool)).max() == 3


def test_masks_of_simulated_cells_match_the_truth():
    simulation = Simulation("yeast", field_size_px=352, seed=21)
    overlaps = []
    for image in plan_screen(simulation)[:2]:
        planes, _ = photograph(simulation, image, 1)
        truth = true_labels(simulation, image, 1)
        cut = cut_cells(planes, truth, Crops(64, 64))
        masks, found = centre_masks(cut.pixels, tuple(planes), "cytosol")
        assert found.all()
        for label, y, x, mask in zip(cut.label, cut.y_px, cut.x_px, masks, strict=True):
            top, left = round(y) - 32, round(x) - 32
            overlaps.append(overlap(mask, truth[top : top + 64, left : left + 64] == label))
    assert np.median(overlaps) > 0.9
    assert np.mean(np.array(overlaps) > 0.7) > 0.85


def test_real_yeast_cells_are_found():
    import tifffile

    folder = real_folder("yeast_cells") / "AAC1"
    planes = [tifffile.imread(path) for path in sorted(folder.glob("*_rfp.tif"))[:60]]
    pixels = [np.rint(255 * (plane - plane.min()) / np.ptp(plane)) for plane in planes]
    result = found_in(*pixels)
    assert result.missing <= 2
    assert 800 < np.median(result.masks.sum((1, 2))) < 1700


def test_wrong_crops_and_channels_are_refused():
    pixels = np.zeros((1, 1, 8, 8), np.uint8)
    with pytest.raises(ShapeError, match="'nucleus'"):
        centre_masks(pixels, ("cytosol",), "nucleus")
    with pytest.raises(ShapeError, match="uint8"):
        centre_masks(pixels[:, 0], ("cytosol",), "cytosol")
    done: list[int] = []
    assert centre_masks(pixels[:0], ("cytosol",), "cytosol").masks.shape == (0, 8, 8)
    centre_masks(pixels, ("cytosol",), "cytosol", progress=done.append)
    assert done == [1]
