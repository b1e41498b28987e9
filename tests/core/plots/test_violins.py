"""What the violins of scores between compartments show."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.plots.violins import compartment_violins
from tests.core.plots.crop_pictures import TITLE, rendered


def test_violins_show_quartiles_and_every_cell_of_the_examples() -> None:
    rng = np.random.default_rng(0)
    groups = [("A only", rng.normal(-1, 0.3, 80)), ("both", np.append(rng.normal(size=50), np.nan)),
              ("B only", rng.normal(1, 0.3, 60))]  # fmt: skip
    examples = [("P1", rng.normal(size=12)), ("P2", rng.normal(size=7))]
    figure = rendered(compartment_violins(groups, TITLE, examples))
    axes = figure.axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["A only\nn = 80", "both\nn = 50", "B only\nn = 60", "P1\nn = 12", "P2\nn = 7"]
    points = [np.asarray(part.get_offsets()) for part in axes.collections if len(part.get_offsets())]
    dots = [part for part in points if len(part) in (12, 7)]
    for place, (_, values), part in zip((3, 4), examples, dots, strict=True):
        assert np.sort(part[:, 1]) == pytest.approx(np.sort(values))
        assert np.abs(part[:, 0] - place).max() < 0.5  # none stands at another image
    medians = [part[0, 1] for part in points if part.shape == (1, 2) and part[0].any()]
    expected = [np.nanmedian(values) for _, values in groups]
    assert all(any(found == pytest.approx(one) for found in medians) for one in expected)
    assert figure.get_suptitle() == TITLE


def test_violins_of_few_cells_are_dots_and_of_none_say_so() -> None:
    figure = rendered(compartment_violins([("A only", np.array([1.0, 2])), ("both", np.full(5, 3.0))], TITLE))
    assert [len(part.get_offsets()) for part in figure.axes[0].collections] == [2, 5]
    empty = rendered(compartment_violins([("A only", np.array([np.nan]))], TITLE))
    assert empty.axes[0].texts[0].get_text() == "no scores"
