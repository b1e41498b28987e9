"""Pairs of compartments together, against loops over cells and proteins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pcip_core.analysis.between import Between, between_compartments
from pcip_core.analysis.compartments import compartment_scores
from pcip_core.errors import ShapeError

PAIRS = (("cytosol", "nucleus"), ("nucleus", "Golgi"))
ANNOTATIONS = {
    **{"a1": ["cytosol"], "a2": ["cytosol"], "b1": ["nucleus"], "b2": ["nucleus"]},
    **{"c1": ["Golgi"], "c2": ["Golgi"], "ab1": ["cytosol", "nucleus"], "ab2": ["nucleus", "cytosol"]},
    **{"ab3": ["nucleus", "cytosol"], "bc1": ["Golgi", "nucleus"], "bc2": ["nucleus", "Golgi"]},
}
EACH, FEW = {"ab3": 4}, 5


def cells() -> dict[str, Any]:
    """Each compartment in a corner; cells of two between both, those of a later image more spread."""
    rng = np.random.default_rng(3)
    image = np.concatenate([np.repeat(name, EACH.get(name, 10)) for name in ANNOTATIONS])
    corners = {"cytosol": (0, 0), "nucleus": (4, 0), "Golgi": (4, 6)}
    features = rng.normal(size=(len(image), 2))
    for cell, name in enumerate(image.tolist()):
        ends = np.array([corners[term] for term in ANNOTATIONS[name]], float)
        share = rng.uniform(0.5 - 0.2 * int(name[-1]), 0.5 + 0.2 * int(name[-1]))
        features[cell] += ends[0] if len(ends) == 1 else ends[0] * share + ends[1] * (1 - share)
    order = rng.permutation(len(image))
    return {
        "features": features[order].astype(np.float32),
        "cell_id": [f"cell {number}" for number in order.tolist()],
        "image": image[order],
        "protein": np.char.add("P_", image[order]),
        "cell_line": np.full(len(image), "U-2 OS"),
    }


def found(**changes: Any) -> Between:
    return between_compartments(
        **{**cells(), **changes}, annotations=ANNOTATIONS, pairs=PAIRS, least_cells=FEW
    )


def rows_of(columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_rows_of_cells_are_those_of_the_scores() -> None:
    given, between = cells(), found()
    expected = []
    for first, second in PAIRS:
        scores = compartment_scores(given["features"], given["image"], ANNOTATIONS, first, second)
        for cell, name in enumerate(given["cell_id"]):
            if set(ANNOTATIONS[given["image"][cell]]) <= {first, second}:
                expected.append(
                    (first, second, name, given["image"][cell], scores.group[cell], scores.score[cell],
                     scores.place[cell])
                )  # fmt: skip
    assert list(between.cells) == ["first", "second", "cell_id", "image_id", "group", "score", "place"]
    assert list(zip(*between.cells.values(), strict=True)) == expected
    assert [pair.scored for pair in between.pairs] == [64, 60]


def test_rows_of_proteins_sum_up_their_cells_and_are_ranked() -> None:
    given, between = cells(), found()
    protein_of = dict(zip(given["cell_id"], given["protein"].tolist(), strict=True))
    assert len(between.proteins) == 7 + 6
    ranked: dict[tuple[str, str], list[tuple[float, float, dict[str, Any]]]] = {pair: [] for pair in PAIRS}
    for row in between.proteins:
        own = [
            one
            for one in rows_of(between.cells)
            if (one["first"], one["second"]) == (row["first"], row["second"])
            and protein_of[one["cell_id"]] == row["protein"]
        ]
        score, place = (np.array([one[name] for one in own]) for name in ("score", "place"))
        assert (row["n"], {row["group"]}) == (len(own), {one["group"] for one in own})
        assert (row["mean"], row["mean_place"]) == pytest.approx((score.mean(), place.mean()))
        assert row["standard_deviation"] == pytest.approx(score.std(ddof=1))
        assert row["standard_deviation_place"] == pytest.approx(place.std(ddof=1))
        if row["group"] == "both" and len(own) >= FEW:
            ranked[row["first"], row["second"]].append((-score.std(ddof=1), -place.std(ddof=1), row))
        else:
            assert row["rank"] is row["place_rank"] is None
    assert [len(own) for own in ranked.values()] == [2, 2]
    for own, pair in zip(ranked.values(), between.pairs, strict=True):
        by_score = sorted(own, key=lambda one: one[0])
        assert [row["rank"] for *_, row in by_score] == [1, 2]
        assert [row["protein"] for row in pair.ranked.rows] == [row["protein"] for *_, row in by_score]
    over_all_pairs = sorted((one for own in ranked.values() for one in own), key=lambda one: one[1])
    assert [row["place_rank"] for *_, row in over_all_pairs] == [1, 2, 3, 4]


def test_no_pair_gives_nothing() -> None:
    none = between_compartments(**cells(), annotations=ANNOTATIONS, pairs=(), least_cells=FEW)
    assert (none.pairs, none.cells, none.proteins) == ([], {}, [])


def test_lengths_that_differ_are_told() -> None:
    with pytest.raises(ShapeError, match="1 cell_id"):
        found(cell_id=["one"])
