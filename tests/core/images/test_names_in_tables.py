"""Names of images, plates and channels in tables: with or without the ending of a file, in both forms of Unicode."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
import tifffile

from pcip_core.errors import RootError, SpecError
from pcip_core.images.annotations import describe_images
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from tests.core.images.writers import noise, screen_of

MANIFEST: dict[str, Any] = {"layout": "manifest", "table": "load.csv", "image_id": "{plate}_{well}"}
CHANNELS = {
    "nucleus": {"role": "structural", "named": "DNA"},
    "protein": {"role": "protein", "named": "GFP"},
}


def _write(root: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(root / name, noise(seed))


@pytest.mark.parametrize(
    ("image_id", "keys"),
    [
        ("{well}", ("A01.tif", "A02.tif")),
        ("{well}", ("A1.tif", "A2.OME.TIFF")),
        ("{well}.tif", ("A01", "A02")),
        ("{well}.tif", ("A1", "A02.tif")),
    ],
)
def test_keys_of_a_table_may_have_the_ending_of_a_file(tmp_path, image_id, keys):
    root = tmp_path / "i"
    _write(root, *(f"{well}_{channel}.tif" for well in ("A01", "A02") for channel in ("nucleus", "protein")))
    (root / "t.csv").write_text(f"image,protein\n{keys[0]},AAC1\n{keys[1]},ADE1\n")
    screen = screen_of(
        root,
        {"pattern": "{well}_{channel}.tif", "image_id": image_id},
        images={"table": "t.csv", "key": "image"},
        shards={"buckets": 1},
    )
    records = describe_images(screen, scan(screen).fields)
    assert [record.values["protein"] for record in records] == ["AAC1", "ADE1"]
    assert scan(screen).unclaimed == []


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_plate_has_one_name_in_both_forms_of_unicode_and_its_files_are_read(tmp_path, form):
    root = tmp_path / "i"
    plates = [unicodedata.normalize(other, "Bérénice") for other in ("NFC", "NFD")]
    _write(
        root,
        *(f"{plate}/A0{n}_{channel}.tif" for n, plate in enumerate(plates, 1) for channel in ("dna", "gfp")),
    )
    here = unicodedata.normalize(form, "Bérénice")
    (root / "wells.csv").write_text(f"plate,well,protein\n{here},A1,AAC1\n{here},A2,ADE1\n")
    channels = {
        "nucleus": CHANNELS["nucleus"] | {"named": "dna"},
        "protein": CHANNELS["protein"] | {"named": "gfp"},
    }
    files = {"pattern": "{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}", "only": {"plate": here}}
    screen = screen_of(root, files, channels=channels, images={"platemap": "wells.csv"})
    layout = scan(screen)
    assert layout.shards() == [plates[0]]
    assert [field.image_id for field in layout.fields] == [f"{plates[0]}_A01", f"{plates[0]}_A02"]
    assert all(read_field(screen, field).shape == (24, 32) for field in layout.fields)
    assert [record.values["protein"] for record in describe_images(screen, layout.fields)] == ["AAC1", "ADE1"]
    screen = screen_of(root, files | {"only": {}, "exclude": [f"{here}/A01_*"]}, channels=channels)
    assert [field.parts["well"] for field in scan(screen).fields] == ["A02"]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_files_of_a_table_are_found_in_the_other_form(tmp_path, forms):
    root = tmp_path / "i"
    on_disk, written = (unicodedata.normalize(form, "Bérénice") for form in forms)
    _write(root, f"{on_disk}/dna.tif", f"{on_disk}/gfp.tif")
    (root / "load.csv").write_text(
        f"FileName_DNA,PathName_DNA,FileName_GFP,PathName_GFP,Metadata_Plate,Metadata_Well\n"
        f"dna.tif,{written},gfp.tif,{written},P,A01\n"
    )
    screen = screen_of(root, MANIFEST, channels=CHANNELS)
    layout = scan(screen)
    assert read_field(screen, layout.fields[0]).shape == (24, 32)
    assert layout.unclaimed == []


def _load(root: Path, *rows: str) -> None:
    root.mkdir(exist_ok=True)
    text = "FileName_DNA,FileName_GFP,Metadata_Plate,Metadata_Well,Metadata_Site\n"
    (root / "load.csv").write_text(text + "".join(f"{row}\n" for row in rows))


def _name(well: int, field: int, channel: int) -> str:
    return f"r01c{well:02d}f{field:02d}p01-ch{channel}sk1fk1fl1.tiff"


def test_a_row_with_one_file_for_both_channels_is_refused(tmp_path):
    _load(tmp_path / "i", "a.tif,b.tif,P,A01,1", "c.tif,c.tif,P,A02,1")
    with pytest.raises(
        RootError, match=r"load.csv, line 3: found c.tif for both channels nucleus and protein"
    ) as caught:
        scan(screen_of(tmp_path / "i", MANIFEST, channels=CHANNELS))
    assert "add the columns Frame_DNA and Frame_GFP" in caught.value.remedy
    _load(tmp_path / "i", "a.tif,b.tif,P,A01,1")
    text = (tmp_path / "i" / "load.csv").read_text().replace("Site\n", "Site,Frame_DNA,Frame_GFP\n")
    (tmp_path / "i" / "load.csv").write_text(f"{text.strip()},0,0\nc.tif,c.tif,P,A02,1,0,1\n")
    fields = scan(screen_of(tmp_path / "i", MANIFEST, channels=CHANNELS)).fields
    assert fields[1].files == {"nucleus": "c.tif#c=0", "protein": "c.tif#c=1"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            f"{_name(2, 1, 1)},{_name(2, 1, 2)},P,A05,1",
            "well A05 for the file r01c02f01p01-ch1.* says well A02",
        ),
        (f"{_name(2, 4, 1)},{_name(2, 4, 2)},P,A02,1", "field 1 for the file .* says field 4"),
        (
            f"{_name(2, 1, 2)},{_name(2, 1, 1)},P,A02,1",
            "channel nucleus for the file .* says channel 2, and not 1 as",
        ),
        (
            f"X_A09_s1_w1.tif,{_name(2, 1, 2)},P,A02,1",
            "well A02 for the file X_A09_s1_w1.tif, whose name says well A09",
        ),
    ],
)
def test_rows_that_contradict_the_names_of_their_files_are_refused(tmp_path, row, message):
    good = [f"{_name(1, field, 1)},{_name(1, field, 2)},P,A1,{field}" for field in (1, 2, 3)]
    _load(tmp_path / "i", *good, row)
    with pytest.raises(RootError, match=rf"load.csv, line 5: found {message}"):
        scan(screen_of(tmp_path / "i", MANIFEST, channels=CHANNELS))
    _load(tmp_path / "i", *good)
    assert len(scan(screen_of(tmp_path / "i", MANIFEST, channels=CHANNELS)).fields) == 3


def test_names_that_number_fields_and_wells_in_their_own_way_are_no_contradiction(tmp_path):
    rows = [f"E{n}_s{n}_w1.tif,E{n}_s{n}_w2.tif,P,A01,{n - 1}" for n in (1, 2, 3)]
    _load(tmp_path / "i", *rows)
    assert len(scan(screen_of(tmp_path / "i", MANIFEST, channels=CHANNELS)).fields) == 3


@pytest.mark.parametrize("corner", ["protein", "", "Row"])
def test_a_plate_map_drawn_as_a_plate_is_read_or_refused_with_a_remedy_that_works(tmp_path, corner):
    root = tmp_path / "i"
    _write(root, *(f"{well}_{channel}.tif" for well in ("A01", "B03") for channel in ("nucleus", "protein")))
    (root / "map.csv").write_text(f"{corner},1,2,3\nA,AAC1,,\nB,,,ADE1\n")
    files = {"pattern": "{well}_{channel}.tif", "image_id": "{well}"}
    screen = screen_of(root, files, images={"platemap": "map.csv"}, shards={"buckets": 1})
    fields = scan(screen).fields
    if corner != "protein":
        with pytest.raises(SpecError, match="a plate whose wells hold something without a name") as caught:
            describe_images(screen, fields)
        header, first, second = caught.value.remedy.split("`")[1:6:2]
        (root / "map.csv").write_text(f"{header}\n{first}\n{second}\n")
        assert first == "A01,AAC1"
    records = describe_images(screen, fields)
    assert [record.values["protein"] for record in records] == ["AAC1", "ADE1"]


def test_several_plates_drawn_in_one_table_are_refused(tmp_path):
    root = tmp_path / "i"
    _write(root, "P1_A01_nucleus.tif", "P1_A01_protein.tif")
    files = {"pattern": "{plate}_{well}_{channel}.tif", "image_id": "{plate}_{well}"}
    screen = screen_of(root, files, images={"platemap": "map.csv"}, shards={"buckets": 1})
    for text in ("gene,1,2,3\nA,x,y,z\nA,x,y,z\n", "plate,row,1,2,3\nP1,A,x,y,z\n"):
        (root / "map.csv").write_text(text)
        with pytest.raises(SpecError, match=r"several plates.* drawn with the columns 1, 2, 3"):
            describe_images(screen, scan(screen).fields)
