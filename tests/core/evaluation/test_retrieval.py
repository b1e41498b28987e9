"""Retrieval and silhouette against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, silhouette_samples, silhouette_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.evaluation.labelled import LabelledImages, labelled_images
from pcip_core.evaluation.retrieval import (
    average_precisions,
    retrieval_by_label,
    retrieval_by_protein,
    retrieval_chances,
    retrieval_scores,
    silhouette_scores,
)
from tests.core.evaluation.labelled_screen import labelled_screen


def data(n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Profiles, terms and proteins; each protein has one term."""
    rng = np.random.default_rng(0)
    proteins = rng.integers(0, 30, n)
    terms = np.array(["ER", "Golgi", "nucleus"])[proteins % 3]
    return rng.normal(size=(n, 6)) + 0.5 * (proteins % 3)[:, None], terms, proteins


@pytest.mark.parametrize("grouped", [False, True])
def test_equals_scikit_learn_for_each_query(*, grouped: bool) -> None:
    profiles, terms, proteins = data()
    profiles[5] = profiles[6] = profiles[7]  # ties
    profiles[8] = 0
    found = average_precisions(profiles, terms, groups=proteins if grouped else None)
    similarity = cosine_similarity(profiles)
    for query in range(len(terms)):
        ranked = proteins != proteins[query] if grouped else np.arange(len(terms)) != query
        expected = average_precision_score(terms[ranked] == terms[query], similarity[query, ranked])
        assert found[query] == pytest.approx(expected, abs=2e-3 if query in (5, 6, 7) else 1e-12)


def test_ties_count_as_one_step() -> None:
    """All alike: each query finds its label at the precision of chance."""
    profiles, labels = np.ones((8, 3)), np.array([0, 0, 0, 1, 1, 1, 1, 1])
    found = average_precisions(profiles, labels)
    assert found == pytest.approx([2 / 7] * 3 + [4 / 7] * 5)


def test_rows_are_means_over_queries_with_a_relevant_profile() -> None:
    profiles, terms, proteins = data()
    terms = terms.astype("<U9")
    terms[:1] = "bud neck"
    done: list[int] = []
    rows = retrieval_scores(profiles, terms, progress=done.append)
    found = average_precisions(profiles, terms)
    assert np.isnan(found[0])
    value = {row["label"]: (row["value"], row["n"]) for row in rows}
    assert set(value) == {None, "ER", "Golgi", "nucleus"}
    assert value[None] == (pytest.approx(np.nanmean(found)), 119)
    assert value["ER"] == (pytest.approx(found[terms == "ER"].mean()), int((terms == "ER").sum()))
    assert done[-1] == 120
    assert {(row["classifier"], row["metric"]) for row in rows} == {("retrieval", "mean_average_precision")}
    same_protein = retrieval_scores(profiles, proteins)
    assert same_protein[0]["n"] <= 120


def test_silhouette_equals_scikit_learn() -> None:
    features, labels, _ = data()
    points = StandardScaler().fit_transform(features)
    rows = silhouette_scores(features, labels)
    assert rows[0]["value"] == pytest.approx(silhouette_score(points, labels), abs=1e-5)
    assert (rows[0]["parameter"], rows[0]["n"]) == ("cells=120", 120)
    each = silhouette_samples(points, labels)
    golgi = next(row for row in rows if row["label"] == "Golgi")
    assert golgi["value"] == pytest.approx(each[labels == "Golgi"].mean(), abs=1e-5)


def test_the_sample_depends_on_the_seed_alone() -> None:
    features, labels, _ = data()
    first, again, other = (silhouette_scores(features, labels, most=50, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first[0]["n"] == 50


def test_invalid_arguments_raise() -> None:
    features, labels, proteins = data()
    with pytest.raises(EvaluationError, match="none with another"):
        retrieval_scores(features, proteins, groups=proteins)
    with pytest.raises(EvaluationError, match="1 class in"):
        silhouette_scores(features, np.zeros(len(labels)))
    with pytest.raises(EvaluationError, match="profiles of one label, a"):
        retrieval_scores(features, np.full(len(labels), "a"), groups=proteins)
    with pytest.raises(ShapeError):
        average_precisions(features, labels[1:])
    with pytest.raises(EvaluationError, match="NaN"):
        retrieval_scores(np.full_like(features, np.nan), labels)


def test_retrieval_is_of_the_means_of_standardized_cells() -> None:
    features, cells, table = labelled_screen()
    images = labelled_images(cells, table)
    features[:, 2], features[7, 4] = 1, np.nan  # neither can be used
    by_label = retrieval_by_label(features, cells, images, feature_set="s", label="localization", seed=0)
    by_protein = retrieval_by_protein(features, cells, images, feature_set="s", seed=0)
    points = features[:, [0, 1, 3, 5]].astype(float)
    points = (points - points.mean(0)) / points.std(0)
    profiles = np.array([points[images.of_cell == number].mean(0) for number in range(24)])
    expected = {
        ("localization", "leave_protein_out"): retrieval_scores(
            profiles, images.terms, groups=images.proteins
        ),
        ("protein", "leave_image_out"): [
            *retrieval_scores(profiles, images.proteins),
            *retrieval_chances(profiles, images.proteins, draws=999, seed=0),
        ],
        ("localization", "all_cells"): silhouette_scores(points, cells.labels, seed=0),
    }
    found = by_label.scores | by_protein.scores
    assert found.keys() == expected.keys()
    for key, rows in expected.items():
        np.testing.assert_allclose(
            [row["value"] for row in found[key]], [row["value"] for row in rows], rtol=1e-5, atol=1e-6
        )
    for result in (by_label, by_protein):
        excluded = {reason: n for reason, n in result.exclusions.items() if n}
        assert excluded == {"columns_constant": 1, "columns_not_finite": 1}
        assert result.not_scored == {}


def test_scores_that_cells_cannot_have_are_named() -> None:
    features, cells, table = labelled_screen()
    images = labelled_images(cells, table)
    single = LabelledImages(images.of_cell, images.terms, np.arange(24).astype(str), images.lines)
    result = retrieval_by_label(features, cells, single, feature_set="s", label="protein", seed=0)
    assert (list(result.scores), result.not_scored) == ([("protein", "all_cells")], {})
    result = retrieval_by_protein(features, cells, single, feature_set="s", seed=0)
    assert (result.scores, list(result.not_scored)) == ({}, ["images of one protein"])


def test_the_chance_of_a_precision_is_that_of_random_rankings() -> None:
    """Two profiles of one label among six: each finds the other at the ranks 1 to 5 with equal chance."""
    labels = np.array(["a", "a", "b", "c", "d", "e"])
    angles = np.array([0.0, 0.5, 0.1, 0.2, 3.0, 3.1])  # b and c lie between the profiles of a
    profiles = np.stack([np.cos(angles), np.sin(angles)], 1)
    (_, observed) = retrieval_scores(profiles, labels)
    pairs = [(1 / first + 1 / second) / 2 for first in range(1, 6) for second in range(1, 6)]
    expected = np.mean([pair >= observed["value"] - 1e-12 for pair in pairs])
    everything, of_a = retrieval_chances(profiles, labels, draws=20_000)
    assert (of_a["label"], of_a["metric"], of_a["n"]) == ("a", "p_value", 2)
    assert of_a["value"] == pytest.approx(expected, abs=0.02)
    assert everything["value"] == pytest.approx(expected, abs=0.02)


def test_labels_that_say_nothing_have_no_small_chance_and_separate_ones_have() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.array(["a", "b", "c", "d"]), 5)
    noise = [retrieval_chances(rng.normal(size=(20, 8)), labels, draws=199)[0]["value"] for _ in range(20)]
    assert 0.2 < np.mean(noise) < 0.8
    apart = np.eye(4)[np.repeat(np.arange(4), 5)] + 0.01 * rng.normal(size=(20, 4))
    assert retrieval_chances(apart, labels, draws=199)[0]["value"] == 1 / 200
