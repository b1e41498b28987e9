"""What the maps of cells show."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from pcip_core.plots.pictures import preview
from pcip_core.plots.scatter import embedding_scatter, panels_of
from pcip_core.plots.style import PALETTE, colour, marker, shade
from tests.core.plots.reading import TITLE, legend


def test_a_class_has_one_colour_in_all_panels() -> None:
    places = np.arange(10.0).reshape(5, 2)
    panels = [
        ("first", places, np.array(["ER", "", "ER", "Golgi", ""])),
        ("second", places, np.array(["Golgi", "Golgi", "Golgi", "Golgi", "ER"])),
    ]
    figure = embedding_scatter(panels, TITLE)
    counts = [
        {to_hex(one.get_facecolor()[0]).upper(): len(one.get_offsets()) for one in axes.collections}
        for axes in figure.axes
    ]
    grey = to_hex("lightgrey").upper()
    assert counts == [{grey: 2, PALETTE[0]: 2, PALETTE[1]: 1}, {PALETTE[0]: 1, PALETTE[1]: 4}]
    np.testing.assert_array_equal(figure.axes[0].collections[1].get_offsets(), places[[0, 2]])
    assert [axes.get_title() for axes in figure.axes] == ["first", "second"]
    assert legend(figure) == ["ER", "Golgi", "unlabelled"]
    assert len(figure.legends) == 1
    assert all(one.get_rasterized() for axes in figure.axes for one in axes.collections)
    assert not any(len(axes.get_xticks()) or len(axes.get_yticks()) for axes in figure.axes)


def test_points_that_are_not_finite_are_left_out() -> None:
    places = np.array([[0.0, 1.0], [np.nan, 1.0], [2.0, np.inf]])
    figure = embedding_scatter([("map", places, np.array(["ER", "ER", "ER"]))], TITLE)
    assert [len(one.get_offsets()) for one in figure.axes[0].collections] == [1]
    assert legend(figure) == ["ER"]


def test_no_class_vanishes_where_points_are_small() -> None:
    member = np.repeat(np.arange(18), 500)
    places = np.stack([member + np.random.default_rng(0).uniform(-0.3, 0.3, 9000), member * 0.0], axis=1)
    labels = np.array([f"class {index:02}" for index in range(18)])[member]
    figure = embedding_scatter([("map", places, labels)], TITLE)
    (axes,) = figure.axes
    for text in axes.texts:
        text.set_visible(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[::-1, :, :3]  # from the bottom, as transData has it
    for index in range(18):
        (left, y), (right, _) = axes.transData.transform([(index - 0.3, 0), (index + 0.3, 0)]).astype(int)
        assert (drawn[y - 4 : y + 5, left : right + 1].min(axis=2) < 250).any(), index


def test_18_classes_differ_in_colour_or_marker() -> None:
    assert len({(colour(index), marker(index)) for index in range(81)}) == 81
    names = [f"class {index:02}" for index in range(18)]
    figure = embedding_scatter([("map", np.zeros((18, 2)), np.array(names))], TITLE)
    preview(figure)
    box = figure.legends[0].get_window_extent()
    assert legend(figure) == [f"{number}  {name}" for number, name in enumerate(names, 1)]
    assert [text.get_text() for text in figure.axes[0].texts] == [str(number) for number in range(1, 19)]
    assert len({shade(index) for index in range(18)}) == 18
    assert box.y0 >= 0
    assert box.y1 <= figure.bbox.height


def test_a_table_of_maps_becomes_one_panel_per_feature_set() -> None:
    rows = [("b", "ER", 0.0, 1.0), ("a", None, 2.0, 3.0), ("b", None, 4.0, 5.0), ("a", "Golgi", 6.0, 7.0)]
    table = pl.DataFrame(rows, ["feature_set", "label", "x", "y"], orient="row")
    panels = panels_of(table)
    assert [name for name, _, _ in panels] == ["b", "a"]
    for name, places, labels in panels:
        assert places.tolist() == [[x, y] for chosen, _, x, y in rows if chosen == name]
        assert labels.tolist() == [label or "" for chosen, label, _, _ in rows if chosen == name]
    assert panels_of(table.clear()) == []
