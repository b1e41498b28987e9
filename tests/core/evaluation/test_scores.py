"""Choice of feature sets by their scores, and scores of what can be used, against plain loops."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pcip_core.evaluation.knn import leave_one_out_knn
from pcip_core.evaluation.scores import best_by_knn, predicted_scores, usable_knn_scores

KEY = {"protocol": "leave_image_out", "metric": "balanced_accuracy", "classifier": "knn", "label": None}
COLUMNS = ("feature_set", "protocol", "metric", "classifier", "parameter", "label")
TYPES = {**dict.fromkeys(COLUMNS, pl.String), "value": pl.Float64}


def table(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([{**KEY, **row} for row in rows], schema=TYPES)


def test_the_best_layer_of_each_method_is_chosen() -> None:
    values = {"a_conv1": 0.3, "a_conv2": 0.5, "b": 0.1, "a_conv1_by_plate": 0.2}
    at_3 = [{"feature_set": name, "parameter": "k=3", "value": value} for name, value in values.items()]
    other = {"feature_set": "a_conv1", "parameter": "k=3", "value": 0.9}
    rows = [
        *at_3,
        {**other, "parameter": "k=1"},
        {**other, "protocol": "leave_cell_out"},
        {**other, "metric": "accuracy"},
        {**other, "classifier": "forest", "parameter": "trees=500"},
        {**other, "label": "nucleus"},
    ]
    assert best_by_knn(table(*rows), "leave_image_out") == ["a_conv2", "a_conv1_by_plate", "b"]
    assert best_by_knn(table(*rows), "leave_cell_out") == ["a_conv1"]


def test_eleven_neighbours_decide_where_they_were_scored_and_otherwise_the_most() -> None:
    rows = [
        {"feature_set": f"a_conv{layer}", "parameter": f"k={k}", "value": float(k == best)}
        for layer, best in ((1, 5), (2, 11), (3, 25))
        for k in (5, 11, 25)
    ]
    assert best_by_knn(table(*rows), "leave_image_out") == ["a_conv2"]
    without = [row for row in rows if row["parameter"] != "k=11"]
    assert best_by_knn(table(*without), "leave_image_out") == ["a_conv3"]
    assert best_by_knn(table(), "leave_image_out") == []


def test_what_cannot_be_used_is_not_scored() -> None:
    rng = np.random.default_rng(0)
    labels, groups = np.array(list("abc"))[rng.integers(0, 3, 90)], rng.integers(0, 9, 90)
    features = rng.normal(size=(90, 4))
    features[:, 1] = 3
    labels[0], features[1, 2] = "single", np.nan
    scored = usable_knn_scores(features, labels, feature_set="s", groups=groups, ks=(1, 3, 1000))
    kept = labels != "single"
    predicted = leave_one_out_knn(features[kept][:, [0, 3]], labels[kept], ks=(1, 3), groups=groups[kept])
    for k in (1, 3):
        rows = [row for row in scored.rows if row["parameter"] == f"k={k}"]
        (accuracy,) = [row for row in rows if row["metric"] == "accuracy"]
        hit = [a == b for a, b in zip(labels[kept], predicted[k], strict=True)]
        assert accuracy["value"] == pytest.approx(sum(hit) / 89)
        assert accuracy["n"] == 89
    assert {row["parameter"] for row in scored.rows} == {"k=1", "k=3"}
    assert {reason: n for reason, n in scored.exclusions.items() if n} == {
        "columns_constant": 1,
        "columns_not_finite": 1,
        "cells_of_classes_with_one_cell": 1,
        "ks_above_neighbours_left": 1,
    }


def test_scores_of_given_predictions() -> None:
    truth, predicted = np.array(list("aaabbc")), np.array(list("aabbbb"))
    scored = predicted_scores(truth, predicted, classifier="end_to_end", parameter="softmax")
    recalls = {row["label"]: row["value"] for row in scored.rows if row["metric"] == "recall"}
    assert recalls == pytest.approx({"a": 2 / 3, "b": 1, "c": 0})
    overall = {row["metric"]: row["value"] for row in scored.rows if row["label"] is None}
    assert overall == pytest.approx({"balanced_accuracy": 5 / 9, "accuracy": 4 / 6})
    pairs = {(row["label"], row["predicted"]): row["n"] for row in scored.confusion if row["n"]}
    assert pairs == {("a", "a"): 2, ("a", "b"): 1, ("b", "b"): 2, ("c", "b"): 1}
    assert {(row["classifier"], row["parameter"]) for row in [*scored.rows, *scored.confusion]} == {
        ("end_to_end", "softmax")
    }


def test_scores_have_an_interval_that_holds_them() -> None:
    rng = np.random.default_rng(0)
    labels, images = np.repeat(["a", "b"], 60), np.repeat(np.arange(12), 10)
    features = rng.normal(size=(120, 3)) + 0.7 * (labels == "a")[:, None]
    scored = usable_knn_scores(features, labels, feature_set="s", groups=images, ks=(1, 5), images=images)
    assert all(row["low"] < row["value"] < row["high"] for row in scored.rows)
