"""Labels that each occur in one image only: what cannot be scored is named, and all else is scored."""

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from pcip_assets.assets.benchmarks import classifiers, knn
from pcip_assets.assets.benchmarks.scoring import Scores, protocols_not_scored, without_labels
from pcip_core.evaluation.labelled import LabelledCells

N = 24


@pytest.fixture
def cells() -> LabelledCells:
    """Two images with a label each, of two fields."""
    labels = np.repeat(["a", "b"], N // 2)
    fields = np.tile(["1", "2"], N // 2)
    return LabelledCells(pl.Series([str(number) for number in range(N)]), labels, labels, fields)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A screen with one feature set, which separates the labels."""
    vectors = np.linspace(0, 1, N, dtype=np.float32)[:, None] + (np.arange(N) >= N // 2)[:, None] * 9
    for module in (knn, classifiers):
        monkeypatch.setattr(module, "vectors_of", lambda *_: (vectors, None))
    monkeypatch.setattr(knn, "column_weights", lambda *_: None)
    benchmark = SimpleNamespace(
        label="localization", protocols=("leave_image_out", "leave_cell_out"), ks=(1,)
    )
    baselines = SimpleNamespace(models=["logistic"], folds=2, trees=5, seed=0)
    return SimpleNamespace(name="tiny", benchmark=benchmark, baselines=baselines)


def test_knn_scores_the_other_protocols(screen: Any, cells: LabelledCells) -> None:
    scores = Scores()
    assert without_labels(cells, screen) == {}
    knn._score(None, screen, "x", cells, scores)  # type: ignore[arg-type]
    assert {row["protocol"] for row in scores.rows} == {"leave_cell_out"}
    ((name, reason),) = protocols_not_scored(cells, screen).items()
    assert name == "not_scored: leave_image_out"
    assert reason == (
        "each label occurs in one image only, so that leave_image_out has nothing to compare with; "
        "set benchmark: {protocols: [leave_field_out]} or label more images"
    )
    screen.benchmark.protocols = ("leave_field_out",)  # as the sentence says
    scores = Scores()
    knn._score(None, screen, "x", cells, scores)  # type: ignore[arg-type]
    assert [row["value"] for row in scores.rows if row["metric"] == "balanced_accuracy"] == [1.0]
    assert protocols_not_scored(cells, screen) == {}


def test_classifiers_score_folds_of_cells(screen: Any, cells: LabelledCells) -> None:
    scores, log = Scores(), logging.getLogger("classifiers")
    settings, reasons = classifiers._score(None, screen, "x", cells, scores, log)  # type: ignore[arg-type]
    assert set(settings) == {"logistic folds"}
    assert list(reasons) == ["grouped_folds"]
    screen.baselines.folds = N  # more than the cells of a class
    settings, reasons = classifiers._score(None, screen, "x", cells, Scores(), log)  # type: ignore[arg-type]
    assert settings == {}
    assert "Use fewer folds" in reasons["logistic folds"]
    ((one, two),) = [classifiers.refusals({"x": reasons, "y": reasons})]
    assert one == f"not scored: grouped_folds of 2 feature sets: {reasons['grouped_folds']}"
    assert two == f"not scored: logistic folds of 2 feature sets: {reasons['logistic folds']}"


def test_one_cell_of_each_label(screen: Any) -> None:
    names = np.array(["a", "b"])
    alone = LabelledCells(pl.Series(["1", "2"]), names, names, names)
    assert "one cell only" in without_labels(alone, screen)["not_scored"]


def test_a_single_label_has_no_scores(screen: Any, cells: LabelledCells) -> None:
    """Any features would score 1, as each prediction would be the only label."""
    single = LabelledCells(
        cells.cell_ids, np.full(N, "a"), cells.labels, cells.fields, {"cells_with_several_labels": 89}
    )
    assert without_labels(single, screen)["not_scored"] == (
        "only the label a occurs in two cells or more, so that under leave_cell_out any features would score 1; "
        "label more images of other classes, or name another column in benchmark.label (89 cells with several labels "
        "not among them)"
    )
    scores = Scores()
    knn._score(None, screen, "x", single, scores)  # type: ignore[arg-type]
    assert scores.rows == []
    none = LabelledCells(pl.Series([], dtype=pl.String), *[np.array([], dtype=str)] * 3, single.left_out)
    assert "89 cells with several" in without_labels(none, screen)["not_scored"]
