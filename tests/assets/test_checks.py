"""Checks over all shards, which read a block at a time, on stores in which it is known what they must find."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pcip_assets.assets.feature_sets import INPAINTING
from pcip_assets.checks import build_checks
from pcip_core.spec.screen import Screen, load_screen
from pcip_core.store import schemas
from pcip_core.store.partitions import Store
from tests.conftest import write_tiny_screen


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    return load_screen(write_tiny_screen(tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def checked(name: str, screen: Screen, store: Store, *, with_context: bool = True) -> Any:
    (check,) = (one for one in build_checks(screen) if one.check_key.name == name)
    run = {"context": SimpleNamespace(run=SimpleNamespace(tags={}))} if with_context else {}
    return check.op.compute_fn.decorated_fn(**run, library=SimpleNamespace(store=store))  # type: ignore[union-attr]


def test_twins_are_named_wherever_they_lie(screen: Screen, store: Store) -> None:
    hashes = {"p1": ["a", "b", "c"], "p2": [], "p3": ["d", "b"], "p4": ["b", "e", "a"]}
    for shard, own in hashes.items():
        ids = [f"{shard} {place}" for place in range(len(own))]
        table = schemas.CELLS.frame({"cell_id": ids, "pixel_hash": own})
        store.commit(screen.name, {"cells": table}, shard=shard)
    found = checked("no_duplicate_cells", screen, store, with_context=False)
    assert not found.passed
    assert found.metadata["first_offenders"].value == ["p3 1 = p1 1", "p4 0 = p1 1", "p4 2 = p1 0"]
    store.remove(screen.name, "cells", "p1")
    store.remove(screen.name, "cells", "p4")
    assert checked("no_duplicate_cells", screen, store, with_context=False).passed


def commit_features(store: Store, screen: Screen, vectors: np.ndarray, first: int) -> None:
    ids = {"cell_id": [f"c{first + row}" for row in range(len(vectors))]}
    tables = {
        f"cell_features_{name}": schemas.CELL_FEATURES.frame({**ids, "features": vectors})
        for name in INPAINTING
    }
    store.commit(screen.name, tables, shard=f"p{first}")


def test_features_are_finite_and_vary_over_shards_together(screen: Screen, store: Store) -> None:
    one = np.full((3, 4), 7, np.float32)
    commit_features(store, screen, one, 0)
    collapsed = checked("features_vary", screen, store)
    assert collapsed.metadata["offenders"].value == len(INPAINTING)
    commit_features(store, screen, one + np.float32([0, 0, 1, 1]), 3)  # constant in each shard, not in both
    varied = checked("features_vary", screen, store)
    assert varied.passed
    assert set(varied.metadata["share_that_vary"].value.values()) == {0.5}
    assert checked("features_finite", screen, store).passed
    bad = one.copy()
    bad[2, 1] = np.inf
    commit_features(store, screen, bad, 6)
    found = checked("features_finite", screen, store)
    assert found.metadata["first_offenders"].value == [f"{name}: c8" for name in INPAINTING]
