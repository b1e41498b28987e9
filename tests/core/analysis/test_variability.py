"""Measures of variability against loops, closed forms, and proteins whose variability is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm, spearmanr
from sklearn.decomposition import PCA
from sklearn.linear_model import HuberRegressor
from sklearn.metrics import average_precision_score

from pcip_core.analysis.compartments import by_protein, compartment_scores
from pcip_core.analysis.variability import (
    first_component,
    normal_scores,
    ranked_by_deviation,
    ranking_quality,
    robust_residuals,
    two_part_split,
    variability,
)
from pcip_core.errors import EvaluationError, ShapeError


def screen(
    seed: int = 0, *, proteins: int = 60, variable: int = 8, rate: float = 0.5, uneven: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, protein, line, intensity and (proteins,) truth. Faint proteins are noisier, as is line B.

    Cells of a variable protein lie at one of two points, 3 apart in 6 of 30 features. `uneven` is the sigma of
    a factor on a protein's noise that nothing predicts.
    """
    rng = np.random.default_rng(seed)
    truth = np.arange(proteins) < variable
    rows, names, lines, lights = [], [], [], []
    for number in range(proteins):
        n = int(rng.integers(15, 45))
        light = float(np.exp(rng.normal(6, 0.8)))
        line = "AB"[number % 2]
        noise = (light / 400) ** -0.3 * (1.3 if line == "B" else 1.0) * np.exp(rng.normal(0, uneven))
        cells = rng.normal(size=(n, 30)) * noise + rng.normal(size=30)
        if truth[number]:
            cells[: max(2, round(rate * n)), :6] += 3
        rows.append(cells)
        names += [f"P{number:03d}"] * n
        lines += [line] * n
        lights.append(light * np.exp(rng.normal(0, 0.3, n)))
    return np.concatenate(rows), np.array(names), np.array(lines), np.concatenate(lights), truth


def frame(protein: np.ndarray, cell_line: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"protein": protein, "cell_line": cell_line})


def qualities_of(**options: float) -> dict[str, dict[str, float]]:
    features, protein, line, light, truth = screen(**options)  # type: ignore[arg-type]
    table = variability(features, frame(protein, line), light).table
    is_true = np.array([truth[int(name[1:])] for name in table["protein"]])
    return {
        name: ranking_quality(table[name].to_numpy(), is_true)
        for name in ("spread", "excess", "split", "split_excess", "variability")
    }


def test_spread_equals_a_loop_over_pairs() -> None:
    """The mean squared distance of two different cells is twice the variance, whatever n."""
    features, protein, line, light, _ = screen(proteins=8)
    scaled = (features - features.mean(0)) / features.std(0)
    for row in variability(features, frame(protein, line), light).table.iter_rows(named=True):
        cells = scaled[protein == row["protein"]]
        n = len(cells)
        pairs = [((a - b) ** 2).sum() for i, a in enumerate(cells) for b in cells[:i]]
        assert row["n"] == n
        assert row["spread"] == pytest.approx(np.log(np.mean(pairs) / 2))
        assert row["log_intensity"] == pytest.approx(np.log(light[protein == row["protein"]].mean()))


def test_spread_does_not_depend_on_the_number_of_cells() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6000, 5))
    protein = np.repeat([f"S{i:03d}" for i in range(500)] + ["L"], [4] * 500 + [4000])
    cells = frame(protein, np.full(6000, ""))
    table = variability(features, cells, np.ones(6000), least_cells=4).table
    small = np.exp(table.filter(pl.col("protein") != "L")["spread"].to_numpy())
    large = np.exp(table.filter(protein="L")["spread"].item())
    assert small.mean() == pytest.approx(large, rel=0.05)


def test_split_is_the_best_of_all_splits() -> None:
    rng = np.random.default_rng(3)
    for n in (4, 5, 11, 60):
        values = rng.normal(size=n) + 5
        least = max(2, int(np.ceil(0.05 * n)))
        ordered = np.sort(values)
        within = min(ordered[:k].var() * k + ordered[k:].var() * (n - k) for k in range(least, n - least + 1))
        assert two_part_split(values) == pytest.approx(np.log(values.var() * n / within))
    assert two_part_split(np.full(9, 2.5)) == 0
    assert two_part_split(rng.normal(size=200_000)) == pytest.approx(-np.log(1 - 2 / np.pi), abs=0.01)
    outlier = np.append(norm.ppf((np.arange(99) + 0.5) / 99), 30)
    assert two_part_split(outlier) < 1  # one cell alone is no phenotype


def test_first_component_is_that_of_pca() -> None:
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(20, 50)) * np.linspace(3, 1, 50)
    expected = PCA(1, svd_solver="full").fit_transform(cells)[:, 0]
    places = first_component(cells - cells.mean(0))
    assert np.abs(places) == pytest.approx(np.abs(expected))
    tall = rng.normal(size=(90, 7))
    expected = PCA(1, svd_solver="full").fit_transform(tall)[:, 0]
    assert np.abs(first_component(tall - tall.mean(0))) == pytest.approx(np.abs(expected))
    assert first_component(np.zeros((4, 3))) == pytest.approx(0)


def test_regression_is_not_moved_by_variable_proteins() -> None:
    rng = np.random.default_rng(0)
    light, lines = rng.normal(size=80), np.repeat(["A", "B"], 40)
    values = 2 - 0.5 * light + 1.5 * (lines == "B") + rng.normal(0, 0.1, 80)
    values[:8] += 5
    residual = robust_residuals(values, [light], lines)
    assert np.std(residual[8:]) == pytest.approx(1, abs=0.25)
    assert abs(residual[8:].mean()) < 0.3
    assert residual[:8] == pytest.approx(50, rel=0.25)
    design = np.column_stack([light, lines == "B"])
    expected = HuberRegressor(epsilon=1.345, alpha=0).fit(design, values)
    theirs = (values - expected.predict(design))[8:]
    assert np.corrcoef(theirs, residual[8:])[0, 1] > 0.998


def test_lines_with_few_proteins_share_an_intercept() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=24)
    lines = np.array(["A"] * 20 + ["B", "C", "D", "E"])
    values[-1] += 9
    residual = robust_residuals(values, [], lines)
    assert residual[-1] > 4  # an intercept of its own would have explained it away
    assert robust_residuals(np.ones(6), [np.ones(6)], np.full(6, "A")) == pytest.approx(0)


def test_variable_proteins_come_first() -> None:
    quality = qualities_of(seed=0)
    assert quality["variability"]["precision"] >= 0.7  # 8 of 60 are variable: 0.8 is the most
    assert quality["variability"]["average_precision"] > 0.9
    assert quality["variability"]["chance"] == pytest.approx(8 / 60)
    assert quality["excess"]["average_precision"] > quality["spread"]["average_precision"]


def test_unbalanced_mixtures_are_found_better_than_by_spread_alone() -> None:
    """One cell in eight, in a screen where proteins differ in noise by 10 % for no known reason."""
    qualities = [qualities_of(seed=seed, rate=0.12, uneven=0.1) for seed in range(4)]
    mean = {
        name: np.mean([one[name]["average_precision"] for one in qualities])
        for name in ("excess", "variability")
    }
    assert mean["variability"] > mean["excess"] + 0.1
    assert mean["variability"] > 0.55


def test_ranks_and_those_left_out() -> None:
    features, protein, line, light, _ = screen()
    few = np.isin(protein, ["P000", "P007"])
    keep = ~few | (np.arange(len(protein)) % 8 == 0)
    cells = frame(protein, line)
    ranked = variability(features[keep], cells.filter(keep), light[keep], least_cells=10)
    assert ranked.left_out.rows() == [("P000", "A"), ("P007", "B")]
    assert ranked.table["rank"].to_list() == list(range(1, 59))
    assert np.all(np.diff(ranked.table["variability"]) <= 0)
    order = np.random.default_rng(0).permutation(keep.sum())
    shuffled = cells.filter(keep)[order].cast(pl.Categorical)
    again = variability(features[keep][order], shuffled, light[keep][order], least_cells=10)
    assert again.table["protein"].to_list() == ranked.table["protein"].to_list()
    assert abs(spearmanr(ranked.table["excess"], ranked.table["log_intensity"])[0]) < 0.3


def test_deviation_of_scores_ranks_variable_above_mixed() -> None:
    """Of proteins in both compartments: some in both of each cell, some in one or the other."""
    rng = np.random.default_rng(0)
    image, fraction, annotations = [], [], {}
    for number in range(4):
        for term, value in (("A", 0.0), ("B", 1.0)):
            image += [f"{term}{number}"] * 20
            fraction += [value] * 20
            annotations[f"{term}{number}"] = [term]
    for number in range(12):
        name = f"{'variable' if number < 5 else 'mixed'}{number}"
        annotations[name] = ["A", "B"]
        image += [name] * 20
        fraction += list(rng.integers(0, 2, 20) if number < 5 else np.full(20, rng.uniform(0.2, 0.8)))
    features = rng.normal(size=(len(image), 15))
    features[:, :5] += 2.5 * np.array(fraction)[:, None]
    scores = compartment_scores(features, np.array(image), annotations, "A", "B")
    table = by_protein(scores, frame(np.array(image), np.full(len(image), "U")))
    for by in ("standard_deviation", "standard_deviation_place"):
        ranked = ranked_by_deviation(table, by=by)
        assert sorted(-table.filter(group="both")[by]) == (-ranked.table[by]).to_list()
        assert ranked.table["rank"].to_list() == list(range(1, 13))
        assert all(name.startswith("variable") for name in ranked.table["protein"][:5])
        few = ranked_by_deviation(table, by=by, least_cells=21)
        assert few.table.is_empty()
        assert few.left_out.equals(table.filter(group="both").select("protein", "cell_line"))


def test_quality_is_that_of_scikit_learn_and_ties_score_alike() -> None:
    rng = np.random.default_rng(0)
    values, truth = rng.normal(size=50), rng.integers(0, 2, 50).astype(bool)
    quality = ranking_quality(values, truth, at=5)
    assert quality["average_precision"] == pytest.approx(average_precision_score(truth, values))
    assert quality["precision"] == truth[np.argsort(-values)[:5]].mean()
    scores = normal_scores(np.array([3.0, 1.0, 1.0, 8.0]))
    assert scores[1] == scores[2]
    assert scores[3] == pytest.approx(norm.ppf(3.5 / 4))
    with pytest.raises(EvaluationError, match="0 of 3 true"):
        ranking_quality(np.arange(3), np.zeros(3, bool))


def test_errors_say_what_cannot_be_ranked() -> None:
    features, protein, line, light, _ = screen(proteins=6)
    cells = frame(protein, line)
    with pytest.raises(EvaluationError, match=r"0 proteins with 100 cells or more \(6 have fewer\)"):
        variability(features, cells, light, least_cells=100)
    with pytest.raises(EvaluationError, match="mean intensity of 0"):
        variability(features, cells, np.where(protein == "P001", 0, light))
    with pytest.raises(ShapeError, match="173 intensity"):
        variability(features, cells, light[1:])
    features[0, 0] = np.nan
    with pytest.raises(EvaluationError, match="columns 0;"):
        variability(features, cells, light)


def test_places_are_those_of_the_first_principal_component_of_each_proteins_cells() -> None:
    features, protein, line, light, _ = screen(proteins=6)
    few = np.flatnonzero(protein == "P003")[9:]
    kept = np.setdiff1d(np.arange(len(protein)), few)  # leaves 9 cells of P003, which are too few
    order = np.random.default_rng(5).permutation(kept)
    features, protein, line, light = (values[order] for values in (features, protein, line, light))
    ranked = variability(features, frame(protein, line), light)
    assert np.array_equal(np.isnan(ranked.places), protein == "P003")
    points = (features - features.mean(0)) / features.std(0)
    for name in set(protein) - {"P003"}:
        expected = PCA(1).fit_transform(points[protein == name])[:, 0]
        places = ranked.places[protein == name]
        assert np.allclose(places * np.sign(places @ expected), expected, atol=1e-6)
