"""Corrections against naive loops, closed forms, and offsets that were put in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from scipy.linalg import fractional_matrix_power
from sklearn.preprocessing import StandardScaler

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.features.correction import by_group, corrections_by_image, whitened


def plates(n: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 8), two classes in equal shares on three plates; plates shift and stretch every column.

    The classes differ by 3 in column 0, the plates by some 10 in all, and by up to 4 times in scale.
    """
    rng = np.random.default_rng(0)
    kind, plate = rng.integers(0, 2, n), rng.integers(0, 3, n)
    cells = rng.normal(size=(n, 8))
    cells[:, 0] += 3 * kind
    shift, stretch = 10 * rng.normal(size=(3, 8)), rng.uniform(0.5, 2, (3, 8))
    return (cells * stretch[plate] + shift[plate]).astype(np.float32), kind, np.array(["x", "y", "z"])[plate]


def test_by_group_equals_a_naive_loop() -> None:
    features, _, plate = plates()
    done = by_group(features, plate)
    assert done.features.dtype == np.float32
    for name in "xyz":
        expected = StandardScaler().fit_transform(features[plate == name].astype(np.float64))
        np.testing.assert_allclose(done.features[plate == name], expected, atol=1e-6)
    assert done.notes == {"groups": 3, "groups_of_one_cell": 0, "columns_constant_in_a_group": 0}


def test_a_plate_offset_disappears_and_the_classes_stay_apart() -> None:
    features, kind, plate = plates()

    def apart(values: np.ndarray, names: np.ndarray) -> float:
        """Largest difference of two group means, in standard deviations, of any column."""
        means = np.array([values[names == name].mean(0) for name in np.unique(names)])
        return float((np.ptp(means, axis=0) / values.std(0)).max())

    corrected = by_group(features, plate).features
    assert apart(features, plate) > 1.5
    assert apart(corrected, plate) < 1e-5
    assert apart(features, kind) < 0.5
    # a difference of 3 in a mixture of equal shares, whose variance is 1 + 3² / 4
    assert apart(corrected, kind) == pytest.approx(3 / np.sqrt(1 + 9 / 4), abs=0.05)


def test_groups_without_variation_become_0_and_are_counted() -> None:
    features, _, plate = plates(60)
    plate[0], plate[1] = "alone", "by itself"
    features[plate == "x", 3] = 0.1  # 0.1 is no binary fraction: its mean is rounded
    done = by_group(features.astype(np.float64), plate)
    assert not done.features[:2].any()
    assert not done.features[plate == "x", 3].any()
    assert done.features[plate == "y", 3].std() == pytest.approx(1)
    assert done.notes == {"groups": 5, "groups_of_one_cell": 2, "columns_constant_in_a_group": 1}


def test_whitened_equals_the_closed_form() -> None:
    """R^(-1/2) by scipy, of controls in plenty and next to no regularization."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) * [1, 10, 100, 1, 1, 0.01] + 5
    controls = rng.random(500) < 0.6
    done = whitened(features, controls, regularization=1e-9)
    centred = (features - features[controls].mean(0)) / features[controls].std(0, ddof=1)
    expected = centred @ fractional_matrix_power(np.corrcoef(features[controls].T), -0.5)
    np.testing.assert_allclose(done.features, expected, rtol=1e-4, atol=1e-4)
    assert done.features.dtype == np.float32
    np.testing.assert_allclose(done.features[controls].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cov(done.features[controls].T), np.eye(6), atol=1e-4)
    assert done.notes["controls"] == controls.sum()


def test_the_covariance_of_controls_is_the_identity_up_to_the_regularization() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5))
    done = whitened(features, np.ones(400, bool), regularization=0.1)
    values = np.linalg.eigvalsh(np.corrcoef(features.T))
    found = np.linalg.eigvalsh(np.cov(done.features.T))
    np.testing.assert_allclose(np.sort(found), np.sort(values / (values + 0.1)), atol=1e-5)
    assert done.notes["directions_below_regularization"] == (values < 0.1).sum()


def test_the_regularization_limits_the_stretch_with_fewer_controls_than_columns() -> None:
    rng = np.random.default_rng(3)
    features, controls = rng.normal(size=(300, 40)), np.arange(300) < 10
    done = whitened(features, controls, regularization=0.04)
    assert done.notes["directions_below_regularization"] >= 31  # ten points span nine directions
    scaled = (features - features[controls].mean(0)) / features[controls].std(0, ddof=1)
    assert (
        np.linalg.norm(done.features, axis=1) <= 5.001 * np.linalg.norm(scaled, axis=1)
    ).all()  # 0.04^(-1/2)


def test_directions_that_vary_among_controls_shrink() -> None:
    """A day shifts all columns together; a treatment changes one. The day is in the controls, too."""
    rng = np.random.default_rng(4)
    day, treated = rng.normal(size=2000), rng.random(2000) < 0.5
    features = rng.normal(size=(2000, 10)) + 5 * day[:, None]
    features[treated, 0] += 4
    done = whitened(features, ~treated).features

    def separation(values: np.ndarray) -> float:
        difference = values[treated].mean(0) - values[~treated].mean(0)
        along = values @ difference
        return float((along[treated].mean() - along[~treated].mean()) / along[~treated].std())

    assert separation(features) < 1.5
    assert separation(done) > 3


def test_columns_constant_among_controls_become_0() -> None:
    rng = np.random.default_rng(5)
    features, controls = rng.normal(size=(50, 4)), np.arange(50) < 30
    features[controls, 2] = 0.1
    done = whitened(features, controls)
    assert not done.features[:, 2].any()
    assert done.notes["columns_constant_in_controls"] == 1
    np.testing.assert_array_equal(
        done.features[:, [0, 1, 3]], whitened(features[:, [0, 1, 3]], controls).features
    )


def test_invalid_corrections_raise() -> None:
    features, _, plate = plates(20)
    for controls in (np.zeros(20, bool), np.arange(20) == 3):
        with pytest.raises(EvaluationError, match=f"{controls.sum()} control cells"):
            whitened(features, controls)
    with pytest.raises(EvaluationError, match="0 of 8 columns vary"):
        whitened(np.ones_like(features), np.ones(20, bool))
    with pytest.raises(EvaluationError, match="regularization 0"):
        whitened(features, np.ones(20, bool), regularization=0)
    with pytest.raises(ShapeError):
        by_group(features, plate[1:])
    with pytest.raises(ShapeError):
        whitened(features, np.ones(19, bool))
    features[3, 3] = np.inf
    with pytest.raises(EvaluationError, match="infinite"):
        by_group(features, plate)
    with pytest.raises(EvaluationError, match="infinite"):
        whitened(features, np.ones(20, bool))


class Streamed:
    """Features that come 7 rows at a time."""

    ndim = 2

    def __init__(self, features: np.ndarray) -> None:
        self.features, self.shape = features, features.shape

    def __len__(self) -> int:
        return len(self.features)

    def blocks(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.features), 7):
            yield self.features[start : start + 7]

    def groups(self, group: np.ndarray) -> Iterator[np.ndarray]:
        raise AssertionError("corrections need no groups")


def test_corrections_by_image_are_those_of_the_plate_the_line_and_the_controls_of_each_cell() -> None:
    rng = np.random.default_rng(2)
    image = rng.integers(0, 8, 300)
    images = pl.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(8)],
            "plate": ["z", "y", "z", "y", "x", "x", "z", "z"],
            "cell_line": list("abababab"),
            "protein": [*"ppqq", None, "p", "r", "r"],
        }
    )
    features = (rng.normal(size=(300, 5)) * (1 + image % 3)[:, None] + image[:, None]).astype(np.float32)
    expected = {
        "by_plate": by_group(features, np.array(images["plate"])[image]),
        "by_cell_line": by_group(features, np.array(images["cell_line"])[image]),
        "whitened": whitened(features, np.array([name == "p" for name in images["protein"]])[image]),
    }
    corrections = corrections_by_image(Streamed(features), image, images, list(expected), controls="p")
    some = rng.permutation(300)[:40]
    ids = pl.Series([f"i{number}" for number in image[some]])
    for name, correct in corrections.items():
        np.testing.assert_allclose(
            correct(features[some], ids), expected[name].features[some], rtol=1e-4, atol=1e-5
        )
    everyone = corrections_by_image(features, image, images, ["whitened"], controls=None)["whitened"]
    assert np.array_equal(everyone(features, ids), whitened(features, np.ones(300, bool)).features)


def test_an_image_without_plate_cannot_be_corrected_by_plate() -> None:
    images = pl.DataFrame({"image_id": ["i", "j"], "plate": ["x", None], "protein": ["p", "p"]})
    with pytest.raises(EvaluationError, match=r"spec by_plate.*images without `plate`"):
        corrections_by_image(np.eye(2), np.array([0, 1]), images, ["by_plate"], controls=None, where="spec")
