"""Measures of quality against naive formulas, and flags on fields with known defects."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from pcip_core.errors import SpecError
from pcip_core.images.layout import scan
from pcip_core.images.quality.measures import Measures, flagged, measured, outside, rows_of
from pcip_core.images.quality.survey import quality_lines, survey
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import Limits
from tests.conftest import real_folder
from tests.core.images import writers

FILES = {"pattern": "{well}_{channel}.tif", "image_id": "{well}"}


def screen_of(root: Path, **changes: Any) -> Screen:
    return writers.screen_of(root, FILES, shards={"buckets": 1}, **changes)


def field(rng: np.random.Generator, side: int = 200, *, cells: int = 40) -> np.ndarray:
    """Round cells with sharp borders on a noisy background, uint16."""
    y, x = np.mgrid[:side, :side]
    plane = np.full((side, side), 150.0)
    for cy, cx, radius, level in zip(
        *rng.uniform(0, side, (2, cells)),
        rng.uniform(4, 8, cells),
        rng.uniform(500, 3000, cells),
        strict=True,
    ):
        plane += level * (np.hypot(y - cy, x - cx) < radius)
    return rng.poisson(gaussian_filter(plane, 1)).astype(np.uint16)


def blurred(plane: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """As a camera would see it out of focus: the light is blurred, the noise is not."""
    return rng.poisson(gaussian_filter(plane.astype(float), sigma)).astype(np.uint16)


def naive_slope(tile: np.ndarray) -> float:
    """The slope of one tile, ring by ring."""
    side = len(tile)
    fall = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, side + 1) / (side + 1))
    power = np.abs(np.fft.fft2((tile - tile.mean()) * np.outer(fall, fall))) ** 2
    frequency = np.fft.fftfreq(side) * side
    rings: dict[int, float] = {}
    for row in range(side):
        for column in range(side):
            ring = math.floor(math.hypot(frequency[row], frequency[column]))
            rings[ring] = rings.get(ring, 0.0) + power[row, column]
    chosen = range(2, side // 8)
    return float(np.polyfit(np.log(chosen), np.log([rings[ring] for ring in chosen]), 1)[0])


def test_the_slope_of_one_tile_is_that_of_a_naive_loop() -> None:
    plane = field(np.random.default_rng(0), 128)
    assert measured(plane).focus_slope == pytest.approx(naive_slope(plane.astype(float)), rel=1e-3)


def test_saturation_background_and_noise_are_those_of_the_plane() -> None:
    rng = np.random.default_rng(1)
    plane = rng.normal(500, 20, (100, 100))
    plane[:50, :20] = 4095
    found = measured(plane)
    assert found.saturated == 0.1
    assert found.background == pytest.approx(np.percentile(plane, 5), rel=0.02)
    assert found.signal_to_noise == pytest.approx((4095 - found.background) / 20, rel=0.2)


def test_measures_do_not_depend_on_the_scale_of_grey_levels() -> None:
    plane = field(np.random.default_rng(2), 300)
    dim, bright = measured(plane), measured((plane.astype(np.float64) * 7.5).astype(np.float32))
    assert bright.background == pytest.approx(7.5 * dim.background)
    for name in ("saturated", "focus_slope", "focus_laplacian", "signal_to_noise"):
        assert getattr(bright, name) == pytest.approx(getattr(dim, name), rel=1e-3)


@pytest.mark.parametrize("shape", [(2, 2), (9, 5), (20, 400), (129, 128), (64, 64)])
@pytest.mark.parametrize("kind", ["noise", "constant"])
def test_planes_of_any_shape_are_measured(shape: tuple[int, int], kind: str) -> None:
    plane = np.random.default_rng(3).integers(0, 255, shape).astype(np.uint8)
    found = measured(plane if kind == "noise" else np.zeros(shape, np.float32))
    assert isinstance(found, Measures)
    assert 0 < found.saturated <= 1
    assert math.isnan(found.focus_slope) or abs(found.focus_slope) < 20
    assert math.isfinite(found.signal_to_noise)


def test_defects_are_flagged_and_good_fields_are_not() -> None:
    rng = np.random.default_rng(4)
    planes = {f"good{number}": field(rng, cells=30 + 5 * number) for number in range(8)}
    planes["blurred"] = blurred(field(rng), 4, rng)
    planes["saturated"] = np.minimum(field(rng), 1200)
    planes["noise"] = rng.poisson(150, (200, 200)).astype(np.uint16)
    planes["few_levels"] = rng.integers(100, 103, (200, 200)).astype(np.uint16)
    spots = field(rng)
    spots[rng.random(spots.shape) < 0.0015] = 65_535
    planes["hot_pixels"] = spots
    rows = [row for name, plane in planes.items() for row in rows_of(name, {"dna": plane, "protein": plane})]
    table = flagged(rows, ["dna"])
    flags = {
        (row["field_id"], row["channel"]): row["flags"] for row in table.iter_rows(named=True) if row["flags"]
    }
    assert flags[("blurred", "dna")] == ["blurred"]
    assert ("blurred", "protein") not in flags, "a protein may be diffuse in one image"
    assert flags[("saturated", "dna")] == flags[("saturated", "protein")] == ["saturated"]
    assert "no_signal" in flags[("noise", "dna")]
    assert "no_signal" in flags[("few_levels", "dna")]
    assert {name for name, _ in flags} == {"blurred", "saturated", "noise", "few_levels"}


def test_focus_is_judged_by_fields_with_structure() -> None:
    """Most wells of the plate are empty: their slope is that of noise, and no measure of focus."""
    rows = [{"field_id": f"empty{n}", "channel": "dna", "focus_slope": 0.1} for n in range(20)]
    rows += [{"field_id": f"good{n}", "channel": "dna", "focus_slope": -1.6 - 0.1 * n} for n in range(4)]
    rows += [{"field_id": "blurred", "channel": "dna", "focus_slope": -4.5}]
    measures = {"saturated": 0.0, "focus_laplacian": 1.0, "background": 0.0, "signal_to_noise": 30.0}
    table = flagged([{**measures, **row} for row in rows], ["dna"])
    assert table.filter(field_id="blurred")["flags"].to_list() == [["blurred"]]
    assert sum(len(flags) for flags in table["flags"]) == 1
    assert flagged([{**measures, **rows[-1]}], ["dna"])["flags"].to_list() == [[]], (
        "no other field to compare"
    )


@pytest.mark.parametrize(
    ("folder", "pattern", "structural"),
    [
        ("yeast_fields", "images/*.tiff", ("ch2", "ch3")),
        ("human_fields", "hpa/*.png", ("blue", "red", "yellow")),
    ],
)
def test_no_real_field_is_flagged(folder: str, pattern: str, structural: tuple[str, ...]) -> None:
    rows = []
    for path in sorted(real_folder(folder).glob(pattern)):
        plane = tifffile.imread(path) if path.suffix == ".tiff" else np.asarray(_png(path))
        channel = path.stem.split("-")[-1][:3] if path.suffix == ".tiff" else path.stem.split("_")[-1]
        rows += rows_of(path.stem.split("-")[0], {channel: plane})
    assert len(rows) >= 4
    assert flagged(rows, structural)["flags"].to_list() == [[]] * len(rows)


def _png(path: Path) -> np.ndarray:
    from imagecodecs import imread

    return imread(path)


def test_limits_reject_a_field_with_the_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for well in ("A01", "A02", "A03"):
        for channel in ("nucleus", "protein"):
            plane = field(rng)
            if (well, channel) == ("A02", "nucleus"):
                plane = np.minimum(plane, 1000)
            tifffile.imwrite(tmp_path / f"{well}_{channel}.tif", plane)
    limits = {"saturated": {"at_most": 0.01}, "focus_slope": {"at_least": -9, "at_most": -0.2}}
    screen = screen_of(tmp_path, quality=limits)
    result = survey(screen, scan(screen).fields)
    ((rejected, where, reason),) = result.rejected
    assert (rejected.field_id, where) == ("A02", "A02_nucleus.tif")
    assert reason.startswith("nucleus: saturated 0.")
    assert reason.endswith("(quality.saturated.at_most 0.01)")
    assert set(result.quality["field_id"]) == {"A01", "A03"}
    assert quality_lines(screen, scan(screen).fields) == [f"A02 will not be used: {reason}"]
    plain = screen_of(tmp_path)
    assert survey(plain, scan(plain).fields).rejected == []
    assert quality_lines(plain, scan(plain).fields) == ["A02: saturated (nucleus)"]
    other = screen_of(tmp_path, quality={**limits, "channels": ["protein"]})
    assert survey(other, scan(other).fields).rejected == []


def test_single_cells_are_not_measured_unless_limits_are_given(tmp_path: Path) -> None:
    for channel in ("nucleus", "protein"):
        tifffile.imwrite(tmp_path / f"A01_{channel}.tif", field(np.random.default_rng(6), 64))
    whole = {"segmentation": {"method": "whole"}, "crops": {"window_px": None, "size_px": 16}}
    screen = screen_of(tmp_path, **whole)
    assert survey(screen, scan(screen).fields).quality.height == 0
    limited = screen_of(tmp_path, **whole, quality={"saturated": {"at_most": 0.5}})
    assert survey(limited, scan(limited).fields).quality.height == 2


def test_unmeasured_values_are_within_limits() -> None:
    rows = [{"channel": "dna", "focus_slope": math.nan}, {"channel": "dna", "focus_slope": None}]
    assert outside(rows, {"focus_slope": Limits(at_least=-3)}, ["dna"]) is None


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ({"saturated": {}}, "quality.saturated without a limit"),
        ({"focus_slope": {"at_least": -1, "at_most": -2}}, "quality.focus_slope from -1.0 to -2.0"),
        ({"focus": {"at_least": -1}}, "unknown key `quality.focus`"),
        ({"channels": ["dna"]}, "quality.channels names 'dna'"),
        ({"saturated": {"at_most": float("nan")}}, "quality.saturated.at_most nan"),
    ],
)
def test_contradictions_in_the_spec_are_refused(tmp_path: Path, section: dict, found: str) -> None:
    with pytest.raises(SpecError, match=found):
        screen_of(tmp_path, quality=section)
