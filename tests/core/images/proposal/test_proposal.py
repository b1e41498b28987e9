"""A folder of images becomes a spec that reads it; what cannot be one is refused in a sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from pcip_core.errors import ImageFileError, RootError, SpecError
from pcip_core.images.layout import scan
from pcip_core.images.proposal.channels import chosen_channels
from pcip_core.images.proposal.inspection import inspect_folder
from pcip_core.images.proposal.proposal import likely_organism, propose
from pcip_core.images.proposal.scale import typical_diameter
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import Benchmark


def discs(diameter: float = 24, side: int = 300, step: int = 50, seed: int = 0) -> np.ndarray:
    """Bright discs on a grid, (side, side) uint16."""
    y, x = np.mgrid[:side, :side]
    centres = range(step // 2, side, step)
    inside = sum((y - a) ** 2 + (x - b) ** 2 <= (diameter / 2) ** 2 for a in centres for b in centres)
    return (np.random.default_rng(seed).normal(100, 5, (side, side)) + 2000 * inside).astype(np.uint16)


def write(root: Path, *names: str, pixels: np.ndarray | None = None, **options: Any) -> Path:
    """Write an image under each of some names; those of uint16 differ, as equal files would be doubted."""
    plane = discs(side=100) if pixels is None else pixels
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(
            root / name, plane + np.uint16(number) if plane.dtype == np.uint16 else plane, **options
        )
    return root


def proposed(root: Path, organism: str | None = None, **options: Any) -> tuple[str, Screen]:
    """The proposal for a folder: text and screen."""
    given = {key: options.pop(key) for key in ("protein", "structural") if key in options}
    arrangement = inspect_folder(root, **options)
    choices = chosen_channels(arrangement.channels, **given)
    return propose(root, arrangement, choices, name="trial", organism=organism or likely_organism(choices))


def plate(end: str = ".tif", channels: tuple[str, ...] = ("dapi", "gfp")) -> list[str]:
    """Names of two wells with two fields."""
    return [
        f"P1/{well}_s{field}_{name}{end}" for well in ("A01", "A02") for field in (1, 2) for name in channels
    ]


def test_a_plate_by_its_names(tmp_path: Path) -> None:
    write(tmp_path, *plate(), pixels=discs())
    text, screen = proposed(tmp_path)
    assert screen.files.pattern == "{plate}/{well:well}_s{field:d}_{channel}.tif"
    assert (screen.structural, screen.protein) == (("nucleus",), ("protein",))
    layout = scan(screen)
    assert (len(layout.fields), layout.shards(), layout.unclaimed) == (4, ["P1"], [])
    assert {field.image_id for field in layout.fields} == {"P1_A01", "P1_A02"}
    assert (screen.segmentation.method, screen.organism) == ("nuclei", "Homo sapiens")
    assert screen.segmentation.options["diameter_px"] == pytest.approx(24, abs=3)
    assert "# by its name" in text.replace("   #", " #")


def test_a_platemap_is_used_if_it_describes_the_images(tmp_path: Path) -> None:
    write(tmp_path, *plate())
    (tmp_path / "wells.csv").write_text("well,protein\nA1,AAC1\nA2,AAH1\n")
    (tmp_path / "broken.csv").write_text("well,protein\nA1,AAC1\nA01,AAP1\nA2,X\n")
    text, screen = proposed(tmp_path)
    assert screen.images.platemap == "wells.csv"
    assert "broken.csv is not used" in text
    assert screen.benchmark == Benchmark("protein", ("leave_field_out", "leave_cell_out"))


@pytest.mark.parametrize(
    ("columns", "benchmark"),
    [
        (("protein", "AAC1", "AAC1", "AAH1", "AAH1"), Benchmark("protein")),
        (("protein", "AAC1", "AAC1", "AAH1", "AAP1"), Benchmark()),
        (("localization", "ER", "ER", "Nucleus", "Nucleus"), Benchmark()),
        (("protein,localization", "a,ER", "b,ER", "a,Golgi", "b,Golgi"), Benchmark()),
        (("protein,localization", "a,ER", "b,ER|Golgi", "a,ER", "b,Golgi"), Benchmark("protein")),
    ],
)
def test_proteins_are_recognized_where_no_two_terms_can_be_compared(
    tmp_path: Path, columns: tuple[str, ...], benchmark: Benchmark
) -> None:
    wells = ("A01", "A02", "B01", "B02")
    write(tmp_path, *(f"P1/{well}_s1_{channel}.tif" for well in wells for channel in ("dapi", "gfp")))
    rows = [",".join(row) for row in zip(("well", *wells), columns, strict=True)]
    (tmp_path / "wells.csv").write_text("\n".join(rows) + "\n")
    assert proposed(tmp_path)[1].benchmark == benchmark


def test_a_table_of_images_is_found_by_its_key(tmp_path: Path) -> None:
    write(
        tmp_path,
        *(f"{name}/{name}_{n}_{c}.tif" for name in ("ab", "cd") for n in (1, 2) for c in ("gfp", "rfp")),
    )
    (tmp_path / "labels.csv").write_text("picture,localization\nab,Cytosol\ncd,Nucleus\n")
    _, screen = proposed(tmp_path)
    assert (screen.images.table, screen.images.key) == ("labels.csv", "picture")


def test_an_export_with_two_measurements_of_one_plate(tmp_path: Path) -> None:
    names = [f"{m}/Images/r01c0{c}f01p01-ch{n}sk1fk1fl1.tiff" for m in "ab" for c in (1, 2) for n in (1, 2)]
    write(tmp_path, *names)
    index = (
        "<EvaluationInputData><Plates><Plate><Name>Q7</Name></Plate></Plates><Maps><Map>"
        '<Entry ChannelID="1"><ChannelName>EGFP</ChannelName>'
        '<ImageResolutionX Unit="m">2.5E-07</ImageResolutionX></Entry>'
        '<Entry ChannelID="2"><ChannelName>HOECHST 33342</ChannelName></Entry></Map></Maps></EvaluationInputData>'
    )
    for folder in "ab":
        (tmp_path / folder / "Images" / "Index.xml").write_text(index)
    text, screen = proposed(tmp_path)
    assert (screen.files.layout, screen.files.image_id) == ("opera", "{plate}_{folder}_{well}")
    assert {name: channel.named for name, channel in screen.channels.items()} == {
        "nucleus": "HOECHST 33342",
        "protein": "EGFP",
    }
    assert "pixel_um: 0.25 " in text
    assert len(scan(screen).fields) == 4


def test_planes_and_times_get_a_rule(tmp_path: Path) -> None:
    names = [f"S/TimePoint_{t}/ZStep_{z}/P_A01_s1_w{w}.tif" for t in (1, 2) for z in (1, 2) for w in (1, 2)]
    text, screen = proposed(write(tmp_path, *names), protein=["w2"])
    assert (screen.files.layout, screen.files.project, screen.files.only) == (
        "imagexpress",
        {"z": "max"},
        {"time": 1},
    )
    assert "Of 2 times, only the first is used" in re.sub(r"\n# +", " ", text)
    assert len(scan(screen).fields) == 1


def test_channels_within_files(tmp_path: Path) -> None:
    pixels = np.stack([discs(side=100), discs(side=100, seed=1)])
    metadata = {"axes": "CYX", "Channel": {"Name": ["mCherry", "EGFP"]}, "PhysicalSizeX": 0.2}
    write(tmp_path, "p_A01.ome.tif", "p_A02.ome.tif", pixels=pixels, metadata=metadata)
    text, screen = proposed(tmp_path)
    assert (screen.files.layout, screen.files.pattern) == ("ome_tiff", "{plate}_{well:well}.ome.tif")
    assert screen.channels["protein"].named == "EGFP"
    assert "pixel_um: 0.2 " in text


def test_label_images_are_used(tmp_path: Path) -> None:
    write(tmp_path, *(f"{well}_{name}.tif" for well in ("A01", "A02") for name in ("gfp", "rfp")))
    labels = np.zeros((100, 100), np.uint16)
    labels[20:40, 20:40] = 1
    write(tmp_path, "A01_cp_masks.tif", "A02_cp_masks.tif", pixels=labels)
    _, screen = proposed(tmp_path)
    assert screen.segmentation.method == "labels"
    assert screen.channels["mask"].role == "labels"
    assert [sorted(field.files) for field in scan(screen).fields] == [["mask", "protein", "rfp"]] * 2


@pytest.mark.parametrize("mask", ["masks/{}_labeled.tiff", "{}-ch1sk1fk1fl1_cp_masks.tif"])
def test_label_images_beside_an_export_are_named_with_the_option_that_uses_them(
    tmp_path: Path, mask: str
) -> None:
    places = [f"r01c0{well}f0{field}p01" for well in (1, 2) for field in (1, 2)]
    write(tmp_path, *(f"{place}-ch{channel}sk1fk1fl1.tiff" for place in places for channel in (1, 2)))
    labels = np.zeros((100, 100), np.uint16)
    labels[20:40, 20:40] = 1
    write(tmp_path, *(mask.format(place) for place in places), pixels=labels)
    roles = {"protein": ["1"], "structural": ["nucleus=2"]}
    text, screen = proposed(tmp_path, **roles)
    assert (screen.files.layout, screen.segmentation.method) == ("opera", "nuclei")
    note = re.sub(r"\n# *", " ", text)
    assert "Left out: 4 label images, such as" in note
    (layout,) = re.findall(r"To use them, read all names by a pattern: --layout (\w+)", note)
    assert not scan(screen).unclaimed
    _, screen = proposed(tmp_path, layout=layout, **roles)
    assert screen.segmentation.method == "labels"
    assert [sorted(field.files) for field in scan(screen).fields] == [["mask", "nucleus", "protein"]] * 4


def test_a_table_that_lists_images(tmp_path: Path) -> None:
    write(tmp_path, *(f"images/{n}_{c}.tif" for n in (1, 2) for c in ("a", "b")))
    rows = [f"P1,A0{n},images,{n}_a.tif,images,{n}_b.tif" for n in (1, 2)]
    head = "Metadata_Plate,Metadata_Well,PathName_DNA,FileName_DNA,PathName_GFP,FileName_GFP"
    (tmp_path / "load_data.csv").write_text("\n".join([head, *rows]))
    _, screen = proposed(tmp_path)
    assert (screen.files.layout, screen.files.table) == ("manifest", "load_data.csv")
    assert len(scan(screen).fields) == 2


def test_the_pattern_of_the_user(tmp_path: Path) -> None:
    write(tmp_path, "a x_f1_gfp.tif", "a x_f1_rfp.tif", "b_f1_gfp.tif", "b_f1_rfp.tif")
    _, screen = proposed(tmp_path, pattern="{strain}_f{field:d}_{channel}.tif")
    assert {field.image_id for field in scan(screen).fields} == {"a x", "b"}
    with pytest.raises(SpecError, match=r"no file that matches it; the first file is a x_f1_gfp.tif"):
        proposed(tmp_path, pattern="{strain}.png")


def test_a_single_field(tmp_path: Path) -> None:
    _, screen = proposed(write(tmp_path, "x_1_gfp.tif", "x_1_rfp.tif"))
    assert [(field.image_id, sorted(field.files)) for field in scan(screen).fields] == [
        ("x", ["protein", "rfp"])
    ]


def test_two_arrangements_are_refused_and_the_remedy_works(tmp_path: Path) -> None:
    write(
        tmp_path,
        *(f"fields/{name}" for name in plate()),
        *(f"cells/x_{n}_{c}.tif" for n in (1, 2) for c in ("gfp", "rfp")),
    )
    with pytest.raises(
        RootError, match=r"2 arrangements of images: 8 files such as fields/P1/A01_s1_dapi.tif"
    ) as caught:
        proposed(tmp_path)
    left_out = re.findall(r'--exclude "([^"]+)"', caught.value.remedy)
    assert len(scan(proposed(tmp_path, exclude=left_out)[1]).fields) == 4


def test_an_export_beside_other_files_is_refused(tmp_path: Path) -> None:
    write(
        tmp_path, "opera/r01c01f01p01-ch1sk1fk1fl1.tiff", "opera/r01c01f01p01-ch2sk1fk1fl1.tiff", "x_gfp.tif"
    )
    with pytest.raises(
        RootError, match=r"2 files of layout opera such as opera/r01.*; 1 file such as x_gfp.tif"
    ):
        proposed(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "an empty folder"), (("notes.doc",), r"none of them an image \(extensions .doc\), such as notes.doc"),
     (("terms.csv",), r"1 file, none of them an image \(extensions .csv\)")],
)  # fmt: skip
def test_folders_without_images(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(RootError, match=message):
        inspect_folder(tmp_path)
    with pytest.raises(RootError, match="no such folder"):
        inspect_folder(tmp_path / "x")


def test_unreadable_images(tmp_path: Path) -> None:
    for name in plate():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"II*\0 no TIFF")
    with pytest.raises(ImageFileError, match="2 others cannot be read either"):
        inspect_folder(tmp_path)
    write(tmp_path, *plate(), pixels=np.full((64, 64), 7, np.uint16))
    with pytest.raises(ImageFileError, match="none of 4 fields of a sample can be read"):
        proposed(tmp_path)


@pytest.mark.parametrize("diameter", [16, 40])
def test_the_diameter_of_discs(diameter: int) -> None:
    plane = discs(diameter, side=400, step=100)
    touching = np.maximum(plane, np.roll(plane, diameter, axis=1))
    assert typical_diameter([plane]) == pytest.approx(diameter, rel=0.15)
    assert typical_diameter([touching]) == pytest.approx(diameter, rel=0.25)
    assert typical_diameter([np.zeros((50, 50))]) is None


@pytest.mark.parametrize("organism", [None, "yeast"])
def test_another_word_for_nuclei_is_understood(tmp_path: Path, organism: str | None) -> None:
    """The nuclei are not the first structural channel, and no yeast cell is looked for in them."""
    write(tmp_path, *plate(channels=("ch1", "ch2", "ch3")), pixels=discs())
    given = {"protein": ["ch2"], "structural": ["rfp=ch1", "hoechst=ch3"]}
    if organism is None:
        given["structural"][0] = "tubulin=ch1"
    _, screen = proposed(tmp_path, organism, **given)
    assert screen.structural[1] == "nucleus"
    assert screen.encoder.start == ("simulated_human" if organism is None else "none")
    expected = ("nuclei", "nucleus") if organism is None else ("yeast_cytosol", "rfp")
    assert (screen.segmentation.method, screen.segmentation.options["channel"]) == expected
    assert screen.organism == (organism or "Homo sapiens")
