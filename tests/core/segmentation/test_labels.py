"""Cells from label images of other programs."""

from __future__ import annotations

import numpy as np
import tifffile
from scipy import ndimage

from pcip_core.crops.shard import cut_shard
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from pcip_core.segmentation import segmenter
from pcip_core.spec.loading import load_screen
from tests.conftest import real_folder, write_spec
from tests.core.segmentation.small import drawn_fields, masked_screen


def test_a_label_image_gives_the_cells_and_is_not_in_the_crop(tmp_path):
    truth = drawn_fields(tmp_path / "images")
    screen = masked_screen(tmp_path, segmentation={"method": "labels", "options": {"channel": "mask"}})
    cells = cut_shard(screen, scan(screen).fields)
    assert cells.pixels.shape == (18, 2, 16, 16)
    centres = np.concatenate([ndimage.center_of_mass(labels > 0, labels, range(1, 10)) for labels in truth])
    assert np.allclose(np.column_stack([cells.columns["y_px"], cells.columns["x_px"]]), centres)
    other = masked_screen(
        tmp_path,
        segmentation={"method": "otsu", "options": {"channel": "nucleus", "min_area_px": 40, "smooth_px": 0}},
    )
    assert np.array_equal(cut_shard(other, scan(other).fields).pixels, cells.pixels)


def test_labels_are_renumbered_and_optionally_filtered_or_split():
    mask = np.zeros((20, 20), np.int32)
    mask[0:4, 0:4], mask[8:12, 8:12], mask[15, 15], mask[8:12, 14:18] = 40, 9, 70, 9
    find = segmenter("labels")
    out = find({"mask": mask}, channel="mask")
    assert out.dtype == np.int32
    assert [out[1, 1], out[9, 9], out[15, 15], out[9, 15], out[19, 19]] == [2, 1, 3, 1, 0]
    assert find({"mask": mask}, channel="mask", min_area_px=2).max() == 2
    assert find({"mask": mask}, channel="mask", clear_border=True)[1, 1] == 0
    split = find({"mask": (mask > 0).astype(np.uint8) * 255}, channel="mask", split=True)
    assert split.max() == 4
    assert find({"mask": np.zeros((9, 9), np.uint16)}, channel="mask").max() == 0
    assert find({"mask": np.full((9, 9), 3, np.uint16)}, channel="mask").min() == 1


def test_an_empty_mask_gives_no_cells_and_probabilities_are_refused(tmp_path):
    drawn_fields(tmp_path / "images")
    screen = masked_screen(tmp_path, segmentation={"method": "labels", "options": {"channel": "mask"}})
    tifffile.imwrite(tmp_path / "images" / "p_A01_f1_mask.tif", np.zeros((160, 160), np.uint16))
    tifffile.imwrite(tmp_path / "images" / "p_A01_f2_mask.tif", np.random.default_rng(0).random((160, 160)))
    cells = cut_shard(screen, scan(screen).fields)
    assert [row.what for row in cells.rejected] == ["file", "image"]
    assert "p_A01_f2_mask.tif" in cells.rejected[0].reason


def test_published_masks_of_real_yeast_give_their_cells(tmp_path):
    root = real_folder("yeast_fields")
    channels = {"cytosol": {"role": "structural"}, "protein": {"role": "protein"}, "mask": {"role": "labels"}}
    pattern = {
        "cytosol": "images/{well}f{field:d}p01-ch3sk1fk1fl1.tiff",
        "protein": "images/{well}f{field:d}p01-ch1sk1fk1fl1.tiff",
        "mask": "masks/{well}f{field:d}p01_labeled.tiff",
    }
    spec = write_spec(
        tmp_path,
        root=str(root),
        channels=channels,
        files={"pattern": pattern, "image_id": "{well}"},
        images={},
        shards={"by": "{well}"},
        segmentation={"method": "labels", "options": {"channel": "mask"}},
        crops={"window_px": 64, "size_px": 64},
    )
    screen = load_screen(spec)
    fields = scan(screen).of_shard("r01c01")[1:2]  # the smallest of the three
    cells = cut_shard(screen, fields)
    mask = tifffile.imread(root / "masks" / "r01c01f02p01_labeled.tiff")
    assert cells.found == len(np.unique(mask)) - 1
    assert len(cells.pixels) > 100


def test_a_users_segmenter_sees_the_label_channel_and_the_field(tmp_path):
    drawn_fields(tmp_path / "images", fields=1)
    screen = masked_screen(tmp_path)
    planes = read_field(screen, scan(screen).fields[0])
    assert set(planes) == {"nucleus", "protein", "mask"}
    assert planes.field.parts["well"] == "A01"
    assert planes.root == screen.folder()
