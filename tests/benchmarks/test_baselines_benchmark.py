"""`pcip bench baselines`: VGG16 stands among the feature sets where its weights are."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from benchmarks.accuracy import baselines
from benchmarks.common.screens import Compared


@pytest.fixture
def asked(monkeypatch):
    """What the benchmark asks to be run, with scores of two methods instead."""
    asked = {}

    @contextmanager
    def compared(name, *, root=None, **changes):
        asked[name] = changes
        row = {"classifier": "knn", "parameter": "k=11", "protocol": "leave_image_out", "label": None, "n": 9}
        row |= {"metric": "balanced_accuracy", "low": None, "high": None}
        scores = [row | {"feature_set": "vgg16_protein_block4_conv1", "value": 0.5}] if changes else []
        yield Compared(name, None, scores)

    monkeypatch.setattr(baselines, "compared", compared)
    return asked


def test_vgg16_is_run_with_the_other_sets_where_its_weights_are(tmp_path, monkeypatch, asked):
    monkeypatch.setattr(baselines, "_REAL", tmp_path)
    (tmp_path / "human_labelled_cells").mkdir()
    rows = baselines.run()
    assert "vgg16: not run, its weights are not there" in rows[0].what
    assert asked == {key: {} for key in ("simulated_human", "simulated_yeast", "human_labelled_cells")}
    weights = tmp_path / baselines.VGG16_FILE
    weights.parent.mkdir()
    weights.touch()
    rows = baselines.run()
    assert [(row.what, row.value) for row in rows] == [
        (f"{name}: vgg16_protein_block4_conv1, knn k=11, leave_image_out", 0.5)
        for name in (
            "simulated_human, larger (SIMULATED images)",
            "simulated_yeast, larger (SIMULATED images)",
            "human_labelled_cells (real images)",
        )
    ]
    for name, changes in asked.items():
        assert changes["sets"][-1] == "vgg16", name
        assert changes["vgg16"] == {"weights": str(weights)}
