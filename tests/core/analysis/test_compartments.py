"""Two-compartment scores against a loop over cells, and against a truth made here."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from pcip_core.analysis.compartments import OTHER, by_protein, compartment_scores
from pcip_core.errors import EvaluationError, ShapeError

ANNOTATIONS = {
    "a1": ["cytosol"],
    "a2": ["cytosol"],
    "a3": ["cytosol"],
    "b1": ["nucleus"],
    "b2": ["nucleus"],
    "ab": ["nucleus", "cytosol"],
    "abc": ["nucleus", "cytosol", "Golgi"],
    "c": ["Golgi"],
}


def cells(seed: int = 0, each: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Features and images: `a` lies at 0, `b` at 3 in each of the first four columns, `ab` between."""
    rng = np.random.default_rng(seed)
    image = np.repeat(list(ANNOTATIONS), each)
    at = np.array([{"a": 0.0, "b": 3.0}.get(name.rstrip("123"), 1.5) for name in image])
    features = rng.normal(size=(len(image), 7))
    features[:, :4] += at[:, None]
    features[:, 5] *= 1000
    features[:, 6] = 4  # constant
    order = rng.permutation(len(image))
    return features[order].astype(np.float32), image[order]


def test_equals_a_loop_over_cells() -> None:
    features, image = cells()
    found = compartment_scores(features, image, ANNOTATIONS, "cytosol", "nucleus")
    wide = features.astype(np.float64)
    spread = wide.std(0)
    points = (wide - wide.mean(0)) / np.where(spread > 0, spread, 1)
    for cell, name in enumerate(image):
        if name in ("abc", "c"):
            assert np.isnan(found.score[cell])
            assert np.isnan(found.place[cell])
            assert found.group[cell] == OTHER
            continue
        a = np.mean(
            [p for p, i in zip(points, image, strict=True) if i in ("a1", "a2", "a3") and i != name], axis=0
        )
        b = np.mean(
            [p for p, i in zip(points, image, strict=True) if i in ("b1", "b2") and i != name], axis=0
        )
        expected = math.log(math.dist(points[cell], a) / math.dist(points[cell], b))
        assert found.score[cell] == pytest.approx(expected, abs=1e-5)
        assert found.place[cell] == pytest.approx(
            (points[cell] - a) @ (b - a) / ((b - a) @ (b - a)), abs=1e-5
        )
        assert found.group[cell] == {"a": "first_only", "b": "second_only"}.get(name.rstrip("123"), "both")


def test_order_of_the_compartments_turns_the_sign() -> None:
    features, image = cells()
    one = compartment_scores(features, image, ANNOTATIONS, "cytosol", "nucleus")
    other = compartment_scores(features, image, ANNOTATIONS, "nucleus", "cytosol")
    assert one.score == pytest.approx(-other.score, nan_ok=True)
    assert one.place == pytest.approx(1 - other.place, nan_ok=True)


def test_features_without_information_do_not_part_the_groups() -> None:
    """Few cells in many dimensions: each would lie nearer to its own mean if its image were part of it."""
    rng = np.random.default_rng(0)
    image = np.repeat(["a1", "a2", "b1", "b2"], 3)
    features = rng.normal(size=(12, 200))
    found = compartment_scores(features, image, ANNOTATIONS, "cytosol", "nucleus")
    first = np.char.startswith(image, "a")
    assert found.score[first].mean() > found.score[~first].mean()  # away, as its mean has fewer cells
    means = [features[first].mean(0), features[~first].mean(0)]
    near = [np.linalg.norm(features - mean, axis=1) for mean in means]
    assert (np.log(near[0] / near[1])[first] < 0).all()  # what the images' own cells would do


def test_both_measures_follow_the_true_fraction() -> None:
    rng = np.random.default_rng(1)
    image = np.repeat(["a1", "a2", "b1", "b2", "ab"], 60)
    fraction = np.where(np.char.startswith(image, "a"), 0.0, 1.0)
    fraction[image == "ab"] = rng.uniform(size=60)
    features = rng.normal(size=(300, 20))
    features[:, :5] += 4 * fraction[:, None]
    found = compartment_scores(features, image, ANNOTATIONS, "cytosol", "nucleus")
    mixed = image == "ab"
    assert spearmanr(found.score[mixed], fraction[mixed])[0] > 0.85
    assert spearmanr(found.place[mixed], fraction[mixed])[0] > 0.85
    assert found.place[image == "b1"].mean() == pytest.approx(1, abs=0.1)
    assert found.place[image == "a1"].mean() == pytest.approx(0, abs=0.1)
    assert found.place[mixed].mean() == pytest.approx(fraction[mixed].mean(), abs=0.1)


def test_rows_by_protein_and_line() -> None:
    features, image = cells()
    scores = compartment_scores(features, image, ANNOTATIONS, "cytosol", "nucleus")
    protein = np.where(np.isin(image, ["a1", "ab"]), "P1", image)
    line = np.where(np.arange(len(image)) % 2, "U-2 OS", "A-431")
    line[np.flatnonzero(image == "a2")[0]] = "alone"
    frame = pl.DataFrame({"protein": protein, "cell_line": line})
    table = by_protein(scores, frame)
    expected = sorted({*zip(protein, line, scores.group, strict=True)})
    assert table.select("protein", "cell_line", "group").rows() == [
        key for key in expected if key[2] != OTHER
    ]
    for row in table.iter_rows(named=True):
        own = (protein == row["protein"]) & (line == row["cell_line"])
        own &= np.array(scores.group) == row["group"]
        assert row["n"] == own.sum()
        for values, suffix in ((scores.score, ""), (scores.place, "_place")):
            assert row[f"mean{suffix}"] == pytest.approx(values[own].mean())
            spread = values[own].std(ddof=1) if own.sum() > 1 else np.nan
            assert row[f"standard_deviation{suffix}"] == pytest.approx(spread, nan_ok=True)
    assert table.filter(cell_line="alone")["n"].to_list() == [1]
    categorical = frame.cast(pl.Categorical)
    assert by_protein(scores, categorical).equals(table, null_equal=True)
    with pytest.raises(ShapeError, match="95 cells"):
        by_protein(scores, frame[1:])


def test_errors_say_what_cannot_be_scored() -> None:
    features, image = cells()
    with pytest.raises(
        EvaluationError, match=r"Nucleus.*required: a term of some images: Golgi, cytosol, nucleus"
    ):
        compartment_scores(features, image, ANNOTATIONS, "cytosol", "Nucleus")
    with pytest.raises(EvaluationError, match="Golgi: found one image annotated to it alone"):
        compartment_scores(features, image, ANNOTATIONS, "cytosol", "Golgi")
    with pytest.raises(EvaluationError, match="'cytosol' twice"):
        compartment_scores(features, image, ANNOTATIONS, "cytosol", "cytosol")
    with pytest.raises(ShapeError, match="95 image"):
        compartment_scores(features, image[1:], ANNOTATIONS, "cytosol", "nucleus")
    with pytest.raises(EvaluationError, match="equal means"):
        compartment_scores(np.ones_like(features), image, ANNOTATIONS, "cytosol", "nucleus")
    features[0, [2, 3]] = np.nan, np.inf
    with pytest.raises(EvaluationError, match="columns 2, 3;"):
        compartment_scores(features, image, ANNOTATIONS, "cytosol", "nucleus")
