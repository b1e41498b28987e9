"""The pattern groups files into fields and images; compared with independent counts of the real folders."""

from __future__ import annotations

from collections import Counter

import pytest

from pcip_core.errors import ImageFileError, SpecError
from pcip_core.images.annotations import describe_images
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash, read_field, read_plane
from pcip_core.spec.loading import load_screen
from pcip_core.spec.templates import TEMPLATES
from tests.conftest import real_folder, write_tiny_screen


def _shipped(name, folder):
    return load_screen(TEMPLATES[name], root=str(folder))


def test_real_yeast_cells_group_into_three_proteins():
    folder = real_folder("yeast_cells")
    layout = scan(_shipped("yeast_cells", folder))
    by_protein = {path.name: len(list(path.glob("*_gfp.tif"))) for path in folder.iterdir() if path.is_dir()}
    assert Counter(field.image_id for field in layout.fields) == by_protein
    assert all(set(field.files) == {"cytosol", "protein"} for field in layout.fields)
    assert {field.parts["field"] for field in layout.fields} == {"1", "2", "3", "4"}


def test_real_labelled_cells_take_their_terms_from_the_table():
    screen = _shipped("human_labelled_cells", real_folder("human_labelled_cells"))
    layout = scan(screen)
    images = describe_images(screen, layout.fields)
    assert (len(layout.fields), len(images)) == (414, 46)
    assert layout.unclaimed == []
    assert len({image.localization[0] for image in images}) == 5


def test_an_image_stays_in_its_shard_when_images_are_added(tiny_spec, tmp_path):
    screen = load_screen(tiny_spec)
    layout = scan(screen)
    assert layout.shards() == ["plate_1", "plate_2"]
    (tmp_path / "more").mkdir()
    more = scan(load_screen(write_tiny_screen(tmp_path / "more", plates=3)))
    shard_of = {field.field_id: field.shard for field in more.fields}
    assert all(shard_of[field.field_id] == field.shard for field in layout.fields)


def test_a_table_without_its_key_column_names_its_columns(tiny_spec):
    screen = load_screen(tiny_spec)
    (screen.folder() / "images.csv").write_text("image,localization\n")
    with pytest.raises(SpecError, match="columns image, localization"):
        describe_images(screen, scan(screen).fields)


def test_a_missing_channel_names_the_field_and_the_channel(tiny_spec):
    screen = load_screen(tiny_spec)
    (screen.folder() / "plate_1" / "A01_f1_protein.tif").unlink()
    field = next(field for field in scan(screen).fields if field.field_id == "plate_1_A01_1")
    with pytest.raises(ImageFileError, match="no file for channel protein of field plate_1_A01_1"):
        read_field(screen, field)


def test_truncated_nan_constant_and_misshapen_files(tiny_spec, tmp_path):
    import numpy as np
    import tifffile

    whole = load_screen(tiny_spec).folder() / "plate_1" / "A01_f1_protein.tif"
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole.read_bytes()[:20_000])
    with pytest.raises(ImageFileError, match="truncated TIFF"):
        read_plane(cut)
    with_nan = np.ones((8, 8), np.float32)
    with_nan[3, 3] = np.nan
    for pixels, message in (
        (with_nan, "NaN or infinite"),
        (np.full((8, 8), 7, np.uint16), "constant channel"),
        (np.zeros((2, 8, 8), np.uint16), "shape"),
    ):
        path = tmp_path / "bad.tif"
        tifffile.imwrite(path, pixels, photometric="minisblack")
        with pytest.raises(ImageFileError, match=message):
            read_plane(path)


def test_a_changed_byte_changes_the_hash_and_a_touch_does_not(tiny_spec):
    screen = load_screen(tiny_spec)
    field = scan(screen).fields[0]
    before = content_hash(screen, field)
    path = screen.folder() / field.files["protein"]
    data = bytearray(path.read_bytes())
    path.touch()
    assert content_hash(screen, field) == before
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert content_hash(screen, field) != before
