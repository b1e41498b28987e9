"""Odd values of `illumination` and `quality`: each is a named error or a sane result, never NaN or a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from pcip_core.errors import ImageFileError, SpecError
from pcip_core.images.illumination.correction import estimated_beforehand, read_corrected
from pcip_core.images.illumination.described import estimate_lines
from pcip_core.images.illumination.profile import Polynomial, Profile
from pcip_core.images.layout import scan
from pcip_core.images.quality.survey import quality_lines, survey
from pcip_core.spec.screen import Screen
from tests.core.images.illumination.shaded import draw, shading, write_shaded
from tests.core.images.writers import screen_of

FILES = {"pattern": "{plate}/{well}_{field:d}_{channel}.tif", "image_id": "{plate}_{well}"}
IMAGES = "light/{plate}_{channel}.npy"
SIDE = 64


def screen_at(root: Path, **sections: Any) -> Screen:
    root.mkdir(exist_ok=True)
    return screen_of(root, FILES, **sections)


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ({"method": "estimated", "offset": float("nan")}, "illumination.offset nan"),
        ({"method": "estimated", "offset": float("inf")}, "illumination.offset inf"),
        ({"method": "estimated", "offset": -1}, "illumination.offset -1; required: 0 to 1,000,000"),
        ({"method": "estimated", "offset": 1e12}, "illumination.offset 10+"),
        ({"method": "estimated", "fields": 0}, "illumination.fields 0; required: 16 to 1,000"),
        ({"method": "estimated", "fields": 10**9}, "illumination.fields 10+"),
        ({"method": "estimated", "fields": float("nan")}, "illumination.fields"),
        ({"method": "images"}, "no illumination.images with method images"),
        ({"method": "images", "images": "light/{well"}, "illumination.images .* no other braces"),
        ({"method": "flat"}, "illumination.method"),
        ({"methods": "estimated"}, "unknown key `illumination.methods`, which may mean method"),
        ("estimated", "illumination"),
    ],
)
def test_a_section_illumination_that_cannot_be_meant_is_refused(
    tmp_path: Path, section: Any, found: str
) -> None:
    with pytest.raises(SpecError, match=found):
        screen_at(tmp_path / "root", illumination=section)


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ({"saturated": {"at_most": float("nan")}}, "quality.saturated.at_most nan"),
        ({"background": {"at_least": float("-inf")}}, "quality.background.at_least -inf"),
        ({"background": {"at_most": 1e300}}, "quality.background.at_most 1e[+]300"),
        ({"focus_slope": {"at_least": -1, "at_most": -2}}, "quality.focus_slope from -1.0 to -2.0"),
        ({"saturated": {}}, "quality.saturated without a limit"),
        ({"saturated": {"at_most": 0}}, "quality.saturated.at_most 0, which no field keeps"),
        ({"saturated": {"at_most": -0.5}}, "quality.saturated.at_most -0.5, which no field keeps"),
        (
            {"saturated": {"at_least": 2}},
            "quality.saturated.at_least 2, which no field keeps; required: at most 1",
        ),
        ({"focus_laplacian": {"at_least": 65}}, "quality.focus_laplacian.at_least 65, which no field keeps"),
        ({"signal_to_noise": {"at_most": -3}}, "quality.signal_to_noise.at_most -3, which no field keeps"),
        ({"sharpness": {"at_most": 1}}, "unknown key `quality.sharpness`"),
        ({"saturated": {"at_mots": 1}}, "unknown key `quality.saturated.at_mots`, which may mean at_most"),
        ({"saturated": 0.01}, "quality.saturated"),
        ({"channels": ["dapi"]}, "quality.channels names 'dapi'; required: some of .'nucleus', 'protein'."),
        ({"channels": []}, "quality.channels without a channel"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(tmp_path: Path, section: Any, found: str) -> None:
    with pytest.raises(SpecError, match=found):
        screen_at(tmp_path / "root", quality=section)


@pytest.mark.parametrize(
    ("section", "n_used"),
    [
        ({"saturated": {"at_least": 0.5, "at_most": 0.5}}, 0),
        ({"background": {"at_least": -1e9, "at_most": 1e9}}, 2),
        ({"saturated": {"at_most": 1}, "channels": ["protein", "protein"]}, 2),
        ({"signal_to_noise": {"at_least": 1e9}}, 0),
        ({"channels": ["protein"]}, 2),
    ],
)
def test_limits_that_all_or_no_fields_keep(tmp_path: Path, section: Any, n_used: int) -> None:
    write_shaded(tmp_path / "root", np.ones((SIDE, SIDE)), fields=2)
    screen = screen_at(tmp_path / "root", quality=section)
    fields = scan(screen).fields
    result = survey(screen, fields)
    assert (len(result.used), len(result.rejected)) == (n_used, 2 - n_used)
    refused = [text for text in quality_lines(screen, fields) if "will not be used" in text]
    assert len(refused) == 2 - n_used


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.ones((SIDE, SIDE // 2)), "a profile for fields of 64 x 32 px, and a field of 64 x 64 px"),
        (np.ones((0, SIDE)), r"an array of shape \(0, 64\)"),
        (np.ones(()), r"an array of shape \(\)"),
        (np.ones((SIDE, SIDE), bool), "type bool"),
        (np.ones((SIDE, SIDE), complex), "type complex"),
        (np.array([[{}]]), "pickled Python objects"),
        (np.where(np.eye(SIDE) > 0, 0.0, 1.0), "values from 0.0 to 1.0"),
        (np.where(np.eye(SIDE) > 0, -1.0, 1.0), "values from -1.0 to 1.0"),
        (np.where(np.eye(SIDE) > 0, np.nan, 1.0), "values from nan to nan"),
        (np.where(np.eye(SIDE) > 0, np.inf, 1.0), "values from 1.0 to inf"),
        (np.where(np.eye(SIDE) > 0, 1e-6, 1.0), "a profile with a gain of 1"),
        (np.ones((SIDE, SIDE)), None),
        (1e-300 * shading(SIDE), None),
        (1e300 * shading(SIDE), None),
        ((1000 * shading(SIDE)).astype(np.int64), None),
        (shading(SIDE).astype(np.float16), None),
    ],
)
def test_odd_profiles(tmp_path: Path, array: np.ndarray, found: str | None) -> None:
    root = tmp_path / "root"
    write_shaded(root, shading(SIDE), fields=1)
    (root / "light").mkdir()
    for channel in ("nucleus", "protein"):
        np.save(root / "light" / f"P1_{channel}.npy", array)
    screen = screen_at(root, illumination={"method": "images", "images": IMAGES})
    fields = scan(screen).fields
    if found is None:
        planes = read_corrected(screen, fields[0])
        assert all(np.isfinite(plane).all() and plane.min() > 0 for plane in planes.values())
        assert len(survey(screen, fields).used) == 1
        return
    with pytest.raises(ImageFileError, match=f"P1_nucleus.npy: found .*{found}"):
        read_corrected(screen, fields[0])
    assert len(survey(screen, fields).rejected) == 1


def test_an_offset_above_all_pixels_is_named(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_shaded(root, shading(SIDE), fields=1)
    (root / "light").mkdir()
    for channel in ("nucleus", "protein"):
        np.save(root / "light" / f"P1_{channel}.npy", shading(SIDE))
    screen = screen_at(root, illumination={"method": "images", "images": IMAGES, "offset": 65_000})
    with pytest.raises(
        ImageFileError, match=r"illumination\.offset: found 65000, and a plane with no pixel above"
    ):
        read_corrected(screen, scan(screen).fields[0])


@pytest.mark.parametrize(
    "profile",
    [
        Profile(Polynomial(((1e39,),)), source="Index.xml"),
        Profile(Polynomial(((1e300,), (1e300, -1e300))), source="Index.xml"),
        Profile(Polynomial(((1.0,),)), Polynomial(((1e39,),)), 100.0, "Index.xml"),
        Profile(Polynomial(((1.0,),)), Polynomial(((1.0,),)), 1e300, "Index.xml"),
        Profile(Polynomial(((0.0,),)), source="Index.xml"),
        Profile(Polynomial(((1.0,), (5.0, 0.0))), source="Index.xml"),
    ],
)
def test_polynomials_without_a_finite_positive_gain_are_refused(profile: Profile) -> None:
    with pytest.raises(ImageFileError, match=r"Index\.xml: found a .*gain"):
        profile.corrected(draw(np.random.default_rng(0), np.ones((SIDE, SIDE))))


@pytest.mark.parametrize(("fields", "offset"), [(1, 0), (1, 1_000_000), (17, 1_000_000)])
def test_an_estimate_without_enough_fields_corrects_nothing(
    tmp_path: Path, fields: int, offset: float
) -> None:
    write_shaded(tmp_path / "root", np.ones((SIDE, SIDE)), fields=fields)
    screen = screen_at(tmp_path / "root", illumination={"method": "estimated", "offset": offset})
    members = scan(screen).fields
    chosen, estimates = estimated_beforehand(screen, members, members[:1])
    usable = "0 fields" if offset else "1 field"
    assert f"nucleus: {usable} (required: 16 or more)" in next(estimate_lines("P1", estimates))
    raw = tifffile.imread(tmp_path / "root" / members[0].files["protein"])
    np.testing.assert_array_equal(read_corrected(screen, chosen[0])["protein"], raw)
    result = survey(screen, members)
    assert len(result.used) == fields
    assert all(row["gain_min"] == row["gain_max"] == 1 for row in result.illumination)


def test_a_constant_plate_is_refused_field_by_field(tmp_path: Path) -> None:
    (tmp_path / "root" / "P1").mkdir(parents=True)
    for number in range(20):
        for channel in ("nucleus", "protein"):
            path = tmp_path / "root" / "P1" / f"A{number + 1:02d}_1_{channel}.tif"
            tifffile.imwrite(path, np.full((SIDE, SIDE), 900, np.uint16))
    screen = screen_at(tmp_path / "root", illumination={"method": "estimated"})
    members = scan(screen).fields
    result = survey(screen, members)
    assert len(result.rejected) == 20
    assert all("a constant channel (every pixel is 900)" in reason for _, _, reason in result.rejected)
    _, estimates = estimated_beforehand(screen, members, members[:1])
    assert all(each.note == "0 fields (required: 16 or more)" for each in estimates.values())


def test_an_even_plate_of_noise_is_corrected_by_next_to_nothing(tmp_path: Path) -> None:
    write_shaded(tmp_path / "root", np.ones((SIDE, SIDE)), fields=20, cells=1)
    screen = screen_at(tmp_path / "root", illumination={"method": "estimated"})
    members = scan(screen).fields
    chosen, _ = estimated_beforehand(screen, members, members[:1])
    raw = tifffile.imread(tmp_path / "root" / members[0].files["nucleus"])
    np.testing.assert_allclose(read_corrected(screen, chosen[0])["nucleus"], raw, rtol=0.1)
