"""Checks on stores in which it is known what they must find."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from pcip_assets.checks import (
    cells_per_image,
    channels_present,
    counts_reconcile,
    features_finite,
    features_vary,
    no_duplicate_cells,
    ranked_as_in_the_paper,
    store_and_files_agree,
)
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import EncoderConfig
from pcip_core.store import schemas
from pcip_core.store.partitions import Store
from tests.conftest import write_tiny_screen

INPAINTING = tuple(f"inpainting_{layer}" for layer in EncoderConfig().layers)


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
        table = schemas.CELLS.frame({"cell_id": ids, "pixel_hash": own})
        store.commit(screen.name, {"cells": table}, shard=shard)
    found = no_duplicate_cells(store, screen, None)
    assert not found.passed
    assert found.metadata["first_offenders"].value == ["p3 1 = p1 1", "p4 0 = p1 1", "p4 2 = p1 0"]
    store.remove(screen.name, "cells", "p1")
    store.remove(screen.name, "cells", "p4")
    assert no_duplicate_cells(store, screen, None).passed


def features_of_cells(cells: list[str], vectors: np.ndarray) -> pl.DataFrame:
    return schemas.CELL_FEATURES.frame({"cell_id": cells, "features": vectors})


def offenders(result: dg.AssetCheckResult) -> object:
    assert result.passed == (result.metadata["offenders"].value == 0)
    return result.metadata["first_offenders"].value


def test_fields_that_lack_a_channel_are_named(screen: Screen, store: Store) -> None:
    reasons = {"a.tif": "no file for channel nucleus", "b.tif": "a truncated TIFF"}
    rows = schemas.QUARANTINE.frame({"file": list(reasons), "reason": list(reasons.values())})
    store.commit(screen.name, {"quarantine_fields": rows}, shard="p1")
    result = channels_present(store, screen, None)
    assert offenders(result) == ["a.tif"]
    assert result.severity == dg.AssetCheckSeverity.WARN


def test_a_shard_that_lost_a_cell_is_named(screen: Screen, store: Store) -> None:
    for shard, n_cells in (("p1", 3), ("p2", 2)):  # of four found, one in quarantine
        cells = schemas.CELLS.frame({"cell_id": [f"c{number}" for number in range(n_cells)]})
        rejected = schemas.QUARANTINE.frame({"what": ["cell", "file"]})
        tables = {"cells": cells, "quarantine_crops": rejected}
        store.commit(screen.name, tables, shard=shard, provenance={"found": 4})
    assert offenders(counts_reconcile(store, screen, None)) == ["cells p2: found 4, used 2, quarantined 1"]
    assert offenders(counts_reconcile(store, screen, ["p1"])) == []
    assert offenders(counts_reconcile(store, screen, ["p3"])) == [], (
        "a shard that was not made is no offender"
    )


def test_images_of_too_few_cells_are_named(screen: Screen, store: Store) -> None:
    images = {"p1": ["a", "b", "a", "c"], "p2": ["b", "a", "d"]}
    for shard, of_cells in images.items():
        store.commit(screen.name, {"cells": schemas.CELLS.frame({"image_id": of_cells})}, shard=shard)
    result = cells_per_image(store, screen, None)
    assert screen.crops.min_cells == 2
    assert offenders(result) == ["c: 1", "d: 1"]
    assert result.metadata["images"].value == 4
    assert result.metadata["median_cells"].value == 1.5  # of 3, 2, 1, 1
    assert offenders(cells_per_image(store, screen, ["p2"])) == ["b: 1", "a: 1", "d: 1"]


def test_no_cells_at_all_is_an_error_that_says_where_the_reasons_are(screen: Screen, store: Store) -> None:
    store.commit(screen.name, {"cells": schemas.CELLS.empty()}, shard="p1")
    (message,) = offenders(cells_per_image(store, screen, None))  # type: ignore[misc]
    assert "SELECT reason" in message


def test_tables_that_describe_other_cells_are_named(screen: Screen, store: Store) -> None:
    crops = np.zeros((2, 2, 16, 16), np.uint8)
    cells = schemas.CELLS.frame({"cell_id": ["a", "b"]})
    store.commit(screen.name, {"cells": cells}, shard="p1", arrays={"crops": crops})
    same, other = (features_of_cells(ids, np.ones((2, 3), np.float32)) for ids in (["a", "b"], ["b", "a"]))
    store.commit(screen.name, {f"cell_features_{INPAINTING[0]}": same}, shard="p1")
    assert offenders(store_and_files_agree(store, screen, None)) == []
    store.commit(screen.name, {"cell_features_intensity": other}, shard="p1")
    (message,) = offenders(store_and_files_agree(store, screen, None))  # type: ignore[misc]
    assert message.startswith("p1: the cells of cell_features_intensity")


def commit_features(store: Store, screen: Screen, vectors: np.ndarray, first: int) -> None:
    table = features_of_cells([f"c{first + row}" for row in range(len(vectors))], vectors)
    store.commit(screen.name, {f"cell_features_{name}": table for name in INPAINTING}, shard=f"p{first}")


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


def test_an_order_that_is_not_the_papers_warns_and_one_without_scores_says_why(
    screen: Screen, store: Store
) -> None:
    nothing = ranked_as_in_the_paper(store, screen, None)
    assert nothing.passed
    assert nothing.severity == dg.AssetCheckSeverity.WARN
    assert str(nothing.description).count("Not judged") == 4
    key = {
        "classifier": "knn",
        "parameter": "k=11",
        "protocol": "leave_image_out",
        "metric": "balanced_accuracy",
    }
    for table, name, value in (
        ("benchmarks", "untrained_conv1", 0.6),
        ("benchmarks_yardsticks", "autoencoder_conv1", 0.5),
    ):
        rows = schemas.BENCHMARKS.frame([{"feature_set": name, "value": value, "n": 9, **key}])
        store.commit(screen.name, {table: rows})
    result = ranked_as_in_the_paper(store, screen, None)
    assert not result.passed
    assert "autoencoder_conv1 0.500 is below untrained_conv1 0.600" in str(result.description)
