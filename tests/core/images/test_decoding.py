"""Warnings of decoders are kept, errors are not hidden, and a projection holds few planes in memory."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
import tifffile

from pcip_core.errors import ImageFileError
from pcip_core.images import decoding
from pcip_core.images.formats import picture, stack, tiff
from pcip_core.images.formats.stack import Extent, Projection, selected_plane
from pcip_core.images.reading import read_plane
from pcip_core.images.reference import Reference
from pcip_core.spec.sections import Channel
from tests.core.images.writers import noise


@pytest.mark.parametrize(("module", "ending"), [(tiff, "tif"), (picture, "png")])
def test_a_warning_of_each_kind_is_logged_once(tmp_path, monkeypatch, caplog, module, ending):
    import imageio.v3 as iio

    inner = module.planes

    def warns(path, selects):
        warnings.warn(f"tag {path.name} has 17 values", stacklevel=1)
        return inner(path, selects)

    monkeypatch.setattr(module, "planes", warns)
    decoding.forget_warnings()
    for number in range(3):
        path = tmp_path / f"{number}.{ending}"
        iio.imwrite(path, noise(number))
        assert np.array_equal(read_plane(path), noise(number))
    assert len(decoding.decoder_warnings()) == len(caplog.records) == 1
    assert "0." in caplog.text


def test_warnings_are_bounded(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", noise(1))
    kinds = iter(chr(0x4E00 + number) * 1000 for number in range(decoding._MOST_KINDS + 5))

    def warns(path, selects):
        for kind in kinds:
            warnings.warn(kind, stacklevel=1)
        return [noise(1)]

    monkeypatch.setattr(tiff, "planes", warns)
    decoding.forget_warnings()
    read_plane(tmp_path / "a.tif")
    kept = decoding.decoder_warnings()
    assert len(kept) == decoding._MOST_KINDS
    assert max(map(len, kept)) < 600
    decoding.forget_warnings()


def test_an_error_after_a_warning_is_still_an_error(tmp_path, monkeypatch):
    def fails(path, selects):
        warnings.warn("odd", stacklevel=1)
        raise ValueError("damaged")

    monkeypatch.setattr(tiff, "planes", fails)
    tifffile.imwrite(tmp_path / "a.tif", noise(1))
    with pytest.raises(ImageFileError, match="damaged"):
        read_plane(tmp_path / "a.tif")


@pytest.mark.parametrize(("how", "compression"), [("max", None), ("mean", "zlib"), ("sharpest", None)])
def test_a_projection_holds_few_planes_in_memory(tmp_path, how, compression):
    side, depth = 400, 20
    path = tmp_path / "stack.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(
            (noise(z % 3, (side, side)) for z in range(depth)),
            shape=(depth, side, side),
            dtype=np.uint16,
            metadata={"axes": "ZYX"},
            photometric="minisblack",
            compression=compression,
        )
    reference = Reference("stack.ome.tif", {"project": how})
    channels = {"marker": Channel("structural")}
    decoding.decode({"marker": reference}, channels, tmp_path)  # imports
    tracemalloc.start()
    planes = decoding.decode({"marker": reference}, channels, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert planes["marker"].shape == (side, side)
    assert peak < 10 * side * side * 2 + (2 << 20)  # 20 planes have 6.4 MB


def test_a_mean_is_exact_and_rounded(tmp_path):
    for kind in (np.uint8, np.int16, np.uint16, np.float32):
        planes = [noise(seed, (600, 7), kind) for seed in range(5)]
        projection = Projection("mean")
        for plane in planes:
            projection.add(plane, "stack")
        mean = np.mean([plane.astype(np.float64) for plane in planes], axis=0)
        assert np.array_equal(
            projection.result(), (mean if kind == np.float32 else np.rint(mean)).astype(kind)
        )


def test_a_stack_without_end_is_refused_after_one_plane(monkeypatch):
    monkeypatch.setattr(stack, "MAX_STACK_BYTES", 10_000)
    read = []

    def plane(time, z):
        read.append(z)
        return noise(1)

    extent = Extent("x.tif", 1, 100, 1, (100, 24, 32), "ZYX")
    with pytest.raises(ImageFileError, match="100 focal planes"):
        selected_plane(extent, {"project": "max"}, plane)
    assert read == [0]


def test_a_picture_has_no_third_plane(tmp_path):
    import imageio.v3 as iio

    iio.imwrite(tmp_path / "a.png", noise(1))
    with pytest.raises(ImageFileError, match="1 focal plane; required: number 3"):
        picture.planes(tmp_path / "a.png", [{"z": "3"}])
