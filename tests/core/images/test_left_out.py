"""`images.only`: images whose row has another value are left out, each with the reason."""

from __future__ import annotations

import pytest
import tifffile

from pcip_core.errors import SpecError
from pcip_core.images.layout import scan
from tests.core.images.writers import noise, screen_of

FILES = {"pattern": "{plate}_{well}_{channel}.tif", "image_id": "{plate}_{well}"}
ROWS = ("image_id,sirna,kind", "P_A1,0,sample", "P_A2,1,sample", "P_A3,,sample", "P_A4,0,control")


def screen(tmp_path, **only):
    root = tmp_path / "i"
    root.mkdir(exist_ok=True)
    for number in range(1, 5):
        for name in ("nucleus", "protein"):
            tifffile.imwrite(root / f"P_A{number}_{name}.tif", noise(number))
    (root / "images.csv").write_text("\n".join(ROWS) + "\n")
    return screen_of(root, FILES, images={"table": "images.csv", "only": only})


def test_images_with_another_value_are_left_out_with_the_reason(tmp_path):
    layout = scan(screen(tmp_path, sirna=0))
    assert [field.image_id for field in layout.fields] == ["P_A1", "P_A4"]
    assert {field.image_id: reason for field, reason in layout.left_out} == {
        "P_A2": "sirna is 1, not 0 (images.only)",
        "P_A3": "sirna is not given, not 0 (images.only)",
    }


def test_several_columns_must_all_agree(tmp_path):
    layout = scan(screen(tmp_path, sirna=0, kind="sample"))
    assert [field.image_id for field in layout.fields] == ["P_A1"]
    assert len(layout.left_out) == 3


def test_without_it_all_images_are_used(tmp_path):
    layout = scan(screen(tmp_path))
    assert len(layout.fields) == 4
    assert layout.left_out == []


def test_a_column_or_a_value_that_is_not_there_is_an_error_and_the_remedy_works(tmp_path):
    with pytest.raises(SpecError, match=r"no column sirma.*sirna"):
        scan(screen(tmp_path, sirma=0))
    with pytest.raises(SpecError, match=r"no image with .*'no'.*sirna: 0, 1, none"):
        scan(screen(tmp_path, sirna="no"))
    assert len(scan(screen(tmp_path, sirna=0)).fields) == 2


def test_the_platemap_counts_too(tmp_path):
    spec = screen(tmp_path)
    folder = spec.folder()
    (folder / "wells.csv").write_text("well,treated\nA01,no\nA02,no\nA03,yes\nA04,yes\n")
    spec = screen_of(folder, FILES, images={"platemap": "wells.csv", "only": {"treated": "yes"}})
    assert [field.image_id for field in scan(spec).fields] == ["P_A3", "P_A4"]


def test_each_field_that_is_left_out_belongs_to_one_shard_that_exists(tmp_path):
    whole = screen(tmp_path, kind="control")
    spec = screen_of(whole.folder(), FILES, images=vars(whole.images), shards={"by": "{well}"})
    layout = scan(spec)
    assert layout.shards() == ["A4"]
    assert [field.shard for field, _ in layout.left_out_of("A4")] == ["A1", "A2", "A3"]
    spec = screen_of(
        whole.folder(), FILES, images=vars(whole.images) | {"only": {"sirna": 0}}, shards=vars(spec.shards)
    )
    layout = scan(spec)
    assert [[field.shard for field, _ in layout.left_out_of(shard)] for shard in layout.shards()] == [
        ["A2", "A3"],
        [],
    ]
