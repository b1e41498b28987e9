"""Names of files are read as a person reads them: pattern, parts and channels."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from pcip_core.images.proposal.listing import holds_images, is_mask, list_folder
from pcip_core.images.proposal.naming.columns import read_columns
from pcip_core.images.proposal.naming.names import groups_of_names
from pcip_core.images.proposal.naming.patterns import pattern_of, read_with


def read(paths: list[str], *, cells: bool = False) -> tuple[str, list[str]]:
    """The pattern and the channels of some paths, which the pattern must read whole."""
    names = groups_of_names(paths)[0]
    assert len(names.paths) == len(paths)
    reading = read_columns(names, cells=cells)
    pattern = pattern_of(reading)
    parts, others = read_with(pattern, names.paths)
    assert others == []
    return pattern, sorted(set(parts.get("channel", [])))


def made(template: str, **values: list[str]) -> list[str]:
    """The paths of all combinations of some values."""
    return [template.format(**dict(zip(values, row, strict=True))) for row in product(*values.values())]


WELLS = ["A01", "A02", "B01"]


@pytest.mark.parametrize(
    ("template", "values", "pattern", "channels"),
    [
        (
            "{p}/{w}_f{f}_{c}.tif",
            {"p": ["P1", "P2"], "w": WELLS, "f": ["1", "2"], "c": ["dapi", "gfp"]},
            "{plate}/{well:well}_f{field:d}_{channel}.tif",
            ["dapi", "gfp"],
        ),
        (
            "2023_Screen_P1_{w}_s{f}_{c}.tif",
            {"w": WELLS, "f": ["1", "2"], "c": ["ch1", "ch3"]},
            "{plate}_{well:well}_s{field:d}_{channel}.tif",
            ["ch1", "ch3"],
        ),
        (
            "P1/r{r}c{k}f{f}p01-ch{c}sk1fk1fl1.tiff",
            {"r": ["01", "02"], "k": ["01", "11"], "f": ["01", "02"], "c": ["1", "2"]},
            "{plate}/r{row:d}c{column:d}f{field:d}p{z:d}-ch{channel}sk1fk1fl1.tiff",
            ["1", "2"],
        ),
        (
            "P1/001{k}-{f}-00000000{c}.tif",
            {"k": ["001", "002"], "f": ["1", "2"], "c": ["1", "2"]},
            "{plate}/{row:3d}{column:3d}-{field:d}-{channel}.tif",
            ["000000001", "000000002"],
        ),
        (
            "{g}/{g}_{f}_{c}.png",
            {"g": ["ER-SEC66", "nuclear_pore-NUP192"], "f": ["1", "2"], "c": ["gfp", "rfp"]},
            "{sample}/{sample}_{field:d}_{channel}.png",
            ["gfp", "rfp"],
        ),
        (
            "{w}(fld {f} wv {c}).tif",
            {"w": ["A - 01", "B - 02"], "f": ["1", "2"], "c": ["UV - DAPI", "Blue - FITC"]},
            "{well:well}(fld {field:d} wv {channel}).tif",
            ["Blue - FITC", "UV - DAPI"],
        ),
        (
            "{c}/{w}_t{t}_z{z}.tif",
            {"c": ["GFP", "BF"], "w": WELLS, "t": ["1", "2"], "z": ["01", "02"]},
            "{channel}/{well:well}_t{time:d}_z{z:d}.tif",
            ["BF", "GFP"],
        ),
        (
            "{g}_{c}.tif",
            {"g": ["0123456789abcdef" * 2, "fedcba9876543210" * 2], "c": ["dapi", "gfp"]},
            "{sample:hex}_{channel}.tif",
            ["dapi", "gfp"],
        ),
        (
            "57_F11_1_{c}.png",
            {"c": ["blue", "green", "red"]},
            "{plate}_{well:well}_{field:d}_{channel}.png",
            ["blue", "green", "red"],
        ),
    ],
)
def test_patterns(template: str, values: dict[str, list[str]], pattern: str, channels: list[str]) -> None:
    assert read(made(template, **values)) == (pattern, channels)


def test_cropped_cells_have_a_number() -> None:
    paths = made(
        "{g}/{g}_{f}_rfp_{n}_{c}.tif", g=["AAC1", "AAH1"], f=["1", "2"], n=["1", "2", "10"], c=["gfp", "rfp"]
    )
    assert read(paths, cells=True)[0] == "{protein}/{protein}_{field:d}_rfp_{cell:d}_{channel}.tif"


def test_what_differs_between_channels_is_no_part() -> None:
    paths = [f"P1_{w}_F{f}A{c}Z01C{c}.tif" for w in WELLS for f in ("001", "002") for c in ("01", "02")]
    assert read(paths) == ("{plate}_{well:well}_F{field:d}A*Z{z:d}C{channel}.tif", ["01", "02"])


def test_files_with_nothing_but_a_name_have_no_channel() -> None:
    assert read(["one_f1.tif", "other_f1.tif"])[1] == []


def test_label_images_are_known_by_their_names(tmp_path: Path) -> None:
    for name in ("A01_ch1.tif", "A01_cp_masks.png", "masks/A01.tif", "._A01_ch1.tif", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listing = list_folder(tmp_path)
    assert (listing.images, listing.masks) == (["A01_ch1.tif"], ["A01_cp_masks.png", "masks/A01.tif"])
    assert not is_mask("human_labelled_cells/A01.tif")


def test_listing_ends_at_a_number_of_files(tmp_path: Path) -> None:
    for folder in range(5):
        (tmp_path / f"P{folder}").mkdir()
        for number in range(10):
            (tmp_path / f"P{folder}" / f"A{number:02}.tif").touch()
    counts: list[int] = []
    listing = list_folder(tmp_path, most=20, progress=counts.append)
    assert not listing.complete
    assert len(listing.images) == 30
    assert counts[-1] == 30


def test_a_folder_that_holds_images_is_told_from_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "data" / "screens").mkdir(parents=True)
    (tmp_path / "data" / "screens" / "x.yaml").touch()
    assert not holds_images(tmp_path)
    (tmp_path / "plates" / "P1").mkdir(parents=True)
    (tmp_path / "plates" / "P1" / "A01.TIF").touch()
    assert holds_images(tmp_path)
