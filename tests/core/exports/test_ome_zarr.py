"""Crops as OME-Zarr: valid by the models of NGFF, and read back by pcip as they were."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import zarr

from pcip_core.crops.shard import cut_shard
from pcip_core.errors import StoreError, WriteError
from pcip_core.exports import ome_zarr
from pcip_core.exports.ome_zarr import write_crops
from pcip_core.images.annotations import describe_images
from pcip_core.images.layout import scan
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.store import rows as frames
from pcip_core.store.partitions import Store
from tests.conftest import write_spec
from tests.core.store.small import cells_of

Shards = Sequence[tuple[str, Sequence[str]]]
SHARDS: Shards = (("plate 1/2", ("a_f3", "b:c")), ("plate_2", ("Ö",)))


def make_store(
    folder: Path, side: int, shards: Shards = SHARDS, **settings: Any
) -> tuple[Store, dict[str, np.ndarray]]:
    """A store of random crops with odd names of images and shards; image -> its crops."""
    store, spec = Store(folder / "store"), load_screen(write_spec(folder, root=".", **settings))
    store.commit("tiny", {"screen": frames.screen_table(spec)})
    rng = np.random.default_rng(side)
    crops_of: dict[str, np.ndarray] = {}
    for shard, names in shards:
        cells = cells_of(list(names))
        pixels = rng.integers(1, 255, (len(cells.pixels), 2, side, side), np.uint8)
        pixels[:, :, 0, 0], pixels[:, :, -1, -1] = 0, 255
        columns: dict[str, Any] = {
            "image_id": names,
            "protein": ["P1", "P2"][: len(names)],
            "shard": [shard] * len(names),
        }
        columns["localization"] = [["Nucleus", "Cytosol"]] * len(names)
        tables = {"cells": frames.cells_table(dataclasses.replace(cells, pixels=pixels), shard)}
        tables["images"] = frames.schemas.IMAGES.frame(columns)
        store.commit("tiny", tables, shard=shard, arrays={"crops": pixels})
        crops_of |= dict(zip(names, np.split(pixels, len(names)), strict=True))
    return store, crops_of


@pytest.mark.parametrize("side", [16, 20])
def test_pcip_reads_the_crops_back_by_the_spec_beside_them(
    side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ome_zarr, "_MOST_ACROSS", 2)  # pictures of at most four cells
    store, crops_of = make_store(tmp_path, side)
    assert write_crops(store, "tiny", tmp_path / "out") == 15
    screen = load_screen(tmp_path / "out" / "tiny_crops.yaml")
    layout = scan(screen)
    assert layout.unclaimed == []
    assert len(layout.fields) == 6
    records = {record.image_id: record for record in describe_images(screen, layout.fields)}
    read: dict[str, np.ndarray] = {}
    for shard in layout.shards():
        cells = cut_shard(screen, layout.of_shard(shard))
        assert cells.rejected == []
        ids = np.array(cells.columns["image_id"])
        read |= {image: cells.pixels[ids == image] for image in cells.columns["image_id"]}
    written = {"a_f3": "a_f3", "b%3Ac": "b:c", "%C3%96": "Ö"}
    assert {written[name] for name in read} == set(crops_of)
    for name, pixels in read.items():
        assert np.array_equal(pixels, crops_of[written[name]]), name
    assert records["b%3Ac"].values["protein"] == "P2"
    assert records["b%3Ac"].localization == ["Nucleus", "Cytosol"]


def test_pictures_are_valid_and_have_their_channels(tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models")
    from ome_zarr_models.common.omero import Omero

    store, crops_of = make_store(tmp_path, 16)
    write_crops(store, "tiny", tmp_path / "out")
    cells = pl.read_csv(tmp_path / "out" / "cells.csv")
    assert cells.height == 15
    for (picture,), of_picture in cells.group_by("picture"):
        group = zarr.open_group(tmp_path / "out" / picture, mode="r")
        image = models.open_ome_zarr(group)
        assert type(image).__module__.startswith("ome_zarr_models.v05")
        channels = Omero(**image.ome_attributes.omero).channels
        assert [(channel.label, channel.color) for channel in channels] == [
            ("nucleus", "0000FF"),
            ("protein", "00FF00"),
        ]
        assert models.open_ome_zarr(group["labels/cells"]) is not None
        labels, pixels = group["labels/cells/0"][:], group["0"][:]
        crops = crops_of[of_picture["image_id"][0]]
        for row in of_picture.iter_rows(named=True):
            y, x = (int(np.flatnonzero((labels == row["label"]).any(axis)).max()) for axis in (1, 0))
            tile = pixels[:, y - 15 : y + 1, x - 15 : x + 1]
            assert np.array_equal(tile, crops[int(row["cell_id"][-4:])])
    origin = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert origin["screen"] == "tiny"
    assert dict(group.attrs)["pcip"]["spec_sha256"] == origin["spec_sha256"]


def test_some_images_and_a_name_that_is_taken(tmp_path: Path) -> None:
    store, _ = make_store(tmp_path, 16)
    assert write_crops(store, "tiny", tmp_path / "out", where="protein = 'P2'") == 5
    assert sorted(path.name for path in (tmp_path / "out").glob("*/*")) == ["b%3Ac_f1.ome.zarr"]
    with pytest.raises(WriteError, match="--overwrite"):
        write_crops(store, "tiny", tmp_path / "out")
    assert write_crops(store, "tiny", tmp_path / "out", overwrite=True) == 15
    with pytest.raises(StoreError, match="no images that meet"):
        write_crops(store, "tiny", tmp_path / "none", where="protein = 'P3'")
    (tmp_path / "out" / ".pcip-export").unlink()
    with pytest.raises(WriteError, match="no earlier export"):
        write_crops(store, "tiny", tmp_path / "out", overwrite=True)
    assert not (tmp_path / "none").exists()
    assert isinstance(load_screen(tmp_path / "out" / "tiny_crops.yaml"), Screen)


@pytest.mark.parametrize(
    "shards",
    [
        [("..", ["..", "../../x"]), (".", ["."])],
        [("プレート" * 5, ["蛋白質" * 30, "蛋白質" * 30 + "2"])],
        [("a", ["x" * 240]), ("A" * 120, [".hidden"])],
        [("=1+1", ["=cmd|' /C calc'!A0", "<img src=x onerror=alert(1)>"])],
    ],
)
def test_hostile_and_long_names_stay_in_the_folder_and_are_read_back(shards: Shards, tmp_path: Path) -> None:
    store, crops_of = make_store(tmp_path, 16, shards)
    before = {path.name for path in tmp_path.iterdir()}
    assert write_crops(store, "tiny", tmp_path / "out") == 5 * len(crops_of)
    assert {path.name for path in tmp_path.iterdir()} == {*before, "out"}
    screen = load_screen(tmp_path / "out" / "tiny_crops.yaml")
    layout = scan(screen)
    read = [cut_shard(screen, layout.of_shard(shard)).pixels for shard in layout.shards()]
    assert sorted(crop.tobytes() for crops in read for crop in crops) == sorted(
        crop.tobytes() for crops in crops_of.values() for crop in crops
    )
    assert layout.unclaimed == []


@pytest.mark.parametrize(("pixel_um", "wanted"), [(0.5, [1.0, 2.5, 2.5]), (None, [1.0, 1.0, 1.0])])
def test_the_size_of_a_pixel_is_that_of_the_crops(
    pixel_um: float | None, wanted: list[float], tmp_path: Path
) -> None:
    crops = {"window_px": 80, "size_px": 16}
    store, _ = make_store(tmp_path, 16, crops=crops, **({"pixel_um": pixel_um} if pixel_um else {}))
    write_crops(store, "tiny", tmp_path / "out")
    picture = next((tmp_path / "out").glob("*/*.ome.zarr"))
    (scale,) = dict(zarr.open_group(picture, mode="r").attrs)["ome"]["multiscales"]
    assert scale["datasets"][0]["coordinateTransformations"][0]["scale"] == wanted
    assert {axis.get("unit") for axis in scale["axes"][1:]} == {"micrometer" if pixel_um else None}
    assert load_screen(tmp_path / "out" / "tiny_crops.yaml").pixel_um == (2.5 if pixel_um else None)
