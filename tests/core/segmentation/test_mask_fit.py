"""The fit of a mask to its field, against scikit-learn's area under the ROC curve."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from pcip_core.segmentation.mask_fit import GOOD, Fit, misfit
from tests.core.segmentation.test_mask_checks import scattered


def test_the_fit_is_the_area_under_the_roc_curve() -> None:
    rng, mask = np.random.default_rng(0), scattered(0) > 0
    plane = rng.normal(0, 1, mask.shape) + 2 * mask
    fit = Fit({"cells": plane})
    assert fit.step == 1
    assert np.isclose(fit.of(mask) or 0, roc_auc_score(mask.ravel(), plane.ravel()))
    assert np.isclose(Fit({"dark": -plane}).of(mask) or 0, fit.of(mask) or 1)
    assert fit.of(np.zeros_like(mask)) is None
    assert fit.of(np.ones_like(mask)) is None


def test_cells_that_differ_in_texture_only_fit_by_the_gradient() -> None:
    rng, mask = np.random.default_rng(0), scattered(0) > 0
    texture = gaussian_filter(rng.normal(0, 1, mask.shape), 1.0) * np.where(mask, 900, 30) + 1000
    assert (Fit({"brightfield": texture}).of(mask) or 0) > GOOD
    assert misfit(mask, {"brightfield": texture}) is None
    assert misfit(scattered(5) > 0, {"brightfield": texture}) is not None
