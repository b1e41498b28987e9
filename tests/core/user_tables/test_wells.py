"""Names of wells in any writing."""

from __future__ import annotations

import pytest

from pcip_core.user_tables.wells import row_and_column, well_at, well_name, well_of

WRITINGS = (
    "{row}{col}",
    "{row}{col:02d}",
    "{row}{col:03d}",
    "{row}-{col}",
    "{row} - {col:02d}",
    "{row}_{col:02d}",
)
ROWS = [well_at(number, 1)[:-2] for number in range(1, 33)]


def test_every_well_of_1536_in_every_writing():
    assert (ROWS[0], ROWS[25], ROWS[26], ROWS[31]) == ("A", "Z", "AA", "AF")
    for number, row in enumerate(ROWS, start=1):
        for col in (1, 9, 10, 48):
            name = f"{row}{col:02d}"
            assert well_at(number, col) == name
            for writing in WRITINGS:
                text = writing.format(row=row, col=col)
                assert well_name(text) == well_name(text.lower()) == well_name(f" {text} ") == name
            for text in (f"r{number:02d}c{col:02d}", f"R{number}C{col}", f"Well {row}{col}"):
                assert well_name(text) == name
            for pair in ((row, str(col)), (row.lower(), f"{col:02d}"), (str(number), str(col))):
                assert well_of(*pair) == name


@pytest.mark.parametrize("text", ["", "control", "AAC1", "A", "12", "A1234", "A01_s1", "r0c1", "2310009E13"])
def test_other_texts_stay(text):
    assert well_name(text) == text


def test_a_row_or_a_column_without_the_other_is_no_well():
    assert [well_of("A", ""), well_of("", "1")] == ["", ""]
    assert row_and_column(["Metadata_Row", "Metadata_Column"]) == ("Metadata_Row", "Metadata_Column")
    assert row_and_column(["column", "gene"]) is None
