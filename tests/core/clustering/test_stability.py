"""The stable number of clusters, and its seed."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.clustering.linkage import cluster_tree
from pcip_core.clustering.stability import stable_number
from pcip_core.errors import ClusterError


@pytest.mark.parametrize("resample", ["columns", "rows"])
@pytest.mark.parametrize("method", ["ward", "maximum_likelihood"])
def test_the_stable_number_is_the_number_of_clouds(resample: str, method: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 30)
    features = (3 * rng.normal(size=(5, 20)))[labels] + rng.normal(size=(150, 20))
    asked = {"resample": resample, "method": method, "repeats": 6, "numbers": range(2, 10)}
    found = stable_number(features, **asked)  # type: ignore[arg-type]
    assert found.number == 5
    assert found.scores[5] > 0.99 > found.scores[9]
    given = stable_number(features, tree=cluster_tree(features, method=method), **asked)  # type: ignore[arg-type]
    assert given == found


def test_the_seed_decides_and_noise_is_not_stable() -> None:
    features = np.random.default_rng(0).normal(size=(80, 20))
    again = [stable_number(features, repeats=3, numbers=(4, 8), seed=seed) for seed in (0, 0, 1)]
    assert again[0] == again[1] != again[2]
    assert max(again[0].scores.values()) < 0.6
    done: list[int] = []
    stable_number(features, repeats=3, numbers=(4,), progress=done.append)
    assert done == [1, 2, 3]


@pytest.mark.parametrize(
    "asked", [{"numbers": (1, 2)}, {"numbers": (2, 81)}, {"share": 1.0}, {"repeats": 0}, {"numbers": ()}]
)
def test_a_stability_that_cannot_be_asked_for_is_an_error(asked: dict[str, object]) -> None:
    with pytest.raises(ClusterError, match="a share between 0 and 1"):
        stable_number(np.random.default_rng(0).normal(size=(80, 5)), **asked)  # type: ignore[arg-type]
