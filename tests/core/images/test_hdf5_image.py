"""Images in HDF5, as ilastik exports them."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import tifffile

from pcip_core.errors import ImageFileError
from pcip_core.images.formats import chunks
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash, read_field
from pcip_core.segmentation import segmenter
from tests.core.images.writers import noise, screen_of

CHANNELS = {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}, "mask": {"role": "labels"}}
PATTERNS = {
    "nucleus": "{well}_nucleus.tif",
    "protein": "{well}_protein.tif",
    "mask": "{well}_nucleus_Object Identities.h5",
}
LABELS = np.zeros((24, 32), np.uint32)
LABELS[2:8, 3:9], LABELS[12:20, 5:30] = 1, 300


@pytest.fixture
def read(tmp_path):
    """A function that writes arrays as the mask of a field and reads the field."""
    root = tmp_path / "images"
    root.mkdir()
    for number, name in enumerate(("nucleus", "protein")):
        tifffile.imwrite(root / f"A01_{name}.tif", noise(number))
    files = {"pattern": PATTERNS, "image_id": "{well}"}
    screen = screen_of(root, files, channels=CHANNELS, shards={"buckets": 1})

    def read_with(arrays, axes=None, **options):
        with h5py.File(root / "A01_nucleus_Object Identities.h5", "w") as file:
            for name, values in arrays.items():
                array = file.create_dataset(name, data=values, **options)
                if axes:
                    array.attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in axes]})
        (field,) = scan(screen).fields
        assert content_hash(screen, field)
        return read_field(screen, field)

    return read_with


@pytest.mark.parametrize(
    ("values", "axes"),
    [
        (LABELS, None),
        (LABELS[..., None], "yxc"),
        (LABELS[None, ..., None], "tyxc"),
        (LABELS[None, None, ..., None], "tzyxc"),
        (LABELS.T[..., None], "xyc"),
        (LABELS.T[None], "txy"),
    ],
)
def test_the_labels_of_ilastik_are_read(read, values, axes):
    for options in ({}, {"compression": "gzip", "chunks": tuple(min(side, 16) for side in values.shape)}):
        planes = read({"exported_data": values}, axes, **options)
        assert np.array_equal(planes["mask"], LABELS)
    assert segmenter("labels")(planes, channel="mask").max() == 2


def test_the_only_array_of_a_file_is_read(read):
    assert np.array_equal(read({"objects": LABELS})["mask"], LABELS)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"exported_data": np.zeros((24, 32, 2), np.float32)}, {}, r"exported_data of shape \(24, 32, 2\)"),
        ({"exported_data": np.zeros((5, 24, 32), np.uint32)}, {}, r"exported_data of shape \(5, 24, 32\)"),
        ({"a": LABELS, "b": LABELS}, {}, r"no array exported_data \(there is a, b\)"),
        ({}, {}, r"no array exported_data \(there is nothing\)"),
        ({"data1": LABELS, "Index1": LABELS}, {}, r"data1 is that of an archive of cells \(layout hdf5\)"),
        ({"exported_data": LABELS}, {"compression": "lzf"}, "exported_data with the filters"),
    ],
)
def test_what_is_no_label_image_names_the_export_of_ilastik(read, arrays, options, message):
    with pytest.raises(ImageFileError, match=message) as caught:
        read(arrays, **options)
    assert (
        "export the source `Object Identities` as hdf5 with the dataset name `exported_data`"
        in caught.value.remedy
    )
    assert "chong" not in str(caught.value)
    assert np.array_equal(read({"exported_data": LABELS[..., None]})["mask"], LABELS)  # as the remedy says


def test_a_file_of_too_many_chunks_is_not_read(read, monkeypatch):
    monkeypatch.setattr("pcip_core.images.formats.hdf5.hdf5_image.MAX_CHUNKS", 100)
    assert chunks.MAX_CHUNKS > 100
    with pytest.raises(ImageFileError, match="exported_data in 192 chunks"):
        read({"exported_data": LABELS}, compression="gzip", chunks=(2, 2))


def test_a_damaged_file_is_refused(read, tmp_path):
    read({"exported_data": LABELS})
    path = tmp_path / "images" / "A01_nucleus_Object Identities.h5"
    path.write_bytes(path.read_bytes()[:600])
    files = {"pattern": PATTERNS, "image_id": "{well}"}
    screen = screen_of(tmp_path / "images", files, channels=CHANNELS, shards={"buckets": 1})
    with pytest.raises(ImageFileError, match="cannot be decoded"):
        read_field(screen, scan(screen).fields[0])
