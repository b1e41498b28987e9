"""What the errors of tables advise is done here, and then the table can be read."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from pcip_core.errors import SpecError
from pcip_core.user_tables.table import open_table, read_table
from tests.core.user_tables.test_table import workbook

ROWS = [("A01", "AAC1"), ("A02", "AAH1")]


def _refused(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read_table(path)
    return caught.value.remedy


@pytest.mark.parametrize(
    ("text", "advice", "mended"),
    [
        ("a;b,c\n1;2,3\n", "Put cells that hold the other one into quotation marks", 'a;"b,c"\n1;"2,3"\n'),
        ("a;b,c\n1;2,3\n", "or save the table with tabs", "a\tb,c\n1\t2,3\n"),
        (
            "well,gene\nA01,a,b\n",
            "Put cells that hold the separator (,) into quotation marks",
            'well,gene\nA01,"a,b"\n',
        ),
        ("Plate 7,\nwell,gene\nA01,X\n", "remove lines above the header", "well,gene\nA01,X\n"),
        ("well,gene,gene\nA01,X,Y\n", "Rename or remove the others.", "well,gene,gene 2\nA01,X,Y\n"),
        ("well,gene,\nA01,X,y\n", "Name the column or remove it", "well,gene,note\nA01,X,y\n"),
        ('well,gene\nA01,"X\nA02,Y\n', "Correct the row that begins there.", "well,gene\nA01,X\nA02,Y\n"),
        ('well,gene\nA01,"X\nA02,Y"\n', "take the line breaks out of it", 'well,gene\nA01,"X A02,Y"\n'),
    ],
)
def test_the_advice_for_a_text(tmp_path, text, advice, mended):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert advice in _refused(path)
    path.write_text(mended)
    assert len(read_table(path)) >= 1


def test_the_advice_for_encodings(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("well,note\nA01,µ\n".encode() + "A02,ü\n".encode("latin-1"))
    assert "Save the parts in one encoding" in _refused(path)
    path.write_text("well,note\nA01,µ\nA02,ü\n", encoding="latin-1")
    assert read_table(path)["note"].to_list() == ["µ", "ü"]


def test_the_advice_for_numbers(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("y\tx\n1,234\t2\n")
    with pytest.raises(SpecError, match="Write them with a decimal point and nothing between thousands"):
        open_table(path).select([], ["y"])
    path.write_text("y\tx\n1234\t2\n")
    assert open_table(path).select([], ["y"])["y"][0] == 1234


@pytest.mark.parametrize(
    ("data", "name", "advice"),
    [
        ("workbook", "t.xlsx", "Name it .xlsx or .zip, as it is one."),
        ("zip", "t.zip", "Name it .xlsx or .zip, as it is one."),
        ("parquet", "t.parquet", "Name it .parquet."),
        ("gzip", "t.csv.gz", "Name it .gz."),
    ],
)
def test_the_advice_for_files_with_a_wrong_ending(tmp_path, data, name, advice):
    path, right = tmp_path / "wrong.csv", tmp_path / name
    frame = pl.DataFrame(ROWS, ["well", "gene"], orient="row")
    if data == "workbook":
        workbook(right, [frame.columns, *map(list, ROWS)])
    elif data == "zip":
        with zipfile.ZipFile(right, "w") as archive:
            archive.writestr("t.csv", frame.write_csv())
    elif data == "parquet":
        frame.write_parquet(right)
    else:
        right.write_bytes(gzip.compress(frame.write_csv().encode()))
    right.rename(path)
    assert _refused(path) == advice
    path.rename(right)
    assert read_table(right).rows() == ROWS


def test_the_advice_for_merged_cells(tmp_path):
    path = workbook(tmp_path / "t.xlsx", [["well", "gene"], ["A01"], ["A02"]], merged="B2:B3")
    assert _refused(path) == "Unmerge the cells and fill in the value in each row that it is for."
    workbook(path, [["well", "gene"], ["A01", "AAC1"], ["A02", "AAC1"]])
    assert read_table(path)["gene"].to_list() == ["AAC1", "AAC1"]


def test_the_advice_for_several_sheets(tmp_path):
    path = workbook(tmp_path / "t.xlsx", [["well", "gene"], *map(list, ROWS)], sheets=[("more", False)])
    assert "a workbook of its own, or hide the others" in _refused(path)
    workbook(path, [["well", "gene"], *map(list, ROWS)], sheets=[("more", True)])
    assert read_table(path).rows() == ROWS


def test_the_advice_for_cells_with_errors(tmp_path):
    path = tmp_path / "t.xlsx"
    for formula in (True, False):
        with xlsxwriter.Workbook(path) as book:
            sheet = book.add_worksheet("data")
            sheet.write_row(0, 0, ["well", "gene"])
            sheet.write_row(1, 0, ["A01"])
            if formula:
                sheet.write_formula(1, 1, "=NA()", None, "#N/A")
        if formula:
            assert _refused(path) == "Correct or empty these cells."
    assert read_table(path).rows() == [("A01", "")]
