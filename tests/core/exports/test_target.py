"""Exports are complete or not there: names that are taken, full disks, what is selected, and what is not there."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from pcip_core.errors import EvaluationError, PcipError, SpecError, StoreError, WriteError
from pcip_core.exports.anndata_file import write_h5ad, write_zarr
from pcip_core.exports.cells import ExportedCells
from pcip_core.exports.ome_zarr import write_crops
from pcip_core.exports.profiles import write_csv, write_parquet
from pcip_core.exports.target import require_outside
from pcip_core.store.partitions import Store
from tests.core.store import small
from tests.core.store.small import SET, commit_features

WRITERS = {"h5ad": write_h5ad, "zarr": write_zarr, "parquet": write_parquet, "csv": write_csv}
Write = Callable[..., None]


@pytest.fixture(params=list(WRITERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def content(path: Path) -> dict[str, bytes]:
    """The files at a path."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_a_name_that_is_taken_is_an_error_and_overwrite_the_remedy(
    kind: str, store: Store, tmp_path: Path
) -> None:
    path, write = tmp_path / f"x.{kind}", WRITERS[kind]
    write(ExportedCells(store, "tiny", SET, where="protein = 'P0'"), path)
    before = content(path)
    with pytest.raises(WriteError, match=r"a (file|folder) of this name.*Replace it with --overwrite"):
        write(ExportedCells(store, "tiny", SET), path)
    assert content(path) == before
    write(ExportedCells(store, "tiny", SET), path, overwrite=True)
    assert content(path) != before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("overwrite", [True, False])
def test_nothing_else_than_an_export_is_replaced(
    kind: str, store: Store, tmp_path: Path, *, overwrite: bool
) -> None:
    path = tmp_path / "precious"
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    with pytest.raises(WriteError, match="no earlier export, and is not replaced"):
        WRITERS[kind](ExportedCells(store, "tiny", SET), path, overwrite=overwrite)
    assert content(path) == {"notes.txt": b"mine"}


def test_a_zarr_of_somebody_else_is_not_replaced(store: Store, tmp_path: Path) -> None:
    """Images of the user, in either format of Zarr."""
    for number in (2, 3):
        path = tmp_path / f"images_{number}.zarr"
        zarr.create_group(path, zarr_format=number, attributes={"multiscales": [1]}).create_array(
            "0", shape=(2,), dtype="u1"
        )
        before = content(path)
        with pytest.raises(WriteError, match="no earlier export, and is not replaced"):
            write_zarr(ExportedCells(store, "tiny", SET), path, overwrite=True)
        with pytest.raises(WriteError, match="no earlier export, and is not replaced"):
            write_crops(store, "tiny", path, overwrite=True)
        assert content(path) == before


def test_a_target_among_the_results_is_refused(tmp_path: Path) -> None:
    data, exports = tmp_path / "data", tmp_path / "data" / "exports"
    exports.mkdir(parents=True)
    (tmp_path / "link").symlink_to(data / "store")
    places = (
        data,
        data / "x.csv",
        data / "store" / "tiny" / "x",
        exports / ".." / "x",
        tmp_path / "link" / "x",
    )
    for path in places:
        with pytest.raises(WriteError, match="among the results"):
            require_outside(path, data=data, exports=exports)
    for path in (exports / "x", exports / "a" / "x", tmp_path / "x", tmp_path / "data2"):
        require_outside(path, data=data, exports=exports)


def test_a_table_without_shards_is_an_error(tmp_path: Path) -> None:
    own = Store(tmp_path / "store")
    small.fill(own, "tiny")
    table = f"cell_features_{SET}"
    rows = own.read("tiny", table)
    shutil.rmtree(own.root / "tiny" / table)
    own.commit("tiny", {table: rows})
    with pytest.raises(StoreError, match="features of the present cells"):
        ExportedCells(own, "tiny", SET)


def test_a_screen_without_cells_has_nothing_to_export(kind: str, tmp_path: Path) -> None:
    own = Store(tmp_path / "store")
    small.fill(own, "tiny")
    for shard in own.shards("tiny", "cells"):
        cells, crops = own.read_with_array("tiny", "cells", "crops", shard)
        own.commit("tiny", {"cells": cells.head(0)}, shard=shard, arrays={"crops": np.array(crops[:0])})
        features = own.read("tiny", f"cell_features_{SET}", shards=[shard])
        own.commit("tiny", {f"cell_features_{SET}": features.head(0)}, shard=shard)
    with pytest.raises(StoreError, match="found no cells with"):
        WRITERS[kind](ExportedCells(own, "tiny", SET), tmp_path / "x")
    with pytest.raises(StoreError, match="found no cells"):
        write_crops(own, "tiny", tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.fixture
def limited() -> Iterator[Callable[[int], None]]:
    """Sets the size at which the system refuses to write to a file, as it does on a full disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("earlier", [True, False])
def test_of_an_export_that_cannot_be_written_nothing_is_left(
    kind: str, store: Store, tmp_path: Path, limited: Callable[[int], None], *, earlier: bool
) -> None:
    path, cells = tmp_path / f"x.{kind}", ExportedCells(store, "tiny", SET)
    if earlier:
        WRITERS[kind](cells, path)
    before = content(path)
    for size in (0, 400, 2000):
        limited(size)
        with pytest.raises(WriteError, match=f"x.{kind}.*found file too large; required: .*free space"):
            WRITERS[kind](cells, path, overwrite=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert content(path) == before
        assert list(tmp_path.iterdir()) == ([path] if earlier else [])
        if kind == "zarr":
            break  # its files are small
    WRITERS[kind](cells, path, overwrite=True)
    assert path.exists()


def test_what_a_killed_export_left_is_removed_by_the_next(store: Store, tmp_path: Path) -> None:
    left = tmp_path / ".pcip_export_1_x.csv"
    left.mkdir()
    (left / "x.csv").write_text("half")
    os.utime(left, (0, 0))
    write_csv(ExportedCells(store, "tiny", SET), tmp_path / "x.csv")
    assert list(tmp_path.iterdir()) == [tmp_path / "x.csv"]


@pytest.mark.parametrize("size", [0, 100])
def test_of_crops_that_cannot_be_written_nothing_is_left(
    size: int, store: Store, tmp_path: Path, limited: Callable[[int], None]
) -> None:
    limited(size)
    with pytest.raises(WriteError, match="found file too large"):
        write_crops(store, "tiny", tmp_path / "crops")
    limited(resource.RLIM_INFINITY)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_named(store: Store) -> None:
    with pytest.raises(EvaluationError, match=rf"which may mean {SET}; required: one of {SET}.*--features"):
        ExportedCells(store, "tiny", "inpainting_conv3")
    with pytest.raises(StoreError, match=r"no images that meet protein = 'P9'.*correct --where"):
        ExportedCells(store, "tiny", SET, where="protein = 'P9'")
    with pytest.raises(SpecError, match="a condition in SQL"):
        ExportedCells(store, "tiny", SET, where="proteins = 'P9'")


def test_vectors_in_another_order_and_of_fewer_cells_are_joined_by_id(store: Store) -> None:
    table = f"cell_features_{SET}"
    for shard in store.shards("tiny", table):
        features = store.read("tiny", table, shards=[shard])
        store.commit("tiny", {"cell_features_few": features.reverse()[:9]}, shard=shard, provenance={})
    cells = ExportedCells(store, "tiny", "few")
    assert (cells.shape, cells.without) == ((18, 8), 12)
    rows = [row for block in cells.blocks(5) for row in block.columns.select("cell_id", "x_px").iter_rows()]
    positions = dict(store.read("tiny", "cells").select("cell_id", "x_px").iter_rows())
    assert rows == [(cell, positions[cell]) for cell, _ in rows]
    store.remove("tiny", "cell_features_few", "plate_1")
    store.remove("tiny", "cell_features_few", "plate_2")


def test_vectors_of_cells_that_are_gone_are_refused(store: Store, tmp_path: Path) -> None:
    commit_features(store, "tiny", "plate_1", feature_set="old")
    vectors = store.read("tiny", "cell_features_old")
    renamed = vectors.with_columns(cell_id="old_" + vectors["cell_id"])
    store.commit("tiny", {"cell_features_old": renamed}, shard="plate_1", provenance={})
    with pytest.raises(PcipError, match=r"not \(or no longer\) in the table cells.*pcip run tiny"):
        write_h5ad(ExportedCells(store, "tiny", "old"), tmp_path / "x.h5ad")
    assert list(tmp_path.iterdir()) == []
    store.remove("tiny", "cell_features_old", "plate_1")
