"""Fields of view with the outlines of their cells."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb

from pcip_core.crops.shard import cut_field
from pcip_core.images.layout import scan
from pcip_core.plots.cells.contact_sheet import ACCEPTED, REJECTED, contact_sheet, panel
from pcip_core.plots.pictures import save_png
from pcip_core.spec.loading import load_screen
from tests.conftest import write_tiny_screen


def test_outlines_surround_accepted_and_rejected_cells(tmp_path):
    crops = {"window_px": 80, "size_px": 16}  # around the middle cell alone, this is within the field
    screen = load_screen(write_tiny_screen(tmp_path, plates=1, crops=crops))
    cut = cut_field(screen, scan(screen).fields[0])
    drawn = panel(screen, cut, len(cut.cells.label))
    assert len(cut.cells.label) == 1
    assert drawn.planes.shape == (2, 800, 800)  # 160 px, enlarged five times
    labels = cut.labels.repeat(5, 0).repeat(5, 1)
    for number in range(1, 10):
        rim = np.flatnonzero((labels == number).any(1))
        row = rim[len(rim) // 2]  # through the middle of the cell
        left = np.flatnonzero(labels[row] == number)[0]
        accepted = number in cut.cells.label
        assert drawn.accepted[row, left - 1 : left + 1].all() == accepted
        assert drawn.rejected[row, left - 1 : left + 1].all() == (not accepted)
    assert not (drawn.accepted & drawn.rejected).any()
    figure = contact_sheet(screen, [drawn])
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert np.allclose(shown[drawn.accepted], to_rgb(ACCEPTED))
    assert np.allclose(shown[drawn.rejected], to_rgb(REJECTED))
    assert figure.axes[0].get_title() == "plate_1_A01_1: 9 cells found, 1 passes"
    assert [text.get_text() for text in figure.axes[0].texts] == ["20 px", "window 80 px"]
    assert save_png(figure, tmp_path / "cells.png").stat().st_size > 10_000


def test_a_large_field_is_shown_where_it_has_the_most_cells(tmp_path):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1, crops={"window_px": 16, "size_px": 16}))
    cut = cut_field(screen, scan(screen).fields[0])
    drawn = panel(screen, cut, 9)
    left, right, bottom, top = drawn.extent
    assert (right - left, bottom - top) == (128, 128)
    inside = (abs(cut.cells.y_px - (top + 64)) < 64) & (abs(cut.cells.x_px - (left + 64)) < 64)
    assert inside.all()
    assert drawn.title.endswith(f"(part at y {top}, x {left})")
