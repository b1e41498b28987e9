"""Variants of the simulated yeast screen: the same cells with another structural channel."""

import dataclasses

import numpy as np
import pytest

from pcip_core.errors import SpecError
from pcip_core.simulate.plan import channels, plan_screen
from pcip_core.simulate.screen import photograph, true_labels
from pcip_core.spec.simulation import Simulation

USUAL = Simulation("yeast", field_size_px=200)


@pytest.mark.parametrize("marker", ["brightfield", "nuclear_pore"])
def test_cells_and_their_truth_do_not_depend_on_the_marker(marker):
    other = dataclasses.replace(USUAL, marker=marker)
    image = plan_screen(USUAL)[0]
    assert plan_screen(other)[0] == image
    assert channels(other) == (marker, "protein")
    planes, rows = photograph(other, image, 1)
    assert list(planes) == [marker, "protein"]
    assert planes[marker].dtype == np.uint16
    assert rows[0].keys() == photograph(USUAL, image, 1)[1][0].keys()
    assert [row["y_px"] for row in rows] == [row["y_px"] for row in photograph(USUAL, image, 1)[1]]
    assert (true_labels(other, image, 1) == true_labels(USUAL, image, 1)).all()


@pytest.mark.parametrize("simulation", [USUAL, Simulation("human", field_size_px=300)])
def test_true_labels_lie_on_the_true_centres(simulation):
    image = plan_screen(simulation)[0]
    _, rows = photograph(simulation, image, 1)
    labels = true_labels(simulation, image, 1)
    on = [labels[int(row["y_px"]), int(row["x_px"])] == row["cell_number"] for row in rows]
    assert np.mean(on) > 0.95


def test_unknown_markers_are_refused():
    with pytest.raises(SpecError, match="nuclear_pore"):
        plan_screen(Simulation("yeast", marker="phase"))
    with pytest.raises(SpecError, match="marker"):
        plan_screen(Simulation("human", marker="brightfield"))
