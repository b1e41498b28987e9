"""Exports of CellVoyager: actions that differ between channels, lists of the images, filters and dyes of channels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from pcip_core.errors import ImageFileError, RootError
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from tests.core.images.writers import noise, screen_of

FILES = {"layout": "cv8000", "image_id": "{plate}_{well}"}
CHANNELS = {
    "nucleus": {"role": "structural", "named": "C01"},
    "protein": {"role": "protein", "named": "2"},
}
BTS = 'xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"'


def _write(folder: Path, *, planes: int = 1) -> dict[str, np.ndarray]:
    """Two wells of two fields; the action number differs between the channels."""
    folder.mkdir(parents=True)
    written = {}
    for well in ("B03", "P24"):
        for field in (1, 2):
            for plane in range(1, planes + 1):
                for channel in (1, 2):
                    name = f"My_Plate_{well}_T0001F{field:03d}L01A{channel:02d}Z{plane:02d}C{channel:02d}.tif"
                    written[name] = noise(len(written))
                    tifffile.imwrite(folder / name, written[name])
    return written


def _record(name: str, **changes: object) -> str:
    values = {"Type": "IMG", "Row": 2, "Column": 3, "TimePoint": 1, "FieldIndex": 1, "ZIndex": 1}
    values |= {"TimelineIndex": 1, "ActionIndex": 1, "Ch": 1} | changes
    attributes = " ".join(f'bts:{key}="{value}"' for key, value in values.items())
    return f"<bts:MeasurementRecord {attributes}>{name}</bts:MeasurementRecord>"


def _list(*records: str) -> str:
    return f"<?xml version='1.0'?><bts:MeasurementData {BTS}>{''.join(records)}</bts:MeasurementData>"


@pytest.mark.parametrize("listed", [True, False])
def test_channels_of_different_actions_are_one_field(tmp_path, listed):
    folder = tmp_path / "images" / "2023" / "Measurement"
    written = _write(folder)
    if listed:
        (folder / "MeasurementData.mlf").write_text(
            f"<bts:MeasurementData {BTS}/>"
        )  # as of a copied measurement
    screen = screen_of(tmp_path / "images", FILES, channels=CHANNELS)
    layout = scan(screen)
    assert [field.field_id for field in layout.fields] == [
        f"My_Plate_{well}_{field}" for well in ("B03", "P24") for field in (1, 2)
    ]
    planes = read_field(screen, layout.fields[3])
    assert np.array_equal(planes["nucleus"], written["My_Plate_P24_T0001F002L01A01Z01C01.tif"])
    assert np.array_equal(planes["protein"], written["My_Plate_P24_T0001F002L01A02Z01C02.tif"])
    assert layout.fields[3].parts["folder"] == "2023_Measurement"
    assert layout.doubts(screen) == []


def test_focal_planes_are_refused_and_the_remedies_work(tmp_path):
    written = _write(tmp_path / "images" / "M", planes=3)
    with pytest.raises(RootError, match=r"plane"):
        scan(screen_of(tmp_path / "images", FILES, channels=CHANNELS))
    screen = screen_of(tmp_path / "images", FILES | {"only": {"plane": 2}}, channels=CHANNELS)
    layout = scan(screen)
    assert len(layout.fields) == 4
    planes = read_field(screen, layout.fields[0])
    assert np.array_equal(planes["protein"], written["My_Plate_B03_T0001F001L01A02Z02C02.tif"])
    apart = FILES | {"image_id": "{plate}_{well}_{plane}"}
    assert len(scan(screen_of(tmp_path / "images", apart, channels=CHANNELS)).fields) == 12


def test_lists_name_plate_wells_channels_errors_and_missing_images(tmp_path):
    folder = tmp_path / "images" / "M"
    folder.mkdir(parents=True)
    for number in (1, 2):
        tifffile.imwrite(folder / f"image{number}.tif", noise(number))
    records = [_record(f"image{ch}.tif", Ch=ch, Row=27, Column=48, ActionIndex=ch) for ch in (1, 2)]
    records += [_record("image3.tif", Ch=1, Row=1, Column=1)]
    records += [
        '<bts:MeasurementRecord bts:Type="ERR" bts:Row="3" bts:Column="14">AF Error at C14</bts:MeasurementRecord>'
    ]
    (folder / "MeasurementData.mlf").write_text(_list(*records))
    (folder / "MeasurementDetail.mrf").write_text(
        f'\ufeff<bts:MeasurementDetail bts:MeasurementSettingFileName="s.mes" {BTS}>'
        '<bts:MeasurementSamplePlate bts:Name="Plate 9"/></bts:MeasurementDetail>'
    )
    (folder / "s.mes").write_text(
        f'<bts:MeasurementSetting {BTS}><bts:ChannelList><bts:Channel bts:Ch="1" bts:Acquisition="BP445/45" '
        'bts:Fluorophore="Hoechst"/><bts:Channel bts:Ch="2" bts:Acquisition="BP525/50" bts:Fluorophore=""/>'
        "</bts:ChannelList></bts:MeasurementSetting>"
    )
    channels = {
        "nucleus": {"role": "structural", "named": "Hoechst"},
        "protein": {"role": "protein", "named": "BP525/50"},
    }
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    layout = scan(screen)
    assert [field.field_id for field in layout.fields] == ["Plate 9_AA48_1"]
    assert np.array_equal(read_field(screen, layout.fields[0])["protein"], noise(2))
    assert layout.doubts(screen) == [
        "M/MeasurementData.mlf: 1 error of the microscope: AF Error at C14",
        "M: 1 of 3 images in the list of the export is missing: image3.tif",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_list(_record("a.tif"))[:-9], "no element found|unclosed token|mismatched"),
        (_list(_record("../a.tif")), "the image '../a.tif'"),
        (_list(_record("a.tif", FieldIndex="x")), "without a number"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "declaration of an entity"),
        ("<a>" * 60, "more than 50 elements"),
        (_list(f"<b>{'x' * 2000}</b>"), "more than 1000 characters"),
    ],
)
def test_a_damaged_list_is_one_unreadable_field(tmp_path, text, message):
    for plate in ("M1", "M2"):
        _write(tmp_path / "images" / plate)
    (tmp_path / "images" / "M2" / "MeasurementData.mlf").write_text(text)
    screen = screen_of(tmp_path / "images", FILES | {"image_id": "{folder}_{well}"}, channels=CHANNELS)
    layout = scan(screen)
    *good, bad = layout.fields
    assert len(good) == 4
    with pytest.raises(ImageFileError, match=rf"M2/MeasurementData\.mlf: found .*({message})"):
        read_field(screen, bad)


def test_images_that_a_list_does_not_name_are_named(tmp_path):
    folder = tmp_path / "images" / "M"
    names = sorted(_write(folder))
    (folder / "MeasurementData.mlf").write_text(_list(_record(names[0])))
    screen = screen_of(tmp_path / "images", FILES, channels=CHANNELS)
    (doubt,) = scan(screen).doubts(screen)
    assert doubt.startswith("M: 7 images are not in the list of the export, and are used by name: My_Plate")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Row": 3}, "listed as well C03, although its name says well B03"),
        ({"FieldIndex": 2}, "listed as field 2, although its name says field 1"),
        ({"Ch": 2, "ActionIndex": 2}, "listed as channel 2, although its name says channel 1"),
        ({"ZIndex": 4, "TimePoint": 5}, "listed as plane 4, time 5, although its name says plane 1, time 1"),
    ],
)
def test_a_list_that_contradicts_a_name_is_refused_and_the_remedy_works(tmp_path, changes, message):
    folder = tmp_path / "images" / "M"
    names = sorted(_write(folder))
    (folder / "MeasurementData.mlf").write_text(_list(_record(names[0], **changes)))
    layout = scan(screen_of(tmp_path / "images", FILES, channels=CHANNELS))
    (problem,) = layout.problems()
    assert f"the image {names[0]} {message}" in problem
    line = re.search(r"`(exclude: .*?)`", problem)
    assert line is not None
    layout = scan(screen_of(tmp_path / "images", FILES | yaml.safe_load(line[1]), channels=CHANNELS))
    assert (len(layout.fields), layout.problems()) == (4, [])


def test_lists_are_not_unclaimed_and_a_name_of_two_channels_is_refused(tmp_path):
    folder = tmp_path / "images" / "M"
    _write(folder)
    (folder / "MeasurementDetail.mrf").write_text(
        f'<bts:MeasurementDetail bts:MeasurementSettingFileName="s.mes" {BTS}/>'
    )
    (folder / "s.mes").write_text(
        f'<a {BTS}><bts:Channel bts:Ch="1" bts:Acquisition="BP445/45" bts:Fluorophore="Dye"/>'
        '<bts:Channel bts:Ch="2" bts:Acquisition="BP525/50" bts:Fluorophore="Dye"/></a>'
    )
    channels = CHANNELS | {"nucleus": {"role": "structural", "named": "dye"}}
    with pytest.raises(RootError, match="'dye' \\(nucleus\\) may mean: C01 BP445/45, C02 BP525/50") as caught:
        scan(screen_of(tmp_path / "images", FILES, channels=channels))
    line = re.search(r"`(.*?)`", caught.value.remedy)
    assert line is not None
    named = yaml.safe_load(line[1])["channels"]["nucleus"]["named"]
    channels = CHANNELS | {"nucleus": {"role": "structural", "named": named}}
    layout = scan(screen_of(tmp_path / "images", FILES, channels=channels))
    assert [name for field in layout.fields for name in field.files.values()][:1] == [
        "M/My_Plate_B03_T0001F001L01A01Z01C01.tif"
    ]
    assert layout.unclaimed == []
