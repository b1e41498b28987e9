"""Fields that stand twice: copies of files and folders, told by their bytes, and files that only have such a name."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
import zarr

from pcip_core.errors import RootError
from pcip_core.images.layout import Layout, scan
from pcip_core.spec.screen import Screen
from tests.core.images.writers import noise, screen_of

ONE_FILE = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 1}}
BY_NAME = {"pattern": "{plate}_{well}_{field}.*", "image_id": "{plate}_{well}"}
BY_FOLDER = {"pattern": "{plate}/{well}_{field}.tif", "image_id": "{plate}_{well}"}


def looked_at(root: Path, contents: dict[str, str], files: dict[str, Any]) -> tuple[Screen, Layout]:
    """A screen of files with these contents."""
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    screen = screen_of(root, files, shards={"buckets": 1}, channels=ONE_FILE)
    return screen, scan(screen)


def line_of(remedy: str) -> dict[str, Any]:
    """The first line for `files` of the spec that a remedy gives."""
    line = re.search(r"`(.*?)`", remedy)
    assert line is not None
    return dict(yaml.safe_load(line[1]))


@pytest.mark.parametrize(
    "copy",
    [
        *("P_A01_1 - Copy.tif", "P_A01_1 (1).tif", "P_A01_1 - Kopie (2).tif", "P_A01_1 copy.tif"),
        *("P_A01_1 2.tif", "Copy of P_A01_1.tif"),
    ],
)
def test_copies_of_files_are_refused_and_the_remedy_works(tmp_path, copy):
    contents = {"P_A01_1.tif": "1", "P_A01_2.tif": "2", copy: "1"}
    with pytest.raises(
        RootError, match=r"has the bytes of 'P_A01_1.tif'; required: each field once"
    ) as caught:
        looked_at(tmp_path / "i", contents, BY_NAME)
    _, layout = looked_at(tmp_path / "i", {}, BY_NAME | line_of(caught.value.remedy))
    assert [field.parts["field"] for field in layout.fields] == ["1", "2"]


@pytest.mark.parametrize("end", [".ome.tif", ".tif.gz"])
def test_endings_of_two_parts_are_read(tmp_path, end):
    with pytest.raises(RootError, match="has the bytes of") as caught:
        looked_at(tmp_path / "i", {f"P_A01_1{end}": "1", f"P_A01_1 - Copy{end}": "1"}, BY_NAME)
    _, layout = looked_at(tmp_path / "i", {}, BY_NAME | line_of(caught.value.remedy))
    assert [field.files["protein"].partition("#")[0] for field in layout.fields] == [f"P_A01_1{end}"]


@pytest.mark.parametrize("copy", ["P (1)", "P - Copy", "P copy"])
def test_copies_of_folders_are_refused_and_the_remedy_works(tmp_path, copy):
    contents = {"P/A01_1.tif": "1", "P 2/A01_1.tif": "2", f"{copy}/A01_1.tif": "1"}
    with pytest.raises(RootError, match=r"has the bytes of 'P/A01_1.tif'") as caught:
        looked_at(tmp_path / "i", contents, BY_FOLDER)
    _, layout = looked_at(tmp_path / "i", {}, BY_FOLDER | line_of(caught.value.remedy))
    assert {field.parts["plate"] for field in layout.fields} == {"P", "P 2"}


def test_a_plate_with_the_name_of_a_copy_and_other_pixels_is_used_and_no_line_leaves_it_out(tmp_path):
    contents = {
        f"{plate}/A{well:02d}_1.tif": f"{plate} {well}" for plate in ("P", "P - Copy") for well in (1, 2, 3)
    }
    screen, layout = looked_at(tmp_path / "i", contents, BY_FOLDER)
    assert len(layout.fields) == 6
    (doubt,) = layout.doubts(screen)
    assert doubt == (
        "3 files have the name of a copy but other bytes, and are used: P - Copy/A01_1.tif beside P/A01_1.tif"
    )


def test_one_file_of_such_a_plate_that_is_a_copy_is_left_out_alone(tmp_path):
    """One of many that no sample need hold; the folder has further wells, too."""
    wells = range(1, 49)
    contents = {f"P/A{well:02d}_1.tif": f"one {well}" for well in wells}
    contents |= {f"P - Copy/A{well:02d}_1.tif": f"{'one' if well == 20 else 'two'} {well}" for well in wells}
    contents["P - Copy/B01_1.tif"] = "further"
    with pytest.raises(
        RootError, match=r"found a file that is a copy of another: 'P - Copy/A20_1.tif'"
    ) as caught:
        looked_at(tmp_path / "i", contents, BY_FOLDER)
    assert line_of(caught.value.remedy) == {"exclude": ["P - Copy/A20_1.tif"]}
    _, layout = looked_at(tmp_path / "i", {}, BY_FOLDER | line_of(caught.value.remedy))
    assert len(layout.fields) == 96


def test_a_folder_of_copies_with_a_further_well_is_not_left_out_as_a_whole(tmp_path):
    contents = {"P/A01_1.tif": "1", "P copy/A01_1.tif": "1", "P copy/A02_1.tif": "2"}
    with pytest.raises(RootError, match="has the bytes of") as caught:
        looked_at(tmp_path / "i", contents, BY_FOLDER)
    _, layout = looked_at(tmp_path / "i", {}, BY_FOLDER | line_of(caught.value.remedy))
    assert {field.field_id for field in layout.fields} == {"P_A01_1", "P copy_A02_1"}


def test_many_copies_among_others_are_to_be_removed(tmp_path):
    wells = [f"{row}{column:02d}" for row in "ABCDE" for column in range(1, 13)]
    contents = {f"{plate}/{well}_1.tif": well for plate in ("P", "P copy") for well in wells}
    contents["P copy/H01_1.tif"] = "further"
    with pytest.raises(RootError, match="found 60 files that are copies") as caught:
        looked_at(tmp_path / "i", contents, BY_FOLDER)
    assert caught.value.remedy == "Remove the copies."
    for well in wells:
        (tmp_path / "i" / "P copy" / f"{well}_1.tif").unlink()
    _, layout = looked_at(tmp_path / "i", {}, BY_FOLDER)
    assert len(layout.fields) == 61


def test_copies_of_ome_zarr_images_are_told_by_their_chunks(tmp_path):
    root, files = tmp_path / "i", {"layout": "ome_zarr", "image_id": "{image}"}
    for number, name in enumerate(("A01.ome.zarr", "A02.ome.zarr")):
        group = zarr.open_group(root / name, mode="w", zarr_format=2)
        axes = [{"name": axis, "type": "space" if axis in "yx" else "channel"} for axis in "cyx"]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
        group.create_array("0", data=noise(number, (2, 24, 32)), chunks=(1, 24, 32))
    shutil.copytree(root / "A01.ome.zarr", root / "A01 - Copy.ome.zarr")
    with pytest.raises(RootError, match=r"'A01 - Copy.ome.zarr' has the bytes of 'A01.ome.zarr'") as caught:
        looked_at(root, {}, files)
    _, layout = looked_at(root, {}, files | line_of(caught.value.remedy))
    assert [field.image_id for field in layout.fields] == ["A01", "A02"]
    shutil.rmtree(root / "A01 - Copy.ome.zarr")
    shutil.copytree(root / "A02.ome.zarr", root / "A01 - Copy.ome.zarr")
    screen, layout = looked_at(root, {}, files)
    assert len(layout.fields) == 3
    (doubt,) = layout.doubts(screen)
    assert doubt.startswith("1 file has the name of a copy but other bytes, and is used: A01 - Copy.ome.zarr")


def test_numbers_that_no_file_without_them_precedes_are_no_copies(tmp_path):
    contents = {"P_A01_x (1).tif": "same", "P_A01_x (2).tif": "same"}
    screen, layout = looked_at(tmp_path / "i", contents, BY_NAME)
    assert layout.doubts(screen) == []
