"""Every kind of damage raises an ImageFileError that names it, and the other fields of the shard are cut."""

from __future__ import annotations

import gzip
import resource
import time
import tracemalloc
from collections import Counter

import numpy as np
import pytest
import tifffile

from pcip_core.crops.shard import cut_shard
from pcip_core.errors import ImageFileError
from pcip_core.images.formats import limits, tiff
from pcip_core.images.formats.limits import MAX_BYTES, MAX_SIDE_PX
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash, read_field, read_plane
from tests.conftest import draw_field
from tests.core.images.damage import KINDS, damages, encoded, huge_header
from tests.core.images.writers import noise, screen_of

FILES = {"pattern": "{plate}_{well}_{channel}.*", "image_id": "{plate}_{well}"}
CHANNELS = {
    "nucleus": {"role": "structural", "plane": "max"},
    "protein": {"role": "protein", "plane": "max"},
}
MESSAGES = {
    "gone": "no such file",
    "empty": "an empty file",
    "all zeros": "cannot be decoded",
    "a web page": "cannot be decoded",
    "header of 100,000 px": "header of|cannot be decoded .DecompressionBombError",
    "constant": "constant channel",
    "NaN": "NaN or infinite",
    "a stack": "a stack of shape",
    "64 bits": "pixels of type int64",
    "complex": "pixels of type complex64",
    "RGBA": "pixels of (4 values|mode RGBA), neither grey nor RGB",
    "CMYK": "pixels of mode CMYK, neither grey nor RGB",
    "white is zero": "white is zero",
    "palette": "a PNG with a palette",
    "1 bit": "a PNG with 1 bit per pixel",
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_damage_is_named(tmp_path, kind):
    pixels = noise(1, (40, 36), np.uint8)
    rng = np.random.default_rng(5)
    path = tmp_path / f"picture.{kind}"
    seen = set()
    for name, spoil in damages(pixels, kind).items():
        if name not in MESSAGES:
            continue
        path.unlink(missing_ok=True)
        data = spoil(rng)
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ImageFileError, match=MESSAGES[name]) as caught:
            read_plane(path)
        assert str(path) in str(caught.value)
        seen.add(name)
    assert len(seen) >= 7


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncated_file_is_refused(tmp_path, kind):
    whole = encoded(noise(2, (40, 36), np.uint8), kind)
    path = tmp_path / f"picture.{kind}"
    for length in sorted({0, 1, 4, 9, 60, *np.linspace(100, len(whole) - 1, 25).astype(int).tolist()}):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageFileError):
            read_plane(path)
    path.write_bytes(whole)
    read_plane(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_huge_header_is_refused_before_memory_is_allocated(tmp_path, kind):
    path = tmp_path / f"picture.{kind}"
    path.write_bytes(huge_header(kind))
    tracemalloc.start()
    with pytest.raises(ImageFileError):
        read_plane(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    assert MAX_SIDE_PX == 20_000
    assert MAX_BYTES == 1 << 30


def test_what_is_unpacked_beside_the_pixels_counts_too(tmp_path, monkeypatch):
    """As a strip of the whole image is, before it is copied: a plane of 1 GiB would take 2 GiB."""
    pixels = noise(3, (64, 64), np.uint16)
    monkeypatch.setattr(limits, "MAX_MEMORY", pixels.nbytes * 3 // 2)
    path = tmp_path / "picture.tif"
    for rows, packing, is_read in ((64, None, True), (16, "zlib", True), (64, "zlib", False)):
        tifffile.imwrite(path, pixels, compression=packing, rowsperstrip=rows)
        if is_read:
            assert np.array_equal(read_plane(path), pixels)
        else:
            with pytest.raises(ImageFileError, match=r"in parts of .* smaller strips, tiles or chunks"):
                read_plane(path)
    monkeypatch.setattr(tiff, "MAX_MEMORY", 0)
    monkeypatch.setattr(tiff, "_SLACK", pixels.nbytes)
    (tmp_path / "picture.tif.gz").write_bytes(gzip.compress(path.read_bytes() + bytes(2 << 20)))
    with pytest.raises(ImageFileError, match="when unpacked"):
        read_plane(tmp_path / "picture.tif.gz")


def test_no_copy_of_a_plane_is_made_to_check_it(tmp_path):
    path, pixels = tmp_path / "picture.tif", noise(4, (1000, 1000), np.uint16).astype(np.float32)
    tifffile.imwrite(path, pixels)
    tracemalloc.start()
    read_plane(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * pixels.nbytes
    for bad in (np.nan, np.inf, -np.inf):
        pixels[-1, -1] = bad
        tifffile.imwrite(path, pixels)
        with pytest.raises(ImageFileError, match="NaN or infinite"):
            read_plane(path)


def test_a_thousand_damaged_files_beside_good_ones(tmp_path):
    """Of 700 fields, 500 have both files damaged: every field is read or rejected, and the shard is completed."""
    root = tmp_path / "images"
    root.mkdir()
    rng = np.random.default_rng(11)
    drawn = [draw_field(rng, in_nucleus=bool(i % 2)) for i in range(4)]
    as_bytes = [{name: (plane // 8).astype(np.uint8) for name, plane in planes.items()} for planes in drawn]
    ways = {
        (i, kind, name): damages(pixels, kind)
        for i, planes in enumerate(as_bytes)
        for kind in KINDS
        for name, pixels in planes.items()
    }
    done: Counter[str] = Counter()
    damaged = 0
    for number in range(700):
        kind = KINDS[number % len(KINDS)]
        spoilt_channels = ("nucleus", "protein") if number < 500 else ()
        for channel in CHANNELS:
            known = ways[int(rng.integers(4)), kind, channel]
            how = (
                str(rng.choice([damage for damage in known if damage != "whole"]))
                if channel in spoilt_channels
                else "whole"
            )
            data = known[how](rng)
            damaged += how != "whole"
            done[how] += 1
            if data is not None:
                (root / f"p_{number:03d}_{channel}.{kind}").write_bytes(data)
    assert damaged == 1_000
    crops = {"window_px": 32, "size_px": 16, "min_cells": 2}
    screen = screen_of(root, FILES, channels=CHANNELS, crops=crops)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    fields = scan(screen).fields
    used, reasons = [], []
    for field in fields:
        content_hash(screen, field)
        try:
            read_field(screen, field)
            used.append(field)
        except ImageFileError as error:
            reasons.append(error.found)
    cells = cut_shard(screen, fields)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    quarantined = [row for row in cells.rejected if row.what == "file"]
    assert len(fields) == len(used) + len(reasons)
    assert len(reasons) == len(quarantined)
    assert all(row.reason for row in quarantined)
    assert cells.found == len(cells.pixels) + sum(row.what == "cell" for row in cells.rejected)
    assert len(used) >= 200  # the undamaged fields
    assert {f"p_{number:03d}" for number in range(500, 700)} <= {field.field_id for field in used}
    assert len(set(done)) >= 20
    assert grown_mb < 400
    assert time.process_time() - start < 60  # of the processor, which needs 3: no file keeps it busy
