"""Tables that swallow rows, hold far too much or are no files end in an error that says why."""

from __future__ import annotations

import gzip
import os
import zipfile

import polars as pl
import pytest
import xlsxwriter

from pcip_core.errors import SpecError
from pcip_core.user_tables import excel, table, text
from pcip_core.user_tables.table import read_table

ROWS = "well,gene,note\nA01,AAC1,x\nA02,AAC2,y\nA03,AAC3,z\n"


@pytest.mark.parametrize(
    ("cell", "closing"),
    [('"AAC1', 'AAC3"'), ('"AAC1', 'AAC2"'), ('"AAC1', "AAC3"), ("AAC1", '"AAC3')],
)
def test_a_quotation_mark_without_its_partner_swallows_no_rows(tmp_path, cell, closing):
    path = tmp_path / "t.csv"
    path.write_text(ROWS.replace("AAC1", cell).replace(closing.strip('"'), closing))
    with pytest.raises(SpecError, match=r"t\.csv, line [24]: found .*quotation marks in pairs"):
        read_table(path)


def test_two_columns_of_which_a_row_is_swallowed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('well,gene\nA01,"AAC1\nA02,AAC2"\nA03,AAC3\n')
    with pytest.raises(SpecError, match=r"line 2: found a cell of 2 lines.*'A02,AAC2'"):
        read_table(path)


@pytest.mark.parametrize("note", ["two\nlines", "one, two\nthree, four, five", '5" plate\nsecond, of three'])
def test_a_cell_of_several_lines_stays(tmp_path, note):
    quoted = note.replace('"', '""')
    path = tmp_path / "t.csv"
    path.write_text(f'well,gene,note\nA01,AAC1,"{quoted}"\nA02,AAC2,y\n')
    assert read_table(path).rows() == [("A01", "AAC1", note), ("A02", "AAC2", "y")]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_every_encoding_also_gzipped(tmp_path, encoding, packed):
    data = (ROWS + "A04,µ-tubulin,é\n").encode(encoding)
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert read_table(path).rows()[-1] == ("A04", "µ-tubulin", "é")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("well,gene\nA01," + "x" * 200_000 + "\n", "a cell of 200000 characters in the column gene, row 1"),
        ('well,gene\nA01,"' + "x" * 200_000 + '"\n', "a cell of 200000 characters in the column gene, row 1"),
        ("well," + "g" * 2000 + "\nA01,x\n", "the longest name of 2000 characters"),
        ("a," * 1_000_000 + "\n1\n", "a header of 1000001 columns"),
        (ROWS + "A04,AAC4,\x00\n", "bytes 0, as in a file that is not text"),
    ],
)
def test_what_is_too_much_says_so(tmp_path, data, message):
    path = tmp_path / "t.csv"
    path.write_text(data)
    with pytest.raises(SpecError, match=rf"t\.csv: found .*{message}"):
        read_table(path)


def test_a_header_may_be_longer_than_the_csv_module_expects(tmp_path):
    names = [f"Cells_AreaShape_{'x' * 200}_{i}" for i in range(1000)]
    path = tmp_path / "t.csv"
    path.write_text(",".join(names) + "\n" + ",".join(["1"] * 1000) + "\n")
    assert read_table(path).columns == names


def test_packed_tables_are_unpacked_up_to_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "_LARGEST_UNPACKED", 1 << 20)
    large = b"well,gene\n" + b"A01,AAC1\n" * 200_000
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(large))
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", large)
    for name in ("t.csv.gz", "t.zip"):
        with pytest.raises(SpecError, match=r"more than 1 MiB of text when unpacked.*Unpack it"):
            read_table(tmp_path / name)


def test_a_workbook_with_a_distant_cell_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "t.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "well")
        sheet.write(1_048_575, 16_383, "x")  # the last cell of a sheet
    with pytest.raises(SpecError, match=r"Sheet1: found cells up to row 1048576 and column 16384"):
        read_table(path)
    monkeypatch.setattr(excel, "_LARGEST_UNPACKED", 1000)
    with pytest.raises(SpecError, match="a workbook of 0 MiB when unpacked"):
        read_table(path)


def test_a_table_of_too_many_cells_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "_MOST_CELLS", 10)
    pl.DataFrame({"well": ["A01"] * 6, "gene": ["AAC1"] * 6}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(SpecError, match="6 rows of 2 columns; required: at most 10 cells"):
        read_table(tmp_path / "t.parquet")


def test_a_pipe_and_a_folder_are_no_tables(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name in ("pipe.csv", "folder.csv"):
        with pytest.raises(SpecError, match="a folder, a pipe or a device"):
            read_table(tmp_path / name)
