"""Ellipses from a tree of thresholds, on drawings whose correct labels are evident."""

import numpy as np
import pytest

from pcip_core.segmentation.ellipses import likeness, moments, most_elliptical
from pcip_core.segmentation.otsu import shrunk
from pcip_core.segmentation.pieces import filled, joined, seams, tidied

LEVELS = np.geomspace(0.05, 5, 40)
Y, X = np.mgrid[:80, :120]


def disc(y: float, x: float, radius: float) -> np.ndarray:
    return np.clip(radius - np.hypot(Y - y, X - x) + 0.5, 0, 1)


def dome(y: float, x: float, radius: float) -> np.ndarray:
    return np.sqrt(np.clip(1 - ((Y - y) ** 2 + (X - x) ** 2) / radius**2, 0, None))


def find(relief: np.ndarray) -> np.ndarray:
    return most_elliptical(relief, LEVELS, area=(50, 2000), hole=200)


def quality(mask: np.ndarray) -> float:
    return float(likeness(moments(mask.astype(np.int32), 1))[1])


def test_only_full_ellipses_have_quality_one():
    turned = ((X - 60 + Y - 40) / 30) ** 2 + ((X - 60 - Y + 40) / 20) ** 2 < 1
    assert quality(turned) > 0.99
    assert quality(disc(40, 60, 15) > 0) > 0.99
    assert 0.87 < quality((disc(40, 45, 15) + disc(40, 75, 15)) > 0) < 0.91
    assert quality((abs(X - 60) < 3) & (abs(Y - 40) < 30)) == 0  # a thread


def test_moments_of_objects_add_up_to_those_of_their_union():
    labels = ((disc(40, 45, 15) > 0) + 2 * (disc(40, 78, 12) > 0)).astype(np.int32)
    both = likeness(moments(labels, 2)[:, 1:].sum(1, keepdims=True))
    assert both[0] == pytest.approx(quality(labels > 0))


def test_dim_and_bright_cells_are_cut_at_different_levels():
    labels = find(dome(40, 30, 14) + 4 * dome(40, 59, 14) + 0.2 * dome(40, 100, 14))
    assert labels.max() == 3
    assert len({labels[40, x] for x in (30, 59, 100)} - {0}) == 3


def test_a_vacuole_does_not_split_a_cell():
    cell = disc(40, 60, 16)
    assert find(cell * (1 - 0.6 * disc(40, 60, 6))).max() == 1
    assert find(cell * (1 - 0.6 * disc(40, 70, 6))).max() == 1


def test_an_empty_relief_has_no_objects():
    assert find(np.zeros((20, 30))).max() == 0
    assert most_elliptical(np.ones((20, 30)), [], area=(1, 10), hole=1).max() == 0


def test_a_seam_has_its_length_height_and_area_ratio():
    labels = ((X < 60) + 2 * (X >= 60)).astype(np.int32) * (abs(Y - 40) < 10) * (abs(X - 65) < 25)
    seam = seams(np.full(labels.shape, 3.0), labels)
    assert (seam.small, seam.large) == (1, 2)
    assert seam.neck[0] == pytest.approx(19 / np.sqrt(4 / np.pi * (labels == 1).sum()))
    assert seam.height[0] == 3
    assert seam.share[0] == pytest.approx(19 / 30, abs=0.03)


def test_a_bud_joins_one_mother_and_the_union_stays_small():
    area = np.array([0, 10, 50, 60, 70])
    root = joined(np.array([1, 1, 3]), np.array([2, 4, 4]), area, largest=100)
    assert root.tolist() == [0, 2, 2, 3, 4]


def test_tidying_fills_holes_and_removes_spurs_fragments_and_border_objects():
    labels = np.where(disc(40, 60, 15) > 0.5, 7, 0).astype(np.int32)
    whole = (labels > 0).sum()
    labels[38:42, 58:62] = 0
    assert (filled(labels) > 0).sum() == whole
    labels[40, 75:95] = 7  # a spur
    labels[5:9, 5:9] = 7  # a fragment
    labels[0:12, 100:110] = 3  # at the border
    done = tidied(labels, 2, (159, 240), 10)
    assert done.shape == (159, 240)
    assert done.dtype == np.int32
    assert done.max() == 1
    assert (done > 0).sum() == pytest.approx(4 * whole, rel=0.02)


def test_shrinking_keeps_the_edge_of_odd_planes():
    plane = np.arange(15, dtype=np.uint16).reshape(3, 5)
    assert shrunk(plane, 2).shape == (2, 3)
    assert shrunk(plane, 2)[0, 0] == plane[:2, :2].mean()
    assert shrunk(plane, 1).tolist() == plane.tolist()
