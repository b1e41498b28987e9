"""A screen of random features in the feature store, for the benchmark of the store."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import polars as pl

from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from pcip_core.store.schemas import IMAGES
from pcip_core.store.vectors import feature_table

SHARDS, COLUMNS, AN_IMAGE, A_PROTEIN = 32, 384, 20, 280  # 20 cells per image, 280 per protein
SCREEN, FEATURE_SET = "screen", "inpainting_conv4"
TABLE = f"cell_features_{FEATURE_SET}"


class Written:
    """A feature table of one screen, written shard by shard and published; it keeps the seconds of both."""

    def __init__(self, folder: Path, size: int, shards: int = SHARDS) -> None:
        self.folder, self.size, self.shards = folder, size, shards
        self.store, self.published = Store(folder / "store"), folder / "feature_store.duckdb"
        self.commits = [self.commit(shard) for shard in range(shards)]
        start = time.perf_counter()
        publish(self.store, self.published)
        self.publishing = time.perf_counter() - start

    def rows(self, shard: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The features and the images of one shard."""
        count = self.size // self.shards + (shard < self.size % self.shards)
        cell = np.arange(count)
        images = [f"plate_{shard}_{number:05d}" for number in cell // AN_IMAGE]
        ids = {"cell_id": [f"plate_{shard}_{number:07d}" for number in cell], "image_id": images}
        ids["encoder_version"] = ["screen/1"] * count
        first = cell[::AN_IMAGE]
        of_images = IMAGES.frame(
            {
                "image_id": images[::AN_IMAGE],
                "protein": [f"protein {shard}.{number}" for number in first // A_PROTEIN],
                "shard": [f"plate_{shard}"] * len(first),
            }
        )
        return feature_table(ids, random_features(count, shard)), of_images

    def commit(self, shard: int) -> float:
        """Write one shard; return the seconds."""
        features, images = self.rows(shard)
        start = time.perf_counter()
        self.store.commit(SCREEN, {TABLE: features, "images": images}, shard=f"plate_{shard}")
        return time.perf_counter() - start

    @property
    def megabytes(self) -> float:
        """Size of the vectors alone."""
        return self.size * COLUMNS * 4 / 1e6

    @property
    def parquet(self) -> str:
        """All partitions of the table, for SQL."""
        return f"read_parquet('{self.store.root}/{SCREEN}/{TABLE}/*/part.parquet')"


def random_features(count: int, seed: int) -> np.ndarray:
    """(count, COLUMNS) float32, some of them 0, as maxima over space of rectified filters are."""
    drawn = np.random.default_rng(seed).standard_normal((count, COLUMNS), np.float32)
    return np.maximum(drawn + 1, 0)
