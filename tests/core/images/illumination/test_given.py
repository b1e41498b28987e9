"""Given illumination images: arrays and pictures, one per plate and channel, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pcip_core.crops.shard import cut_shard
from pcip_core.errors import ImageFileError, SpecError
from pcip_core.images.illumination.correction import fingerprint, read_corrected
from pcip_core.images.illumination.described import illumination_lines
from pcip_core.images.illumination.given import given_profile
from pcip_core.images.layout import scan
from pcip_core.images.quality.survey import survey
from pcip_core.spec.screen import Screen
from tests.core.images.illumination.shaded import OFFSET, shading, write_shaded
from tests.core.images.writers import screen_of

FILES = {"pattern": "{plate}/{well}_{field:d}_{channel}.tif", "image_id": "{plate}_{well}"}


def screen_at(root: Path, images: str = "light/{plate}_{channel}.npy", **changes: object) -> Screen:
    return screen_of(
        root, FILES, illumination={"method": "images", "images": images, "offset": OFFSET}, **changes
    )


def write_light(root: Path, surface: np.ndarray) -> None:
    (root / "light").mkdir()
    for channel in ("nucleus", "protein"):
        np.save(root / "light" / f"P1_{channel}.npy", 7 * surface)


def test_a_field_is_divided_by_the_image_above_the_offset(tmp_path: Path) -> None:
    truth = shading()
    write_shaded(tmp_path / "root", truth, fields=2)
    write_light(tmp_path / "root", truth)
    screen = screen_at(tmp_path / "root")
    field = scan(screen).fields[0]
    raw = tifffile.imread(tmp_path / "root" / "P1" / "A01_1_protein.tif")
    expected = (raw - 100.0) / truth + 100
    np.testing.assert_allclose(read_corrected(screen, field)["protein"], expected, rtol=1e-5)
    (line,) = illumination_lines(screen, [field])
    assert line.startswith("images: nucleus: gain 0.")
    (row, _) = survey(screen, [field]).illumination
    assert (row["channel"], row["n_fields"]) == ("nucleus", 1)
    assert row["gain_min"] == pytest.approx(truth.min(), rel=1e-4)


def test_an_even_image_leaves_the_crops_as_they_are_but_for_their_type(tmp_path: Path) -> None:
    write_shaded(tmp_path / "root", np.ones((128, 128)), fields=3)
    write_light(tmp_path / "root", np.ones((128, 128)))
    cut = {"crops": {"window_px": 24, "size_px": 16, "min_cells": 2, "floor": {"protein": 0.1}}}
    corrected, plain = screen_at(tmp_path / "root", **cut), screen_of(tmp_path / "root", FILES, **cut)
    fields = scan(plain).fields
    cells, same = cut_shard(plain, fields), cut_shard(corrected, fields)
    assert len(cells.pixels) > 3
    assert np.array_equal(cells.pixels, same.pixels)
    assert np.array_equal(cells.columns["intensity_max"], same.columns["intensity_max"])


def test_a_saturated_pixel_stays_flagged_after_correction(tmp_path: Path) -> None:
    truth = shading()
    write_shaded(tmp_path / "root", truth, fields=1)
    write_light(tmp_path / "root", truth)
    path = tmp_path / "root" / "P1" / "A01_1_protein.tif"
    plane = tifffile.imread(path)
    plane[20:40, 30:60] = 65_535
    tifffile.imwrite(path, plane)
    screen = screen_at(tmp_path / "root")
    (field,) = scan(screen).fields
    values = read_corrected(screen, field)["protein"][20:40, 30:60]
    assert len(np.unique(values)) > 100, "corrected, the plateau has the shape of the illumination"
    protein = survey(screen, [field]).quality.filter(channel="protein")
    assert protein["flags"].to_list() == [["saturated"]]
    assert protein["saturated"].item() == pytest.approx(600 / 128**2)


def test_missing_and_unusable_images_are_named(tmp_path: Path) -> None:
    write_shaded(tmp_path / "root", shading(), fields=1)
    write_light(tmp_path / "root", shading())
    screen = screen_at(tmp_path / "root")
    (field,) = scan(screen).fields
    before = fingerprint(screen, [field])
    light = tmp_path / "root" / "light" / "P1_protein.npy"
    for array, found in (
        (np.ones((64, 64)), "fields of 64 x 64 px, and a field of 128 x 128 px"),
        (np.zeros((128, 128)), "values from 0.0 to 0.0"),
        (np.full((128, 128), np.nan), "values from nan"),
        (np.ones((2, 128, 128)), r"an array of shape \(2, 128, 128\)"),
    ):
        np.save(light, array)
        assert fingerprint(screen, [field]) != before
        with pytest.raises(ImageFileError, match=found):
            read_corrected(screen, field)
        ((_, where, reason),) = survey(screen, [field]).rejected
        assert where == str(light)
        assert "illumination" in reason
    light.write_bytes(b"damaged")
    with pytest.raises(ImageFileError, match=r"P1_protein\.npy: found an image that cannot be decoded"):
        read_corrected(screen, field)
    light.unlink()
    with pytest.raises(ImageFileError, match=r"P1_protein\.npy: found no such file"):
        read_corrected(screen, field)
    with pytest.raises(ImageFileError, match="leads out of the root"):
        read_corrected(screen_at(tmp_path / "root", "../{channel}.npy"), field)


def test_pictures_are_read_as_the_images_of_the_screen_are(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "flat.tif", np.rint(1000 * shading()).astype(np.uint16))
    profile = given_profile(tmp_path / "flat.tif", 0)
    np.testing.assert_allclose(profile.corrected(shading()), 1, atol=0.002)


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ({"method": "images"}, "no illumination.images with method images"),
        ({"method": "estimated", "images": "{channel}.tif"}, "illumination.images with method estimated"),
        ({"method": "images", "images": "{palte}_{channel}.tif"}, "illumination.images names {palte}"),
        ({"method": "harmony"}, "illumination.method harmony with layout pattern"),
        ({"method": "none", "offset": 5}, "illumination.offset with method none"),
        ({"method": "estimated", "fields": 3}, "illumination.fields 3"),
        ({"method": "basic"}, "illumination.method"),
    ],
)
def test_contradictions_in_the_spec_are_refused(tmp_path: Path, section: dict, found: str) -> None:
    (tmp_path / "root").mkdir()
    with pytest.raises(SpecError, match=found):
        screen_of(tmp_path / "root", FILES, illumination=section)
