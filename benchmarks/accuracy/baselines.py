"""Do the feature sets rank as in the paper: supervised above inpainting, inpainting above autoencoder and controls?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import yaml

from benchmarks.common.encoder_features import VGG16_FILE
from benchmarks.common.harness import Row
from benchmarks.common.screens import Compared, Rows, compared
from pcip_assets.workspace import REPOSITORY
from pcip_core.evaluation.classifiers import cross_validated
from pcip_core.features.names import split_name
from pcip_core.spec.baselines import Classifier
from pcip_core.spec.templates import TEMPLATES
from pcip_core.store.images import Images
from pcip_core.store.vectors import features_of

DESCRIPTION = "every feature set by every classifier, on larger simulated screens and on real labelled cells"
SECONDS = 2700
LONG = True
_REAL = REPOSITORY.parent / "shared" / "data"
_SEEDS = 5
_METHODS = ("inpainting", "autoencoder", "untrained", "classic", "designed", "vgg16_protein", "intensity")
_WAYS = (  # classifier, parameter (None: any), protocol
    ("knn", "k=11", "leave_image_out"),
    ("knn", "k=11", "leave_cell_out"),
    ("logistic", None, "grouped_folds"),
    ("forest", None, "grouped_folds"),
)


def run() -> list[Row]:
    """Each screen in a workspace of its own, its scores read by SQL."""
    rows: list[Row] = []
    if not (_REAL / VGG16_FILE).is_file():
        rows.append(Row(f"vgg16: not run, its weights are not there ({VGG16_FILE})", value=None))
    for name in ("simulated_human", "simulated_yeast"):
        with compared(name, **_with_vgg16(name)) as screen:
            rows += _rows(screen, f"{name}, larger (SIMULATED images)")
    root = _REAL / "human_labelled_cells"
    if not root.is_dir():
        return [*rows, Row("human_labelled_cells: not run, its images cannot be distributed", value=None)]
    with compared("human_labelled_cells", root=str(root), **_with_vgg16("human_labelled_cells")) as screen:
        return [*rows, *_rows(screen, "human_labelled_cells (real images)")]


def _with_vgg16(name: str) -> dict[str, Any]:
    """Changes to the section `baselines` of a screen that add VGG16; none without its weights."""
    weights = _REAL / VGG16_FILE
    if not weights.is_file():
        return {}
    sets = yaml.safe_load(TEMPLATES[name].read_text())["baselines"]["sets"]
    return {"sets": [*sets, "vgg16"], "vgg16": {"weights": str(weights)}}


def _rows(screen: Compared, about: str) -> Iterator[Row]:
    yield from _scores(screen.scores, about)
    yield from _order(screen.scores, about)
    yield from _supervised(screen.scores, about)
    yield from _forests(screen, about)


def _forests(screen: Compared, about: str) -> Iterator[Row]:
    """The histogram forest beside the forest, on the best inpainting layer: scores and processor time, in turns."""
    best = _best(screen.scores, "inpainting", "knn", "k=11", "leave_image_out")
    if best is None:
        return
    features, labels, images = _labelled(screen, best["feature_set"])
    names: tuple[Classifier, ...] = ("forest", "histogram_forest")
    scores: dict[str, list[float]] = {name: [] for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(_SEEDS):
        for name in names:
            began = time.process_time()
            done = cross_validated(features, labels, classifier=name, groups=images, seed=seed)
            seconds[name].append(time.process_time() - began)
            scores[name].append(float(np.mean(done.balanced_accuracies)))
    theirs, ours = (np.array(scores[name]) for name in names)
    spread = float(max(np.ptp(theirs), np.ptp(ours)))
    difference = float(ours.mean() - theirs.mean())
    what = f"{about}: histogram_forest, {best['feature_set']}, grouped_folds, mean of {_SEEDS} seeds"
    yield Row(
        what=f"{what}: difference from forest",
        value=difference,
        unit="balanced accuracy",
        against="forest; the spread is that of its seeds",
        against_value=float(theirs.mean()),
        n=len(labels),
        spread=(float(theirs.min()), float(theirs.max())),
        aim="within the spread of the seeds",
        held=abs(difference) <= spread,
    )
    taken = [float(np.median(seconds[name])) for name in names]
    yield Row(
        what=f"{what}: processor time",
        value=taken[1],
        unit="s",
        against="forest",
        against_value=taken[0],
        ratio=taken[1] / taken[0],
        n=_SEEDS,
        aim="less than half",
        held=taken[1] < 0.5 * taken[0],
    )


def _labelled(screen: Compared, feature_set: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, label and image of the cells with one label; columns that vary."""
    table = screen.store.read(screen.screen, f"cell_features_{feature_set}")
    terms = Images.of(screen.store, screen.screen).terms_of
    labels = [terms[image] for image in table["image_id"]]
    kept = np.array([len(label) == 1 for label in labels])
    features = features_of(table)[kept]
    chosen = np.array([label[0] for label in labels if len(label) == 1])
    return features[:, features.std(0) > 0], chosen, table["image_id"].to_numpy()[kept]


def _best(
    scores: Rows, method: str, classifier: str, parameter: str | None, protocol: str
) -> dict[str, Any] | None:
    """The row of a method's best feature set."""
    found = [
        row
        for row in scores
        if _is(row, classifier, parameter, protocol) and split_name(row["feature_set"])[::2] == (method, None)
    ]
    return max(found, key=lambda row: row["value"], default=None)


def _scores(scores: Rows, about: str) -> Iterator[Row]:
    for classifier, parameter, protocol in _WAYS:
        for method in _METHODS:
            row = _best(scores, method, classifier, parameter, protocol)
            if row is not None:
                yield Row(
                    what=f"{about}: {row['feature_set']}, {classifier} {row['parameter']}, {protocol}",
                    value=row["value"],
                    unit="balanced accuracy",
                    n=row["n"],
                    spread=None if row["low"] is None else (row["low"], row["high"]),
                )


def _order(scores: Rows, about: str) -> Iterator[Row]:
    """Inpainting's best layer against the best of each other method, by 11-NN, images left out."""
    way = ("knn", "k=11", "leave_image_out")
    ours = _best(scores, "inpainting", *way)
    for method in ("autoencoder", "intensity", "untrained", "classic", "designed"):
        theirs = _best(scores, method, *way)
        if ours is not None and theirs is not None:
            yield _above(about, ours, theirs, expected=method in ("autoencoder", "intensity"))


def _supervised(scores: Rows, about: str) -> Iterator[Row]:
    """On the images that the supervised network has not seen."""
    way = ("knn", "k=11", "held_images")
    ours = _best(scores, "inpainting", *way)
    theirs = next((row for row in scores if row["feature_set"] == "supervised_fc2" and _is(row, *way)), None)
    end = next(
        (row for row in scores if row["classifier"] == "end_to_end" and row["metric"] == "balanced_accuracy"),
        None,
    )
    if ours is None or theirs is None or end is None:
        return
    yield _above(about, theirs, ours, expected=True)
    for row in (end, *(row for row in scores if _is(row, "logistic", None, "held_images"))):
        yield Row(
            what=f"{about}: {row['feature_set']}, {row['classifier']}, held images",
            value=row["value"],
            unit="balanced accuracy",
            n=row["n"],
        )


def _is(row: dict[str, Any], classifier: str, parameter: str | None, protocol: str) -> bool:
    return (
        row["label"] is None
        and row["metric"] == "balanced_accuracy"
        and (row["classifier"], row["protocol"]) == (classifier, protocol)
        and parameter in (None, row["parameter"])
    )


def _above(about: str, one: dict[str, Any], other: dict[str, Any], *, expected: bool) -> Row:
    return Row(
        what=f"{about}: {one['feature_set']} above {other['feature_set']}, 11-NN, {one['protocol']}",
        value=one["value"],
        unit="balanced accuracy",
        against=other["feature_set"],
        against_value=other["value"],
        ratio=one["value"] / other["value"],
        n=one["n"],
        aim="above" if expected else None,
        held=one["value"] > other["value"] if expected else None,
    )
