"""Lazy frames of partitions give what reading gives."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pcip_core.errors import StoreError
from pcip_core.store.partitions import Store
from tests.core.store.small import files_of


def scanned(store: Store) -> pl.LazyFrame:
    """Two shards, of which one lacks a column, and one is empty."""
    vectors = np.arange(40_000, dtype=np.float32).reshape(20_000, 2)
    numbered = pl.DataFrame({"a": range(20_000), "none": [None] * 20_000, "features": pl.Series(vectors)})
    store.commit("scr", {"notes": numbered}, shard="p2")
    store.commit("scr", {"notes": numbered.clear()}, shard="p9")
    store.commit("scr", {"notes": pl.DataFrame({"a": [-1], "none": ["x"]})}, shard="p10")
    return store.scan("scr", "notes")


def test_a_lazy_frame_gives_what_reading_gives(store: Store) -> None:
    lazy, whole = scanned(store), store.read("scr", "notes")
    assert lazy.collect_schema() == whole.schema
    assert lazy.collect().equals(whole)
    assert lazy.select(pl.len()).collect().item() == 20_001
    wanted = (pl.col("a") > 17_000) & (pl.col("a") % 7 == 0)
    found = lazy.filter(wanted).select("features", b=pl.col("a") * 2).collect()
    assert found.equals(whole.filter(wanted).select("features", b=pl.col("a") * 2))
    assert lazy.head(3).collect().equals(whole.head(3))
    assert lazy.tail(2).select("a").collect()["a"].to_list() == [19_999, -1]
    by_part = lazy.group_by(pl.col("a") // 5000).agg(pl.len().alias("n")).sort("a").collect()
    assert by_part.rows() == [(-1, 1), (0, 5000), (1, 5000), (2, 5000), (3, 5000)]
    assert store.scan("scr", "notes", shards=["p10"]).collect().rows() == [(-1, "x")]


def test_a_lazy_frame_reads_the_shards_that_it_needs_when_it_is_collected(store: Store) -> None:
    lazy = scanned(store)
    store.commit("scr", {"notes": pl.DataFrame({"a": [5], "none": ["new"]})}, shard="p10")
    assert lazy.filter(pl.col("none").is_not_null()).collect().select("a", "none").rows() == [(5, "new")]
    (part, *_) = files_of(store, "shard=p10/part.parquet")
    part.write_bytes(b"no parquet")
    assert lazy.head(1).collect()["a"].item() == 0  # the damaged shard is not reached
    with pytest.raises(StoreError, match=r"shard=p10/part\.parquet: found a file that cannot"):
        lazy.collect()
    with pytest.raises(StoreError, match="cannot be read"):
        store.scan("scr", "notes")
