"""The quick classifier, against scikit-learn on the whole matrix and against the true classes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pcip_core.browse.classifier import Trained, predictions_table, ranked, train
from pcip_core.browse.labels import Labels, Version
from pcip_core.browse.vectors import CellVectors
from pcip_core.errors import EvaluationError
from pcip_core.features.scaling import standardize
from tests.core.browse.conftest import SET, Browsed

VERSION = Version("ada", "c0de", SET, "tiny/1")


def taught(browsed: Browsed, each: int = 8) -> tuple[Labels, np.ndarray]:
    """Labels of some cells of both classes, and whether each cell is nuclear."""
    cells = browsed.cells
    nuclear = (cells.column("localization") == "Nucleoplasm").to_numpy()
    labels = Labels(cells, "manual")
    for name, members in (("in", np.flatnonzero(nuclear)), ("out", np.flatnonzero(~nuclear))):
        labels.give(members[:: len(members) // each][:each], name, VERSION)
    return labels, nuclear


def test_probabilities_are_those_of_scikit_learn(browsed: Browsed) -> None:
    cells = browsed.cells
    labels, nuclear = taught(browsed)
    trained = train(cells, CellVectors(cells, SET, browsed.folder), labels)
    points = standardize(CellVectors(cells, SET, browsed.folder).features)
    given = np.flatnonzero(labels.code >= 0)
    model = LogisticRegression(C=0.05, class_weight="balanced", max_iter=500).fit(
        points[given], labels.code[given]
    )
    assert np.allclose(trained.probabilities, model.predict_proba(points), atol=1e-4)
    assert trained.names == ["in", "out"]
    assert ((trained.best == 0) == nuclear).mean() > 0.85
    assert 0.8 <= (trained.accuracy or 0) <= 1
    assert (trained.n_labels, trained.feature_set, trained.encoder_version) == (16, SET, "tiny/1")
    assert "cross-validation" in trained.note


def test_ranking_by_uncertainty_and_by_probability() -> None:
    probabilities = np.array([[0.9, 0.1], [0.45, 0.55], [np.nan, np.nan], [0.2, 0.8]], np.float32)
    trained = Trained(["a", "b"], probabilities, 2, None, "", SET, "v")
    everything = np.arange(4)
    assert np.allclose(trained.uncertainty, [0.2, 0.9, np.nan, 0.4], equal_nan=True)
    assert ranked(trained, everything).tolist() == [1, 3, 0]
    assert ranked(trained, everything, label="a").tolist() == [0, 1, 3]
    assert ranked(trained, np.array([3, 0]), label="b").tolist() == [3, 0]
    assert trained.best.tolist() == [0, 1, -1, 1]
    with pytest.raises(EvaluationError, match="required: one of a, b"):
        ranked(trained, everything, label="c")


def test_predictions_are_of_all_cells_with_a_vector(browsed: Browsed) -> None:
    store, table = browsed.store, f"cell_features_{SET}"
    labels, _ = taught(browsed)
    rows = store.read("tiny", table, shards=["plate_2"])
    store.commit("tiny", {table: rows.head(20)}, shard="plate_2")
    cells = browsed.cells
    trained = train(cells, CellVectors(cells, SET, browsed.folder), labels)
    predictions = predictions_table(cells, trained, "c0de")
    assert predictions["cell_id"].to_list() == cells.cell_id.head(56).to_list()
    best = trained.probabilities[:56]
    assert np.allclose(predictions["probability"], best.max(1))
    assert predictions["label"].to_list() == [trained.names[number] for number in best.argmax(1)]
    assert set(predictions["code"]) == {"c0de"}


def test_accuracy_needs_images_for_each_label(browsed: Browsed) -> None:
    cells = browsed.cells
    labels = Labels(cells, "manual")
    labels.give(np.array([0, 1, 2]), "in", VERSION)  # of one image
    with pytest.raises(
        EvaluationError, match="found 1 label with cells; required: cells of two or more labels"
    ):
        train(cells, CellVectors(cells, SET, browsed.folder), labels)
    labels.give(np.array([9, 10, 11]), "out", VERSION)
    trained = train(cells, CellVectors(cells, SET, browsed.folder), labels)
    assert trained.accuracy is None
    assert "two or more images" in trained.note


def test_distances_are_those_of_pcip_like(original: Browsed) -> None:
    from pcip_core.analysis.similar import nearest

    vectors = CellVectors(original.cells, SET, original.folder)
    order = np.argsort(vectors.distances(np.array([7])), kind="stable")
    assert order[0] == 7
    assert order[1:].tolist() == nearest(vectors.features, [7], 71).rows.tolist()
