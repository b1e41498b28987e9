"""Archives of labelled cells: a real archive, and files written here with the same arrays."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from pcip_core.crops.shard import cut_shard
from pcip_core.errors import ImageFileError, SpecError
from pcip_core.images.annotations import describe_images
from pcip_core.images.layout import scan
from pcip_core.images.layouts.hdf5 import cell_info
from pcip_core.images.reading import content_hash, read_field
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.spec.templates import TEMPLATES
from tests.conftest import real_folder
from tests.core.images.writers import screen_of

FILES = {"layout": "hdf5", "pattern": "**/Chong_{set}_set.hdf5", "image_id": "{set}_{row}"}
CHANNELS = {"rfp": {"role": "structural", "plane": 1}, "gfp": {"role": "protein", "plane": 0}}
NAMES = ["Actin", "Spindle", "Spindle Pole"]


def write_archive(path: Path, cells: int, **changes: np.ndarray | None) -> np.ndarray:
    """Write an archive of cells with alternating classes; return the pixels (cells, 2, 64, 64)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(cells).random((cells, 2, 64, 64)) * 30_000
    content = {
        "data1": pixels.reshape(cells, -1),
        "Index1": np.eye(3)[np.arange(cells) % 3],
        "Index1_columns": np.array([name.encode() for name in NAMES]),
        "Info1": np.arange(cells * 2.0).reshape(cells, 2),
        "Info1_columns": np.array([b"Area", b"Mean"]),
    }
    with h5py.File(path, "w") as file:
        for key, value in (content | changes).items():
            if value is not None:
                file[key] = value
    return pixels


def _shipped(root: Path) -> Screen:
    return load_screen(TEMPLATES["chong_labelled_cells"], root=str(root))


def test_rows_are_fields_across_blocks_of_rows(tmp_path):
    pixels = write_archive(tmp_path / "images" / "x" / "Chong_test_set.hdf5", 300)
    screen = screen_of(tmp_path / "images", FILES, channels=CHANNELS, shards={"by": "{set}"})
    fields = scan(screen).fields
    assert [field.field_id for field in fields[-2:]] == ["test_298", "test_299"]
    assert fields[299].parts == {"set": "test", "row": "299", "class": "Spindle Pole"}
    for row in (0, 255, 256, 299):
        planes = read_field(screen, fields[row])
        assert np.array_equal(planes["gfp"], pixels[row, 0])
        assert np.array_equal(planes["rfp"], pixels[row, 1])


def test_the_shipped_screen_merges_the_spindles_and_cuts_every_cell(tmp_path):
    sets = {"train": 9, "valid": 6, "test": 6}
    for name, cells in sets.items():
        write_archive(tmp_path / "datasets" / f"Chong_{name}_set.hdf5", cells)
    screen = _shipped(tmp_path)
    layout = scan(screen)
    assert sorted(layout.shards()) == ["test", "train", "valid"]
    terms = Counter(image.localization[0] for image in describe_images(screen, layout.fields))
    assert terms == {"Actin": 3, "Spindle": 6}
    cells = cut_shard(screen, layout.of_shard("train"))
    assert cells.pixels.shape == (9, 2, 64, 64)
    assert list(screen.channels) == ["cytosol", "protein"]


def test_the_real_archive_reads_back_row_by_row(tmp_path):
    real = real_folder("yeast_labelled_crops") / "Schuldiner_test_set.hdf5"
    shutil.copy(real, tmp_path / "Chong_test_set.hdf5")
    with h5py.File(real) as file:
        data, index = file["data1"][:], file["Index1"][:]
    screen = _shipped(tmp_path)
    layout = scan(screen)
    assert len(layout.fields) == 36
    classes = Counter(field.parts["class"] for field in layout.fields)
    assert classes == {f"class_{n:02d}": count for n, count in enumerate(index.sum(0)) if count}
    for field in layout.fields:
        planes, row = read_field(screen, field), int(field.parts["row"])
        assert np.array_equal(planes["protein"], data[row, :4096].reshape(64, 64))
        assert np.array_equal(planes["cytosol"], data[row, 4096:].reshape(64, 64))


def test_features_in_the_archives_are_read_by_field(tmp_path):
    write_archive(tmp_path / "images" / "Chong_test_set.hdf5", 4)
    write_archive(tmp_path / "images" / "Chong_valid_set.hdf5", 2, Info1=None)
    screen = screen_of(tmp_path / "images", FILES, channels=CHANNELS, shards={"by": "{set}"})
    ids, names, values = cell_info(screen)
    assert ids == ["test_0", "test_1", "test_2", "test_3"]
    assert names == ["Area", "Mean"]
    assert values.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_one_changed_row_changes_one_hash(tmp_path):
    path = tmp_path / "images" / "Chong_test_set.hdf5"
    pixels = write_archive(path, 5)
    screen = screen_of(tmp_path / "images", FILES, channels=CHANNELS, shards={"by": "{set}"})
    fields = scan(screen).fields
    before = [content_hash(screen, field) for field in fields]
    pixels[3, 0, 0, 0] += 1
    write_archive(path, 5, data1=pixels.reshape(5, -1))
    after = [content_hash(screen, field) for field in scan(screen).fields]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, True, False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data1": None}, "no array data1"),
        ({"data1": np.zeros((3, 100))}, r"data1 of shape \(3, 100\)"),
        ({"Index1": np.ones((3, 3))}, r"Index1 of shape \(3, 3\)"),
        ({"Index1": np.eye(3)[:2]}, r"Index1 of shape \(2, 3\)"),
        (None, "cannot be decoded"),
    ],
)
def test_a_damaged_archive_is_one_unreadable_field(tmp_path, changes, message):
    write_archive(tmp_path / "images" / "Chong_valid_set.hdf5", 2)
    bad = tmp_path / "images" / "Chong_test_set.hdf5"
    if changes is None:
        bad.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    else:
        write_archive(bad, 3, **changes)
    screen = screen_of(tmp_path / "images", FILES, channels=CHANNELS, shards={"by": "{set}"})
    fields = {field.field_id: field for field in scan(screen).fields}
    assert set(fields) == {"test_unreadable", "valid_0", "valid_1"}
    content_hash(screen, fields["test_unreadable"])
    read_field(screen, fields["valid_1"])
    with pytest.raises(ImageFileError, match=message):
        read_field(screen, fields["test_unreadable"])


def test_nan_in_a_cell_affects_no_other_cell(tmp_path):
    data = np.random.default_rng(0).random((3, 8192))
    data[1, 77] = np.nan
    write_archive(tmp_path / "images" / "Chong_test_set.hdf5", 3, data1=data)
    screen = screen_of(tmp_path / "images", FILES, channels=CHANNELS, shards={"by": "{set}"})
    good, bad, other = scan(screen).fields
    read_field(screen, good)
    read_field(screen, other)
    with pytest.raises(ImageFileError, match="NaN"):
        read_field(screen, bad)


def test_a_template_over_an_unknown_part(tmp_path):
    write_archive(tmp_path / "images" / "Chong_test_set.hdf5", 3)
    with pytest.raises(SpecError, match=r"names \{strain\}"):
        screen_of(tmp_path / "images", FILES | {"image_id": "{strain}"}, channels=CHANNELS)
