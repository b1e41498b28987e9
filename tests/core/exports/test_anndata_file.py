"""AnnData files, as anndata and scanpy open them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import polars as pl
import pytest
from matplotlib import pyplot as plt
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from pcip_core.exports import anndata_file
from pcip_core.exports.anndata_file import to_anndata, write_h5ad, write_zarr
from pcip_core.exports.cells import ExportedCells
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import features_of
from tests.core.exports.conftest import example_of
from tests.core.store import small
from tests.core.store.small import SET

Write = Callable[..., None]
KINDS: list[tuple[Write, str, Callable[[Path], anndata.AnnData]]] = [
    (write_h5ad, "x.h5ad", anndata.read_h5ad),
    (write_zarr, "x.zarr", anndata.read_zarr),
]


@pytest.mark.parametrize(("write", "name", "read"), KINDS)
def test_anndata_reads_what_the_store_holds(
    write: Write, name: str, read: Callable[[Path], anndata.AnnData], store: Store, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(anndata_file, "_ZARR_ROWS", 2)  # several blocks and chunks
    write(ExportedCells(store, "tiny", SET), tmp_path / name)
    data = read(tmp_path / name)
    stored, cells = store.read("tiny", f"cell_features_{SET}"), store.read("tiny", "cells")
    images = store.read("tiny", "images")
    assert data.X.dtype == np.float32
    assert np.array_equal(data.X, features_of(stored))
    assert data.obs_names.tolist() == stored["cell_id"].to_list() == cells["cell_id"].to_list()
    assert data.var_names.tolist() == [f"{SET}_{number}" for number in range(8)]
    assert np.array_equal(data.obsm["spatial"], cells.select("x_px", "y_px").to_numpy())
    joined = cells.join(images, on="image_id", how="left", maintain_order="left", suffix="_of_image")
    for column in ("image_id", "field", "shard", "protein", "well", "plate"):
        assert str(data.obs[column].dtype) == "category", column
        assert data.obs[column].tolist() == joined[column].to_list(), column
    assert data.obs["area_px"].tolist() == cells["area_px"].to_list()
    assert data.obs["image_area_px"].tolist() == joined["area_px_of_image"].to_list()
    assert data.obs["intensity_max_protein"].tolist() == [8.0] * 30
    assert data.obs["n_fields"].tolist() == [1] * 30
    terms = data.obs["localization"].astype(object).where(data.obs["localization"].notna(), None).tolist()
    assert terms == (["Nucleus;Cytosol"] * 5 + [""] * 5 + [None] * 5) * 2
    assert data.obs["dose (mg_l)"].isna().sum() == 10
    assert data.obs["gene"].isna().all()
    for column in ("image_area_px_2", "Plate", "image_encoder_version", "column_index"):
        assert set(data.obs[column]) == {"mine"}, column
    assert set(data.obs["encoder_version"]) == {"tiny/1"}
    origin = data.uns["pcip"]
    assert (origin["screen"], origin["feature_set"], origin["encoder_version"]) == ("tiny", SET, "tiny/1")
    assert (origin["commit"], origin["code_version"], origin["images"]) == ("c", "v", "simulated")
    assert "name: tiny" in origin["spec"]
    assert len(origin["spec_sha256"]) == 64


def test_anndata_opens_the_file_without_reading_it(store: Store, tmp_path: Path) -> None:
    write_h5ad(ExportedCells(store, "tiny", SET), tmp_path / "x.h5ad")
    backed = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    vectors = features_of(store.read("tiny", f"cell_features_{SET}"))
    assert np.array_equal(backed.X[3:5], vectors[3:5])
    backed.file.close()


def test_neighbours_of_scikit_learn_are_those_of_the_store(store: Store) -> None:
    data = to_anndata(store, "tiny", SET)
    vectors = features_of(store.read("tiny", f"cell_features_{SET}"))
    expected = NearestNeighbors(n_neighbors=4).fit(vectors).kneighbors_graph().toarray()
    assert np.array_equal(NearestNeighbors(n_neighbors=4).fit(data.X).kneighbors_graph().toarray(), expected)


@pytest.mark.filterwarnings("ignore:.*set_bad:PendingDeprecationWarning")
def test_scanpy_finds_neighbours_and_a_map_as_the_page_says(store: Store, tmp_path: Path) -> None:
    scanpy = pytest.importorskip("scanpy")
    scanpy.settings.autoshow = False
    write_h5ad(ExportedCells(store, "tiny", SET), tmp_path / "x.h5ad")
    names: dict[str, Any] = {}
    example = example_of("scanpy", tmp_path / "x.h5ad")
    exec(example.replace("umap(adata)", "umap(adata, maxiter=5)"), names)
    data = names["adata"]
    scaled = StandardScaler().fit_transform(features_of(store.read("tiny", f"cell_features_{SET}")))
    nearest = NearestNeighbors(n_neighbors=15).fit(scaled).kneighbors_graph().toarray() > 0
    found = data.obsp["distances"].toarray() > 0
    assert (found <= nearest).all()
    assert np.isfinite(data.obsm["X_umap"]).all()
    plt.close("all")


def test_a_condition_selects_images(store: Store) -> None:
    data = to_anndata(store, "tiny", SET, where="plate = 'plate_2' AND protein <> 'P0'")
    expected = (
        store.read("tiny", "cells").filter(shard="plate_2").filter(~pl.col("image_id").str.ends_with("A01"))
    )
    assert data.obs_names.tolist() == expected["cell_id"].to_list()
    assert data.obs["protein"].cat.categories.tolist() == ["P1", "P2"]
    data = to_anndata(store, "tiny", SET, where="protein = 'P1'")
    assert data.obs["field"].cat.categories.tolist() == ["1"]
    assert data.obs["field"].notna().all()


@pytest.mark.parametrize(("write", "name", "read"), KINDS)
def test_hostile_texts_are_kept_as_they_are_but_for_nul(
    write: Write, name: str, read: Callable[[Path], anndata.AnnData], tmp_path: Path
) -> None:
    own = Store(tmp_path / "store")
    small.fill(own, "tiny")
    texts = ["=cmd|' /C calc'!A0", '-1\n"x",<img src=x onerror=alert(1)>', "a\0b\u202e日本語"]
    for shard in own.shards("tiny", "images"):
        images = own.read("tiny", "images", shards=[shard])
        hostile = images.with_columns(protein=pl.Series(texts), **{"../<b>": pl.Series(texts)})
        own.commit("tiny", {"images": hostile}, shard=shard)
    write(ExportedCells(own, "tiny", SET), tmp_path / name)
    data = read(tmp_path / name)
    wanted = [text.replace("\0", "␀") for text in texts for _ in range(5)] * 2
    assert data.obs["protein"].tolist() == data.obs[".._<b>"].tolist() == wanted
