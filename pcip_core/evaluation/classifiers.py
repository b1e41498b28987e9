"""Logistic regression and random forests under cross-validation, as in the paper's Supplementary Table 2."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.features.checks import require_finite, require_rows
from pcip_core.spec.baselines import Classifier
from pcip_core.words import many

_TOLERANCE = 1e-2  # of saga: a smaller tolerance takes several times longer and gives the same scores
MAX_ITER = 200
_MAX_FEATURES = 0.2  # of the forests
_SAMPLE_CELLS, _SAMPLE_TREES = 2000, 10


@dataclass(frozen=True)
class CrossValidated:
    """Predictions for each cell by a model that was fitted without it.

    Attributes:
        predicted: (n,) classes.
        fold: (n,) the fold in which each cell was tested; -1 for cells that were used only for training.
        balanced_accuracies: for the test set of each fold, the mean recall over its classes.
        settings: the settings of the models, and whether the models converged.
    """

    predicted: np.ndarray
    fold: np.ndarray
    balanced_accuracies: tuple[float, ...]
    settings: dict[str, Any]


def cross_validated(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    classifier: Classifier,
    groups: np.ndarray | None = None,
    held: np.ndarray | None = None,
    folds: int = 5,
    seed: int = 0,
    C: float = 1.0,
    trees: int = 500,
    max_iter: int = MAX_ITER,
    threads: int = 2,
    progress: Callable[[int], None] | None = None,
) -> CrossValidated:
    """Predict the class of each cell by a classifier that was fitted without the fold of the cell.

    `logistic` is a multinomial logistic regression with an L1 penalty. `forest` is a random forest that considers
    20 % of the features at each split; `histogram_forest` is the same with features in 256 bins, in about a quarter
    of the time. All weight classes inversely to their size. Columns are standardized with the mean and standard
    deviation of the training set. The paper states neither C nor the solver: here C has scikit-learn's default, and
    the solver saga fits all classes in one model.

    Args:
        features: (n, d) finite.
        labels: (n,) class of each cell.
        classifier: `logistic`, `forest` or `histogram_forest`.
        groups: (n,) group of each cell (an image). A group is never divided between training and test set (protocol
            `grouped_folds`). None: stratified folds of cells (protocol `folds`, as in the paper).
        held: (n,) bool, test cells; all others are training cells. Replaces folds and groups (protocol
            `held_images`). Only the test cells are predicted.
        folds: number of folds.
        seed: seed of the folds and the classifiers.
        C: inverse strength of the penalty of `logistic`.
        trees: number of trees of a forest.
        max_iter: maximum number of passes over the cells of `logistic`.
        threads: number of folds (logistic) or trees (forest) to fit in parallel.
        progress: called with the number of folds done.

    Raises:
        ShapeError: features, labels and groups differ in length.
        EvaluationError: a feature is not finite, a fold has fewer than two classes for training, or all classes have
            fewer cells, or there are fewer groups, than folds.

    >>> features, labels = np.repeat([[-1.0], [1.0]], 6, axis=0), np.repeat(["nucleus", "vacuole"], 6)
    >>> result = cross_validated(features, labels, classifier="logistic", folds=2, threads=1)
    >>> result.balanced_accuracies, bool((result.predicted == labels).all())
    ((1.0, 1.0), True)

    Source: paper, Supplementary Table 2.
    """
    require_rows(classifier, features, labels, groups)
    require_finite(classifier, features)
    if held is None:
        fold = _folds(labels, groups, folds, seed)
    else:
        fold, folds = np.where(held, 0, -1), 1
        _require_classes(labels[~held] if held.any() else labels[:0])
    predicted = np.empty_like(labels)
    classes, coded = np.unique(labels, return_inverse=True)  # the forest would take "7" for a number

    def fit(number: int) -> dict[str, Any]:
        training, test = fold != number, fold == number
        mean = features[training].mean(0, dtype=np.float64)
        spread = features[training].std(0, dtype=np.float64)
        points = ((features - mean) / np.where(spread > 0, spread, 1.0)).astype(np.float32)
        sets = points[training], coded[training], points[test]
        if classifier == "histogram_forest":
            predicted[test] = classes[_by_histograms(*sets, trees=trees, seed=seed, threads=threads)]
            return {}
        model = _model(classifier, C=C, trees=trees, max_iter=max_iter, seed=seed, threads=threads)
        model.fit(*sets[:2])
        predicted[test] = classes[model.predict(sets[2])]
        return {"iterations": int(model.n_iter_.max())} if classifier == "logistic" else {}

    done = []
    with _quiet(), ThreadPoolExecutor(threads if classifier == "logistic" else 1) as pool:
        for facts in pool.map(fit, range(folds)):
            done.append(facts)
            if progress is not None:
                progress(len(done))
    sizes = np.unique(labels, return_counts=True)[1]
    settings = {
        "classifier": classifier,
        "folds": folds,
        "grouped": groups is not None or held is not None,
        "seed": seed,
        "class_weight": "balanced",
        "classes_smaller_than_folds": int((sizes < folds).sum()),
        **_settings(classifier, C, trees, max_iter, [facts.get("iterations", 0) for facts in done]),
    }
    accuracies = [
        balanced_accuracy(labels[fold == number], predicted[fold == number]) for number in range(folds)
    ]
    return CrossValidated(predicted, fold, tuple(accuracies), settings)


def estimate_seconds(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    classifier: Classifier,
    folds: int = 5,
    seed: int = 0,
    C: float = 1.0,
    trees: int = 500,
    threads: int = 2,
) -> float:
    """Estimate the duration of `cross_validated` in seconds by fitting a sample of cells (and ten trees) once.

    The estimate assumes a time proportional to n for logistic regression, and to n log n for trees.
    """
    require_rows(classifier, features, labels)
    require_finite(classifier, features)
    n = len(features)
    sample = np.random.default_rng(seed).permutation(n)[:_SAMPLE_CELLS]
    points = features[sample].astype(np.float32)
    spread = points.std(0)
    points = (points - points.mean(0)) / np.where(spread > 0, spread, 1)
    _require_classes(labels[sample])
    coded = np.unique(labels[sample], return_inverse=True)[1]
    few = min(trees, _SAMPLE_TREES)
    if classifier == "histogram_forest":
        settings: dict[str, Any] = {"seed": seed, "threads": threads}
        _by_histograms(
            points[:99], coded[:99], points[:1], trees=1, **settings
        )  # compiled now, and not below
        start = time.perf_counter()
        _by_histograms(points, coded, points[:1], trees=few, **settings)
    else:
        model = _model(classifier, C=C, trees=few, max_iter=MAX_ITER, seed=seed, threads=threads)
        start = time.perf_counter()
        with _quiet():
            model.fit(points, coded)
    seconds = time.perf_counter() - start
    training = n * (folds - 1) / folds
    if classifier == "logistic":
        return seconds * training / len(sample) * math.ceil(folds / threads)
    growth = training * math.log2(max(training, 2)) / (len(sample) * math.log2(max(len(sample), 2)))
    return seconds * trees / few * growth * folds


def balanced_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Compute the mean recall over the classes in `truth`.

    >>> balanced_accuracy(np.array(["a", "a", "b"]), np.array(["a", "b", "b"]))
    0.75
    """
    hit = truth == predicted
    return float(np.mean([hit[truth == label].mean() for label in np.unique(truth)]))


def _model(classifier: Classifier, *, C: float, trees: int, seed: int, threads: int, max_iter: int) -> Any:
    if classifier == "logistic":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(
            solver="saga",
            l1_ratio=1.0,  # the L1 penalty
            C=C,
            tol=_TOLERANCE,
            max_iter=max_iter,
            class_weight="balanced",
            random_state=seed,
        )
    if classifier == "forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(
            trees, max_features=_MAX_FEATURES, class_weight="balanced", random_state=seed, n_jobs=threads
        )
    raise EvaluationError(
        "classifier",
        found=repr(classifier),
        required=" or ".join(get_args(Classifier)),
        remedy="Correct the spec.",
    )


def _by_histograms(
    training: np.ndarray, coded: np.ndarray, cells: np.ndarray, *, trees: int, seed: int, threads: int
) -> np.ndarray:
    """The class of each cell, by a histogram forest with balanced weights of the classes."""
    from pcip_core.evaluation.histogram_forest import forest_probabilities  # numba takes seconds

    present, counts = np.unique(coded, return_counts=True)
    weights = np.zeros(coded.max() + 1)
    weights[present] = len(coded) / (len(present) * counts)
    return forest_probabilities(
        training,
        coded,
        cells,
        weights=weights,
        trees=trees,
        max_features=_MAX_FEATURES,
        seed=seed,
        threads=threads,
    ).argmax(1)


def _settings(
    classifier: Classifier, C: float, trees: int, max_iter: int, iterations: list[int]
) -> dict[str, Any]:
    if classifier != "logistic":
        return {"trees": trees, "max_features": _MAX_FEATURES}
    return {
        "solver": "saga",
        "penalty": "l1",
        "C": C,
        "tolerance": _TOLERANCE,
        "max_iter": max_iter,
        "iterations": tuple(iterations),
        "converged": max(iterations) < max_iter,
    }


def _folds(labels: np.ndarray, groups: np.ndarray | None, folds: int, seed: int) -> np.ndarray:
    """Assign cells to folds: (n,) the fold in which each cell is tested."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    sizes = np.unique(labels, return_counts=True)[1]
    whole = len(labels) if groups is None else len(np.unique(groups))
    if folds < 2 or whole < folds or sizes.max() < folds:
        raise EvaluationError(
            "folds",
            found=f"{many(folds, 'fold')}, {many(len(labels), 'cell')}"
            + ("" if groups is None else f" in {many(whole, 'group')}")
            + f", {sizes.max(initial=0)} cells in the largest class",
            required="at least 2 folds, and at most as many as cells in the largest class, and as groups",
            remedy="Use fewer folds, or score more images.",
        )
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    fold = np.full(len(labels), -1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # counted in the settings
        splits = kind(folds, shuffle=True, random_state=seed).split(
            np.zeros((len(labels), 1)), labels, groups
        )
        for number, (training, test) in enumerate(splits):
            fold[test] = number
            _require_classes(labels[training] if len(test) else labels[:0])
    return fold


def _require_classes(labels: np.ndarray) -> None:
    if len(np.unique(labels)) < 2:
        raise EvaluationError(
            "folds",
            found="a fold without cells to test, or with one class in its training set",
            required="two classes in the training set of each fold",
            remedy="Use fewer folds, or score more images.",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the warning at max_iter, which the settings record instead."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
