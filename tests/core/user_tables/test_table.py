"""Every format, encoding, separator and decimal mark gives the same table, or an error that says why."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xlsxwriter

from pcip_core.errors import SpecError
from pcip_core.user_tables.table import open_table, read_table
from pcip_core.user_tables.text import read_text
from tests.conftest import real_folder

HEADER = ["well", "gene", "compound", "y", "count", "empty"]
ROWS = [  # as a person would write it; y is a number with a decimal mark
    ["A01", "NA", "Aspirin; 5 µM, neat", "0.5", "1", ""],
    ["A02", "001", 'a "quoted" name', "1234.125", "20", ""],
    ["A03", "nan", "Müller's\tmix", "-3e-05", "", ""],
    ["A04", "YFL039C", "two\nlines", "", "300", ""],
    ["A05", "SEPT1", "naïve 5' end", "42", "4", ""],
]
TRUE_Y = [0.5, 1234.125, -3e-05, None, 42.0]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]


def rows_with(mark: str) -> list[list[str]]:
    return [[*row[:3], row[3].replace(".", mark), *row[4:]] for row in ROWS]


def text_of(separator: str, mark: str = ".", *, newline: str = "\n") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, lineterminator=newline).writerows([HEADER, *rows_with(mark)])
    return out.getvalue()


def workbook(path: Path, rows, *, sheets=(), merged: str | None = None) -> Path:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("data")
        date = book.add_format({"num_format": "d-mmm"})
        for at, row in enumerate(rows):
            for column, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(at, column, value)
                elif isinstance(value, datetime.datetime):
                    sheet.write_datetime(at, column, value, date)
                elif value is not None:
                    sheet.write_number(at, column, value)
        if merged is not None:
            sheet.merge_range(merged, "AAC1")
        for name, hidden in sheets:
            other = book.add_worksheet(name)
            other.write_string(0, 0, "x")
            if hidden:
                other.hide()
    return path


def holds_the_truth(path: Path, mark: str = ".") -> None:
    frame = read_table(path)
    assert frame.columns == HEADER
    assert frame.rows() == [tuple(row) for row in rows_with(mark)]
    numbers = open_table(path).select(["gene"], ["y", "count"])
    assert numbers["gene"].to_list() == [row[1] for row in ROWS]
    assert numbers["y"].to_list() == TRUE_Y
    assert numbers["count"].to_list() == [1, 20, None, 300, 4]
    assert open_table(path).select([], measured=HEADER).columns == ["y", "count", "empty"]


@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_of_every_encoding_separator_and_decimal_mark(tmp_path, encoding, separator, mark):
    for newline in ("\n", "\r\n"):
        path = tmp_path / "table.csv"
        path.write_bytes(text_of(separator, mark, newline=newline).encode(encoding))
        holds_the_truth(path, mark)
        plain = [[row[0], f"µ{row[1]}", *row[3:]] for row in rows_with(mark)]  # nothing to quote
        if mark != separator:
            lines = [separator.join(row) for row in [["well", "gene", *HEADER[3:]], *plain]]
            path.write_bytes((newline.join(lines) + newline).encode(encoding))
            assert read_table(path).rows() == [tuple(row) for row in plain]
            assert open_table(path).select(["gene"], ["y"])["y"].to_list() == TRUE_Y


@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize(
    "name", ["t.tsv", "t.csv.gz", "t.csv.zip", "t.xlsx", "T.XLSX", "numbers.xlsx", "t.parquet"]
)
def test_every_format(tmp_path, name, mark):
    path = tmp_path / name
    data = text_of("\t" if name == "t.tsv" else ",", mark).encode()
    if name == "t.tsv":
        path.write_bytes(data)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(data))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("t.csv", data)
    elif name.endswith(".parquet"):
        columns = dict(zip(HEADER, zip(*rows_with(mark), strict=True), strict=True))
        pl.DataFrame(columns).write_parquet(path)
        assert read_table(path).rows() == [tuple(row) for row in rows_with(mark)]
        assert open_table(path).select(["gene"], ["y"])["y"].to_list() == TRUE_Y
        return
    elif name == "numbers.xlsx":
        rows = [
            [*row[:3], y, float(row[4]) if row[4] else None, None]
            for row, y in zip(ROWS, TRUE_Y, strict=True)
        ]
        workbook(path, [HEADER, *rows])
        numbers = open_table(path).select(["gene", "compound"], ["y", "count"])
        assert numbers["y"].to_list() == TRUE_Y
        assert numbers["gene"].to_list() == [row[1] for row in ROWS]
        assert read_table(path)["count"].to_list() == ["1", "20", "", "300", "4"]
        return
    else:
        workbook(path, [HEADER, *rows_with(mark)])
    holds_the_truth(path, mark)


def test_typed_columns_of_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame(
        {
            "plate": ["01", "02", None],
            "site": [1, 2, None],
            "area": [0.5, float("nan"), None],
            "used": [True, False, None],
            "terms": [["a", "b"], [], None],
            "day": [datetime.datetime(2024, 9, 1)] * 2 + [None],
        }
    )
    frame.write_parquet(path)
    assert read_table(path).rows() == [
        ("01", "1", "0.5", "True", "a;b", "2024-09-01 00:00:00"),
        ("02", "2", "NaN", "False", "", "2024-09-01 00:00:00"),
    ]
    assert open_table(path).select(["plate"], measured=frame.columns[1:4]).columns == [
        "plate",
        "site",
        "area",
    ]
    frame.with_columns(__index_level_0__=pl.Series([7, 8, 9])).write_parquet(
        path
    )  # as pandas keeps its index
    assert read_table(path).columns == frame.columns
    frame.with_columns(vector=pl.Series([[1.0]] * 3)).write_parquet(path)
    with pytest.raises(SpecError, match=r"a column vector of the type List\(Float64\)"):
        read_table(path)


def test_categories_of_parquet_are_text_and_other_types_are_no_numbers(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame(
        {
            "plate": pl.Series(["01", "02"], dtype=pl.Categorical),
            "dose": pl.Series(["0.5", "2"], dtype=pl.Enum(["0.5", "2"])),
            "gene": pl.Series([None, None], dtype=pl.Null),
            "used": [True, False],
        }
    )
    frame.write_parquet(path)
    assert read_table(path).rows() == [("01", "0.5", "", "True"), ("02", "2", "", "False")]
    assert open_table(path).select(["plate"], ["dose", "gene"]).rows() == [
        ("01", 0.5, None),
        ("02", 2.0, None),
    ]
    with pytest.raises(SpecError, match="a column used of the type Boolean; required: numbers"):
        open_table(path).select([], ["used"])


def test_numbers_of_a_workbook_keep_all_their_digits(tmp_path):
    values = [1 / 3, 1e-12, 123456789.123457, 2.5e20, 7]
    path = workbook(
        tmp_path / "t.xlsx", [["a", "b"], *[[value, value] for value in values], ["", "NA"], [5, "NA"]]
    )
    read = open_table(path).select([], ["a", "b"])
    assert read["a"].to_list() == [*values, 5]
    assert read["b"].to_list() == [*values, None]


PLAIN = "well,gene\nA01,AAC1\nA02,\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN, [("A01", "AAC1"), ("A02", "")]),
        (PLAIN.replace("\n", "\r"), [("A01", "AAC1"), ("A02", "")]),  # as old Macs write lines
        ("sep=;\n" + PLAIN.replace(",", ";"), [("A01", "AAC1"), ("A02", "")]),
        ("# a, comment\n\nwell,gene\n#A00,X\nA01, AAC1 \n\n,\nA02\n", [("A01", "AAC1"), ("A02", "")]),
        ("well,gene,,\nA01,AAC1,,\nA02,,,,,\n", [("A01", "AAC1"), ("A02", "")]),  # cells emptied in Excel
        (",well,gene\n0,A01,AAC1\n1,A02,\n", [("A01", "AAC1"), ("A02", "")]),  # row names
        ('well,gene\nA01, "AAC1"\n"A02",\n', [("A01", "AAC1"), ("A02", "")]),
        ("well,gene\nA01,5' and 3\"\nA02,3\" and 5'\n", [("A01", "5' and 3\""), ("A02", "3\" and 5'")]),
        ('well,gene\nA01,"#1\n#2"\n', [("A01", "#1\n#2")]),
        ("well;gene\nA01;a,b\nA02;c,d\n", [("A01", "a,b"), ("A02", "c,d")]),
        ("well, row;gene\nA01;a\n", [("A01", "a")]),
        ("well\tgene, old\nA01\ta,b\n", [("A01", "a,b")]),
        ("well,gene\n", []),
    ],
)
def test_text_as_people_have_it(tmp_path, text, expected):
    path = tmp_path / "t.csv"
    path.write_text(text, newline="")
    assert read_table(path).rows() == expected
    assert len(read_table(path).columns) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no readable table"),
        (b"# nothing\n\n", "no readable table"),
        (b"a,b\n1,2\n3,4,5\n", "line 3: found 3 cells; required: 2 cells"),
        (b'a,b\n"x",2\n#\n\n3,4,5\n', "line 5: found 3 cells; required: 2 cells"),
        (b'a,b\n1,"open\n2,3\n', "line 2: found a row that cannot be split"),
        (b'a,b\n1,"x" y\n', "line 2: found a row that cannot be split"),
        (b"a,b,a, b\n1,2,3,4\n", "several columns named a, b"),
        (b"a,b,\n1,2,3\n", "cells in the column 3, which has no name"),
        (b"a;b,c\n1;2,3\n", "a header that both ; and , separate"),
        ("a,b\nµ,1\n".encode() + "ü,2\n".encode("latin-1"), "two encodings: line 2 is UTF-8, line 3 is not"),
        (b"a,b\n\x81,2\n", "no readable text"),
        (b"a,b\n\0\0\0\0\0,2\n", "no readable text"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"\xd0\xcf\x11\xe0....", "an old Excel workbook"),
        (b"PAR1....", "a Parquet file"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "no readable text"),
        (b'a,b\r1,"two\nlines"\r', "lines that cannot be split into cells .new-line character"),
        (b"a,b\rc\n1,2\n", "lines that cannot be split into cells .new-line character"),
        (b"a,b\n" + b"1,2\n" * 60 + b"3,4\r5\n", "line 62: found a row that cannot be split into cells"),
    ],
)
def test_text_that_cannot_be_told_says_why(tmp_path, data, message):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(SpecError, match=rf"t\.csv.*{message}"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y\tx\n1,234\t2\n", "y '1,234'; required: numbers of which it is clear"),
        ("y\tx\n1,5\t2.5\n", "a decimal comma in the column y, with a point in x"),
        ("y\tx\n1,5\t2\n2.5\t2\n", "a decimal comma in the column y, with a point in y"),
        ("y\tx\n1.234,5\t2\n", r"y '1\.234,5'; required: numbers"),
        ("y\tx\n1\t2\nten\t3\n", "y 'ten'; required: numbers"),
        ("y\tz\n1\t2\n", "required: the columns x"),
    ],
)
def test_numbers_that_cannot_be_told_say_why(tmp_path, text, message):
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(SpecError, match=message):
        open_table(path).select([], ["y", "x"])


def test_commas_are_decimal_where_the_table_shows_it(tmp_path):
    path = tmp_path / "t.csv"
    for text in ("y;x\n1,234;2\n", "y\tx\n1,234\t2,5\n", "y\tx\n1,234\t2\n0,125\t2\n"):
        path.write_text(text)
        assert open_table(path).select([], ["y", "x"])["y"][0] == 1.234


def test_measurements_leave_text_out_and_take_words_for_missing_numbers(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,a,b,c,d\n1,nan,-inf,x,1e3\n2,,2,y,NA\n")
    read = open_table(path).select(["id"], measured=["a", "b", "c", "d"], dtype=pl.Float32)
    assert read.columns == ["id", "a", "b", "d"]
    assert read.dtypes[1:] == [pl.Float32] * 3
    assert np.array_equal(read["b"].to_numpy(), [-np.inf, 2])
    assert read["d"].to_list() == [1000, None]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([["a"], ["1"]], {"sheets": [("more", False)]}, "2 sheets with cells: data, more"),
        (
            [["well", "protein"], ["A01"], ["A02"]],
            {"merged": "B2:B3"},
            "sheet data: found merged cells B2:B3",
        ),
        ([["A1 to H12"], ["well", "gene"], ["A01", "X"]], {}, "cells in the column 2, which has no name"),
        ([["a", "a"], ["1", "2"]], {}, "several columns named a"),
        ([], {}, "0 sheets with cells"),
    ],
)
def test_workbooks_that_cannot_be_told_say_why(tmp_path, rows, options, message):
    with pytest.raises(SpecError, match=message):
        read_table(workbook(tmp_path / "t.xlsx", rows, **options))


def test_a_hidden_sheet_is_left_out_and_a_table_may_begin_anywhere(tmp_path):
    rows = [[], [None, "a", "b"], [None, "001", 2.5]]
    path = workbook(tmp_path / "t.xlsx", rows, sheets=[("lists", True)])
    assert read_table(path).to_dicts() == [{"a": "001", "b": "2.5"}]


def test_errors_of_formulas_are_refused(tmp_path):
    path = tmp_path / "t.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("data")
        sheet.write_column(0, 0, ["gene", "X"])
        sheet.write_formula(2, 0, "=NA()", None, "#N/A")
    with pytest.raises(SpecError, match=r"1 cell with errors of Excel's .* in the columns gene"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.xlsx", b"well,gene\n", "no Excel workbook"),
        (
            "t.xlsx",
            b"\xd0\xcf\x11\xe0" + bytes(600),
            r"an old Excel workbook \(.xls\), or one with a password",
        ),
        ("t.xls", b"\xd0\xcf\x11\xe0", "a workbook of the kind .xls"),
        ("t.parquet", b"PAR1", "no Parquet"),
        ("t.zip", b"PK", "no readable text"),
        ("t.csv.gz", b"a,b", "no readable text"),
    ],
)
def test_files_that_are_not_what_their_name_says(tmp_path, name, data, message):
    path = tmp_path / name
    with pytest.raises(SpecError, match="no such file" if name != "t.xls" else message):
        read_table(path)
    path.write_bytes(data)
    with pytest.raises(SpecError, match=message):
        read_table(path)


def test_the_text_of_a_file_in_any_encoding(tmp_path):
    path = tmp_path / "t.txt"
    for encoding in ENCODINGS:
        path.write_bytes("naïve\r\nµ\n".encode(encoding))
        assert read_text(path) == "naïve\nµ\n"


def test_text_below_the_head_of_a_large_table_is_found(tmp_path):
    path = tmp_path / "t.csv"
    lines = [f"{number},{number / 8},{number}" for number in range(3000)]
    path.write_text("\n".join(["id,a,b", *lines[:2000], "2000,x,NA", *lines[2001:]]))
    read = open_table(path).select(["id"], measured=["a", "b"])
    assert read.columns == ["id", "b"]
    assert read["b"].to_list() == [*range(2000), None, *range(2001, 3000)]
    with pytest.raises(SpecError, match="a 'x'; required: numbers"):
        open_table(path).select(["id"], ["a"])
    lines[2500] += ",9"
    path.write_text("\n".join(["id,a,b", *lines]))
    with pytest.raises(SpecError, match="line 2502: found 4 cells"):
        open_table(path)


@pytest.mark.parametrize("name", ["hpa_subcellular_location.tsv", "yeast_localization_annotations.csv"])
def test_published_tables_are_read_as_the_csv_module_reads_them(name):
    path = real_folder("annotation_tables") / name
    with path.open(newline="", encoding="utf-8-sig") as stream:
        header, *rows = csv.reader(stream, delimiter="\t" if name.endswith("tsv") else ",")
    frame = read_table(path)
    assert frame.columns == [column.strip() for column in header]
    assert frame.rows() == [tuple(cell.strip() for cell in row) for row in rows]
