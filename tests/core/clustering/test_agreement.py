"""Where two trees differ, against all cuts of both."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import adjusted_rand_score

from pcip_core.clustering.agreement import compared, not_corresponding
from pcip_core.clustering.clusters import cut_number, labels_of
from pcip_core.clustering.linkage import cluster_tree


def test_the_nearest_cut_at_which_two_methods_differ_is_found() -> None:
    rng = np.random.default_rng(0)
    points = (6 * rng.normal(size=(4, 5)))[np.repeat(np.arange(4), 10)] + rng.normal(size=(40, 5))
    trees = [cluster_tree(points, method=method) for method in ("ward", "average")]  # type: ignore[arg-type]
    cuts = {k: [labels_of(tree, cut_number(tree, k)) for tree in trees] for k in range(2, 9)}
    assert adjusted_rand_score(*cuts[4]) == 1  # clear clusters
    found = compared(*trees, *cuts[4])
    differing = [k for k, pair in cuts.items() if adjusted_rand_score(*pair) < 1]
    assert found.number in differing
    assert abs(found.number - 4) == min(abs(k - 4) for k in differing)
    assert found.rand == 1
    assert found.rand_of_number == adjusted_rand_score(*cuts[found.number])
    assert 0 < len(found.moved) < 20
    assert (
        np.flatnonzero(found.first != found.second).tolist() == found.moved.tolist()
    )  # the same numbers elsewhere
    assert compared(trees[0], trees[0], *[cuts[4][0]] * 2).number is None


def test_rows_that_moved_are_those_outside_of_corresponding_clusters() -> None:
    first = np.repeat([1, 2, 3], 5)
    second = np.array([2] * 5 + [9] * 4 + [7] + [7] * 5)  # one row went over, and names differ
    assert not_corresponding(first, second).tolist() == [9]
    found = compared(np.zeros((14, 4)), np.zeros((14, 4)), first, second)
    assert (found.number, found.moved.tolist()) == (None, [9])
    assert found.rand == adjusted_rand_score(first, second)
    assert not_corresponding(first, first * 10).size == 0
