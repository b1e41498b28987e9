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
from pcip_core.segmentation.centres import match_centres
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


@pytest.mark.parametrize(
    ("text", "message", "mended"),
    [
        ("well,field,row,column\nA1,1,10,4\n", "y, y_px", "well,field,y,x\nA1,1,10,4\n"),
        ("image,y,x\nA1,10,4\n", "well, field", "well,y,x\nA1,10,4\n"),
        ("well,y,x\nA1,10,35\nA1,39,4\n", "order of y and x", "well,x,y\nA1,10,25\nA1,39,4\n"),
        ("well,y,x\nA1,10,\n", "remove the row", "well,y,x\nA1,10,4\n"),
    ],
)
def test_the_advice_of_an_unusable_table_works(tmp_path, text, message, mended):
    with pytest.raises((ImageFileError, SpecError)) as caught:
        segmenter("centres")(_planes(tmp_path, text), table="cells.csv")
    assert message in str(caught.value)
    assert segmenter("centres")(_planes(tmp_path, mended), table="cells.csv").max() >= 1


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


@pytest.mark.parametrize(
    "table",
    [
        "metadata_well,field,y,x\na-1,01,10,10\nA01,1,20,20\nA02,1,5,5\n",
        "Row,Col,field,y,x\nA,1,1,10,10\n1,01,001,20,20\nB,1,1,5,5\n",
        "well;field;y;x\nr01c01;1;10,0;10\nA_1;1;20,0;20\n",
    ],
)
def test_rows_of_a_field_are_found_in_any_writing(tmp_path, table):
    assert segmenter("centres")(_planes(tmp_path, table), table="cells.csv").max() == 2


def test_rows_that_could_be_two_fields_are_refused_and_the_remedy_works(tmp_path):
    table = "well,field,y,x\nA01,s01,10,10\nA01,S-1,20,20\n"
    (tmp_path / "cells.csv").write_text(table)
    field = Field("A01_1", "A01", "s", {"well": "A01", "field": "s1"}, {})
    planes = Planes({"a": np.zeros((30, 40))}, field, tmp_path)
    with pytest.raises(
        ImageFileError, match="rows of A01 s01 and A01 S-1, each of which could be field A01_1"
    ) as caught:
        segmenter("centres")(planes, table="cells.csv")
    assert caught.value.remedy == "Write them in the table as in the names of the files."
    (tmp_path / "cells.csv").write_text(table.replace("s01", "s1"))
    assert segmenter("centres")(planes, table="cells.csv").max() == 1


def test_fields_and_rows_without_a_match_are_counted(tmp_path):
    drawn_fields(tmp_path / "images", fields=3)
    screen = masked_screen(tmp_path, segmentation=CENTRES)
    rows = [f"P,a-1,{field},5,5" for field in ("1", "02", "7")]
    (tmp_path / "images" / "cells.csv").write_text("\n".join(["plate,well,field,y,x", *rows]))
    matching = match_centres(screen, scan(screen).fields)
    assert matching is not None
    assert (list(matching.row_of), matching.without_row) == (["p_A01_1", "p_A01_2"], ["p_A01_3"])
    assert matching.unused == ["P a-1 7"]
    assert matching.problems() == [
        "cells.csv: no row for 1 of 3 fields: p_A01_3",
        "cells.csv: 1 of 3 rows matches none of the fields: P a-1 7",
    ]
    masked = masked_screen(tmp_path, segmentation={"method": "labels", "options": {"channel": "mask"}})
    assert match_centres(masked, scan(screen).fields) is None
