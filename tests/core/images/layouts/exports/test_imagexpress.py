"""Exports of MetaXpress: names with and without GUIDs, thumbnails, folders of times and focal planes, .HTD files."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pcip_core.errors import RootError
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from tests.core.images.writers import noise, screen_of

FILES = {"layout": "imagexpress", "image_id": "{plate}_{well}"}
CHANNELS = {
    "nucleus": {"role": "structural", "named": "w1"},
    "protein": {"role": "protein", "named": "w2"},
}
HTD = '"HTSInfoFile", Version 1.0\n"Description", "caf\xe9"\n"WaveName1", "DAPI"\n"WaveName2", "Texas Red"\n'


def _write(folder: Path, stem: str, *, guid: bool, seeds: dict[str, int]) -> dict[str, np.ndarray]:
    """Write an image for each end of a name, and with GUIDs its thumbnail."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for end, seed in seeds.items():
        written[end] = noise(seed)
        text = str(uuid.UUID(int=seed * 7919, version=4)).upper() if guid else ""
        tifffile.imwrite(folder / f"{stem}{end}{text}.tif", written[end])
        if guid:
            (folder / f"{stem}{end}_thumb{text}.tif").touch()
    return written


@pytest.mark.parametrize("guid", [True, False])
def test_sites_and_wavelengths_are_read_before_a_guid(tmp_path, guid):
    root = tmp_path / "images"
    ends = {f"{well}_s{site}_w{wave}": 100 * row + 10 * site + wave
            for row, well in enumerate(("A01", "AF48")) for site in (1, 12) for wave in (1, 2)}  # fmt: skip
    written = _write(root / "2013-03-12" / "38030", "2023_Screen_P1_", guid=guid, seeds=ends)
    screen = screen_of(root, FILES, channels=CHANNELS)
    layout = scan(screen)
    assert [field.field_id for field in layout.fields] == [
        f"2023_Screen_P1_{well}_{site}" for well in ("A01", "AF48") for site in (1, 12)
    ]
    assert layout.unclaimed == []
    assert len(layout.excluded) == (8 if guid else 0)
    assert layout.fields[0].parts == {
        **{"plate": "2023_Screen_P1", "folder": "2013-03-12_38030", "well": "A01", "row": "1", "column": "1"},
        **{"field": "1", "plane": "0", "time": "1"},
    }
    for field in layout.fields:
        planes = read_field(screen, field)
        for number, channel in enumerate(planes, 1):
            end = f"{field.parts['well']}_s{field.parts['field']}_w{number}"
            assert np.array_equal(planes[channel], written[end])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("P_B05_s151E1E486E-D339-44E8-9990-9A8894C2D5CA.tif", ("P", "B05", "15", "1")),
        ("P_B05_s2866465035-BBD2-4C57-BF9C-185859741902.TIF", ("P", "B05", "28", "1")),
        ("P_B05.TIF", ("P", "B05", "1", "1")),
        ("P_B05_w2.tif", ("P", "B05", "1", "2")),
        ("x_y_B05_w12D5F8F51A-3E85-4358-AE51-A465AF87386F.tif", ("x_y", "B05", "1", "12")),
        ("t3_B05_s4_w2_z1.tif", (None, "B05", "4", "2")),
        ("A01_s2_w1.tif", (None, "A01", "2", "1")),
        ("b5_w2.tif", (None, "B05", "1", "2")),
        ("B2_D4_A01_s2_w1.tif", ("B2_D4", "A01", "2", "1")),
        ("P_S01_w1.tif", ("P", "S01", "1", "1")),
    ],
)
def test_single_sites_and_single_wavelengths(tmp_path, name, expected):
    from pcip_core.images.inside import Tree
    from pcip_core.images.layouts.exports.imagexpress import ImageXpress

    plane = ImageXpress(Tree(tmp_path), []).plane(name, "")
    assert (plane.plate, plane.parts["well"], plane.parts["field"], plane.channel) == expected


def test_folders_of_times_and_planes_are_parts_and_the_htd_names_channels(tmp_path):
    root = tmp_path / "images"
    written = {}
    for time in (1, 2):
        for step in (0, 1, 10):
            folder = root / "P_Plate_7" / f"TimePoint_{time}" / f"ZStep_{step}"
            seeds = {f"B02_s1_w{wave}": 1000 * time + 10 * step + wave for wave in (1, 2)}
            written[time, step] = _write(folder, "P_", guid=False, seeds=seeds)
    (root / "P_Plate_7" / "P.HTD").write_text(HTD, encoding="latin-1")
    channels = {
        "nucleus": {"role": "structural", "named": "DAPI"},
        "protein": {"role": "protein", "named": "texas red"},
    }
    screen = screen_of(root, FILES | {"only": {"time": "02", "plane": 10}}, channels=channels)
    (field,) = scan(screen).fields
    assert {name: field.parts[name] for name in ("plate", "folder", "plane", "time")} == {
        **{"plate": "P", "folder": "P_Plate_7", "plane": "10", "time": "2"}
    }
    assert np.array_equal(read_field(screen, field)["protein"], written[2, 10]["B02_s1_w2"])
    project = screen_of(root, FILES | {"only": {"time": 1}, "project": {"z": "mean"}}, channels=channels)
    (field,) = scan(project).fields  # of ZStep_1 and ZStep_10, without the projection in ZStep_0
    mean = np.mean([written[1, step]["B02_s1_w1"] for step in (1, 10)], axis=0)
    assert np.abs(read_field(project, field)["nucleus"] - mean).max() <= 0.5
    with pytest.raises(RootError, match=r"whose plane is 7, as files\.only requires; required: .* 0, 1, 10"):
        scan(screen_of(root, FILES | {"only": {"time": 2, "plane": 7}}, channels=channels))
    channels["nucleus"]["named"] = "Hoechst"
    channels["protein"]["named"] = "GFP"
    with pytest.raises(RootError, match="images of channels w1 DAPI, w2 Texas Red, none of them used"):
        scan(screen_of(root, FILES | {"only": {"time": 2, "plane": 1}}, channels=channels))


def test_sites_and_wavelengths_are_no_wells_and_a_folder_names_the_plate(tmp_path):
    root = tmp_path / "images"
    ends = {f"A01_s{site}_w{wave}": 10 * site + wave for site in (1, 2) for wave in (1, 2)}
    _write(root / "2023-10-01", "", guid=True, seeds=ends)
    (root / "2023-10-01" / "Montage_w1.tif").touch()
    layout = scan(screen_of(root, FILES, channels=CHANNELS))
    assert [field.field_id for field in layout.fields] == ["2023-10-01_A01_1", "2023-10-01_A01_2"]
    assert layout.unclaimed == ["2023-10-01/Montage_w1.tif"]
