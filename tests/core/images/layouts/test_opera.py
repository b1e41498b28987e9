"""Harmony exports: names, plates, index and focal planes, on a real plate and on plates written here."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from pcip_core.errors import ImageFileError, RootError
from pcip_core.images.layout import scan
from pcip_core.images.layouts.harmony_index import read_index
from pcip_core.images.reading import read_field
from pcip_core.spec.loading import load_screen
from pcip_core.spec.templates import TEMPLATES
from tests.conftest import real_folder
from tests.core.images.writers import noise, screen_of

FILES = {"layout": "opera", "image_id": "{plate}_{well}"}
CHANNELS = {
    "nucleus": {"role": "structural", "named": "HOECHST 33342"},
    "protein": {"role": "protein", "named": "ch2"},
}


def _index(plate: str, *, newer: bool = False) -> str:
    """An index as Harmony writes it: V5 names the channel of each image, V7 has one map of channel names."""
    names = {1: "HOECHST 33342", 2: "EGFP"}
    images = "".join(
        f"<Image Version='1'><id>0201K1F1P1R{number}</id><Row>2</Row><ChannelID>{number}</ChannelID>"
        + ("" if newer else f"<ChannelName>{name}</ChannelName>")
        + "</Image>"
        for number, name in names.items()
    )
    entries = "".join(
        f"<Entry ChannelID='{number}'><ChannelName>{name}</ChannelName></Entry>"
        for number, name in names.items()
    )
    maps = f"<Maps><Map>{entries}</Map></Maps>" if newer else ""
    space = (
        "43B2A954-E3C3-47E1-B392-6635266B0DD3/HarmonyV7"
        if newer
        else "http://www.perkinelmer.com/PEHH/HarmonyV5"
    )
    return (
        f"<?xml version='1.0'?><EvaluationInputData xmlns='{space}'><Plates><Plate><PlateID>id</PlateID>"
        f"<Name>{plate}</Name></Plate></Plates>{maps}<Images>{images}</Images></EvaluationInputData>"
    )


def _write_plate(folder: Path, *, fields: int = 2, planes: int = 1) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    written = {}
    for seed in range(fields * planes * 2):
        field, plane, channel = seed // (2 * planes) + 1, seed // 2 % planes + 1, seed % 2 + 1
        name = f"r02c01f{field:02d}p{plane:02d}-ch{channel}sk1fk1fl1.tiff"
        written[name] = noise(seed)
        tifffile.imwrite(folder / name, written[name])
    return written


def test_the_real_plate_without_an_index_is_named_by_its_folder():
    folder = real_folder("yeast_fields")
    screen = load_screen(TEMPLATES["yeast_opera"], root=str(folder))
    layout = scan(screen)
    assert {field.image_id: 0 for field in layout.fields} == {"yeast_fields_A01": 0, "yeast_fields_B01": 0}
    assert [field.number for field in layout.fields] == ["1", "2", "4", "1", "2"]
    assert len(layout.unclaimed) == 5  # the masks
    planes = read_field(screen, layout.fields[0])
    for name, number in (("protein", 1), ("nucleus", 2), ("cytosol", 3)):
        path = folder / "images" / f"r01c01f01p01-ch{number}sk1fk1fl1.tiff"
        assert np.array_equal(planes[name], tifffile.imread(path))


@pytest.mark.parametrize("newer", [False, True])
def test_the_index_names_plate_and_channels(tmp_path, newer):
    written = _write_plate(tmp_path / "images" / "BR1__2020-11-08-Measurement1" / "Images")
    _write_plate(tmp_path / "images" / "BR2" / "Images")
    for name in ("BR1__2020-11-08-Measurement1", "BR2"):
        path = tmp_path / "images" / name / "Images" / ("Index.xml" if newer else "Index.idx.xml")
        path.write_text(_index("BR1" if "__" in name else "BR2", newer=newer))
    screen = screen_of(tmp_path / "images", FILES, channels=CHANNELS)
    layout = scan(screen)
    assert [field.field_id for field in layout.fields] == ["BR1_B01_1", "BR1_B01_2", "BR2_B01_1", "BR2_B01_2"]
    assert layout.shards() == ["BR1", "BR2"]
    planes = read_field(screen, layout.fields[1])
    assert np.array_equal(planes["nucleus"], written["r02c01f02p01-ch1sk1fk1fl1.tiff"])
    assert np.array_equal(planes["protein"], written["r02c01f02p01-ch2sk1fk1fl1.tiff"])


def test_a_plate_with_an_incomplete_index_is_one_unreadable_field(tmp_path):
    for name in ("BR1", "BR2"):
        _write_plate(tmp_path / "images" / name / "Images", fields=1)
        (tmp_path / "images" / name / "Images" / "Index.xml").write_text(_index(name))
    whole = tmp_path / "images" / "BR2" / "Images" / "Index.xml"
    whole.write_text(whole.read_text()[:200])
    screen = screen_of(tmp_path / "images", FILES, channels=CHANNELS)
    layout = scan(screen)
    assert layout.shards() == ["BR1", "BR2"]
    (unreadable,) = layout.of_shard("BR2")
    with pytest.raises(ImageFileError, match=r"BR2/Images/Index\.xml: found an index that cannot be read"):
        read_field(screen, unreadable)
    assert sum(path.startswith("BR2/") for path in layout.unclaimed) == 2  # the images


def test_several_focal_planes_are_refused_until_one_is_chosen(tmp_path):
    written = _write_plate(tmp_path / "images" / "P", fields=1, planes=3)
    channels = {
        "nucleus": {"role": "structural", "named": "1"},
        "protein": {"role": "protein", "named": "ch2"},
    }
    with pytest.raises(RootError, match=r"a stack: .*p01-ch1.* and .*p02-ch1.*only: {plane: 1}"):
        scan(screen_of(tmp_path / "images", FILES, channels=channels))
    screen = screen_of(tmp_path / "images", FILES | {"only": {"plane": 2}}, channels=channels)
    (field,) = scan(screen).fields
    assert np.array_equal(read_field(screen, field)["nucleus"], written["r02c01f01p02-ch1sk1fk1fl1.tiff"])
    apart = screen_of(tmp_path / "images", FILES | {"image_id": "{plate}_{well}_{plane}"}, channels=channels)
    assert [field.field_id for field in scan(apart).fields] == ["P_B01_1_1", "P_B01_1_2", "P_B01_1_3"]


def test_two_measurements_of_a_plate_are_refused_and_both_remedies_work(tmp_path):
    names = ("BR1__2020-11-08-Measurement1", "BR1__2020-11-09-Measurement2")
    for name in names:
        _write_plate(tmp_path / "images" / name / "Images")
        (tmp_path / "images" / name / "Images" / "Index.xml").write_text(_index("BR1"))
    with pytest.raises(RootError, match=rf"They differ in folder \({names[0]}, {names[1]}\)") as caught:
        scan(screen_of(tmp_path / "images", FILES, channels=CHANNELS))
    image_id = re.search(r'files\.image_id: "(.*?)"', str(caught.value))
    only = re.search(r'files\.only: {folder: "(.*?)"}', str(caught.value))
    assert image_id is not None
    assert only is not None
    apart = scan(screen_of(tmp_path / "images", FILES | {"image_id": image_id[1]}, channels=CHANNELS))
    assert len(apart.fields) == 4
    assert len({field.image_id for field in apart.fields}) == 2
    single = scan(screen_of(tmp_path / "images", FILES | {"only": {"folder": only[1]}}, channels=CHANNELS))
    assert [file.split("/")[0] for field in single.fields for file in field.files.values()] == [only[1]] * 4


def test_unknown_channels_are_refused_with_the_names_of_the_existing_ones(tmp_path):
    _write_plate(tmp_path / "images" / "P", fields=1)
    (tmp_path / "images" / "P" / "Index.xml").write_text(_index("P"))
    channels = {
        "nucleus": {"role": "structural", "named": "DAPI"},
        "protein": {"role": "protein", "named": "ch7"},
    }
    with pytest.raises(RootError, match="channels ch1 HOECHST 33342, ch2 EGFP, none of them used"):
        scan(screen_of(tmp_path / "images", FILES, channels=channels))


def test_an_index_that_declares_entities_is_refused(tmp_path):
    path = tmp_path / "Index.xml"
    path.write_text(
        '<!DOCTYPE x [<!ENTITY a "name">]><EvaluationInputData><Plates>&a;</Plates></EvaluationInputData>'
    )
    with pytest.raises(ImageFileError, match="the declaration of an entity"):
        read_index(path)


def _listing(*names: str, **changes: str) -> str:
    """An index with the names of images; changes are of the elements of the first one."""
    images = ""
    for number, name in enumerate(names):
        row, column, field, plane, channel = re.findall(r"\d+", name)[:5]
        values = {
            "URL": name,
            "Row": row,
            "Col": column,
            "FieldID": field,
            "PlaneID": plane,
            "ChannelID": channel,
        }
        values |= {} if number else changes
        images += f"<Image>{''.join(f'<{key}>{text}</{key}>' for key, text in values.items())}</Image>"
    return f"<EvaluationInputData><Images>{images}</Images></EvaluationInputData>"


OF_NUMBERS = {
    "nucleus": {"role": "structural", "named": "ch1"},
    "protein": {"role": "protein", "named": "ch2"},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        ({"Row": "03"}, "as well C03, although its name says well B03"),
        ({"FieldID": "7"}, "as field 7, although its name says field 1"),
        ({"ChannelID": "2"}, "as channel 2, although its name says channel 1"),
    ],
)
def test_an_index_that_contradicts_a_name_is_refused_and_the_remedy_works(tmp_path, changes, message):
    folder = tmp_path / "images" / "P"
    names = [name.replace("c01", "c03") for name in sorted(_write_plate(folder, fields=1))]
    for name in names:
        (folder / name.replace("c03", "c01")).rename(folder / name)
    (folder / "Index.xml").write_text(_listing(*names, **changes))
    layout = scan(screen_of(tmp_path / "images", FILES, channels=OF_NUMBERS))
    if not changes:
        assert (layout.problems(), len(layout.fields), layout.unclaimed) == ([], 1, [])
        return
    (problem,) = layout.problems()
    assert re.search(f"the image {names[0]} listed ({message})", problem)
    line = re.search(r"`(exclude: .*?)`", problem)
    assert line is not None
    layout = scan(screen_of(tmp_path / "images", FILES | yaml.safe_load(line[1]), channels=OF_NUMBERS))
    assert (layout.problems(), len(layout.fields)) == ([], 1)


def test_of_two_indices_one_is_used_and_they_must_list_the_same_images(tmp_path):
    folder = tmp_path / "images" / "P"
    names = sorted(_write_plate(folder))
    for name in ("Index.xml", "Index.idx.xml"):
        (folder / name).write_text(_listing(*names))
    screen = screen_of(tmp_path / "images", FILES, channels=OF_NUMBERS)
    layout = scan(screen)
    (doubt,) = layout.doubts(screen)
    assert doubt == "P/Index.xml is used, and not P/Index.idx.xml; both list the same 4 images"
    (folder / "Index.xml").write_text(_listing(*names[:3]))
    (problem,) = scan(screen).problems()
    assert f"which lists other images: 1 only in Index.idx.xml ({names[3]})" in problem
    for line, absent in zip(re.findall(r"`(exclude: .*?)`", problem), (1, 0), strict=True):
        changed = screen_of(tmp_path / "images", FILES | yaml.safe_load(line), channels=OF_NUMBERS)
        layout = scan(changed)
        assert len(layout.fields) == 2
        assert sum("not in the list of the export" in doubt for doubt in layout.doubts(changed)) == absent


def test_images_that_an_index_lists_and_that_are_missing_are_named(tmp_path):
    folder = tmp_path / "images" / "P"
    names = sorted(_write_plate(folder))
    (folder / "Index.xml").write_text(_listing(*names))
    (folder / names[3]).unlink()
    screen = screen_of(tmp_path / "images", FILES, channels=OF_NUMBERS)
    (doubt,) = scan(screen).doubts(screen)
    assert doubt == f"P: 1 of 4 images in the list of the export is missing: {names[3]}"


@pytest.mark.parametrize("part", ["kinetic", "flim"])
def test_lifetimes_and_fast_series_are_refused_and_both_remedies_work(tmp_path, part):
    folder = tmp_path / "images" / "P"
    for name in sorted(_write_plate(folder, fields=1)):
        second = name.replace("fk1", "fk2") if part == "kinetic" else name.replace("fl1", "fl2")
        tifffile.imwrite(folder / second, noise(9))
    with pytest.raises(RootError, match=rf"They differ in {part} \(1, 2\)") as caught:
        scan(screen_of(tmp_path / "images", FILES, channels=OF_NUMBERS))
    image_id = re.search(r'files\.image_id: "(.*?)"', caught.value.remedy)
    assert image_id is not None
    layout = scan(screen_of(tmp_path / "images", FILES | {"image_id": image_id[1]}, channels=OF_NUMBERS))
    assert [field.image_id for field in layout.fields] == ["P_B01_1", "P_B01_2"]
    layout = scan(screen_of(tmp_path / "images", FILES | {"only": {part: 1}}, channels=OF_NUMBERS))
    assert [len(field.files) for field in layout.fields] == [2]
    assert all(file.endswith("fk1fl1.tiff") for field in layout.fields for file in field.files.values())


def test_a_name_of_two_channels_is_refused_and_the_remedy_works(tmp_path):
    _write_plate(tmp_path / "images" / "P", fields=1)
    (tmp_path / "images" / "P" / "Index.xml").write_text(_index("P").replace("EGFP", "HOECHST 33342"))
    with pytest.raises(RootError, match="may mean: ch1 HOECHST 33342, ch2 HOECHST 33342") as caught:
        scan(screen_of(tmp_path / "images", FILES, channels=CHANNELS))
    line = re.search(r"`(.*?)`", caught.value.remedy)
    assert line is not None
    named = yaml.safe_load(line[1])["channels"]["nucleus"]["named"]
    channels = CHANNELS | {"nucleus": {"role": "structural", "named": named}}
    (field,) = scan(screen_of(tmp_path / "images", FILES, channels=channels)).fields
    assert "ch1" in field.files["nucleus"]
