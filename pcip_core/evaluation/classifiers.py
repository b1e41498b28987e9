"""Logistic regression and random forest under cross-validation, as the paper's Supplementary Table 2 has them."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.features.checks import require_finite, require_rows

Classifier = Literal["logistic", "forest"]
_TOLERANCE = 1e-2  # of saga: a smaller one costs several times more and scores the same
MAX_ITER = 200
_TRIED_CELLS, _TRIED_TREES = 2000, 10


@dataclass(frozen=True)
class CrossValidated:
    """Predictions for each cell by a model that has not seen it.

    Attributes:
        predicted: (n,) classes.
        fold: (n,) the fold in which each cell was tested; -1 where it was only learned from.
        balanced_accuracies: of each fold's test set, the mean recall of the classes in it.
        settings: all that the models were made with, and whether they converged.
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
    """Predict each cell by a classifier that was fitted without its fold.

    `logistic` has an L1 penalty and is multinomial; `forest` tries 20 % of the features at each split. Both
    weigh classes by the inverse of their size. Columns are standardized by the training part alone. The
    paper names neither C nor the solver: C is scikit-learn's own, and saga fits all classes in one model.

    Args:
        features: (n, d) finite.
        labels: (n,) class of each cell.
        classifier: `logistic` or `forest`.
        groups: (n,) cells of one group (an image) are never on both sides of a fold (protocol
            `grouped_folds`); None makes stratified folds of cells (protocol `folds`, the paper's).
        held: (n,) bool, cells that are tested by all others, in place of folds and groups (protocol
            `held_images`); of the others nothing is predicted.
        folds: how many.
        seed: of the folds and the classifiers.
        C: inverse strength of the penalty of `logistic`.
        trees: of `forest`.
        max_iter: passes over the cells after which `logistic` stops.
        threads: folds (logistic) or trees (forest) fitted at a time.
        progress: called with the number of folds done.

    Raises:
        ShapeError: features, labels and groups differ in length.
        EvaluationError: a feature is not finite, or there are fewer than two classes to learn in a fold,
            or fewer cells of every class, or groups, than folds.

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
    classes, coded = np.unique(labels, return_inverse=True)  # scikit-learn's forest takes "7" for a number

    def fit(number: int) -> dict[str, Any]:
        training, test = fold != number, fold == number
        mean = features[training].mean(0, dtype=np.float64)
        spread = features[training].std(0, dtype=np.float64)
        points = ((features - mean) / np.where(spread > 0, spread, 1.0)).astype(np.float32)
        model = _model(classifier, C=C, trees=trees, max_iter=max_iter, seed=seed, threads=threads)
        model.fit(points[training], coded[training])
        predicted[test] = classes[model.predict(points[test])]
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
    """About how long `cross_validated` will take, by fitting a few thousand cells (or ten trees) once.

    Time grows as the cells for logistic regression, as n log n for trees.
    """
    require_rows(classifier, features, labels)
    require_finite(classifier, features)
    n = len(features)
    tried = np.random.default_rng(seed).permutation(n)[:_TRIED_CELLS]
    points = features[tried].astype(np.float32)
    spread = points.std(0)
    points = (points - points.mean(0)) / np.where(spread > 0, spread, 1)
    _require_classes(labels[tried])
    few = min(trees, _TRIED_TREES)
    model = _model(classifier, C=C, trees=few, max_iter=MAX_ITER, seed=seed, threads=threads)
    start = time.perf_counter()
    with _quiet():
        model.fit(points, np.unique(labels[tried], return_inverse=True)[1])
    seconds = time.perf_counter() - start
    training = n * (folds - 1) / folds
    if classifier == "logistic":
        return seconds * training / len(tried) * math.ceil(folds / threads)
    growth = training * math.log2(max(training, 2)) / (len(tried) * math.log2(max(len(tried), 2)))
    return seconds * trees / few * growth * folds


def balanced_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The mean recall of the classes in `truth`."""
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
            trees, max_features=0.2, class_weight="balanced", random_state=seed, n_jobs=threads
        )
    raise EvaluationError(
        "classifier", found=repr(classifier), required="logistic or forest", remedy="Correct the spec."
    )


def _settings(
    classifier: Classifier, C: float, trees: int, max_iter: int, iterations: list[int]
) -> dict[str, Any]:
    if classifier == "forest":
        return {"trees": trees, "max_features": 0.2}
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
    """(n,) the fold in which each cell is tested."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    sizes = np.unique(labels, return_counts=True)[1]
    whole = len(labels) if groups is None else len(np.unique(groups))
    if folds < 2 or whole < folds or sizes.max() < folds:
        raise EvaluationError(
            "folds",
            found=f"{folds} folds, {len(labels)} cells"
            + ("" if groups is None else f" in {whole} groups")
            + f", the largest class of {sizes.max(initial=0)}",
            required="2 folds or more, no more than cells of the largest class, or groups",
            remedy="Take fewer folds, or score more images.",
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
            found="a fold without cells to test, or with one class to learn from",
            required="two classes in the training part of each fold",
            remedy="Take fewer folds, or score more images.",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Reaching max_iter is told in the settings, not by a warning."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
