"""Batch effects against naive loops over cells, scikit-learn's F test, and permutations of images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from sklearn.feature_selection import f_classif
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.evaluation.checks.batch_effects import (
    FACTORS,
    _permuted,
    factors_of,
    plate_scores,
    plates_of_several_proteins,
    variance_shares,
)


def screen(images: int = 24, each: int = 6) -> tuple[np.ndarray, np.ndarray, dict[str, pl.Series]]:
    """Features with an offset of each plate and protein, in mixed order; 4 plates crossed with 6 proteins."""
    rng = np.random.default_rng(3)
    image = rng.permutation(np.repeat(np.arange(images), each))
    plate, protein = np.arange(images) % 4, np.arange(images) // 4
    features = rng.normal(size=(len(image), 5)) + 100.0
    features += rng.normal(size=(4, 5))[plate[image]] + rng.normal(size=(images, 5))[protein[image]]
    factors = {
        "plate": pl.Series([f"p{number}" for number in plate]),
        "protein": pl.Series(
            [None if number % 7 == 3 else f"q{protein[number]}" for number in range(images)]
        ),
        "image": pl.Series([f"i{number}" for number in range(images)]),
    }
    return features * np.array([1, 10, 0.1, 3, 1]), image, factors


def naive_share(features: np.ndarray, groups: list[str]) -> float:
    """Between-group sum of squares over the total, summed over standardized columns, cell by cell."""
    points = StandardScaler().fit_transform(features)
    between = total = 0.0
    for point, group in zip(points, groups, strict=True):
        centre = np.mean([other for other, name in zip(points, groups, strict=True) if name == group], axis=0)
        between += float((centre**2).sum())
        total += float((point**2).sum())
    return between / total


def test_shares_equal_a_naive_loop_and_leave_out_unknown_groups() -> None:
    features, image, factors = screen()
    shares, left_out = variance_shares(features, image, factors)
    assert [share.factor for share in shares] == list(factors)
    for share in shares:
        group = [factors[share.factor][int(number)] for number in image]
        known = np.array([name is not None for name in group])
        names = [name for name in group if name is not None]
        assert share.share == pytest.approx(naive_share(features[known], names), rel=1e-10), share
        assert (share.groups, share.cells) == (len(set(names)), len(names))
        assert left_out[share.factor] == {f"cells_without_{share.factor}": int((~known).sum())}


def test_the_share_of_a_column_follows_from_its_f_test() -> None:
    features, image, factors = screen()
    plates = [factors["plate"][int(number)] for number in image]
    f, _ = f_classif(features, plates)  # F = (share / (g - 1)) / ((1 - share) / (n - g))
    n, g = len(image), 4
    expected = np.mean(f * (g - 1) / (f * (g - 1) + n - g))
    shares, _ = variance_shares(features, image, {"plate": factors["plate"]})
    assert shares[0].share == pytest.approx(expected, rel=1e-10)


def test_the_chance_is_the_mean_over_permutations_of_whole_images() -> None:
    features, image, factors = screen(each=3)
    rng = np.random.default_rng(0)
    shuffled = [
        variance_shares(features, image, {"plate": factors["plate"].gather(rng.permutation(24))})[0][0].share
        for _ in range(400)
    ]
    shares = {share.factor: share for share in variance_shares(features, image, factors)[0]}
    assert shares["plate"].chance == pytest.approx(np.mean(shuffled), rel=0.05)
    assert shares["image"].chance == pytest.approx(23 / 71)


def test_groups_of_single_images_explain_as_much_as_their_chance() -> None:
    features, image, factors = screen()
    shares, _ = variance_shares(features, image, {"protein": factors["image"], "image": factors["image"]})
    assert shares[0].share == pytest.approx(shares[0].chance)
    assert shares[0].share == pytest.approx(shares[1].share)


def test_columns_that_are_constant_or_not_finite_have_no_effect() -> None:
    features, image, factors = screen()
    constant, missing = np.full((len(image), 1), 0.1), features[:, :1].copy()
    missing[5] = np.nan
    wider = np.concatenate([features, constant, missing, missing * np.inf], axis=1)
    assert variance_shares(wider, image, factors) == variance_shares(features, image, factors)
    nothing, _ = variance_shares(constant, image, factors)
    assert {share.share for share in nothing} == {0.0}


def test_blocks_give_the_same_as_an_array() -> None:
    features, image, factors = screen()

    class Streamed:
        ndim, shape = 2, features.shape

        def __len__(self) -> int:
            return len(features)

        def blocks(self) -> Iterator[np.ndarray]:
            yield from np.array_split(features, 7)

    whole, parts = (variance_shares(given, image, factors)[0] for given in (features, Streamed()))
    for one, other in zip(whole, parts, strict=True):
        assert one.share == pytest.approx(other.share, rel=1e-12)


def test_factors_of_sparse_screens_have_a_reason_and_no_share() -> None:
    features, image, _ = screen()
    table = pl.DataFrame(
        {"image_id": [f"i{number}" for number in range(24)]}
        | {"plate": ["one"] * 24, "well": [None] * 24, "cell_line": ["line", ""] * 12}
        | {"protein": [f"q{number % 5}" for number in range(24)]},
        schema_overrides={"well": pl.String},
    )
    factors = factors_of(table)
    assert tuple(factors.columns[1:]) == FACTORS
    shares, left_out = variance_shares(features, image, {name: factors[name] for name in FACTORS})
    assert [share.factor for share in shares] == ["protein", "image"]
    assert left_out["plate"] == {"cells_without_plate": 0, "cells_of_one_plate": 144}
    assert left_out["well_row"] == {"cells_without_well_row": 144, "cells_of_one_well_row": 0}
    assert left_out["cell_line"] == {"cells_without_cell_line": 72, "cells_of_one_cell_line": 72}


@pytest.mark.parametrize(
    ("well", "row", "column"),
    [("A1", "A", "1"), ("a01", "A", "1"), ("AF48", "AF", "48"), ("H12", "H", "12"), ("r01c02", None, None)],
)
def test_wells_have_a_row_and_a_column(well: str, row: str | None, column: str | None) -> None:
    table = pl.DataFrame(
        {"image_id": ["1"], "plate": ["p"], "well": [well], "cell_line": [None], "protein": ["x"]}
    )
    assert factors_of(table).row(0)[2:4] == (row, column)


Design = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def design(*, plate: float = 0.0, label: float = 0.0) -> Design:
    """Features, plates, proteins, images and labels of 216 cells: 3 labels of 6 proteins, two on each of 3 plates.

    Each protein is one image of 12 cells. The features have an offset of each plate and of each label.
    """
    rng = np.random.default_rng(5)
    protein = np.repeat(np.arange(18), 12)
    plates, labels = protein % 3, protein // 6
    features = rng.normal(size=(216, 4))
    features += plate * rng.normal(size=(3, 4))[plates] + label * rng.normal(size=(3, 4))[labels]
    texts = [np.array([f"{name}{number}" for number in values]) for name, values in
             (("p", plates), ("q", protein), ("i", protein), ("t", labels))]  # fmt: skip
    return features, texts[0], texts[1], texts[2], texts[3]


def by_plate(given: Design, k: int = 11) -> tuple[float, float]:
    """The accuracy by plate, and its chance."""
    value, chance = plate_scores(*given, feature_set="x", ks=(k,)).rows
    assert (value["metric"], chance["metric"]) == ("batch_accuracy", "batch_accuracy_by_chance")
    return value["value"], chance["value"]


def test_knn_by_plate_equals_scikit_learn_with_the_protein_left_out() -> None:
    given = design(plate=1.0)
    features, plates, proteins, *_ = given
    points, predicted = StandardScaler().fit_transform(features), []
    for cell in range(216):
        others = proteins != proteins[cell]
        model = KNeighborsClassifier(11, algorithm="brute").fit(points[others], plates[others])
        predicted.append(model.predict(points[cell : cell + 1])[0])
    scored = plate_scores(*given, feature_set="x", ks=(1, 11))
    rows = {(row["parameter"], row["metric"]): row for row in scored.rows}
    assert len(rows) == len(scored.rows) == 4
    assert rows["k=11", "batch_accuracy"]["value"] == pytest.approx(
        balanced_accuracy_score(plates, predicted)
    )
    assert {row["n"] for row in scored.rows} == {216}
    assert scored.confusion == []


def test_plate_effects_are_above_chance_and_noise_is_at_chance() -> None:
    value, chance = by_plate(design(plate=2.0))
    assert value > chance + 0.4
    value, chance = by_plate(design())
    assert abs(value - chance) < 0.08
    assert chance < 1 / 3  # without its own protein, a cell's own plate has fewer cells than the others


def test_labels_spread_over_the_plates_lower_the_chance_as_they_lower_the_accuracy() -> None:
    value, chance = by_plate(
        design(label=4.0)
    )  # five other proteins have the label, one of them on the same plate
    assert value < 0.25
    assert abs(value - chance) < 0.08


def test_plates_that_are_labels_cannot_be_separated_from_them() -> None:
    features, plates, proteins, images, _ = design(plate=2.0)
    value, chance = by_plate((features, plates, proteins, images, plates))
    assert value == pytest.approx(chance)


def test_plates_are_permuted_among_the_images_of_a_label_only() -> None:
    rng = np.random.default_rng(0)
    plate, label = np.array([0, 1, 2, 3, 4, 5]), np.array(["a", "b", "a", "b", "a", "c"])
    draws = {tuple(_permuted(plate, label, rng).tolist()) for _ in range(300)}
    assert len(draws) == 6 * 2
    assert {(draw[5], frozenset((draw[1], draw[3]))) for draw in draws} == {(5, frozenset((1, 3)))}


def test_plates_of_one_protein_are_left_out_and_one_plate_is_an_error() -> None:
    features, plates, proteins, images, labels = design()
    proteins = np.where(plates == "p2", "only", proteins)
    assert plates_of_several_proteins(plates, proteins) == ["p0", "p1"]
    scored = plate_scores(features, plates, proteins, images, labels, feature_set="x", ks=(11, 500))
    assert scored.exclusions["cells_of_classes_in_one_group"] == 72
    assert scored.exclusions["ks_above_neighbours_left"] == 1
    assert {row["n"] for row in scored.rows} == {144}
    proteins = np.where(plates == "p1", "another", proteins)
    with pytest.raises(EvaluationError, match="two plates"):
        plate_scores(features, plates, proteins, images, labels, feature_set="x", ks=(11,))
    with pytest.raises(ShapeError):
        variance_shares(features, np.arange(3), {})
