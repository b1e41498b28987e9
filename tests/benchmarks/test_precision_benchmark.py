"""The benchmark of precision: its rows at a tiny size, how scores are judged, and its figure."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.accuracy import precision
from benchmarks.accuracy.precision import WAYS, Trained
from benchmarks.common import precision_figure
from benchmarks.speed.training import network


def of_scores(full: list[float], short: list[float]) -> dict[str, list[Trained]]:
    """Trainings with these scores in float32 and in bf16, and losses of two epochs."""
    return {
        name: [Trained([0.2, value / 10], dict.fromkeys(WAYS, value)) for value in values]
        for name, values in (("float32", full), ("bf16", short))
    }


def test_rows_of_a_width() -> None:
    rows = {
        row.what.partition(",")[0]: row
        for row in precision.width_rows(
            network(("nucleus", "protein"), 0.06, 16), batch=4, cells=12, repeats=1
        )
    }
    for what in ("training step in bf16", "extraction of conv1 to conv5 in bf16"):
        value, against, ratio = rows[what].value, rows[what].against_value, rows[what].ratio
        assert value is not None
        assert against is not None
        assert ratio == pytest.approx(value / against)
    assert rows["features in bf16"].held
    assert rows["loss of the first pairs in bf16"].held


@pytest.mark.parametrize(
    ("short", "held"), [([0.60, 0.63, 0.60], True), ([0.50, 0.53, 0.51], False), ([0.40, 0.50, 0.64], True)]
)
def test_means_are_judged_by_the_range_of_the_seeds(short: list[float], *, held: bool) -> None:
    row = precision.score_row("a", WAYS[0], of_scores([0.60, 0.62, 0.65], short), 100)
    assert row.held is held
    assert row.value == pytest.approx(sum(short) / 3)
    assert row.against_value == pytest.approx(1.87 / 3)


def test_the_figure_shows_the_curves(tmp_path: Path) -> None:
    found = of_scores([0.5, 0.6, 0.7], [0.5, 0.6, 0.8])
    rows = list(precision.curve_rows("some screen (real images, 9 cells, 2 epochs)", found))
    results = tmp_path / "precision.json"
    results.write_text(json.dumps({"rows": [asdict(row) for row in rows]}))
    curves = precision_figure.read_curves(results)
    (about,) = curves
    assert curves[about]["bf16"] == [(1, 0.2, 0.2, 0.2), (2, pytest.approx(0.19 / 3), 0.05, 0.08)]
    (axes,) = precision_figure.draw(curves).axes
    assert [line.get_label() for line in axes.lines] == ["float32", "bf16"]
    assert axes.get_title() == "some screen\n(real images, 9 cells, 2 epochs)"


def test_without_native_bf16_or_images_the_rows_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(precision, "speed_rows", list)
    monkeypatch.setattr(precision, "multiplies_bf16", lambda _: False)
    assert all("not run: nothing here multiplies bf16" in row.what for row in precision.run())
    monkeypatch.setattr(precision, "multiplies_bf16", lambda _: True)
    monkeypatch.setattr(precision, "_REAL", tmp_path)
    monkeypatch.setattr(precision, "cells_of", lambda *_: None)
    monkeypatch.setattr(precision, "screen_rows", lambda *_, **__: [])
    (row,) = precision.run()
    assert "human_labelled_cells: not run: its images cannot be distributed" in row.what
