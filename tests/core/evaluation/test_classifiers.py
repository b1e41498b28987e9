"""Cross-validation and its scores against scikit-learn, fold by fold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, confusion_matrix
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.evaluation.classifiers import Classifier, cross_validated, estimate_seconds
from pcip_core.evaluation.scores import classifier_scores, confusion, knn_scores


def data(n: int = 240) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells of 24 groups of ten; three classes of unequal sizes."""
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.choice(["ER", "Golgi", "nucleus"], n // 10, p=[0.2, 0.3, 0.5]), 10)
    shift = np.unique(labels, return_inverse=True)[1][:, None] * np.array([0.7, 0.5, 0, 0, 0, 0, 0, 0])
    features = (rng.normal(size=(n, 8)) + shift) * np.array([1, 9, 1, 1, 0.1, 1, 1, 1])
    return features.astype(np.float32), labels, np.repeat(np.arange(n // 10), 10)


def theirs(classifier: Classifier) -> Any:
    """scikit-learn's classifier with the settings of `cross_validated(seed=3, trees=15)`."""
    if classifier == "forest":
        return RandomForestClassifier(15, max_features=0.2, class_weight="balanced", random_state=3)
    return LogisticRegression(
        solver="saga", l1_ratio=1.0, tol=1e-2, max_iter=200, class_weight="balanced", random_state=3
    )


@pytest.mark.parametrize("classifier", ["logistic", "forest"])
def test_equals_scikit_learn_fold_by_fold(classifier: Classifier) -> None:
    features, labels, _ = data()
    ours = cross_validated(features, labels, classifier=classifier, seed=3, trees=15)
    model = theirs(classifier)
    splits = StratifiedKFold(5, shuffle=True, random_state=3).split(features, labels)
    for (training, test), accuracy in zip(splits, ours.balanced_accuracies, strict=True):
        expected = make_pipeline(StandardScaler(), model).fit(features[training], labels[training])
        found = expected.predict(features[test])
        assert (ours.predicted[test] == found).mean() > 0.97  # float32 here, float64 there
        assert accuracy == pytest.approx(balanced_accuracy_score(labels[test], ours.predicted[test]))


def test_a_group_is_never_divided_between_training_and_test_set() -> None:
    features, labels, groups = data()
    done = cross_validated(features, labels, classifier="logistic", groups=groups)
    assert all(len(np.unique(done.fold[groups == group])) == 1 for group in np.unique(groups))
    assert set(done.fold) == set(range(5))
    assert done.settings["grouped"]


def test_groups_that_predict_the_label_improve_only_ungrouped_folds() -> None:
    """Each group has a mark of its own: cells of one's own group tell the label, other groups do not."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(24), 10)
    labels = rng.permutation(np.repeat([0, 1], 12))[groups]
    features = rng.normal(size=(24, 30))[groups] + 0.1 * rng.normal(size=(240, 30))
    plain, grouped = (
        np.mean(
            cross_validated(features, labels, classifier="forest", trees=30, groups=g).balanced_accuracies
        )
        for g in (None, groups)
    )
    assert plain > 0.95
    assert grouped < 0.8


def test_missing_convergence_is_recorded_without_a_warning() -> None:
    features, labels, _ = data()
    assert cross_validated(features, labels, classifier="logistic").settings["converged"]
    settings = cross_validated(features, labels, classifier="logistic", max_iter=2).settings
    assert not settings["converged"]
    assert settings["iterations"] == (2,) * 5


def test_a_class_smaller_than_the_folds_is_counted() -> None:
    features, labels, _ = data()
    labels = labels.astype("<U9")
    labels[:3] = "bud neck"
    done, told = [], cross_validated(features, labels, classifier="forest", trees=5)
    assert told.settings["classes_smaller_than_folds"] == 1
    cross_validated(features, labels, classifier="forest", trees=5, progress=done.append)
    assert done == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("classifier", ["logistic", "forest"])
def test_held_cells_are_tested_by_all_others(classifier: Classifier) -> None:
    features, labels, groups = data()
    held = np.isin(groups, [1, 5, 9, 20])
    done = cross_validated(features, labels, classifier=classifier, held=held, seed=3, trees=15)
    assert np.array_equal(done.fold, np.where(held, 0, -1))
    mean, spread = features[~held].mean(0), features[~held].std(0)
    model = theirs(classifier).fit((features[~held] - mean) / spread, labels[~held])
    predicted = model.predict((features[held] - mean) / spread)
    assert (done.predicted[held] == predicted).mean() > 0.97  # saga stops early, at a place of its own
    rows = classifier_scores(labels, done).rows
    overall = next(row for row in rows if row["metric"] == "balanced_accuracy")
    assert overall["value"] == pytest.approx(balanced_accuracy_score(labels[held], done.predicted[held]))
    assert overall["n"] == held.sum()
    assert "low" not in overall  # there is one fold
    with pytest.raises(EvaluationError, match="a fold without cells to test"):
        cross_validated(features, labels, classifier=classifier, held=np.zeros(len(labels), bool))


@pytest.mark.parametrize("classifier", ["logistic", "forest", "histogram_forest"])
def test_labels_that_read_as_numbers_are_names(classifier: Classifier) -> None:
    features, labels, _ = data()
    numbers = np.unique(labels, return_inverse=True)[1].astype(str)
    assert estimate_seconds(features, numbers, classifier=classifier, trees=5) > 0
    done = cross_validated(features, numbers, classifier=classifier, trees=5)
    named = cross_validated(features, labels, classifier=classifier, trees=5)
    assert np.array_equal(done.predicted, np.unique(named.predicted, return_inverse=True)[1].astype(str))


def test_cells_that_are_only_neighbours_are_not_scored() -> None:
    features, labels, groups = data()
    held = np.isin(groups, [1, 5, 9, 20])
    apart = np.where(held, -1, np.arange(len(held)))
    scored = knn_scores(features, labels, groups=apart, ks=(5,), scored=held)
    points = StandardScaler().fit_transform(features)
    knn = KNeighborsClassifier(5, algorithm="brute").fit(points[~held], labels[~held])
    predicted = knn.predict(points[held])
    overall = next(row for row in scored.rows if row["metric"] == "balanced_accuracy")
    assert overall["value"] == pytest.approx(balanced_accuracy_score(labels[held], predicted))
    assert sum(row["n"] for row in scored.confusion) == held.sum()


def test_the_score_is_the_mean_over_folds_and_the_confusion_is_scikit_learns() -> None:
    features, labels, _ = data()
    done = cross_validated(features, labels, classifier="logistic", C=0.5)
    scored = classifier_scores(labels, done)
    overall = next(row for row in scored.rows if row["metric"] == "balanced_accuracy")
    assert overall["value"] == pytest.approx(np.mean(done.balanced_accuracies))
    assert (overall["low"], overall["high"]) == (min(done.balanced_accuracies), max(done.balanced_accuracies))
    assert {(row["classifier"], row["parameter"]) for row in scored.rows} == {("logistic", "C=0.5")}
    matrix = confusion_matrix(labels, done.predicted)
    assert [row["n"] for row in scored.confusion] == matrix.ravel().tolist()
    diagonal = {row["label"]: row["n"] for row in scored.confusion if row["label"] == row["predicted"]}
    for row in scored.rows:
        if row["metric"] == "recall":
            assert diagonal[row["label"]] == pytest.approx(row["value"] * row["n"])


def test_confusion_has_all_pairs_also_of_classes_only_predicted() -> None:
    rows = confusion(np.array(["a", "a", "b"]), np.array(["a", "c", "a"]))
    counts = {(row["label"], row["predicted"]): row["n"] for row in rows}
    assert len(counts) == 9
    assert {pair for pair, n in counts.items() if n} == {("a", "a"), ("a", "c"), ("b", "a")}


def test_confusion_of_knn_has_all_cells_for_each_k() -> None:
    features, labels, groups = data()
    scored = knn_scores(features, labels, groups=groups, ks=(1, 11))
    for k in (1, 11):
        assert sum(row["n"] for row in scored.confusion if row["parameter"] == f"k={k}") == len(labels)
    assert knn_scores(features, labels, groups=groups, ks=()).rows == []


def test_estimates_are_of_the_right_kind() -> None:
    features, labels, _ = data()
    for classifier in ("logistic", "forest", "histogram_forest"):
        assert 0 < estimate_seconds(features, labels, classifier=classifier, trees=20) < 600


def test_invalid_folds_raise() -> None:
    features, labels, groups = data()
    with pytest.raises(ShapeError):
        cross_validated(features, labels[1:], classifier="logistic")
    with pytest.raises(EvaluationError, match="one class"):
        cross_validated(features, np.full(len(labels), "ER"), classifier="logistic")
    with pytest.raises(EvaluationError, match="in 3 groups"):
        cross_validated(features, labels, classifier="forest", groups=groups % 3)
    with pytest.raises(EvaluationError, match="NaN"):
        cross_validated(np.full_like(features, np.nan), labels, classifier="forest")
    with pytest.raises(EvaluationError, match="logistic or forest"):
        cross_validated(features, labels, classifier="svm")  # type: ignore[arg-type]
