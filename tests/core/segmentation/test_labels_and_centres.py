"""Cells from other programs: label images, and positions from a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
from scipy import ndimage
from skimage.measure import label

from pcip_core.crops.shard import cut_shard
from pcip_core.errors import ImageFileError, SpecError
from pcip_core.images.field import Field
from pcip_core.images.layout import scan
from pcip_core.images.reading import Planes, read_field
from pcip_core.segmentation import segmenter
from pcip_core.spec.screen import load_screen
from tests.conftest import draw_field, real_folder, write_spec

MASKED = {
    "nucleus": {"role": "structural"},
    "protein": {"role": "protein"},
    "mask": {"role": "labels"},
}
CROPS = {"window_px": 32, "size_px": 16, "min_cells": 2}


def _drawn(root: Path, fields: int = 2) -> list[np.ndarray]:
    """Write the fields of one well with their label images; return the true labels."""
    root.mkdir()
    rng, truth = np.random.default_rng(3), []
    for number in range(1, fields + 1):
        planes = draw_field(rng, in_nucleus=True)
        truth.append(label(planes["nucleus"] > 500))
        planes["mask"] = (truth[-1] * 7).astype(np.uint16)  # numbers with gaps
        for name, plane in planes.items():
            tifffile.imwrite(root / f"p_A01_f{number}_{name}.tif", plane)
    return truth


def _screen(folder: Path, **changes: object):
    files = {"pattern": "{plate}_{well}_f{field}_{channel}.tif", "image_id": "{plate}_{well}"}
    changes = {"files": files, "channels": MASKED, "images": {}, "crops": CROPS} | changes
    return load_screen(write_spec(folder, root=str(folder / "images"), **changes))


def test_a_label_image_gives_the_cells_and_is_not_in_the_crop(tmp_path):
    truth = _drawn(tmp_path / "images")
    screen = _screen(tmp_path, segmentation={"method": "labels", "options": {"channel": "mask"}})
    cells = cut_shard(screen, scan(screen).fields)
    assert cells.pixels.shape == (18, 2, 16, 16)
    centres = np.concatenate([ndimage.center_of_mass(labels > 0, labels, range(1, 10)) for labels in truth])
    assert np.allclose(np.column_stack([cells.columns["y_px"], cells.columns["x_px"]]), centres)
    other = _screen(
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
    _drawn(tmp_path / "images")
    screen = _screen(tmp_path, segmentation={"method": "labels", "options": {"channel": "mask"}})
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


CENTRES = {"method": "centres", "options": {"table": "cells.csv"}}


def _table(truth: list[np.ndarray], form: str) -> pl.DataFrame:
    rows = []
    for number, labels in enumerate(truth, 1):
        for y, x in ndimage.center_of_mass(labels > 0, labels, range(1, labels.max() + 1)):
            ours = {"plate": "p", "well": "A1", "field": number, "y": y, "x": x}
            theirs = {
                "Metadata_Plate": "p",
                "Metadata_Well": "A01",
                "Metadata_Site": f"{number:02d}",
                "Nuclei_Location_Center_X": x,
                "Nuclei_Location_Center_Y": y,
                "Nuclei_AreaShape_Area": 9,
            }
            rows.append(ours if form == "ours" else theirs)
    return pl.DataFrame(rows)


@pytest.mark.parametrize("form", ["ours", "CellProfiler's"])
def test_centres_from_a_table_give_the_same_crops_as_the_objects(tmp_path, form):
    truth = _drawn(tmp_path / "images")
    _table(truth, form).write_csv(tmp_path / "images" / "cells.csv")
    screen = _screen(tmp_path, segmentation=CENTRES)
    cells = cut_shard(screen, scan(screen).fields)
    masked = _screen(tmp_path, segmentation={"method": "labels", "options": {"channel": "mask"}})
    assert cells.found == 18
    assert np.array_equal(cells.pixels, cut_shard(masked, scan(masked).fields).pixels)


def _planes(tmp_path: Path, table: str) -> Planes:
    (tmp_path / "cells.csv").write_text(table)
    field = Field("A01_1", "A01", "s", {"well": "A01", "field": "1"}, {})
    return Planes({"a": np.zeros((30, 40))}, field, tmp_path)


def test_pixels_belong_to_the_nearer_centre_and_discs_end_at_the_edge(tmp_path):
    planes = _planes(
        tmp_path, "well,field,y,x\nA1,1,10,10\nA1,1,10,12\nA1,1,0,39\nA1,1,10.2,12.1\nA2,1,5,5\n"
    )
    out = segmenter("centres")(planes, table="cells.csv")
    assert out.max() == 3  # the fourth lies in the second's pixel, the fifth in another well
    assert (out[10, 9], out[10, 10], out[10, 12], out[10, 13], out[0, 39]) == (1, 1, 2, 2, 3)
    assert out[5, 5] == 0


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "well,field,y,x\nA1,1,10,400\n",
            ImageFileError,
            "a centre at y 10.0, x 400.0 of field A01_1, 30 x 40 px",
        ),
        ("well,field,y,x\nA1,1,ten,4\n", ImageFileError, "y 'ten'"),
        ("well,field,row,column\nA1,1,10,4\n", SpecError, "one of y, y_px, location_center_y"),
        ("image,y,x\nA1,10,4\n", SpecError, "a column for one of the field's parts well, field"),
    ],
)
def test_unusable_tables_are_refused(tmp_path, text, error, message):
    planes = _planes(tmp_path, text)
    with pytest.raises(error) as caught:
        segmenter("centres")(planes, table="cells.csv")
    assert message in str(caught.value)


def test_a_changed_table_is_read_again_and_a_missing_table_is_named(tmp_path):
    planes = _planes(tmp_path, "well,y,x\nA01,10,10\n")
    assert segmenter("centres")(planes, table="cells.csv").max() == 1
    planes = _planes(tmp_path, "well,y,x\nA01,10,10\nA01,20,20\n")
    assert segmenter("centres")(planes, table="cells.csv").max() == 2
    with pytest.raises(SpecError, match=r"cells\.tsv: found no such file"):
        segmenter("centres")(planes, table="cells.tsv")
    with pytest.raises(SpecError, match="read_field"):
        segmenter("centres")(dict(planes), table="cells.csv")


def test_centres_have_no_area_to_filter_by(tmp_path):
    _drawn(tmp_path / "images")
    with pytest.raises(SpecError, match=r"crops\.area_fraction"):
        _screen(tmp_path, segmentation=CENTRES, crops=CROPS | {"area_fraction": [0.05, 0.95]})


def test_a_users_segmenter_sees_the_label_channel_and_the_field(tmp_path):
    _drawn(tmp_path / "images", fields=1)
    screen = _screen(tmp_path)
    planes = read_field(screen, scan(screen).fields[0])
    assert set(planes) == {"nucleus", "protein", "mask"}
    assert planes.field.parts["well"] == "A01"
    assert planes.root == screen.folder()
