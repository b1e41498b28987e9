"""Matching of true and segmented cells."""

import numpy as np

from pcip_core.segmentation.matching import centres, crowded, matched


def test_pairs_are_one_to_one_and_as_many_as_possible():
    truth = np.array([[0.0, 0.0], [0.0, 8.0], [50.0, 50.0]])
    detected = np.array([[0.0, 7.0], [0.0, 15.0], [90.0, 90.0]])
    rows, columns = matched(truth, detected, 10)  # pairing the nearest first would leave (0, 0) unmatched
    assert sorted(zip(rows, columns, strict=True)) == [(0, 0), (1, 1)]


def test_empty_and_distant_positions_have_no_match():
    assert len(matched(np.zeros((0, 2)), np.ones((3, 2)), 5)[0]) == 0
    assert len(matched(np.zeros((1, 2)), np.full((1, 2), 9.0), 5)[0]) == 0
    assert centres(np.zeros((4, 4), np.int32)).shape == (0, 2)


def test_objects_with_a_neighbour_are_crowded():
    labels = np.zeros((20, 40), np.int32)
    labels[5:10, 2:8], labels[5:10, 10:15], labels[5:10, 30:35] = 2, 5, 1
    assert np.flatnonzero(crowded(labels)).tolist() == [2, 5]
    assert centres(np.where(labels == 1, 1, 0)).tolist() == [[7, 32]]
