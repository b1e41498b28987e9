"""Exports of IN Cell Analyzer: the writings of names, and .xdce lists."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

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
