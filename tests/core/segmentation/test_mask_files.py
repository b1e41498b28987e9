"""Label images as palettes, as single bits and as NumPy files: read where that is unambiguous, otherwise refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from pcip_core.crops.shard import cut_field, cut_shard
from pcip_core.errors import ImageFileError
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from pcip_core.spec.screen import Screen
from tests.core.images.writers import noise, screen_of

CHANNELS: dict[str, Any] = {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}}


def _mask() -> np.ndarray:
    mask = np.zeros((24, 32), np.uint8)
    mask[2:7, 2:7], mask[10:15, 12:18], mask[18:22, 25:30] = 3, 1, 9
    return mask


def _written(root: Path, kind: str) -> str:
    """Write a field and its mask; return the ending of the mask's name."""
    root.mkdir()
    for seed, name in enumerate(CHANNELS):
        tifffile.imwrite(root / f"A01_{name}.tif", noise(seed))
    mask, path = _mask(), root / "A01_mask"
    if kind == "palette.png":
        picture = Image.fromarray(mask, "P")
        picture.putpalette([value for number in range(256) for value in (255 - number, 7, 7)])
        picture.save(f"{path}.png")
    elif kind == "bits.png":
        Image.fromarray(mask > 0).save(f"{path}.png")
    elif kind in ("palette.tif", "imagej.tif", "shaped.tif"):
        options: dict[str, Any] = {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}
        if kind != "shaped.tif":
            options["metadata"] = None
        if kind == "imagej.tif":  # Fiji writes a palette for any lookup table, such as glasbey
            options["description"] = "ImageJ=1.54f\nimages=1\n"
        tifffile.imwrite(f"{path}.tif", mask, **options)
    elif kind == "bits.tif":
        tifffile.imwrite(f"{path}.tif", mask > 0, photometric="minisblack", metadata=None)
    elif kind == "cellpose.npy":
        np.save(f"{path}.npy", {"masks": mask}, allow_pickle=True)  # type: ignore[arg-type]
    else:
        np.save(f"{path}.npy", mask.astype(">u2"))
    return "*." + kind.partition(".")[2]


def _screen(root: Path, ending: str, role: str = "labels", **options: Any) -> Screen:
    patterns = {name: f"{{well}}_{name}.tif" for name in CHANNELS} | {"mask": f"{{well}}_mask{ending[1:]}"}
    return screen_of(
        root,
        {"pattern": patterns, "image_id": "{well}"},
        channels=CHANNELS | {"mask": {"role": role}},
        segmentation={"method": "labels", "options": {"channel": "mask", **options}},
        crops={"window_px": 8, "size_px": 16},
        shards={"buckets": 1},
    )


@pytest.mark.parametrize("kind", ["palette.png", "palette.tif", "imagej.tif", "shaped.tif", "numbers.npy"])
def test_numbers_are_read_as_they_are(tmp_path, kind):
    screen = _screen(tmp_path / "i", _written(tmp_path / "i", kind))
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["mask"], _mask())
    assert planes["mask"].dtype.isnative


@pytest.mark.parametrize("kind", ["bits.png", "bits.tif"])
def test_single_bits_are_refused_and_both_remedies_work(tmp_path, kind):
    ending = _written(tmp_path / "i", kind)
    screen = _screen(tmp_path / "i", ending)
    (field,) = scan(screen).fields
    assert np.array_equal(read_field(screen, field)["mask"], _mask() > 0)
    with pytest.raises(ImageFileError, match="1 bit per pixel, which does not number") as caught:
        cut_field(screen, field)
    options = [yaml.safe_load(line) for line in caught.value.remedy.split("`")[1::2]]
    counts = [cut_shard(_screen(tmp_path / "i", ending, **option), [field]).found for option in options]
    assert counts == [3, 1]


@pytest.mark.parametrize("kind", ["palette.png", "bits.png", "palette.tif", "imagej.tif"])
def test_other_channels_are_refused_with_the_role(tmp_path, kind):
    screen = _screen(tmp_path / "i", _written(tmp_path / "i", kind), role="structural")
    with pytest.raises(ImageFileError, match="role: labels"):
        read_field(screen, scan(screen).fields[0])


def test_pickles_are_refused_and_the_remedy_works(tmp_path):
    root = tmp_path / "i"
    screen = _screen(root, _written(root, "cellpose.npy"))
    (field,) = scan(screen).fields
    with pytest.raises(ImageFileError, match="pickled Python objects") as caught:
        read_field(screen, field)
    code = caught.value.remedy.split("`")[1]
    exec(code, {"numpy": np, "new": tmp_path / "new.npy", "old": root / "A01_mask.npy"})
    (tmp_path / "new.npy").replace(root / "A01_mask.npy")
    assert np.array_equal(read_field(screen, field)["mask"], _mask())
