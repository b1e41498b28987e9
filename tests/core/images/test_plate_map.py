"""Wells counted by plate, missing wells, and maps of plates in text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pcip_core.images.field import Field
from pcip_core.images.listing import Listing
from pcip_core.images.plate_map import LISTED, Plate, drawn, missing_wells, place_of, plates_of
from pcip_core.spec.loading import load_screen
from tests.conftest import write_spec

FULL = [f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13)]


def plate(wells: list[str], name: str = "P1", fields: int = 4) -> Plate:
    return Plate(name, dict.fromkeys(wells, fields))


def without(wells: list[str], *absent: str) -> list[str]:
    return [well for well in wells if well not in absent]


@pytest.mark.parametrize(
    ("well", "place"),
    [
        *(("a1", (1, 1)), ("H12", (8, 12)), ("P24", (16, 24)), ("AF048", (32, 48)), ("A-01", (1, 1))),
        *(("r16c24", (16, 24)), ("AG01", None), ("A49", None), ("A0", None), ("Screen_P1_A01", None)),
    ],
)
def test_wells_have_places(well: str, place: tuple[int, int] | None) -> None:
    assert place_of(well) == place


def test_fields_are_counted_by_plate_and_well(tmp_path) -> None:
    screen = load_screen(write_spec(tmp_path, root=str(tmp_path)))
    fields = [
        Field(f"{plate}_{well}_{n}", f"{plate}_{well}", plate, {"plate": plate, "well": well}, {})
        for plate, well, count in (("p10", "A1", 3), ("p2", "B2", 1), ("p2", "A10", 2), ("p2", "A2", 2))
        for n in range(count)
    ]
    counted = plates_of(screen, fields)
    assert [(each.name, list(each.wells.items())) for each in counted] == [
        ("p2", [("A02", 2), ("A10", 2), ("B02", 1)]),
        ("p10", [("A01", 3)]),
    ]
    template = replace(screen, images=replace(screen.images, values={"well": "{row}{column}"}))
    parts = {"row": "B", "column": "7"}
    assert plates_of(template, [Field("f", "i", "s", parts, {})]) == [Plate("", {"B07": 1})]
    assert plates_of(screen, [Field("f", "i", "s", {"gene": "X"}, {})]) == []


def test_a_gap_in_a_full_plate_is_missing() -> None:
    assert missing_wells([plate(FULL)]) == {}
    assert missing_wells([plate(without(FULL, "C05", "A07"))]) == {
        "P1": {"A07": "a gap between imaged wells", "C05": "a gap between imaged wells"}
    }


@pytest.mark.parametrize(
    "wells",
    [
        FULL[:90],  # filled up to some well
        without(FULL, "A01", "A12", "H01", "H12"),  # corners
        [well for well in FULL if well[0] in "BCDEFG" and "02" <= well[1:] <= "11"],  # inner wells
        FULL[::2],  # every other column
        ["A01", "A03", "B02"],
        ["A01", "A02", "B01"],
        ["Screen_P1_A01", "Screen_P1_A03"],
    ],
)
def test_plates_that_are_filled_on_purpose_lack_nothing(wells: list[str]) -> None:
    assert missing_wells([plate(wells)]) == {}
    assert missing_wells([plate(wells, "P1"), plate(wells, "P2")]) == {}


def test_a_well_of_the_other_plates_is_missing_from_one() -> None:
    row = [f"A{column:02d}" for column in range(1, 7)]
    plates = [plate(row, "P1"), plate(without(row, "A03"), "P2"), plate(row, "P3")]
    assert missing_wells(plates) == {"P2": {"A03": "imaged on most of the other plates"}}
    assert missing_wells([plate(row, "P1"), plate(row[:4], "P2"), plate(row, "P3")]) == {}  # the last wells
    assert missing_wells([plate(row, "P1"), plate(["A01", "A06"], "P2"), plate(row, "P3")]) == {}  # sparse


def test_a_well_of_the_platemap_without_images_is_missing() -> None:
    wells = [plate(["A01", "A02", "B01"])]
    assert missing_wells(wells, [("", well) for well in ("A01", "A02", "B01", "B02")]) == {
        "P1": {"B02": "listed in the platemap"}
    }
    listed = [("P1", "A01"), ("P1", "A02"), ("P1", "A04"), ("P2", "B05")]
    assert missing_wells(wells, listed) == {"P1": {"A04": "listed in the platemap"}}
    assert missing_wells(wells, listed[1:]) == {}  # half of them
    assert missing_wells(wells, [("", well) for well in FULL]) == {}  # a pilot of three wells


def test_wells_with_fewer_fields_than_nearly_all_others() -> None:
    assert plate(FULL).short == {}
    assert Plate("P1", dict.fromkeys(FULL, 4) | {"B03": 3}).short == {"B03": 3}
    assert Plate("P1", {"A01": 3, "A02": 2, "A03": 1, "A04": 4}).short == {}  # no usual number
    assert Plate("P1", {"A01": 3, "B01": 2}).short == {}


def test_a_map_has_a_line_per_row() -> None:
    assert drawn(Plate("P1", {"B02": 10, "D11": 4}), ["C10"]) == [
        "     2  3  4  5  6  7  8  9 10 11",
        "B   10  .  .  .  .  .  .  .  .  .",
        "C    .  .  .  .  .  .  .  .  ?  .",
        "D    .  .  .  .  .  .  .  .  .  4",
    ]
    assert drawn(Plate("P1", {"A01": 1, "r1c1": 1})) == []  # two names of one place


def test_a_row_of_a_platemap_that_names_no_well_is_no_missing_well() -> None:
    listed = [("", "A01"), ("", "A02"), ("", "A03"), ("", "Total")]
    assert missing_wells([plate(["A01", "A02", "A03"])], listed) == {}
    named = Plate("P1", {"top": 1, "middle": 1})
    assert missing_wells([named], [("", "top"), ("", "middle"), ("", "bottom")])["P1"].keys() == {"bottom"}


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [(LISTED, "; copy them, or remove the rows of wells without images"), ("a gap between imaged wells", "")],
)
def test_a_well_of_the_platemap_alone_comes_with_a_remedy(reason: str, remedy: str) -> None:
    """Rows of wells without images can be removed; for other reasons, no row is at fault."""
    (line,) = Listing([], [], {"P1": {"B02": reason}}, []).missing_lines()
    assert line == f"plate P1: no images for 1 well: B02 ({reason}){remedy}"
