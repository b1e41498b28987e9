"""A quick classifier on the labels of a user, and how certain it is of every other cell."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from pcip_core.browse.cells import BrowsedCells
from pcip_core.browse.labels import Labels
from pcip_core.browse.vectors import CellVectors
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.classifiers import balanced_accuracy
from pcip_core.features.checks import require_finite
from pcip_core.store import schemas

PREFIX = "predictions_"
_C = 0.05  # inverse strength of the L2 penalty: there are more features than labels
_FOLDS = 5
_MOST_PASSES = 500


@dataclass(frozen=True)
class Trained:
    """A classifier of cells, and what it says of all of them.

    Attributes:
        names: the k labels.
        probabilities: (n, k) float32 of each cell; NaN for a cell without a vector.
        n_labels: number of labelled cells that it was trained on.
        accuracy: balanced accuracy on labelled cells of images that were left out of the training; None where it
            cannot be estimated.
        note: how the accuracy was estimated, or why it was not.
        feature_set, encoder_version: the vectors.
    """

    names: list[str]
    probabilities: np.ndarray
    n_labels: int
    accuracy: float | None
    note: str
    feature_set: str
    encoder_version: str

    @cached_property
    def best(self) -> np.ndarray:
        """(n,) number of the most probable label; -1 for a cell without a vector."""
        described = np.isfinite(self.probabilities[:, 0])
        return np.where(described, np.where(described[:, None], self.probabilities, 0).argmax(1), -1)

    @cached_property
    def uncertainty(self) -> np.ndarray:
        """(n,) 1 less the difference between the two highest probabilities; NaN for a cell without a vector."""
        highest = np.partition(self.probabilities, -2, axis=1)[:, -2:]
        return 1 - (highest[:, 1] - highest[:, 0])


def train(cells: BrowsedCells, vectors: CellVectors, labels: Labels) -> Trained:
    """Train logistic regression on the labelled cells, and apply it to all cells.

    Features are standardized over all cells. Labels weigh inversely to their number.

    Raises:
        EvaluationError: fewer than two labels have cells with vectors, or a feature is not finite.
    """
    rows = np.flatnonzero((labels.code >= 0) & (vectors.place >= 0))
    code = labels.code[rows]
    present = np.unique(code)
    if len(present) < 2:
        raise EvaluationError(
            f"labels {labels.name}",
            found=f"{len(present)} label{'' if len(present) == 1 else 's'} with cells",
            required="cells of two or more labels",
            remedy="Label some cells that are different, for example `other`.",
        )
    points = vectors.standardized(rows).astype(np.float64)
    require_finite(f"labels {labels.name}", points)
    accuracy, note = _accuracy(points, code, cells.image[rows])
    model = _fitted(points, code)
    out = np.full((len(cells), len(present)), np.nan, np.float32)
    for cells_of_block, scores in vectors.projected(model.coef_.T):
        out[cells_of_block] = _probabilities(scores + model.intercept_.astype(np.float32))
    names = [labels.names[number] for number in present.tolist()]
    return Trained(names, out, len(rows), accuracy, note, vectors.name, vectors.versions)


def warm_up() -> None:
    """Import what training needs, which takes a second or two."""
    import sklearn.linear_model
    import sklearn.model_selection  # noqa: F401


def ranked(trained: Trained, among: np.ndarray, *, label: str | None = None) -> np.ndarray:
    """Cells in the order in which a user should look at them.

    Args:
        trained: the classifier.
        among: (m,) rows of cells; those without a vector are left out.
        label: the most probable cells of this label first; None: the most uncertain cells first.

    Raises:
        EvaluationError: the classifier does not know the label.
    """
    if label is None:
        value = trained.uncertainty[among]
    elif label in trained.names:
        value = trained.probabilities[among, trained.names.index(label)]
    else:
        raise EvaluationError(
            f"label {label}",
            found="a label that the classifier was not trained on",
            required=f"one of {', '.join(trained.names)}",
            remedy="Train again.",
        )
    known = np.isfinite(value)
    return among[known][np.argsort(-value[known], kind="stable")]


def predictions_table(cells: BrowsedCells, trained: Trained, code: str) -> pl.DataFrame:
    """The rows of `predictions_<name>`: one per cell with a vector. `code` is the version of pcip."""
    best = trained.best
    rows = np.flatnonzero(best >= 0)
    names = pl.Series(trained.names, dtype=pl.String)
    n = len(rows)
    return schemas.PREDICTIONS.frame(
        {
            "cell_id": cells.cell_id.gather(rows),
            "image_id": cells.images["image_id"].gather(cells.image[rows]),
            "label": names.gather(best[rows]),
            "probability": trained.probabilities[rows, best[rows]].astype(np.float64),
            "uncertainty": trained.uncertainty[rows].astype(np.float64),
            "feature_set": pl.repeat(trained.feature_set, n, dtype=pl.String, eager=True),
            "encoder_version": pl.repeat(trained.encoder_version, n, dtype=pl.String, eager=True),
            "code": pl.repeat(code, n, dtype=pl.String, eager=True),
        }
    )


def _fitted(points: np.ndarray, code: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_C, class_weight="balanced", max_iter=_MOST_PASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points, code)


def _probabilities(scores: np.ndarray) -> np.ndarray:
    """Probabilities of k labels, (m, k), from scores, (m, k), or (m, 1) for two labels, as in scikit-learn.

    >>> _probabilities(np.array([[0.0], [800.0]])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    from scipy.special import softmax

    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    return np.asarray(softmax(scores, axis=1))


def _accuracy(points: np.ndarray, code: np.ndarray, image: np.ndarray) -> tuple[float | None, str]:
    """Balanced accuracy by cross-validation over images, and how it was estimated."""
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = min(len(np.unique(image[code == number])) for number in np.unique(code))
    if fewest < 2:
        return None, "accuracy unknown: label cells of two or more images with each label"
    folds = min(_FOLDS, fewest)
    predicted = np.full(len(code), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # fewer cells of a label than folds
        parts = list(StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(points, code, image))
    for training, test in parts:
        if len(np.unique(code[training])) < 2:
            return None, "accuracy unknown: label cells of more images"
        predicted[test] = _fitted(points[training], code[training]).predict(points[test])
    return balanced_accuracy(code, predicted), f"{folds}-fold cross-validation, images kept whole"
