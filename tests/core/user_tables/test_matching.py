"""The rows of a table are matched to images in any writing, and what does not match is counted and named."""

from __future__ import annotations

import itertools

import polars as pl
import pytest

from pcip_core.errors import SpecError
from pcip_core.user_tables.lines import row_labels
from pcip_core.user_tables.matching import Keys, Matching, loose, match, rows_by_key
from pcip_core.user_tables.table import read_table
from pcip_core.user_tables.wells import well_name
from tests.core.user_tables.test_table import workbook

PLATE_AND_WELL = (str, well_name)


@pytest.mark.parametrize(
    ("group", "others"),
    [
        (["Plate 01", "plate_1", "PLATE1", "plate-001"], ["plate 10", "plate 1b", "plates 1"]),
        (["P1_A01", "p1-a1", "P01_A_1", "P1A01", "p1a1"], ["P1_A10", "P11_A01", "P1_A01_2"]),
        (["01", "1", " 001", "1.0"], ["10", "1.5", "-1", "0"]),
        (["DMSO"], ["DMSO+", "DMSO-", "DMSO 0.5", "DMSO 0.05"]),
        (["5-1"], ["51", "5.1", "15"]),
        (["0.05"], ["0.5", "5"]),
        (["Pl\u00e9 1", "Ple\u0301_01"], ["Ple 1"]),
        (["5 \u00b5M", "5 \u03bcM"], ["5 mM"]),
    ],
)
def test_texts_that_are_the_same_but_for_case_zeros_and_separators(group, others):
    assert len({loose(text) for text in group}) == 1
    assert len({loose(text) for text in (group[0], *others)}) == 1 + len(others)


def test_matching_agrees_with_a_naive_search():
    plates, wells = ("P1", "p2", "P03"), ("A1", "A - 02", "b3")
    keys = list(itertools.product(plates, wells))
    ours = {
        f"{plate}_{well}": (plate, well) for plate in ("P1", "P2", "P4") for well in ("A01", "A02", "C01")
    }
    found = match("t.csv", "platemap", Keys(keys, PLATE_AND_WELL), ours)

    def naive(plate: str, well: str) -> list[tuple[str, str]]:
        return [key for key in keys if key[0].upper() == plate and well_name(key[1]) == well]

    expected = {name: rows[0] for name, key in ours.items() if (rows := naive(*key))}
    assert found.row_of == expected
    assert found.without_row == [name for name in ours if name not in expected]
    used = set(expected.values())
    assert found.unused == [" ".join(key) for key in keys if key not in used]
    assert [text.split(" ")[0] for text in found.rewritten] == ["P2_A01", "P2_A02"]


def test_what_could_be_two_rows_is_in_doubt_and_has_none():
    keys = Keys([("P01", "A1"), ("p1", "A1"), ("P2", "A1"), ("p2", "A1")], PLATE_AND_WELL)
    found = match("t.csv", "platemap", keys, {"a": ("P1", "A01"), "b": ("P2", "A01")})
    assert (found.row_of, found.without_row) == ({"b": ("P2", "A1")}, ["a"])
    assert found.doubts == ["a (could be P01 A1 or p1 A1)", "the row p2 A1 (or P2 A1, which an image has)"]
    assert "t.csv: 2 in doubt: a (could be P01 A1 or p1 A1), ..." not in found.problems()
    assert any(problem.startswith("t.csv: 2 in doubt: a (could be") for problem in found.problems())


@pytest.mark.parametrize(
    ("without", "unused", "loosely", "problems"),
    [
        (0, 0, {}, 0),
        (1, 0, {}, 1),
        (1, 0, {"some_without": True}, 0),
        (20, 0, {"some_without": True}, 1),
        (0, 10, {}, 0),
        (0, 30, {}, 1),
        (0, 30, {"some_unused": True}, 0),
        (1, 30, {}, 2),
    ],
)
def test_what_is_a_problem(without, unused, loosely, problems):
    row_of = {f"image {number}": ("x",) for number in range(100 - without)}
    missing, rows = [f"i{number}" for number in range(without)], [f"r{number}" for number in range(unused)]
    matching = Matching("t.csv", "table", "image", 100, missing, rows, row_of, **loosely)
    assert len(matching.problems()) == problems
    assert f"{100 - without} of 100 images have a row" in str(matching)
    assert all(f"{count} of 100" in str(matching) for count in (unused,) if count)


def _rows(path, text):
    path.write_text(text)
    return rows_by_key(path, read_table(path).to_dicts(), ("plate", "well"), PLATE_AND_WELL)


def test_rows_with_one_key_are_refused_unless_they_agree(tmp_path):
    path = tmp_path / "t.csv"
    rows = _rows(path, "plate,well,gene\nP1,A1,X\nP1,A01,X\n\nP1,a-1,X\n")
    assert (rows.values, rows.repeated) == (
        {("P1", "A1"): {"gene": "X"}},
        ["line 3 repeats line 2", "line 5 repeats line 2"],
    )
    message = r"two rows for plate P1, well A01: line 2 \(plate P1, well A1, gene X\); line 4 \(.*well a-1, gene Y\)"
    with pytest.raises(SpecError, match=message) as caught:
        _rows(path, "plate,well,gene\nP1,A1,X\nP1,A2,Z\nP1,a-1,Y\n")
    assert caught.value.remedy.startswith("Remove the wrong row")
    assert len(_rows(path, "plate,well,gene\nP1,A1,X\nP1,A2,Z\n").values) == 2
    assert len(_rows(path, "plate,well,gene\nP1,A1,X\nP01,A1,Y\n").values) == 2  # may be two plates


def test_rows_without_a_key_are_counted_and_named_and_the_remedy_works(tmp_path):
    path = tmp_path / "t.csv"
    text = "plate,well,protein\nP1,A01,AAC1\n,A02,\n,B01,AAH1\n"
    with pytest.raises(SpecError) as caught:
        _rows(path, text)
    assert caught.value.found == (
        "2 of 3 rows without plate: line 3 (well A02), line 4 (well B01, protein AAH1); also 1 without protein"
    )
    assert "Fill in each row" in caught.value.remedy
    assert (
        len(_rows(path, text.replace("\n,A02,", "\nP1,A02,AAC1").replace("\n,B01", "\nP1,B01")).values) == 3
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a,b\n1,2\n3,4\n", [2, 3]),
        ("sep=;\n# note\n\na;b\n#\n1;2\n;\n\n3;4", [6, 9]),
        ('a\tb\n"two\nlines"\t2\n3\t4\n', [2, 4]),
        ("a,b\r1,2\r\r3,4\r", [2, 4]),
    ],
)
def test_the_lines_of_rows(tmp_path, text, lines):
    path = tmp_path / "t.csv"
    path.write_text(text, newline="")
    assert len(read_table(path)) == 2
    assert row_labels(path, [0, 1]) == [f"line {line}" for line in lines]


def test_the_rows_of_other_formats_count_from_the_header(tmp_path):
    rows = [["a", "b"], ["1", "2"], ["", ""], ["3", "4"]]
    assert row_labels(workbook(tmp_path / "t.xlsx", rows), [0, 1]) == ["row 1", "row 3"]
    pl.DataFrame({"a": [1, None, 3]}).write_parquet(tmp_path / "t.parquet")
    assert row_labels(tmp_path / "t.parquet", [0, 1]) == ["row 1", "row 3"]
