"""PNG files of several values per pixel: 16-bit colours, grey levels with alpha, label images with a second plane."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from pcip_core.errors import ImageFileError
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field, read_plane
from tests.core.images.writers import noise, screen_of

FILES = {"pattern": "{well}_{channel}.png", "image_id": "{well}"}
NUCLEUS = {"role": "structural"}


def written(path: Path, *planes: np.ndarray) -> Path:
    """The planes as the values of the pixels of one PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(np.stack(planes, axis=-1).squeeze())))
    return path


def read(root: Path, **channels: dict) -> dict[str, np.ndarray]:
    """The channels of the only field under a root."""
    screen = screen_of(root, FILES, channels=channels, shards={"buckets": 1})
    return read_field(screen, scan(screen).fields[0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", ["red", "green", "blue", "max"])
def test_colours_keep_all_their_bits(tmp_path, dtype, colour):
    colours = [noise(seed, dtype=dtype) for seed in range(3)]
    written(tmp_path / "i" / "A01_rgb.png", *colours)
    as_read = read(
        tmp_path / "i",
        nucleus={"role": "structural", "named": "rgb", "plane": "blue"},
        protein={"role": "protein", "named": "rgb", "plane": colour},
    )
    expected = np.max(colours, axis=0) if colour == "max" else colours[["red", "green", "blue"].index(colour)]
    assert np.array_equal(as_read["protein"], expected)
    assert as_read["nucleus"].dtype == dtype
    assert np.array_equal(as_read["nucleus"], colours[2])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_both_planes_of_grey_levels_with_alpha(tmp_path, dtype):
    labels, kinds = noise(1, dtype=dtype), (noise(2, dtype=dtype) % 3).astype(dtype)
    root = tmp_path / "i"
    written(root / "A01_mask.png", labels, kinds)
    written(root / "A01_nucleus.png", noise(3))
    written(root / "A01_protein.png", noise(4))
    as_read = read(
        root,
        nucleus=NUCLEUS,
        protein={"role": "protein"},
        cells={"role": "labels", "named": "mask", "plane": 0},
        kinds={"role": "labels", "named": "mask", "plane": 1},
    )
    assert np.array_equal(as_read["cells"], labels)
    assert np.array_equal(as_read["kinds"], kinds)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_alpha_that_says_nothing_is_left_out(tmp_path, dtype):
    grey = noise(1, dtype=dtype)
    path = written(tmp_path / "a.png", grey, np.full_like(grey, np.iinfo(dtype).max))
    assert np.array_equal(read_plane(path), grey)


def test_an_alpha_that_varies_must_be_chosen_and_the_remedy_works(tmp_path):
    labels, kinds = noise(1), noise(2)
    root = tmp_path / "i"
    path = written(root / "A01_protein.png", labels, kinds)
    written(root / "A01_nucleus.png", noise(3))
    with pytest.raises(ImageFileError, match=r"alpha channel that varies.*plane.* 0 .*1 for alpha"):
        read_plane(path)
    for number, expected in enumerate((labels, kinds)):
        as_read = read(root, nucleus=NUCLEUS, protein={"role": "protein", "plane": number})
        assert np.array_equal(as_read["protein"], expected)


@pytest.mark.parametrize(("values", "number"), [(1, 1), (2, 2)])
def test_a_plane_that_the_file_does_not_have_is_refused(tmp_path, values, number):
    root = tmp_path / "i"
    written(root / "A01_protein.png", *(noise(seed) for seed in range(values)))
    written(root / "A01_nucleus.png", noise(3))
    with pytest.raises(ImageFileError, match=f"a PNG, which holds .*required: plane {number}"):
        read(root, nucleus=NUCLEUS, protein={"role": "protein", "plane": number})


@pytest.mark.parametrize("values", [2, 3])
def test_a_truncated_file_is_refused(tmp_path, values):
    path = written(tmp_path / "a.png", *(noise(seed) for seed in range(values)))
    whole = path.read_bytes()
    for length in np.linspace(1, len(whole) - 1, 20).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageFileError):
            read_plane(path)


def test_files_are_read_by_what_they_are_not_by_what_they_are_called(tmp_path):
    root, planes = tmp_path / "i", [noise(1), noise(2)]
    written(root / "A01_nucleus.tif", planes[0])
    tifffile.imwrite(root / "A01_protein.png", planes[1])
    screen = screen_of(root, FILES | {"pattern": "{well}_{channel}.*"}, shards={"buckets": 1})
    as_read = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(as_read["nucleus"], planes[0])
    assert np.array_equal(as_read["protein"], planes[1])
