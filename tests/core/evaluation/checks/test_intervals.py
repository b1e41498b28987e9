"""Intervals of recalls, against a bootstrap over images and against how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pcip_core.evaluation.checks.intervals import recall_intervals
from pcip_core.evaluation.scores import class_scores

CLASSES, IMAGES, CELLS = 4, 30, 12


def screen(rng: np.random.Generator, *, shared: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits, labels and images of cells; the larger `shared`, the more the cells of an image are alike."""
    labels = np.repeat(np.arange(CLASSES), IMAGES * CELLS)
    images = np.repeat(np.arange(CLASSES * IMAGES), CELLS)
    chance = rng.beta(0.7 / shared, 0.3 / shared, CLASSES * IMAGES)[images]  # 0.7 in the mean of all images
    return rng.random(len(labels)) < chance, labels, images


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = {"balanced": 0, "accuracy": 0, "recall": 0}
    for _ in range(500):
        balanced, accuracy, recalls = recall_intervals(*screen(rng, shared=0.5))
        for name, interval in (("balanced", balanced), ("accuracy", accuracy), ("recall", recalls["2"])):
            inside[name] += interval.low <= 0.7 <= interval.high
    # 475 of 500 are expected; 4 standard deviations of a binomial are 20. As if all cells were independent, it is 310.
    assert all(abs(count - 475) <= 20 for count in inside.values()), inside


def test_it_is_that_of_a_bootstrap_over_images() -> None:
    rng = np.random.default_rng(1)
    hit, labels, images = screen(rng, shared=0.3)
    by_image = hit.reshape(CLASSES, IMAGES, CELLS).mean(2)
    draws = [np.mean([row[rng.integers(0, IMAGES, IMAGES)].mean() for row in by_image]) for _ in range(4000)]
    expected = np.percentile(draws, [2.5, 97.5])
    assert recall_intervals(hit, labels, images)[0] == pytest.approx(expected, abs=0.006)


def test_with_one_cell_per_image_it_is_that_of_a_mean() -> None:
    hit, labels = np.array([True, True, False, True, False]), np.zeros(5, int)
    balanced, accuracy, recalls = recall_intervals(hit, labels, np.arange(5))
    half = stats.t.ppf(0.975, 4) * hit.std(ddof=1) / 5**0.5
    expected = (max(0, hit.mean() - half), min(1, hit.mean() + half))
    for interval in (balanced, accuracy, recalls["0"]):
        assert interval == pytest.approx(expected)


def test_a_class_of_one_image_has_no_interval_and_leaves_the_mean_without_one() -> None:
    truth, predicted = np.array(list("aaaabb")), np.array(list("aabbbb"))
    rows = class_scores(truth, predicted, images=np.array(list("112233")))
    by_name = {(row["metric"], row["label"]): row for row in rows}
    assert by_name["recall", "b"]["low"] is None
    assert by_name["balanced_accuracy", None]["high"] is None
    assert by_name["recall", "a"]["low"] == 0
    assert by_name["recall", "a"]["high"] == 1
    assert 0 <= by_name["accuracy", None]["low"] < 4 / 6 < by_name["accuracy", None]["high"] <= 1
    assert "low" not in class_scores(truth, predicted)[0]
