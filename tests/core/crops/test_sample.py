"""Fields that are looked at before a run: which are chosen, and what is found in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tifffile

from pcip_core.crops.sample import Sampler, choose_fields, kinds_of_pixels, summed
from pcip_core.images.field import Field
from pcip_core.images.layout import Layout, scan
from pcip_core.spec.loading import load_screen
from tests.conftest import write_spec, write_tiny_screen


def layout_of(shards: int, fields: int) -> Layout:
    return Layout(
        [Field(f"{s}_{n}", f"{s}_{n}", f"p{s}", {}, {}) for s in range(shards) for n in range(fields)]
    )


def test_fields_of_several_shards_are_chosen_at_different_places(tmp_path):
    screen = load_screen(write_spec(tmp_path, root=str(tmp_path)))

    def ids(shards: int, fields: int, at_most: int | None = None) -> list[str]:
        return [field.field_id for field in choose_fields(screen, layout_of(shards, fields), at_most=at_most)]

    assert ids(1, 9) == ["0_0", "0_3", "0_6"]
    assert ids(2, 8) == ["0_0", "0_4", "1_2", "1_6"]
    assert len(ids(30, 8)) == 20  # two of ten shards
    assert ids(3, 1) == ["0_0", "1_0", "2_0"]
    assert ids(3, 4, at_most=12) == ids(3, 4, at_most=100)
    assert ids(3, 4, at_most=4) == ["0_0", "0_3", "1_2", "2_1"]
    whole = replace(screen, segmentation=replace(screen.segmentation, method="whole"))
    assert len(choose_fields(whole, layout_of(12, 50))) == 6 * 40


def test_a_field_is_described_by_its_pixels_and_cells(tmp_path):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    layout = scan(screen)
    fields, sampler = layout.fields, Sampler(screen, layout)
    first, cut = sampler.sample(fields[0])
    plane = tifffile.imread(screen.folder() / "plate_1" / "A01_f1_nucleus.tif")
    pixels = first.pixels["nucleus"]
    assert (pixels.kind, pixels.low, pixels.high) == ((160, 160, "uint16"), plane.min(), plane.max())
    assert (first.found, first.passing, first.reasons) == (9, 9, {})
    assert cut is not None
    assert cut.labels.max() == 9
    again, _ = sampler.sample(replace(fields[0], field_id="copy"))
    assert (again.found, again.passing) == (9, 0)
    assert list(again.reasons) == ["same pixels as cell plate_1_A01_1_0001"]
    (screen.folder() / "plate_1" / "A02_f1_protein.tif").write_bytes(b"II*\0")
    damaged, cut = sampler.sample(fields[1])
    assert cut is None
    assert "A02_f1_protein.tif" in str(damaged.problem)


def test_kinds_of_pixels_and_reasons_are_counted_over_fields(tmp_path):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    for name in ("nucleus", "protein"):
        file = screen.folder() / "plate_1" / f"A03_f1_{name}.tif"
        tifffile.imwrite(file, (tifffile.imread(file) // 8).astype(np.uint8))
    layout = scan(screen)
    sampler = Sampler(screen, layout)
    sample = [sampler.sample(field)[0] for field in layout.fields]
    (usual, first, n), (odd, member, _) = kinds_of_pixels(sample)["protein"]
    assert (usual.dtype, n, first.field.field_id) == ("uint16", 3, "plate_1_A01_1")
    assert (odd.dtype, member.field.field_id) == ("uint8", "plate_1_A03_1")
    assert usual.high == max(each.pixels["protein"].high for each in sample)
    assert summed([{"area 2%": 3, "edge": 4}, {"area 3%": 2}]) == {"area 2%": 5, "edge": 4}
