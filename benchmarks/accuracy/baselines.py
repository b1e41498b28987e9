"""Do the feature sets rank as in the paper: supervised above inpainting, inpainting above autoencoder and controls?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.common.harness import Row
from benchmarks.common.screens import Rows, compared
from pcip_assets.workspace import REPOSITORY
from pcip_core.features.names import split_name

DESCRIPTION = "every feature set by every classifier, on larger simulated screens and on real labelled cells"
SECONDS = 2400
LONG = True
_REAL = REPOSITORY.parent / "shared" / "data"
_METHODS = ("inpainting", "autoencoder", "untrained", "classic", "designed", "intensity")
_WAYS = (  # classifier, parameter (None: any), protocol
    ("knn", "k=11", "leave_image_out"),
    ("knn", "k=11", "leave_cell_out"),
    ("logistic", None, "grouped_folds"),
    ("forest", None, "grouped_folds"),
)


def run() -> list[Row]:
    """Each screen in a workspace of its own, its scores read by SQL."""
    rows: list[Row] = []
    for name in ("simulated_human", "simulated_yeast"):
        with compared(name) as scores:
            about = f"{name}, larger (SIMULATED images)"
            rows += [*_scores(scores, about), *_order(scores, about), *_supervised(scores, about)]
    root = _REAL / "human_labelled_cells"
    if not root.is_dir():
        return [*rows, Row("human_labelled_cells: not run, its images cannot be distributed", value=None)]
    with compared("human_labelled_cells", root=str(root)) as scores:
        about = "human_labelled_cells (real images)"
        rows += [*_scores(scores, about), *_order(scores, about), *_supervised(scores, about)]
    return rows


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
