"""Names that Excel has turned into dates and numbers are refused, with the names that they probably were."""

from __future__ import annotations

import datetime
import re

import pytest

from pcip_core.errors import SpecError
from pcip_core.user_tables.table import read_table
from tests.core.user_tables.test_table import workbook


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *[
            ("1-Sep", "SEPT1"),
            ("Sep-10", "SEPT10"),
            ("01. Sep", "SEPT1"),
            ("2-Mar", "MARCH2"),
            ("2. Mrz", "MARCH2"),
        ],
        *[("2001-09-01", "SEPT1"), ("01.03.2024", "MARCH1"), ("3/1/2024", "MARCH1"), ("1-déc", "DEC1")],
        *[("2024/09/01", "SEPT1"), ("1 wrz", "SEPT1"), ("4-paź", "OCT4")],
        *[("4-Okt", "OCT4"), ("1.00E+05", "1E5"), ("1,00E+05", "1E5"), ("5.68E+04", "568E2")],
        *[("2.31E+19", "231????E13"), ("2.310009E+19", "2310009E13"), ("23100090000000000000", "2310009E13")],
    ],
)
def test_names_that_excel_has_turned_into_dates_and_numbers_are_refused(tmp_path, value, name):
    path = tmp_path / "t.csv"
    path.write_text(f"well;Gene name\nA01;AAC1\nA02;{value}\n")
    with pytest.raises(SpecError) as caught:
        read_table(path)
    assert f"{value} (probably {name}" in caught.value.found
    assert "in the column Gene name" in caught.value.found
    assert "type these names again" in caught.value.remedy
    path.write_text(f"well;Gene name\nA01;AAC1\nA02;{name.replace('?', '0')}\n")
    assert read_table(path)["Gene name"][1] == name.replace("?", "0")


@pytest.mark.parametrize(
    "name", ["1E5", "2310009E13", "SEPT1", "dec-1", "set-2", "YAL001C", "1433E", "100000"]
)
def test_names_that_look_like_dates_and_numbers_stay(tmp_path, name):
    (tmp_path / "t.csv").write_text(f"well,gene\nA01,{name}\n")
    assert read_table(tmp_path / "t.csv").row(0) == ("A01", name)


def test_cells_of_workbooks_that_are_dates_and_numbers_of_names(tmp_path):
    rows = [["well", "protein"], ["A01", datetime.datetime(2024, 9, 1)], ["A02", 2310009e13]]
    with pytest.raises(SpecError, match=r"2024-09-01 \(probably SEPT1 .*23\S+ \(probably 2310009E13"):
        read_table(workbook(tmp_path / "t.xlsx", rows))


def test_dates_and_numbers_in_other_columns_stay(tmp_path):
    path = tmp_path / "t.csv"
    text = "well,gene,day,taken,dose,note\nA01,OCT1,1-Sep,2024-09-01,1.00E+05,2024-09-01\nA02,100000,2-Sep,,2.5,none\n"
    path.write_text(text)
    assert read_table(path).row(0) == ("A01", "OCT1", "1-Sep", "2024-09-01", "1.00E+05", "2024-09-01")


@pytest.mark.parametrize("column", ["plate", "Metadata_Plate", "plate_barcode", "image_id", "sample"])
def test_codes_that_excel_has_turned_into_numbers_are_refused(tmp_path, column):
    path = tmp_path / "t.csv"
    path.write_text(f"{column},gene\n1.20E+06,AAC1\n")
    with pytest.raises(SpecError, match=rf"1.20E\+06 \(probably 12E5 or 1200000\) in the column {column}"):
        read_table(path)
    path.write_text(f"{column},gene\n12E5,AAC1\n2024-09-01,AAC1\n")
    assert read_table(path)[column].to_list() == ["12E5", "2024-09-01"]


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#NAME?", "#DIV/0!", "#NV", "#BEZUG!"])
def test_errors_of_excel_are_refused_as_in_a_workbook(tmp_path, error):
    (tmp_path / "t.csv").write_text(f"well,note\nA01,{error}\nA02,#N/A\n")
    with pytest.raises(SpecError, match=f"2 cells with {re.escape(error)}.* in the column note"):
        read_table(tmp_path / "t.csv")


def test_texts_with_a_hash_are_no_errors(tmp_path):
    (tmp_path / "t.csv").write_text("well,note\nA01,#1\nA02,#NOTE\nA03,N/A\n")
    assert read_table(tmp_path / "t.csv")["note"].to_list() == ["#1", "#NOTE", "N/A"]
