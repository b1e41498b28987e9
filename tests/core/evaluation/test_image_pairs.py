"""Pairs of images and their distances, against naive loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from pcip_core.evaluation.image_pairs import constrained_pairs, mean_distances, term_pairs
from tests.core.evaluation.pairs import naive, screen


def test_distances_of_points_on_a_line() -> None:
    """Cells at -1 and 1 are 1 apart on average from cells at -1 and 1, and 3 from one cell at 3."""
    points = np.array([-1.0, 1, -1, 1, 3])[:, None]
    start = np.array([0, 2, 4, 5])
    pairs = np.array([[0, 1], [0, 2], [2, 0], [1, 0], [0, 1]])
    assert mean_distances(points, start, pairs) == pytest.approx([1, 3, 3, 1, 1], abs=1e-12)


def test_many_partners_of_many_cells() -> None:
    """Partners are taken some at a time; whatever the number, distances are the same."""
    data = screen()
    pairs = np.random.default_rng(0).integers(0, 72, (3000, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    order = data["image"].argsort(kind="stable")
    points = StandardScaler().fit_transform(data["features"].astype(np.float64))[order]
    start = np.append(0, np.bincount(data["image"]).cumsum())
    expected = naive(data, pairs)
    for cells in (1, 7, 4096):
        done: list[int] = []
        found = mean_distances(points, start, pairs, cells=cells, progress=done.append)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert done == sorted(done)
        assert done[-1] == len(points)


def test_pairs_meet_the_constraints_on_proteins_terms_and_lines() -> None:
    data = screen(4)
    data["proteins"][data["terms"] == "Golgi"] = data["proteins"][data["terms"] == "ER"]  # of two terms
    names = {name: data[name] for name in ("terms", "proteins", "lines")}
    terms, proteins, lines = names.values()
    m = np.arange(len(terms))
    one, other = (each.ravel() for each in np.meshgrid(m, m, indexing="ij"))
    for same_term in (True, False):
        for same_line in (True, False):
            fits = (proteins[one] != proteins[other]) & ((terms[one] == terms[other]) == same_term)
            fits &= (lines[one] == lines[other]) == same_line
            pairs = constrained_pairs(**names, same_term=same_term, same_line=same_line, count=20_000, seed=1)
            times = np.bincount(pairs[:, 0] * len(m) + pairs[:, 1], minlength=len(one))
            assert not times[~fits].any()
            expected = 20_000 / fits.sum()  # each alike: Poisson, to six standard deviations
            assert np.abs(times[fits] - expected).max() < 6 * np.sqrt(expected)
    pairs = term_pairs(terms, proteins, "ER", "Golgi", count=20_000, seed=1)
    assert set(terms[pairs[:, 0]]) == {"ER"}
    assert set(terms[pairs[:, 1]]) == {"Golgi"}
    assert (proteins[pairs[:, 0]] != proteins[pairs[:, 1]]).all()
    _, times = np.unique(proteins[pairs], axis=0, return_counts=True)
    assert len(times) == 12  # 4 x 3 pairs of proteins, each alike
    assert np.abs(times - 20_000 / 12).max() < 6 * np.sqrt(20_000 / 12)


def test_all_proteins_of_a_term_have_equal_weight() -> None:
    proteins = np.repeat(["a", "b", "c"], [50, 1, 1])
    pairs = term_pairs(np.full(52, "ER"), proteins, "ER", "ER", count=9000, seed=0)
    _, times = np.unique(proteins[pairs[:, 0]], return_counts=True)
    assert np.abs(times - 3000).max() < 300
