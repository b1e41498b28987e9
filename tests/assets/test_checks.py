"""Checks over all shards, which read a block at a time, on stores in which it is known what they must find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pcip_assets.assets.feature_sets import INPAINTING
from pcip_assets.checks import features_finite, features_vary, no_duplicate_cells
from pcip_core.spec.screen import Screen, load_screen
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import feature_table
from tests.conftest import write_tiny_screen


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    return load_screen(write_tiny_screen(tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_twins_are_named_wherever_they_lie(screen: Screen, store: Store) -> None:
    hashes = {"p1": ["a", "b", "c"], "p2": [], "p3": ["d", "b"], "p4": ["b", "e", "a"]}
    for shard, own in hashes.items():
        ids = [f"{shard} {place}" for place in range(len(own))]
        table = pl.DataFrame({"cell_id": ids, "pixel_hash": own})
        store.commit(screen.name, {"cells": table}, shard=shard)
    found = no_duplicate_cells(store, screen, None)
    assert not found.passed
    assert found.metadata["first_offenders"].value == ["p3 1 = p1 1", "p4 0 = p1 1", "p4 2 = p1 0"]
    store.remove(screen.name, "cells", "p1")
    store.remove(screen.name, "cells", "p4")
    assert no_duplicate_cells(store, screen, None).passed


def commit_features(store: Store, screen: Screen, vectors: np.ndarray, first: int) -> None:
    ids = {"cell_id": [f"c{first + row}" for row in range(len(vectors))]}
    tables = {f"cell_features_{name}": feature_table(ids, vectors) for name in INPAINTING}
    store.commit(screen.name, tables, shard=f"p{first}")


def test_features_are_finite_and_vary_over_shards_together(screen: Screen, store: Store) -> None:
    one = np.full((3, 4), 7, np.float32)
    commit_features(store, screen, one, 0)
    collapsed = features_vary(store, screen, None)
    assert collapsed.metadata["offenders"].value == len(INPAINTING)
    commit_features(store, screen, one + np.float32([0, 0, 1, 1]), 3)  # constant in each shard, not in both
    varied = features_vary(store, screen, None)
    assert varied.passed
    assert set(varied.metadata["share_that_vary"].value.values()) == {0.5}
    assert features_finite(store, screen, None).passed
    bad = one.copy()
    bad[2, 1] = np.inf
    commit_features(store, screen, bad, 6)
    found = features_finite(store, screen, None)
    assert found.metadata["first_offenders"].value == [f"{name}: c8" for name in INPAINTING]
