"""Pairwise distances against scipy's cdist in naive loops, closed forms, and masks over all pairs of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.evaluation.image_pairs import constrained_pairs, keyed, term_pairs
from pcip_core.evaluation.labelled import labelled_images
from pcip_core.evaluation.pairwise import (
    TRIALS,
    Pairwise,
    pairwise_scores,
    pairwise_scores_by_line,
    pairwise_trial,
)
from pcip_core.spec import baselines
from tests.core.evaluation.labelled_screen import labelled_screen
from tests.core.evaluation.pairs import naive, screen

_Z, _RELATIVE = "normalized_pairwise_distance", "relative_pairwise_distance"


def scored(data: dict[str, np.ndarray], **options: Any) -> Pairwise:
    options = {"min_proteins": 3, "bootstraps": 0, "same": 300, "each_other": 200, **options}
    return pairwise_scores(data["features"], data["image"], data["terms"], data["proteins"], **options)


def scored_by_line(data: dict[str, np.ndarray], **options: Any) -> Pairwise:
    options = {"min_proteins": 3, "bootstraps": 0, "pairs": 400, **options}
    return pairwise_scores_by_line(**data, **options)


def value(rows: list[dict[str, Any]], metric: str = _Z, *, column: str = "value", **where: Any) -> Any:
    found = [row for row in rows if row["metric"] == metric and where.items() <= row.items()]
    assert len(found) == 1
    return found[0][column]


def test_each_term_equals_a_naive_loop() -> None:
    data = screen(apart=1.5)
    rows = scored(data).rows
    expected = {}
    for term in ("ER", "Golgi", "nucleus"):
        near, far = [], []
        for other in ("ER", "Golgi", "nucleus"):
            count = 300 if term == other else 200
            pairs = term_pairs(data["terms"], data["proteins"], term, other, count=count, seed=0)
            (near if term == other else far).extend(naive(data, pairs))
        expected[term] = (np.mean(near) - np.mean(far)) / np.std(far), np.mean(near) / np.mean(far) - 1
        assert value(rows, label=term) == pytest.approx(expected[term][0], rel=1e-9)
        assert value(rows, _RELATIVE, label=term) == pytest.approx(expected[term][1], rel=1e-9)
    overall = np.mean(list(expected.values()), axis=0)
    assert value(rows, label=None) == pytest.approx(overall[0], rel=1e-9)
    assert value(rows, _RELATIVE, label=None) == pytest.approx(overall[1], rel=1e-9)
    assert {row["parameter"] for row in rows} == {"pairs=300,each_other=200"}
    assert {(row["classifier"], row["protocol"]) for row in rows} == {("pairwise", "any_line")}


def test_lines_equal_a_naive_loop() -> None:
    data = screen(apart=1.5)
    result = scored_by_line(data)
    names = {name: data[name] for name in ("terms", "proteins", "lines")}
    scores = {}
    for protocol in ("same_line", "different_line"):
        drawn = [
            constrained_pairs(**names, same_term=same, same_line=protocol == "same_line", count=400, seed=0)
            for same in (True, False)
        ]
        near, far = (naive(data, pairs) for pairs in drawn)
        scores[protocol] = (near.mean() - far.mean()) / far.std()
        assert value(result.rows, protocol=protocol) == pytest.approx(scores[protocol], rel=1e-9)
        assert value(result.rows, protocol=protocol, column="n") == len({tuple(sorted(p)) for p in drawn[0]})
    difference = value(result.rows, protocol="different_minus_same_line")
    assert difference == pytest.approx(scores["different_line"] - scores["same_line"], rel=1e-9)
    assert len(result.rows) == 6
    assert {row["parameter"] for row in result.rows} == {"pairs=400"}


def test_a_closed_form_in_one_dimension() -> None:
    """All cells of one term lie at 0, those of the other at 1 or at 3, protein by protein.

    Of the share f of pairs that meet a 3 the others' mean is 1 + 2 f, their standard deviation 2 sqrt(f - f²):
    in units that cancel, whatever the standardization makes of them.
    """
    proteins = np.arange(40)
    terms = np.where(proteins < 20, "at 0", "beside")
    place = np.where(proteins < 20, 0.0, np.where(proteins % 2, 1.0, 3.0))
    data = {"features": place[:, None].repeat(3, axis=0), "image": proteins.repeat(3), "terms": terms}
    rows = scored({**data, "proteins": proteins}).rows
    drawn = term_pairs(terms, proteins, "at 0", "beside", count=200, seed=0)
    f = float((place[drawn[:, 1]] == 3).mean())
    assert value(rows, label="at 0") == pytest.approx(-(1 + 2 * f) / (2 * np.sqrt(f - f * f)), rel=1e-6)
    assert value(rows, _RELATIVE, label="at 0") == pytest.approx(-1, abs=1e-6)
    assert 0.35 < f < 0.65  # so that the score is near the -2 of all pairs


def test_identical_clouds_score_0_and_separated_ones_below_0() -> None:
    alike = [
        value(scored(screen(40, seed=seed), same=2000, each_other=1000).rows, label=None) for seed in range(4)
    ]
    assert abs(np.mean(alike)) < 0.05
    near, far = (scored(screen(40, apart=apart)).rows for apart in (0.7, 3))
    assert all(row["value"] < 0 for row in far)
    assert value(far, label=None) < value(near, label=None) < -0.1


def test_repeated_cells_do_not_change_the_scores() -> None:
    """Images whose cells are all copies of one: distances are those of the one."""
    data = screen()
    one = np.random.default_rng(0).normal(size=(72, 6))
    single = {**data, "features": one, "image": np.arange(72)}
    many = {**data, "features": one.repeat(4, axis=0), "image": np.arange(72).repeat(4)}
    for ours, theirs in zip(scored(single).rows, scored(many).rows, strict=True):
        assert ours["value"] == pytest.approx(theirs["value"], rel=1e-9)


def test_intervals_are_those_of_resampled_proteins() -> None:
    """The scores of each draw, from the naive distances and their weights."""
    data = screen(apart=1)
    rows = scored(data, bootstraps=50).rows
    _, number = np.unique(data["proteins"], return_inverse=True)
    near = term_pairs(data["terms"], data["proteins"], "ER", "ER", count=300, seed=0)
    far = np.concatenate(
        [
            term_pairs(data["terms"], data["proteins"], "ER", other, count=200, seed=0)
            for other in ("Golgi", "nucleus")
        ]
    )
    rng, draws = keyed(0, "proteins drawn"), []
    for _ in range(50):
        times = np.bincount(rng.integers(36, size=36), minlength=36)[number]  # (images,)
        weights = [times[pairs].prod(1) for pairs in (near, far)]
        means = [np.average(naive(data, p), weights=w) for p, w in zip((near, far), weights, strict=True)]
        spread = np.sqrt(np.average((naive(data, far) - means[1]) ** 2, weights=weights[1]))
        draws.append((means[0] - means[1]) / spread)
    low, high = np.percentile(draws, (2.5, 97.5))
    assert value(rows, label="ER", column="low") == pytest.approx(low, rel=1e-6)
    assert value(rows, label="ER", column="high") == pytest.approx(high, rel=1e-6)


def test_intervals_hold_the_score_and_shrink_with_more_proteins() -> None:
    width = {}
    for proteins in (8, 80):
        data = screen(proteins, apart=0.7)
        rows = scored(data, bootstraps=200, same=1000, each_other=500).rows
        rows += scored_by_line(data, bootstraps=200, pairs=1000).rows
        assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
        width[proteins] = [row["high"] - row["low"] for row in rows if row["metric"] == _Z]
    assert (np.array(width[80]) < np.array(width[8])).all()
    assert {row["low"] for row in scored(data).rows} == {None}  # none without draws


def test_pairs_depend_on_the_seed_and_not_on_other_terms() -> None:
    data = screen(8)
    assert scored(data, bootstraps=20) == scored(data, bootstraps=20)
    assert scored(data) != scored(data, seed=1)
    assert scored_by_line(data) == scored_by_line(data)
    fewer = data["terms"] != "nucleus"
    pairs = term_pairs(data["terms"], data["proteins"], "ER", "Golgi", count=50, seed=0)
    again = term_pairs(data["terms"][fewer], data["proteins"][fewer], "ER", "Golgi", count=50, seed=0)
    np.testing.assert_array_equal(pairs, np.flatnonzero(fewer)[again])


def test_exclusions_are_counted() -> None:
    data = screen(8)
    few = np.isin(data["proteins"], ["P002", "P005"])  # both nucleus
    data["terms"] = np.where(few, "bud neck", data["terms"])
    data["features"] = np.hstack([data["features"], np.full((len(data["image"]), 1), 0.1)])
    gone = np.flatnonzero(data["terms"] == "ER")[:1]
    kept = ~np.isin(data["image"], gone)
    data["features"], data["image"] = data["features"][kept], data["image"][kept]
    result = scored(data)
    assert result.left_out == {
        "terms_with_few_proteins": 1,
        "images_of_terms_with_few_proteins": 4,
        "images_without_cells": 1,
        "columns_constant": 1,
    }
    assert {row["label"] for row in result.rows} == {None, "ER", "Golgi", "nucleus"}
    assert scored_by_line(data).left_out == result.left_out


def test_n_is_of_distinct_pairs() -> None:
    rows = scored(screen(3), same=5000).rows
    assert value(rows, label="ER", column="n") == 3 * 2 * 2  # pairs of proteins, images of each
    assert value(rows, label=None, column="n") == 36


def test_invalid_arguments_raise() -> None:
    data = screen(4)
    with pytest.raises(EvaluationError, match="0 terms shared by 5 proteins"):
        scored(data, min_proteins=5)
    with pytest.raises(EvaluationError, match="1 term "):
        scored({**data, "terms": np.full(24, "ER")})
    with pytest.raises(EvaluationError, match="NaN"):
        scored({**data, "features": np.full_like(data["features"], np.nan)})
    with pytest.raises(EvaluationError, match="distances to other terms that are all 0"):
        scored({**data, "features": np.full_like(data["features"], 0.1)})
    with pytest.raises(EvaluationError, match="one term in two cell lines"):
        scored_by_line({**data, "lines": np.full(24, "U-2 OS")})
    with pytest.raises(EvaluationError, match="in one cell line"):
        scored_by_line({**data, "lines": data["proteins"]})
    with pytest.raises(EvaluationError, match="1 protein of 'a' and 1"):
        term_pairs(np.array(["a", "b"]), np.array(["p", "p"]), "a", "b", count=1, seed=0)
    for name in ("features", "image", "terms", "proteins", "lines"):
        with pytest.raises(ShapeError):
            scored_by_line({**data, name: data[name][1:]})
    with pytest.raises(ShapeError, match="-1"):
        scored({**data, "image": data["image"] - 1})


def test_trials_of_pairwise_distances() -> None:
    settings = baselines.Pairwise(same=40, each_other=30, by_line=50, min_proteins=2, bootstraps=10)
    features, cells, table = labelled_screen()
    images = labelled_images(cells, table)
    arrays = (features, images.of_cell, images.terms, images.proteins)
    any_line, by_line = (pairwise_trial(trial, features, images, settings, seed=3) for trial in TRIALS)
    common = {"min_proteins": 2, "bootstraps": 10, "seed": 3}
    assert any_line == pairwise_scores(*arrays, same=40, each_other=30, **common)
    assert by_line == pairwise_scores_by_line(*arrays, images.lines, pairs=50, **common)
