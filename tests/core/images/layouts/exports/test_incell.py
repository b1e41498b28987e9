"""Exports of IN Cell Analyzer: the writings of names, and .xdce lists."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tifffile
import yaml

from pcip_core.images.annotations import describe_images
from pcip_core.images.inside import Tree
from pcip_core.images.layout import scan
from pcip_core.images.layouts.exports.incell import InCell
from pcip_core.images.reading import read_field
from tests.core.images.writers import noise, screen_of

FILES = {"layout": "incell", "image_id": "{plate}_{well}"}


def _channels(nucleus: str, protein: str) -> dict[str, dict[str, str]]:
    return {
        "nucleus": {"role": "structural", "named": nucleus},
        "protein": {"role": "protein", "named": protein},
    }


@pytest.mark.parametrize(
    ("name", "channel", "well", "numbers"),
    [
        ("A - 01(fld 1 wv DAPI - DAPI).tif", "DAPI - DAPI", "A01", "1 1 1"),
        ("A - 1(fld 12 wv Green - dsRed z 3).tif", "Green - dsRed", "A01", "12 3 1"),
        ("AF - 48(fld 1 wv UV - DAPI z 3 time 2 - 2636ms).tif", "UV - DAPI", "AF48", "1 3 2"),
        ("A - 01(fld 01 wv Green - dsRed - time 05 - 0 ms).tif", "Green - dsRed", "A01", "1 1 5"),
        ("A - 13(fld 2).tif", "1", "A13", "2 1 1"),
        ("A_01_f2_c1_xUV_mDAPI_z3_t2.tif", "UV - DAPI", "A01", "2 3 2"),
        ("My_Plate_C - 10(fld 3 wv red - Cy5).tiff", "red - Cy5", "C10", "3 1 1"),
    ],
)
def test_writings_of_names(tmp_path, name, channel, well, numbers):
    plane = InCell(Tree(tmp_path), []).plane(name, "")
    assert (plane.channel, plane.parts["well"]) == (channel, well)
    assert " ".join(plane.parts[part] for part in ("field", "plane", "time")) == numbers
    assert plane.plate == ("My_Plate" if name.startswith("My_Plate") else None)


@pytest.mark.parametrize("named", [("UV - DAPI", "Blue - FITC"), ("dapi", "Blue")])
def test_wells_match_a_platemap_and_channels_their_filters(tmp_path, named):
    root = tmp_path / "images"
    (root / "Plate7").mkdir(parents=True)
    for number, channel in enumerate(("UV - DAPI", "Blue - FITC", "Green - DAPI2")):
        tifffile.imwrite(root / "Plate7" / f"A - 01(fld 1 wv {channel}).tif", noise(number))
    (root / "platemap.csv").write_text("well,gene\nA1,AAC1\n")
    screen = screen_of(root, FILES, channels=_channels(*named), images={"platemap": "platemap.csv"})
    layout = scan(screen)
    assert [field.field_id for field in layout.fields] == ["Plate7_A01_1"]
    assert np.array_equal(read_field(screen, layout.fields[0])["protein"], noise(1))
    assert [record.values["gene"] for record in describe_images(screen, layout.fields)] == ["AAC1"]


def test_a_list_describes_images_of_any_name(tmp_path):
    root = tmp_path / "images"
    (root / "P").mkdir(parents=True)
    images = ""
    for wave in (0, 1):
        tifffile.imwrite(root / "P" / f"t1_B03_s2_w{wave + 1}_z1.tif", noise(wave))
        images += (
            f'<Image filename="t1_B03_s2_w{wave + 1}_z1.tif"><Well label="B - 3"><Row number="2"/><Column number="3"/>'
            f'</Well><EmissionFilter name="x"/><Identifier field_index="1" time_index="0" wave_index="{wave}" '
            'z_index="0"/></Image>'
        )
    waves = "".join(
        f'<Wavelength index="{index}"><EmissionFilter name="{name}"/></Wavelength>'
        for index, name in enumerate(("DAPI", "FITC"))
    )
    declaration = "<?xml version='1.0' encoding='ISO-8859-1'?>"
    text = f"{declaration}<ImageStack><Wavelengths>{waves}</Wavelengths>{images}</ImageStack>"
    (root / "P" / "P.xdce").write_text(text)
    screen = screen_of(root, FILES, channels=_channels("DAPI", "FITC"))
    (field,) = scan(screen).fields
    assert field.field_id == "P_B03_2"
    assert np.array_equal(read_field(screen, field)["protein"], noise(1))


def _xdce(*images: str) -> str:
    waves = "".join(
        f'<Wavelength index="{index}"><ExcitationFilter name="{a}"/><EmissionFilter name="{b}"/></Wavelength>'
        for index, (a, b) in enumerate((("UV", "DAPI"), ("Blue", "FITC")))
    )
    return f"<ImageStack><Wavelengths>{waves}</Wavelengths>{''.join(images)}</ImageStack>"


def _image(name: str, place: str = '<Row number="1"/><Column number="1"/>', **indices: int) -> str:
    numbers = {"field_index": 0, "time_index": 0, "wave_index": 0, "z_index": 0} | indices
    texts = " ".join(f'{key}="{value}"' for key, value in numbers.items())
    return f'<Image filename="{name}"><Well label="A - 1">{place}</Well><Identifier {texts}/></Image>'


NAMES = ("A - 01(fld 1 wv UV - DAPI).tif", "A - 01(fld 1 wv Blue - FITC).tif")
ODD = {
    "the well by its label alone": [_image(name, "", wave_index=n) for n, name in enumerate(NAMES)],
    "paths of Windows": [_image(f"D:\\data\\{name}", wave_index=n) for n, name in enumerate(NAMES)],
    "no images": [],
    "images of other measurements": [_image("B - 01(fld 1 wv UV - DAPI).tif", '<Row number="2"/>')],
}


@pytest.mark.parametrize("case", ODD)
def test_odd_lists_agree_with_the_names(tmp_path, case):
    root = tmp_path / "images"
    (root / "P").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        tifffile.imwrite(root / "P" / name, noise(number))
    (root / "P" / "P.xdce").write_text(_xdce(*ODD[case]))
    layout = scan(screen_of(root, FILES, channels=_channels("DAPI", "FITC")))
    assert [field.files for field in layout.fields] == [
        {"nucleus": f"P/{NAMES[0]}", "protein": f"P/{NAMES[1]}"}
    ]
    assert layout.problems() == layout.unclaimed == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            _image(NAMES[0], '<Row number="2"/><Column number="3"/>'),
            "as well B03, although its name says well A01",
        ),
        (_image(NAMES[0], field_index=3), "as field 4, although its name says field 1"),
        (_image(NAMES[0], wave_index=1), "as channel Blue - FITC, although its name says channel UV - DAPI"),
        ('<Image filename="x.tif"/>', "the image x.tif without a number for its well, field or channel"),
        (f'<Image filename="{NAMES[0]}"><Row', "a list of images that cannot be read"),
    ],
)
def test_lists_that_contradict_a_name_or_are_damaged_are_refused_and_the_remedy_works(
    tmp_path, image, message
):
    root = tmp_path / "images"
    (root / "P").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        tifffile.imwrite(root / "P" / name, noise(number))
    (root / "P" / "P.xdce").write_text(_xdce(image))
    (problem,) = scan(screen_of(root, FILES, channels=_channels("DAPI", "FITC"))).problems()
    assert message in problem
    line = re.search(r"`(exclude: .*?)`", problem)
    assert line is not None
    layout = scan(screen_of(root, FILES | yaml.safe_load(line[1]), channels=_channels("DAPI", "FITC")))
    assert [len(field.files) for field in layout.fields] == [2]
    assert layout.problems() == []
