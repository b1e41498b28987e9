"""A screen of 72 real cells of two classes, with features that tell them apart, in a store and a published file."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pcip_core.browse.cells import BrowsedCells
from pcip_core.browse.session import Session
from pcip_core.crops.shard import cut_shard
from pcip_core.images.annotations import match_tables
from pcip_core.images.layout import scan
from pcip_core.images.localization import annotated_images
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.store import rows
from pcip_core.store.feature_blocks import mean_by_protein
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from pcip_core.store.vectors import feature_table
from tests.conftest import write_tiny_screen
from tests.core.store import small

SET = "inpainting_conv4"
HOSTILE = "<img src=x onerror=alert(1)>'; DROP TABLE cells; --"


@dataclass(frozen=True)
class Browsed:
    """A screen that can be looked at."""

    folder: Path
    screen: Screen

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    @property
    def published(self) -> Path:
        return self.folder / "feature_store.duckdb"

    @property
    def cells(self) -> BrowsedCells:
        return BrowsedCells(self.store, self.screen.name)

    def session(self, labels: str = "manual") -> Session:
        return Session(
            self.store,
            self.screen,
            published=self.published,
            cache=self.folder / "browse",
            user="ada",
            code="c0de",
            labels=labels,
        )


def described(cells: pl.DataFrame, images: pl.DataFrame) -> np.ndarray:
    """Vectors of 6 features, of which the first tells nuclear proteins from others, and the last is constant."""
    terms = cells.join(images, on="image_id", how="left", maintain_order="left")["localization"]
    nuclear = (terms.list.first() == "Nucleoplasm").to_numpy()
    vectors = (
        np.random.default_rng(list(cells["shard"][0].encode()))
        .normal(size=(cells.height, 6))
        .astype(np.float32)
    )
    vectors[:, 0] = np.where(nuclear, 4, -4) + vectors[:, 0] * 0.3
    vectors[:, 5] = 2
    return vectors


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Browsed:
    """Look, do not touch."""
    folder = tmp_path_factory.mktemp("browsed")
    spec = write_tiny_screen(folder)
    table = folder / "images" / "images.csv"
    table.write_text(table.read_text().replace(",P10,", f",{HOSTILE},"))
    made = Browsed(folder, load_screen(spec))
    screen, store, name = made.screen, made.store, made.screen.name
    layout = scan(screen)
    store.commit(name, {"screen": rows.screen_table(screen)})
    for shard in layout.shards():
        fields = layout.of_shard(shard)
        cut = cut_shard(screen, fields)
        images = rows.images_table(
            annotated_images(screen, fields, match_tables(screen, layout.fields)).records
        )
        usable = [(field, "hash", (160, 160)) for field in fields]
        store.commit(name, {"images": images, "fields": rows.fields_table(screen, usable)}, shard=shard)
        cells = rows.cells_table(cut, shard)
        store.commit(name, {"cells": cells}, shard=shard, arrays={"crops": cut.pixels})
        ids = {each: cells[each] for each in ("cell_id", "image_id")}
        ids["encoder_version"] = pl.Series([f"{name}/1"] * cells.height)
        features = feature_table(ids, described(cells, images))
        store.commit(name, {f"cell_features_{SET}": features}, shard=shard, provenance=small.provenance())
    store.commit(name, {f"protein_features_{SET}": mean_by_protein(store, name, SET)})
    publish(store, made.published)
    return made


@pytest.fixture
def browsed(original: Browsed, tmp_path: Path) -> Browsed:
    """A copy to change."""
    shutil.copytree(original.folder / "store", tmp_path / "store")
    shutil.copy(original.published, tmp_path)
    return Browsed(tmp_path, original.screen)
