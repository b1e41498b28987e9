"""Stacks within files that differ in depth or in the number of their times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml

from pcip_core.errors import ImageFileError
from pcip_core.images.depths import compare
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from pcip_core.spec.screen import Screen
from tests.core.images.writers import noise, screen_of

FILES: dict[str, Any] = {"layout": "ome_tiff", "pattern": "{plate}_{well}.tif", "image_id": "{plate}_{well}"}
CHANNELS = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 1}}


def _write(root: Path, sizes: Mapping[str, tuple[int, int]], *, kind: str) -> None:
    """Write files of two channels: name -> numbers of times and focal planes."""
    root.mkdir()
    for seed, (name, (times, depth)) in enumerate(sizes.items()):
        pixels = noise(seed, (times, depth, 2, 24, 32))
        if kind == "ome":
            tifffile.imwrite(root / name, pixels, ome=True, metadata={"axes": "TZCYX"})
        else:
            tifffile.imwrite(root / name, pixels, imagej=True, metadata={"axes": "TZCYX"})


def _screen(root: Path, **files: Any) -> Screen:
    return screen_of(root, FILES | files, channels=CHANNELS)


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_projected_stacks_of_different_depth_are_counted_and_the_remedy_works(tmp_path, kind):
    root = tmp_path / "i"
    depths = {"P1_A01.tif": (1, 3), "P1_A02.tif": (1, 3), "P1_A03.tif": (1, 2), "P2_A01.tif": (1, 3)}
    _write(root, depths, kind=kind)
    screen = _screen(root, project={"z": "max"})
    differences = compare(screen, scan(screen).fields)
    assert differences.problems == []
    (warning,) = differences.warnings
    assert warning.startswith(
        "focal planes of nucleus, protein differ on plate P1: 3 in 3 files (P1_A01.tif), 2 in 1 file (P1_A03.tif); "
    )
    (sampled,) = compare(screen, scan(screen).fields, at_most=2).warnings
    assert "differ on plate P1 (of 2 images of 4 in files): 3 in 1 file (P1_A01.tif), 2 in 1" in sampled
    line = re.search(r"`(only: .*?)` \(1 to 2\)", warning)
    assert line is not None
    screen = _screen(root, **yaml.safe_load(line[1]))
    layout = scan(screen)
    assert [read_field(screen, field).shape for field in layout.fields] == [(24, 32)] * 4
    assert compare(screen, layout.fields).problems == []


def test_a_plane_beyond_some_stacks_is_a_problem_where_reading_refuses_it_and_the_remedy_works(tmp_path):
    root = tmp_path / "i"
    _write(root, {"P1_A01.tif": (1, 3), "P1_A02.tif": (1, 2), "P1_A03.tif": (1, 2)}, kind="ome")
    screen = _screen(root, only={"z": 3})
    layout = scan(screen)
    (problem,) = layout.listing(screen).unreadable
    assert problem in layout.listing(screen).lines()
    assert problem.startswith(
        "2 of 3 images of nucleus, protein do not have number 3 of the focal planes, as files.only says, and cannot be "
        "read: 2 in 2 files (P1_A02.tif)"
    )
    for field, refused in zip(layout.fields, (False, True, True), strict=True):
        if refused:
            with pytest.raises(ImageFileError, match=r"number 3, as files\.only in the spec says"):
                read_field(screen, field)
        else:
            read_field(screen, field)
    line = re.search(r"`(only: .*?)`", problem)
    assert line is not None
    screen = _screen(root, **yaml.safe_load(line[1]))
    layout = scan(screen)
    assert compare(screen, layout.fields).problems == []
    assert all(np.ptp(read_field(screen, field)["protein"]) > 0 for field in layout.fields)


def test_plates_of_one_depth_each_are_told_apart_from_mixed_ones(tmp_path):
    _write(tmp_path / "i", {"P1_A01.tif": (1, 3), "P2_A01.tif": (1, 2)}, kind="ome")
    screen = _screen(tmp_path / "i", project={"z": "mean"})
    (warning,) = compare(screen, scan(screen).fields).warnings
    assert "differ between plates: 3 in 1 file (P1_A01.tif), 2 in 1 file (P2_A01.tif)" in warning


def test_times_that_are_fields_and_times_out_of_range_are_counted(tmp_path):
    _write(tmp_path / "i", {"P1_A01.tif": (3, 1), "P1_A02.tif": (1, 1)}, kind="ome")
    screen = _screen(tmp_path / "i", image_id="{plate}_{well}_{time}")
    (warning,) = compare(screen, scan(screen).fields).warnings
    assert warning.startswith(
        "time points of nucleus, protein differ on plate P1: 3 in 1 file (P1_A01.tif), 1 in"
    )
    screen = _screen(tmp_path / "i", only={"time": 2})
    differences = compare(screen, scan(screen).fields)
    assert differences.warnings == []
    assert "does not have number 2 of the time points" in differences.problems[0]


def test_flat_channels_beside_stacks_alike_stacks_and_samples(tmp_path):
    root = tmp_path / "i"
    root.mkdir()
    for well in ("A01", "A02", "A03"):
        tifffile.imwrite(root / f"{well}_nucleus.tif", noise(1))
        stack = noise(2, (3 if well != "A03" else 4, 24, 32))
        tifffile.imwrite(root / f"{well}_protein.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    files = {"pattern": "{well}_{channel}.tif", "image_id": "{well}", "project": {"z": "max"}}
    screen = screen_of(root, files, shards={"buckets": 1})
    fields = scan(screen).fields
    assert compare(screen, fields[:2]).warnings == []
    (warning,) = compare(screen, fields).warnings
    assert warning.startswith(
        "focal planes of protein differ between files: 3 in 2 files (A01_protein.tif), 4 in 1"
    )
