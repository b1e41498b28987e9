"""Crops of a shard: every object found is used or rejected, by any number of processes."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from pcip_core.crops.shard import Cutters, cut_shard
from pcip_core.errors import SpecError
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from pcip_core.segmentation import segmenter
from pcip_core.spec.loading import load_screen
from pcip_core.spec.sections import Segmentation
from pcip_core.spec.templates import TEMPLATES
from tests.conftest import real_folder, write_tiny_screen
from tests.core.crops.process_jobs import process


def test_every_object_of_a_shard_is_used_or_rejected(tiny_spec):
    screen = load_screen(tiny_spec)
    cells = cut_shard(screen, scan(screen).of_shard("plate_1"))
    assert cells.found == 4 * 9  # nine nuclei drawn in each of four fields
    assert cells.found == len(cells.pixels) + sum(row.what == "cell" for row in cells.rejected)
    assert cells.columns["image_id"] == sorted(cells.columns["image_id"])
    assert len(set(cells.columns["cell_id"])) == len(cells.pixels)


def test_duplicates_and_images_with_too_few_cells_are_rejected(tiny_spec, tmp_path):
    screen = load_screen(tiny_spec)
    folder = screen.folder() / "plate_1"
    for channel in screen.channels:
        (folder / f"A02_f1_{channel}.tif").write_bytes((folder / f"A01_f1_{channel}.tif").read_bytes())
    cells = cut_shard(screen, scan(screen).of_shard("plate_1"))
    duplicates = [row for row in cells.rejected if "plate_1_A01_1_" in row.reason]
    assert len(duplicates) == 9
    (tmp_path / "strict").mkdir()
    strict = load_screen(
        write_tiny_screen(tmp_path / "strict", crops={"window_px": 32, "size_px": 16, "min_cells": 10})
    )
    cells = cut_shard(strict, scan(strict).of_shard("plate_1"))
    assert len(cells.pixels) == 0
    assert {row.reason for row in cells.rejected} == {"image with 9 cells (required: 10 or more)"}


def test_processes_and_a_file_give_the_same_cells_in_the_same_order(tmp_path):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1, images=9))
    (screen.folder() / "plate_1" / "A03_f1_protein.tif").write_bytes(b"damaged")
    fields = scan(screen).fields
    done = []
    alone = cut_shard(screen, fields)
    shared = cut_shard(screen, fields, workers=2, into=tmp_path / "crops.npy", progress=done.append)
    assert alone.rejected
    assert (alone.rejected, alone.found) == (shared.rejected, shared.found)
    assert all(
        np.array_equal(alone.columns[name], shared.columns[name]) for name in alone.columns | shared.columns
    )
    assert alone.hash_of_pixels == shared.hash_of_pixels
    assert np.array_equal(alone.pixels, shared.pixels)
    assert np.array_equal(np.load(tmp_path / "crops.npy"), alone.pixels)
    assert done == list(range(1, 10))


def test_shards_that_share_processes_have_the_same_cells_as_one_process(tmp_path):
    screen = load_screen(write_tiny_screen(tmp_path, plates=2, images=9))
    layout = scan(screen)
    with Cutters(2) as cutters:
        pids = {pid for _ in range(2) for pid in cutters.map(process, layout.of_shard("plate_1"))}
        shared = [cut_shard(screen, layout.of_shard(shard), workers=cutters) for shard in layout.shards()]
    assert len(pids) <= 2
    assert os.getpid() not in pids
    alone = [cut_shard(screen, layout.of_shard(shard)) for shard in layout.shards()]
    assert [cells.hash_of_pixels for cells in shared] == [cells.hash_of_pixels for cells in alone]


def test_few_fields_are_cut_in_this_process(tmp_path):
    fields = scan(load_screen(write_tiny_screen(tmp_path, plates=1, images=4))).fields
    with Cutters(2) as cutters:
        assert set(cutters.map(process, fields)) == {os.getpid()}


def test_an_error_in_a_worker_reaches_the_user(tmp_path):
    screen = load_screen(
        write_tiny_screen(
            tmp_path,
            plates=1,
            images=8,
            segmentation={"method": "tests.core.crops.process_jobs:refuse"},
        )
    )
    with pytest.raises(SpecError, match="field: found a fault; required: none"):
        cut_shard(screen, scan(screen).fields, workers=2)


def test_images_of_single_cells_are_cropped_whole():
    folder = real_folder("yeast_cells")
    screen = load_screen(TEMPLATES["yeast_cells"], root=str(folder))
    fields = [field for field in scan(screen).fields if field.image_id == "AAC1"]
    cells = cut_shard(screen, fields)
    assert cells.pixels.shape == (len(fields), 2, 64, 64)
    first = np.stack(list(read_field(screen, fields[0]).values())).astype(float)
    low, high = first.min((1, 2), keepdims=True), first.max((1, 2), keepdims=True)
    assert np.abs(cells.pixels[0] - (first - low) / (high - low) * 255).max() <= 0.51


def test_segmenters_find_the_nuclei_that_were_drawn(tiny_spec):
    screen = load_screen(tiny_spec)
    planes = read_field(screen, scan(screen).fields[0])
    labels = segmenter("otsu")(planes, channel="nucleus", min_area_px=40)
    assert labels.max() == 9
    assert labels.dtype == np.int32
    assert segmenter("pcip_core.segmentation.otsu:otsu") is segmenter("otsu")


def test_real_human_field_gives_whole_nuclei():
    from imageio.v3 import imread

    blue = imread(real_folder("human_fields") / "hpa" / "57_F11_1_blue.png")
    labels = segmenter("otsu")({"nucleus": blue}, channel="nucleus", min_area_px=400)
    areas = np.bincount(labels.ravel())[1:]
    assert 5 <= len(areas) <= 60
    assert np.median(areas) > 5_000  # a nucleus of this magnification is about 100 px across


def test_real_yeast_field_against_the_authors_masks():
    import tifffile

    folder = real_folder("yeast_fields")
    planes = {"cytosol": tifffile.imread(folder / "images" / "r01c01f01p01-ch3sk1fk1fl1.tiff")}
    truth = tifffile.imread(folder / "masks" / "r01c01f01p01_labeled.tiff")
    ours = segmenter("yeast_cytosol")(planes, channel="cytosol")
    inside = (ours > 0) & (truth > 0)
    assert inside.sum() / (truth > 0).sum() > 0.6
    assert 0.6 < ours.max() / truth.max() < 1.4


def fail(planes):
    """A segmenter of a user that fails."""
    return 1 / 0


def test_an_error_of_a_users_segmenter_names_the_field_and_the_line(tiny_spec):
    screen = load_screen(tiny_spec)
    screen = replace(screen, segmentation=Segmentation(f"{__name__}:fail"))
    with pytest.raises(SpecError, match=r"ZeroDivisionError .*field plate_1_A01_1, in .*test_shard\.py:\d+"):
        cut_shard(screen, scan(screen).of_shard("plate_1"))
