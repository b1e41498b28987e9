"""Estimated illumination against a known shading: it is recovered within its stated error, and none is invented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcip_core.errors import CropError
from pcip_core.images.field import Field
from pcip_core.images.illumination.correction import estimated_beforehand, read_corrected, with_gains
from pcip_core.images.illumination.described import estimate_lines
from pcip_core.images.illumination.estimated import BLOCKS, block_means, estimate, sampled
from pcip_core.images.illumination.profile import Polynomial
from pcip_core.images.layout import scan
from pcip_core.images.quality.survey import survey
from pcip_core.spec.screen import Screen
from pcip_core.store.rows import fields_of, fields_table, illumination_table
from tests.core.images.illumination.shaded import OFFSET, draw, shading, write_shaded
from tests.core.images.writers import screen_of

FILES = {"pattern": "{plate}/{well}_{field:d}_{channel}.tif", "image_id": "{plate}_{well}"}


def blocks_of(surface: np.ndarray, *, fields: int, cells: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.stack([block_means(draw(rng, surface, cells=cells)) for _ in range(fields)])


def screen_at(root: Path, **illumination: object) -> Screen:
    return screen_of(root, FILES, illumination={"method": "estimated", "offset": OFFSET, **illumination})


def test_block_means_are_those_of_a_naive_loop() -> None:
    plane = np.random.default_rng(0).integers(0, 60_000, (37, 50)).astype(np.uint16)
    edges = [np.linspace(0, size, 5).astype(int) for size in plane.shape]
    expected = [
        [plane[a:b, c:d].mean() for c, d in zip(edges[1], edges[1][1:], strict=False)]
        for a, b in zip(edges[0], edges[0][1:], strict=False)
    ]
    np.testing.assert_allclose(block_means(plane, 4), expected, rtol=1e-6)
    assert block_means(plane, 100).shape == plane.shape


@pytest.mark.parametrize(("fields", "cells", "most"), [(64, 2, 0.01), (64, 12, 0.05), (128, 12, 0.04)])
def test_a_known_shading_is_recovered_within_the_stated_error(fields: int, cells: int, most: float) -> None:
    truth = shading()
    found = estimate(blocks_of(truth, fields=fields, cells=cells), OFFSET)
    assert found.note == ""
    assert found.n_fields == fields
    error = np.sqrt(np.mean((found.gain.over(truth.shape) - truth) ** 2))
    assert error < most
    assert error < 2 * found.error + 0.005


@pytest.mark.parametrize("cells", [2, 12])
def test_nothing_is_corrected_where_the_illumination_is_even(cells: int) -> None:
    found = estimate(blocks_of(np.ones((128, 128)), fields=48, cells=cells), OFFSET)
    assert found.gain == Polynomial(((1.0,),))
    assert found.note.startswith("even within the error")


def test_few_fields_and_dark_fields_are_not_used() -> None:
    found = estimate(blocks_of(shading(), fields=15, cells=2), OFFSET)
    assert found.note == "15 fields (required: 16 or more)"
    assert estimate(np.full((20, BLOCKS, BLOCKS), 100.0), OFFSET).note.startswith("0 fields")
    assert estimate(np.zeros((0, BLOCKS, BLOCKS)), 0).n_fields == 0


def test_sampled_fields_depend_on_ids_alone() -> None:
    fields = [Field(f"f{number}", "i", "s", {}, {}) for number in range(50)]
    chosen = sampled(fields, 20)
    assert len(chosen) == 20
    assert chosen == sampled(fields[::-1], 20)
    assert sampled(fields, 10) < chosen


def test_a_plate_is_surveyed_corrected_and_read_again_from_its_tables(tmp_path: Path) -> None:
    truth = shading()
    write_shaded(tmp_path / "root", truth, fields=40)
    screen = screen_at(tmp_path / "root")
    members = scan(screen).fields
    with pytest.raises(CropError, match="no estimate of its illumination"):
        read_corrected(screen, members[0])
    result = survey(screen, members)
    assert [row["channel"] for row in result.illumination] == ["nucleus", "protein"]
    for row in result.illumination:
        before, after = (np.reshape(row[f"mean_{when}"], (BLOCKS, BLOCKS)) for when in ("before", "after"))
        shape = block_means(truth).ravel()
        assert np.corrcoef(before.ravel(), shape)[0, 1] > 0.6
        assert abs(np.corrcoef(after.ravel(), shape)[0, 1]) < 0.3, "what is left are the cells"
    fields = fields_table(screen, [(field, "hash", shape) for field, shape in result.used], result.quality)
    (field, *_) = fields_of(screen, fields, illumination_table(result.illumination, members[0].shard))
    plane = read_corrected(screen, field)["protein"]
    background = np.median(
        np.stack([plane[:64, :64], plane[:64, 64:], plane[64:, :64], plane[64:, 64:]]), (1, 2)
    )
    np.testing.assert_allclose(background, 300, rtol=0.08)  # 100 of the camera and 200 of the background
    assert survey(screen, members).illumination == result.illumination


def test_the_check_estimates_from_a_few_fields(tmp_path: Path) -> None:
    write_shaded(tmp_path / "root", shading(), fields=20)
    screen = screen_at(tmp_path / "root")
    members = scan(screen).fields
    chosen, estimates = estimated_beforehand(screen, members, members[:2])
    (line,) = estimate_lines("plate", estimates)
    assert line.startswith("estimated from 16 fields of plate: nucleus: gain 0.")
    assert len(chosen) == 2
    assert read_corrected(screen, chosen[0])["protein"].dtype == np.float32
    flat = with_gains(members[:1], {"protein": Polynomial(((1.0,),))})
    assert read_corrected(screen, flat[0])["protein"].dtype == np.uint16
