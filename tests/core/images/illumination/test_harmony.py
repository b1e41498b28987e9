"""Harmony's profiles: the notation, the surface term by term, and fields of a plate corrected by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from pcip_core.errors import ImageFileError
from pcip_core.images.illumination.correction import fingerprint, profiles_of, read_corrected
from pcip_core.images.illumination.described import illumination_lines
from pcip_core.images.illumination.harmony import parsed, profile_of
from pcip_core.images.layout import scan
from pcip_core.images.layouts.exports import markup
from pcip_core.images.layouts.harmony_index import read_profiles
from pcip_core.images.reading import read_field
from pcip_core.spec.screen import Screen
from tests.core.images.writers import screen_of

SHAPE = HEIGHT, WIDTH = 30, 40
GAIN = [[1.05], [0.08, -0.05], [-0.3, 0.02, -0.25], [0.1, 0, 0.2, -0.1]]
BEHIND = [[1.1], [0.02, 0.03]]
FILES = {"layout": "opera", "image_id": "{plate}_{well}"}
CHANNELS = {
    "nucleus": {"role": "structural", "named": "ch1"},
    "protein": {"role": "protein", "named": "ch2"},
}


def written(values: Any) -> str:
    """Harmony's notation: without quotation marks."""
    if isinstance(values, dict):
        return "{" + ", ".join(f"{key}: {written(value)}" for key, value in values.items()) + "}"
    if isinstance(values, list):
        return "[" + ", ".join(map(written, values)) + "]"
    return str(values)


def part(coefficients: list[list[float]], **further: Any) -> dict[str, Any]:
    profile = {"Coefficients": coefficients, "Dims": [WIDTH, HEIGHT], "Origin": [19.5, 14.5]}
    return {
        "Character": "NonFlat",
        **further,
        "NonFlatness": {"Corrected": 0.04, "Original": 0.2, "Random": 0.03},
        "Profile": {**profile, "Scale": [0.025, 0.033333333], "Type": "Polynomial"},
        "Quality": 1.0,
    }


def text_of(*, channel: int = 1, **parts: Any) -> str:
    return written({**parts, "Channel": channel, "ChannelName": "Alexa 488, far", "Version": "Acapella:2013"})


def surface(coefficients: list[list[float]]) -> np.ndarray:
    """The polynomial, pixel by pixel and term by term."""
    out = np.zeros(SHAPE)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            x, y = (column - 19.5) * 0.025, (row - 14.5) * 0.033333333
            out[row, column] = sum(
                value * x ** (n - k) * y**k
                for n, values in enumerate(coefficients)
                for k, value in enumerate(values)
            )
    return out


def index(entries: dict[int, str]) -> str:
    items = "".join(
        f"<Entry ChannelID='{number}'><FlatfieldProfile>{text}</FlatfieldProfile></Entry>"
        for number, text in entries.items()
    )
    return (
        "<?xml version='1.0'?><EvaluationInputData xmlns='http://www.perkinelmer.com/PEHH/HarmonyV5'><Plates><Plate>"
        f"<Name>P1</Name></Plate></Plates><Maps><Map>{items}</Map></Maps><Images/></EvaluationInputData>"
    )


def write_plate(folder: Path, gain: np.ndarray) -> np.ndarray:
    """One field of two channels, the first one shaded; returns the field without shading."""
    folder.mkdir(parents=True)
    even = np.random.default_rng(0).uniform(1000, 5000, SHAPE)
    for channel, plane in ((1, even * gain), (2, even)):
        path = folder / f"r02c03f01p01-ch{channel}sk1fk1fl1.tiff"
        tifffile.imwrite(path, np.rint(plane).astype(np.uint16))
    return even


def plate_of(root: Path, method: str = "harmony") -> Screen:
    return screen_of(root, FILES, channels=CHANNELS, illumination={"method": method})


@pytest.mark.parametrize("place", ["index", "beside"])
def test_a_background_alone_is_the_gain(tmp_path: Path, place: str) -> None:
    root = tmp_path / "root"
    even = write_plate(root / "P1" / "Images", surface(GAIN))
    entries = index({1: text_of(Background=part(GAIN, Mean=168.8))})
    if place == "index":
        (root / "P1" / "Images" / "Index.idx.xml").write_text(entries)
    else:
        (root / "P1" / "FFC_Profile").mkdir()
        (root / "P1" / "FFC_Profile" / "FFC_Profile_Measurement 1.xml").write_text(
            entries.replace("<Maps>", "").replace("</Maps>", "")
        )
    screen = plate_of(root)
    (field,) = scan(screen).fields
    planes = read_corrected(screen, field)
    assert planes["nucleus"].dtype == np.float32
    np.testing.assert_allclose(planes["nucleus"], even, atol=1.2)  # rounding, over the least gain
    assert planes["protein"].dtype == np.uint16, "no profile: as the file holds it"
    (line,) = illumination_lines(screen, [field])
    assert line.startswith("harmony: nucleus: gain 0.")
    assert "protein: no profile, not corrected" in line


def test_a_foreground_is_the_gain_and_the_background_has_its_own_shape(tmp_path: Path) -> None:
    profile = profile_of(text_of(Background=part(BEHIND, Mean=150), Foreground=part(GAIN)), "Index.xml")
    assert profile is not None
    signal = np.random.default_rng(1).uniform(0, 4000, SHAPE)
    raw = 150 * surface(BEHIND) + surface(GAIN) * signal
    np.testing.assert_allclose(profile.corrected(raw), 150 + signal, atol=0.01)


def test_profiles_without_the_keys_that_older_versions_leave_out() -> None:
    short = "{Background: {Character: NonFlat, Dims: [40,30], Profile: {Coefficients: [[1.0],[0.1,0.2]]}}}"
    profile = profile_of(short, "Index.xml")
    assert profile is not None
    expected = 1 + 0.1 * (np.arange(40) - 19.5) / 40 + 0.2 * ((np.arange(30) - 14.5) / 30)[:, None]
    np.testing.assert_allclose(np.ones(SHAPE) / profile.corrected(np.ones(SHAPE)), expected, atol=1e-5)
    for flat in (
        "{Background: {Character: Flat, Mean: NaN, Profile: {Type: Identity}}, Channel: 1}",
        "{Channel: 1}",
        "{}",
    ):
        assert profile_of(flat, "Index.xml") is None


def test_a_binned_field_has_the_profile_of_the_whole_one_and_another_shape_none() -> None:
    profile = profile_of(text_of(Background=part(GAIN)), "Index.xml, channel 1")
    assert profile is not None
    binned = surface(GAIN).reshape(15, 2, 20, 2).mean((1, 3))
    np.testing.assert_allclose(profile.corrected(binned), 1, atol=0.001)
    with pytest.raises(
        ImageFileError, match=r"Index.xml, channel 1: .*30 x 40 px, and a field of 40 x 40 px"
    ):
        profile.corrected(np.ones((40, 40)))
    negative = profile_of(text_of(Background=part([[0.01]])), "Index.xml")
    assert negative is not None
    with pytest.raises(ImageFileError, match=r"a gain of 0\.01; required: a gain of 0\.05 or more"):
        negative.corrected(np.ones(SHAPE))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{Background: {Profile: {Coefficients: [[1], [2, 3]]", "brackets that do not match"),
        ("{Background: [}", "} instead of a value"),
        ("no mapping", "no mapping in braces"),
        ("{" * 30, "instead of a key|brackets"),
        ("{Background: {Profile: {Type: Spline, Coefficients: [[1]], Dims: [2, 2]}}}", "Type Spline"),
        ("{Background: {Profile: {Coefficients: [[1, 2]], Dims: [2, 2]}}}", "rows of .* coefficients"),
        ("{Background: {Profile: {Coefficients: [[one]], Dims: [2, 2]}}}", "could not convert"),
        ("{Background: {Profile: {Coefficients: [[1]]}}}", "Dims"),
        ("{Background: {Profile: {Coefficients: [[NaN]], Dims: [2, 2]}}}", "not finite"),
        ("{Background: {Profile: {Coefficients: [[1]], Dims: [0, 2]}}}", "Dims 0, 2"),
    ],
)
def test_what_cannot_be_understood_is_refused(text: str, found: str) -> None:
    with pytest.raises(ImageFileError, match=found) as error:
        profile_of(text, "Index.xml, channel 1")
    assert "illumination.method" in str(error.value)


def test_quoted_text_and_commas_are_read() -> None:
    assert parsed('{"Name": "a, {b}", Other: c, d, List: [[], [1]]}') == {
        **{"Name": "a, {b}", "Other": "c, d", "List": [[], ["1"]]}
    }


def test_reading_ends_with_the_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "Index.xml"
    path.write_text(index({1: text_of(Background=part(GAIN))}).replace("<Images/>", "<Images><not closed"))
    monkeypatch.setattr(markup, "_PIECE", 100)
    assert list(read_profiles(path)) == ["1"]
    path.write_text(index({1: "x" * 200_000}))
    with pytest.raises(ImageFileError, match="a FlatfieldProfile of more than 100000 characters"):
        read_profiles(path)


def test_without_the_section_the_check_names_profiles_that_are_not_applied(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_plate(root / "P1" / "Images", surface(GAIN))
    path = root / "P1" / "Images" / "Index.xml"
    path.write_text(index({1: text_of(Background=part(GAIN))}))
    screen = plate_of(root, "none")
    (field,) = scan(screen).fields
    (line,) = illumination_lines(screen, [field])
    assert "are there and not applied: P1/Images (ch1 gain 0." in line
    assert read_corrected(screen, field)["nucleus"].dtype == np.uint16

    remedied = plate_of(root, line.rpartition("{method: ")[2].rstrip("}"))
    assert profiles_of(remedied, field).keys() == {"nucleus"}
    before = fingerprint(remedied, [field])
    assert before == fingerprint(remedied, [field])
    path.write_text(index({1: text_of(Background=part([[1.1], *GAIN[1:]]))}))
    assert before != fingerprint(remedied, [field])
    path.write_text(index({}))
    assert list(illumination_lines(screen, [field])) == []
    with pytest.raises(ImageFileError, match="no index with illumination profiles") as error:
        read_corrected(remedied, field)
    assert "estimated or none" in str(error.value)
    assert np.array_equal(
        read_corrected(plate_of(root, "none"), field)["nucleus"], read_field(screen, field)["nucleus"]
    )
