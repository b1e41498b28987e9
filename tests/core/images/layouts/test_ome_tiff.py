"""OME-TIFF: one file per field, channels by name or number, common compressions, and ImageJ hyperstacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pcip_core.errors import ImageFileError
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from tests.core.images.writers import noise, screen_of

FILES = {"layout": "ome_tiff", "pattern": "{plate}/{well}_{field}.ome.tif", "image_id": "{plate}_{well}"}
BY_NAME = {
    "nucleus": {"role": "structural", "named": "Hoechst 33342 & co"},
    "protein": {"role": "protein", "named": "EGFP"},
}


def _write(path: Path, pixels: np.ndarray, axes: str = "CYX", **how: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["EGFP", "Brightfield", "Hoechst 33342 & co"][: pixels.shape[axes.index("C")]]
    metadata = {"axes": axes, "Channel": {"Name": names}}
    tifffile.imwrite(path, pixels, ome=True, metadata=metadata, photometric="minisblack", **how)


@pytest.mark.parametrize("how", [{}, {"compression": "lzw"}, {"compression": "zlib", "tile": (32, 32)}])
def test_channels_by_name_and_by_number_are_the_pixels_that_were_written(tmp_path, how):
    pixels = noise(1, (3, 48, 40))
    _write(tmp_path / "images" / "p1" / "A01_1.ome.tif", pixels, **how)
    screen = screen_of(tmp_path / "images", FILES, channels=BY_NAME)
    (field,) = scan(screen).fields
    assert (field.field_id, field.image_id, field.shard) == ("p1_A01_1", "p1_A01", "p1")
    planes = read_field(screen, field)
    assert np.array_equal(planes["nucleus"], pixels[2])
    assert np.array_equal(planes["protein"], pixels[0])
    channels = {"nucleus": {"role": "structural", "plane": 1}, "protein": {"role": "protein", "plane": 2}}
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["nucleus"], pixels[1])
    assert np.array_equal(planes["protein"], pixels[2])


def test_five_axes_with_a_single_time_point_and_focal_plane(tmp_path):
    pixels = noise(2, (1, 2, 1, 24, 32))
    _write(tmp_path / "images" / "p1" / "A01_1.ome.tif", pixels, "TCZYX")
    channels = {
        "nucleus": {"role": "structural", "named": "egfp"},
        "protein": {"role": "protein", "plane": 1},
    }
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["nucleus"], pixels[0, 0, 0])
    assert np.array_equal(planes["protein"], pixels[0, 1, 0])


def test_a_stack_an_unknown_name_and_an_unknown_number_are_refused(tmp_path):
    _write(tmp_path / "images" / "p1" / "A01_1.ome.tif", noise(3, (2, 3, 24, 32)), "ZCYX")
    screen = screen_of(tmp_path / "images", FILES, channels=BY_NAME)
    with pytest.raises(ImageFileError, match=r"a stack of shape \(2, 3, 24, 32\), axes ZCYX"):
        read_field(screen, scan(screen).fields[0])
    _write(tmp_path / "images" / "p1" / "A01_1.ome.tif", noise(3, (2, 24, 32)))
    with pytest.raises(
        ImageFileError, match="2 channels named EGFP, Brightfield; required: one named Hoechst"
    ):
        read_field(screen, scan(screen).fields[0])
    channels = {"nucleus": {"role": "structural", "plane": 2}, "protein": {"role": "protein", "plane": 0}}
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    with pytest.raises(
        ImageFileError, match="2 channels named EGFP, Brightfield; required: channel number 2"
    ):
        read_field(screen, scan(screen).fields[0])


def test_an_imagej_hyperstack_by_number(tmp_path):
    pixels = noise(4, (2, 24, 32))
    (tmp_path / "images" / "p1").mkdir(parents=True)
    tifffile.imwrite(
        tmp_path / "images" / "p1" / "A01_1.ome.tif", pixels, imagej=True, metadata={"axes": "CYX"}
    )
    channels = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 1}}
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["protein"], pixels[1])
