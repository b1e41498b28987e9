"""Yeast features against closed forms, mirrored and turned cells, and the simulator's classes."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.errors import ShapeError
from pcip_core.features.designed.geometry import cell_geometry, mother_and_bud
from pcip_core.features.designed.yeast import yeast_features

CHANNELS = ("cytosol", "protein")
Y, X = np.indices((128, 128))
RNG = np.random.default_rng(0)


def disc(y, x, radius):
    return np.hypot(Y - y, X - x) <= radius


DISC = disc(63.5, 63.5, 50)
BUDDED = disc(63.5, 50, 30) | disc(63.5, 88, 15)


def described(protein, mask, *, span=255.0, cytosol=None):
    """Columns of one cell."""
    planes = np.stack([mask * 200 if cytosol is None else cytosol, protein])[None].astype(np.uint8)
    low = np.full((1, 2), 100.0)
    values, names = yeast_features(planes, low, low + span, mask[None], CHANNELS, ("cytosol",), ("protein",))
    assert values.shape == (1, len(names)) == (1, 4 + 25 + 1)
    assert len(set(names)) == len(names)
    assert np.isfinite(values).all()
    return {name.removeprefix("protein_"): float(value) for name, value in zip(names, values[0], strict=True)}


def test_a_protein_that_fills_a_disc_evenly():
    column = described(100 * DISC, DISC, span=510.0)
    count = DISC.sum()
    assert column["total"] == pytest.approx(200 * count)
    assert column["mean"] == pytest.approx(200)
    assert column["sd"] == column["outside_share"] == column["spots"] == 0
    assert column["centre_mean"] == pytest.approx(2 / 3, abs=0.01)
    assert column["centre_sd"] == pytest.approx(np.sqrt(1 / 2 - 4 / 9), abs=0.01)
    assert column["edge_mean"] == pytest.approx(1 / 3, abs=0.015)
    assert column["spread_long"] == pytest.approx(1)
    assert column["anisotropy"] == pytest.approx(0, abs=1e-6)
    assert column["cell_elongation"] == pytest.approx(1, abs=1e-6)
    assert column["brightest_25_share"] == pytest.approx(0.25, abs=1e-3)
    assert column["entropy"] == pytest.approx(1)
    assert column["gini"] == pytest.approx(0, abs=1e-6)
    assert column["cell_area_share"] == pytest.approx(count / 128**2)
    assert column["cell_has_bud"] == column["neck_mean"] == column["bud_share"] == 0


def test_a_ring_at_the_edge():
    column = described(100 * (DISC & ~disc(63.5, 63.5, 48)), DISC)
    assert column["edge_mean"] < 0.03
    assert column["centre_mean"] > 0.95
    assert column["spread_long"] == pytest.approx(np.sqrt(2), abs=0.05)  # r^2 / 2 against r^2 / 4


def test_a_spot_off_the_centre():
    spot = disc(63.5, 88.5, 3)
    column = described(200 * spot, DISC)
    assert column["brightest_5_share"] == pytest.approx(1)
    assert column["gini"] > 0.98
    assert column["entropy"] == pytest.approx(np.log(spot.sum()) / np.log(DISC.sum()))
    assert column["offset"] == pytest.approx(0.5, abs=0.01)
    assert column["centre_mean"] == pytest.approx(0.5, abs=0.01)
    assert column["brightest_mean"] < 0.05
    assert column["spots"] == 1
    assert column["spot_protein_share"] == pytest.approx(1)
    assert column["spot_area_share"] == pytest.approx(spot.sum() / DISC.sum())
    two = described(200 * (spot | disc(63.5, 40, 3)), DISC)
    assert two["spots"] == 2
    assert two["anisotropy"] > 0.95


def test_protein_outside_and_background():
    column = described(20 + 100 * DISC + 60 * disc(5, 5, 4), DISC)
    outside = 60 * disc(5, 5, 4).sum()
    assert column["mean"] == pytest.approx(100)
    assert column["outside_share"] == pytest.approx(outside / (outside + 100 * DISC.sum()))


def test_gini_and_correlation_equal_their_definitions():
    protein = RNG.integers(1, 200, (128, 128))
    protein[~DISC] = 0
    cytosol = RNG.integers(0, 200, (128, 128)) + protein // 4
    column = described(protein, DISC, cytosol=cytosol)
    inside = protein[DISC][::7].astype(float)
    column_few = described(protein * (np.cumsum(DISC).reshape(DISC.shape) % 7 == 1), DISC)
    assert column["cytosol_correlation"] == pytest.approx(np.corrcoef(protein[DISC], cytosol[DISC])[0, 1])
    values = np.concatenate([inside, np.zeros(DISC.sum() - len(inside))])
    pairs = sum(np.abs(value - values).sum() for value in values)
    assert column_few["gini"] == pytest.approx(pairs / (2 * len(values) ** 2 * values.mean()), abs=1e-5)


def test_mother_bud_and_neck():
    bud = mother_and_bud(BUDDED)
    drawn = disc(63.5, 88, 15) & (X > 79)
    assert (bud & drawn).sum() / (bud | drawn).sum() > 0.9
    cell = cell_geometry(BUDDED)
    nearest = cell.neck.argmin()
    assert abs(cell.x[nearest] - 78) < 3
    assert abs(cell.y[nearest] - 63.5) < 2
    in_bud = described(100 * (BUDDED & (X > 84)), BUDDED)
    in_mother = described(100 * disc(63.5, 40, 10), BUDDED)
    assert in_bud["cell_has_bud"] == 1
    assert in_bud["bud_share"] == pytest.approx(1)
    assert in_mother["bud_share"] == 0
    assert in_bud["cell_bud_share"] == pytest.approx(bud.sum() / BUDDED.sum())
    at_neck = described(100 * disc(63.5, 78, 3), BUDDED)
    assert at_neck["neck_mean"] < 0.06 < in_mother["neck_mean"]
    assert not mother_and_bud(DISC).any()


@pytest.mark.parametrize(
    "mask", [BUDDED, np.hypot((Y - 60) / 30, (X - 66) / 48) <= 1], ids=["budded", "long"]
)
def test_measures_are_invariant_to_rotation_and_reflection(mask):
    protein = RNG.integers(0, 200, mask.shape)
    cytosol = RNG.integers(0, 200, mask.shape)
    straight = described(protein, mask, cytosol=cytosol)
    for turn in (np.rot90, np.flipud, np.fliplr, np.transpose):
        turned = described(turn(protein), turn(mask), cytosol=turn(cytosol))
        assert turned == pytest.approx(straight, rel=1e-4, abs=1e-4)


def test_no_protein_tiny_masks_and_no_cells():
    column = described(np.zeros((128, 128)), DISC)
    assert sum(abs(value) for name, value in column.items() if not name.startswith("cell")) == 0
    one = np.zeros((128, 128), bool)
    one[3, 4] = True
    assert described(100 * one, one)["brightest_5_share"] == 1
    described(100 + 0 * Y, np.ones((128, 128), bool))
    none = np.zeros((0, 2, 128, 128), np.uint8)
    values, names = yeast_features(
        none, none[:, :, 0, 0], none[:, :, 0, 0], none[:, 0] > 0, CHANNELS, ("cytosol",), ("protein",)
    )
    assert values.shape == (0, len(names))


def test_wrong_masks_are_refused():
    pixels, low = np.zeros((1, 2, 8, 8), np.uint8), np.zeros((1, 2))
    for masks, said in ((np.zeros((1, 8, 8), bool), "without a pixel"), (np.ones((1, 8, 8)), "float64")):
        with pytest.raises(ShapeError, match=said):
            yeast_features(pixels, low, low, masks, CHANNELS, ("cytosol",), ("protein",))
