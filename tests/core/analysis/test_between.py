"""Pairs of compartments together, against loops over cells and proteins."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
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


def cells() -> tuple[np.ndarray, pl.DataFrame]:
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
    names = {"cell_id": [f"cell {number}" for number in order.tolist()], "image_id": image[order]}
    frame = pl.DataFrame(names).with_columns(
        pl.col("image_id").cast(pl.Categorical), protein="P_" + pl.col("image_id"), cell_line=pl.lit("U-2 OS")
    )
    return features[order].astype(np.float32), frame


def scored() -> Between:
    return between_compartments(*cells(), ANNOTATIONS, PAIRS, least_cells=FEW)


def test_rows_of_cells_are_those_of_the_scores() -> None:
    (features, frame), between = cells(), scored()
    images = frame["image_id"].to_list()
    expected = []
    for first, second in PAIRS:
        scores = compartment_scores(features, np.array(images), ANNOTATIONS, first, second)
        for cell, (name, image) in enumerate(zip(frame["cell_id"], images, strict=True)):
            if set(ANNOTATIONS[image]) <= {first, second}:
                numbers = (scores.group[cell], scores.score[cell], scores.place[cell])
                expected.append((first, second, name, image, *numbers))
    assert between.cells.columns == ["first", "second", "cell_id", "image_id", "group", "score", "place"]
    assert between.cells.rows() == expected
    assert [pair.scored for pair in between.pairs] == [64, 60]


def test_rows_of_proteins_summarize_their_cells_and_are_ranked() -> None:
    (_, frame), between = cells(), scored()
    protein_of = dict(frame.select("cell_id", "protein").iter_rows())
    assert between.proteins.height == 7 + 6
    ranked: dict[tuple[str, str], list[tuple[float, float, dict[str, Any]]]] = {pair: [] for pair in PAIRS}
    for row in between.proteins.iter_rows(named=True):
        own = [
            cell
            for cell in between.cells.iter_rows(named=True)
            if (cell["first"], cell["second"]) == (row["first"], row["second"])
            and protein_of[cell["cell_id"]] == row["protein"]
        ]
        score, place = (np.array([cell[name] for cell in own]) for name in ("score", "place"))
        assert (row["n"], {row["group"]}) == (len(own), {cell["group"] for cell in own})
        assert (row["mean"], row["mean_place"]) == pytest.approx((score.mean(), place.mean()))
        assert row["standard_deviation"] == pytest.approx(score.std(ddof=1))
        assert row["standard_deviation_place"] == pytest.approx(place.std(ddof=1))
        if row["group"] == "both" and len(own) >= FEW:
            ranked[row["first"], row["second"]].append((-score.std(ddof=1), -place.std(ddof=1), row))
        else:
            assert row["rank"] is row["place_rank"] is None
    assert [len(rows) for rows in ranked.values()] == [2, 2]
    for rows, pair in zip(ranked.values(), between.pairs, strict=True):
        by_score = sorted(rows, key=lambda each: each[0])
        assert [row["rank"] for *_, row in by_score] == [1, 2]
        assert pair.ranked.table["protein"].to_list() == [row["protein"] for *_, row in by_score]
    over_all_pairs = sorted((each for rows in ranked.values() for each in rows), key=lambda each: each[1])
    assert [row["place_rank"] for *_, row in over_all_pairs] == [1, 2, 3, 4]


def test_no_pair_gives_nothing() -> None:
    none = between_compartments(*cells(), ANNOTATIONS, (), least_cells=FEW)
    assert none.pairs == []
    assert none.cells.is_empty()
    assert none.proteins.is_empty()


def test_lengths_that_differ_are_an_error() -> None:
    features, frame = cells()
    with pytest.raises(ShapeError, match="1 cells"):
        between_compartments(features, frame[:1], ANNOTATIONS, PAIRS)
