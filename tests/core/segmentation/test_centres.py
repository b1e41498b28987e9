"""Cells from positions in a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import ndimage

from pcip_core.crops.shard import cut_shard
from pcip_core.errors import ImageFileError, SpecError
from pcip_core.images.field import Field
from pcip_core.images.layout import scan
from pcip_core.images.reading import Planes
from pcip_core.segmentation import segmenter
from tests.core.segmentation.small import CROPS, drawn_fields, masked_screen

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
    truth = drawn_fields(tmp_path / "images")
    _table(truth, form).write_csv(tmp_path / "images" / "cells.csv")
    screen = masked_screen(tmp_path, segmentation=CENTRES)
    cells = cut_shard(screen, scan(screen).fields)
    masked = masked_screen(tmp_path, segmentation={"method": "labels", "options": {"channel": "mask"}})
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
    drawn_fields(tmp_path / "images")
    with pytest.raises(SpecError, match=r"crops\.area_fraction"):
        masked_screen(tmp_path, segmentation=CENTRES, crops=CROPS | {"area_fraction": [0.05, 0.95]})
