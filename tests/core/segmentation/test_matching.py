"""Pairs of true and found cells."""

import numpy as np

from pcip_core.segmentation.matching import centres, crowded, matched


def test_pairs_are_one_to_one_and_as_many_as_possible():
    truth = np.array([[0.0, 0.0], [0.0, 8.0], [50.0, 50.0]])
    found = np.array([[0.0, 7.0], [0.0, 15.0], [90.0, 90.0]])
    rows, columns = matched(truth, found, 10)  # the nearest alone would leave the first without
    assert sorted(zip(rows, columns, strict=True)) == [(0, 0), (1, 1)]


def test_nothing_matches_nothing():
    assert len(matched(np.zeros((0, 2)), np.ones((3, 2)), 5)[0]) == 0
    assert len(matched(np.zeros((1, 2)), np.full((1, 2), 9.0), 5)[0]) == 0
    assert centres(np.zeros((4, 4), np.int32)).shape == (0, 2)


def test_objects_with_a_neighbour_are_crowded():
    labels = np.zeros((20, 40), np.int32)
    labels[5:10, 2:8], labels[5:10, 10:15], labels[5:10, 30:35] = 2, 5, 1
    assert np.flatnonzero(crowded(labels)).tolist() == [2, 5]
    assert centres(np.where(labels == 1, 1, 0)).tolist() == [[7, 32]]
