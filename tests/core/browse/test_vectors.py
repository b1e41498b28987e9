"""Vectors in memory, in a file and from the store: the same numbers, and nothing of former ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pcip_core.browse import vectors as module
from pcip_core.browse.kept import KeptVectors
from pcip_core.browse.maps import principal_components
from pcip_core.browse.progress import Progress
from pcip_core.browse.vectors import CellVectors, remove_old
from pcip_core.errors import EvaluationError, StoreError, WriteError
from pcip_core.features.blocks import groups_of
from pcip_core.store.vectors import feature_table, features_of
from tests.core.browse.conftest import SET, Browsed

TABLE = f"cell_features_{SET}"


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every set is too large for memory."""
    monkeypatch.setattr(module, "IN_MEMORY", 0)


def replace_vectors(browsed: Browsed, vectors: np.ndarray, *, shard: str = "plate_1", version: str) -> None:
    rows = browsed.store.read("tiny", TABLE, shards=[shard])
    ids = {"cell_id": rows["cell_id"], "image_id": rows["image_id"]}
    ids["encoder_version"] = pl.Series([version] * rows.height)
    browsed.store.commit("tiny", {TABLE: feature_table(ids, vectors)}, shard=shard)


def test_a_file_gives_what_memory_gives(browsed: Browsed, monkeypatch: pytest.MonkeyPatch) -> None:
    cells, store = browsed.cells, browsed.store
    short = store.read("tiny", TABLE, shards=["plate_2"]).reverse().head(30)  # in another order, and fewer
    store.commit("tiny", {TABLE: short}, shard="plate_2")
    whole = CellVectors(cells, SET, browsed.folder)
    assert isinstance(whole.features, np.ndarray)
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    monkeypatch.setattr(module, "_ROWS", 7)
    kept = CellVectors(cells, SET, browsed.folder)
    assert isinstance(kept.features, KeptVectors)
    stored = features_of(store.read("tiny", TABLE))
    assert np.array_equal(np.concatenate(list(kept.features.blocks())), stored)
    present = np.flatnonzero(whole.place >= 0)
    assert len(present) == 66
    exact = (stored - stored.mean(0, dtype=float)) / np.where(
        np.ptp(stored, 0) == 0, 1, stored.std(0, dtype=float)
    )
    rows = present[[60, 0, 5]]
    for vectors in (whole, kept):
        assert np.allclose(vectors.standardized(rows), exact[whole.place[rows]], atol=1e-5)
        distance = vectors.distances(rows)
        wanted = np.linalg.norm(exact[whole.place[present]] - exact[whole.place[rows]].mean(0), axis=1)
        assert np.allclose(distance[present], wanted, atol=1e-5)
        assert np.isinf(np.delete(distance, present)).all()
        weights = np.random.default_rng(0).normal(size=(6, 2))
        found = np.full((72, 2), np.nan)
        for of_cells, projected in vectors.projected(weights):
            found[of_cells] = projected
        assert np.allclose(found[present], exact[whole.place[present]] @ weights, atol=1e-4)
    assert np.array_equal(principal_components(whole.features), principal_components(kept.features))
    group = np.random.default_rng(1).integers(-1, 4, 66)
    for of_file, wanted in zip(kept.features.groups(group), groups_of(stored, group), strict=True):
        assert np.array_equal(of_file, wanted)
    with pytest.raises(EvaluationError, match="found no vector of 1 cell"):
        kept.standardized(np.flatnonzero(whole.place < 0)[:1])


def test_a_file_is_made_once_and_again_after_a_change(
    browsed: Browsed, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    keep = module.keep
    monkeypatch.setattr(module, "keep", lambda *values: made.append("made") or keep(*values))
    first = CellVectors(browsed.cells, SET, browsed.folder)
    CellVectors(browsed.cells, SET, browsed.folder)
    assert made == ["made"]
    before = first.distances(np.array([3]))
    replace_vectors(browsed, np.random.default_rng(0).normal(size=(36, 6)), version="tiny/2")
    second = CellVectors(browsed.cells, SET, browsed.folder)
    assert len(made) == 2
    assert (first.versions, second.versions) == ("tiny/1", "tiny/1, tiny/2")
    assert np.array_equal(first.distances(np.array([3])), before)  # of the file that it has open
    assert not np.allclose(second.distances(np.array([3])), before)


@pytest.mark.parametrize(
    "change", [lambda data: data[:-5], lambda data: b"", lambda data: data[:-3] + b"no}"]
)
def test_a_damaged_file_is_made_again(browsed: Browsed, large: None, change) -> None:
    wanted = CellVectors(browsed.cells, SET, browsed.folder).distances(np.array([3]))
    (file,) = browsed.folder.glob("vectors.*")
    file.write_bytes(change(file.read_bytes()))
    again = CellVectors(browsed.cells, SET, browsed.folder)
    assert np.array_equal(again.distances(np.array([3])), wanted)


def test_a_folder_that_cannot_be_written_is_done_without(
    browsed: Browsed, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*values: object) -> None:
        raise WriteError("file", found="a full disk", required="space", remedy="Free some.")

    wanted = CellVectors(browsed.cells, SET, browsed.folder)
    monkeypatch.setattr(module, "keep", full)
    streamed = CellVectors(browsed.cells, SET, browsed.folder / "other")
    assert not isinstance(streamed.features, np.ndarray | KeptVectors)
    rows = np.array([60, 0])
    assert np.array_equal(streamed.standardized(rows), wanted.standardized(rows))
    assert np.array_equal(streamed.distances(rows), wanted.distances(rows))


def test_a_run_that_replaces_vectors_meanwhile_is_noticed(
    browsed: Browsed, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = module.keep

    def replaced(*values: object) -> KeptVectors:
        kept = keep(*values)
        replace_vectors(browsed, np.zeros((36, 6)), version="tiny/2")
        return kept

    monkeypatch.setattr(module, "keep", replaced)
    with pytest.raises(StoreError, match="a run has replaced"):
        CellVectors(browsed.cells, SET, browsed.folder)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_vector_that_is_not_finite_is_an_error(
    browsed: Browsed, monkeypatch: pytest.MonkeyPatch, *, in_memory: bool
) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 1 << 20 if in_memory else 0)
    replace_vectors(browsed, np.full((36, 6), np.nan), version="tiny/1")
    with pytest.raises(EvaluationError, match=f"tiny: feature set {SET}: found 36 cells with NaN"):
        CellVectors(browsed.cells, SET, browsed.folder)
    assert list(browsed.folder.glob("vectors.*")) == []


def test_files_of_sets_that_are_no_more_are_removed(tmp_path: Path) -> None:
    for name in ("vectors.a.f32", "vectors.b.f32", "cells.b.pca.npz"):
        (tmp_path / name).touch()
    remove_old(tmp_path, ["a"])
    assert sorted(os.listdir(tmp_path)) == ["cells.b.pca.npz", "vectors.a.f32"]  # noqa: PTH208


def test_progress_is_that_of_the_reading(browsed: Browsed, large: None) -> None:
    seen: list[dict[str, str | float]] = []

    class Watched(Progress):
        def of(self, what: str, total: int):
            return _watched(super().of(what, total), lambda: seen.append(self.state()))

    CellVectors(browsed.cells, SET, browsed.folder, Watched())
    assert seen == [
        {"what": "reading 72 vectors", "share": 0.5},
        {"what": "reading 72 vectors", "share": 1.0},
    ]


class _watched:
    """A task of which each step is watched."""

    def __init__(self, task, watch) -> None:
        self.task, self.watch = task, watch

    def __enter__(self):
        step = self.task.__enter__()
        return lambda more: (step(more), self.watch())

    def __exit__(self, *error: object) -> None:
        self.task.__exit__(*error)
