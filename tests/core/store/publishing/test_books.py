"""Which partitions are shown together: by the order of commits and by the crops that features describe."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from tests.core.store import small
from tests.core.store.small import ask, shards_of

TABLE = f"scr.cell_features_{small.SET}"


def set_clock(monkeypatch: pytest.MonkeyPatch, year: int) -> None:
    """The time that the following commits record."""
    moment = {
        **small.provenance(),
        "created_at": f"{year}-01-01T00:00:00+00:00",
        "dagster_run_id": f"run_{year}",
    }
    monkeypatch.setattr(small, "provenance", lambda: moment)


def test_the_last_commit_is_the_newest_whatever_the_clock_says(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, 2030)
    for shard in ("plate_1", "plate_2"):
        small.commit_plate(store, "scr", shard)
    set_clock(monkeypatch, 2020)
    small.commit_features(store, "scr", "plate_2", dim=12)
    assert publish(store, path).stale == [f"{TABLE} plate_1"]
    assert shards_of(path, TABLE) == {"plate_2": 15}
    assert ask(path, "SELECT dim, dagster_run_id, year(created_at) FROM main.feature_sets") == [
        (12, "run_2020", 2020)
    ]


def test_features_of_former_crops_are_left_out_until_they_are_recomputed(filled: Store, path: Path) -> None:
    def commit(table: str, **provenance: str) -> None:
        rows = filled.read("scr", table, shards=["plate_1"])
        made = {**small.provenance(), **provenance}
        filled.commit("scr", {table: rows}, shard="plate_1", provenance=made)

    features = f"cell_features_{small.SET}"
    commit("cells", data_hash="old")
    commit(features, crops_hash="old")
    publish(filled, path)
    assert shards_of(path, TABLE) == {"plate_1": 15, "plate_2": 15}
    commit("cells", data_hash="new")
    result = publish(filled, path)
    assert result.stale == [f"{TABLE} plate_1"]
    assert shards_of(path, TABLE) == {"plate_2": 15}
    assert shards_of(path) == {"plate_1": 15, "plate_2": 15}
    commit(features, crops_hash="new")
    assert publish(filled, path).stale == []
    assert shards_of(path, TABLE) == {"plate_1": 15, "plate_2": 15}


def test_features_in_another_precision_are_left_out_until_they_are_recomputed(
    filled: Store, path: Path
) -> None:
    def commit(shard: str, precision: str) -> None:
        features = f"cell_features_{small.SET}"
        rows = filled.read("scr", features, shards=[shard])
        made = {**small.provenance(), "precision": precision}
        filled.commit("scr", {features: rows}, shard=shard, provenance=made)

    commit("plate_1", "bf16")
    assert publish(filled, path).stale == [f"{TABLE} plate_2"]
    assert shards_of(path, TABLE) == {"plate_1": 15}
    assert ask(path, "SELECT precision FROM main.feature_sets") == [("bf16",)]
    commit("plate_2", "bf16")
    assert publish(filled, path).stale == []
    assert shards_of(path, TABLE) == {"plate_1": 15, "plate_2": 15}
