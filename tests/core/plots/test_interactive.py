"""Plots that answer the mouse: groups, texts and places as the page holds them."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex

from pcip_core.plots.interactive import OTHERS, Points, embedded, grouped, scatter
from pcip_core.plots.scatter import embedding_scatter
from tests.core.plots.bokeh_pages import attributes, documents, values_of


def test_groups_by_their_size() -> None:
    labels = ["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["d"] + [""]
    assert grouped(labels, most=4) == labels
    assert grouped(labels, most=3) == ["a"] * 5 + ["b"] * 4 + [OTHERS] * 4 + [""]


def test_text_goes_into_the_page_as_text_and_points_without_place_stay_out() -> None:
    bad = "</script><script>bad()</script>"
    points = Points({"protein": [bad, "it's"]}, ["", ""])
    plot = scatter(
        points, np.array([0.0, np.nan]), np.array([1.0, 2.0]), [bad, bad], name="map", numbered=True
    )
    scripts, places = embedded([plot])
    assert "<script>bad" not in scripts[-1]
    assert scripts[-1].count("</script>") == 1
    assert len(places) == 1
    columns = [dict(one["data"]["entries"]) for one in attributes(documents(scripts), "ColumnDataSource")]
    shared = next(one for one in columns if "text_0" in one)
    assert shared["text_0"] == [bad, "it's"]
    (ups,) = (values for name, values in shared.items() if name.startswith("y_"))
    assert ups["dtype"] == "float32"
    up = values_of(ups)
    assert up[0] == 1
    assert np.isnan(up[1])


def test_nothing_to_draw_needs_no_script() -> None:
    assert embedded([]) == ([], [])


def test_a_class_has_the_colour_that_it_has_on_the_page_of_benchmarks() -> None:
    """Whatever the order of the legend, and although the classes of neither figure are all of the screen's."""
    every = ["cytosol", "golgi", "mitochondria", "nucleus", "vacuole"]
    groups = ["vacuole", "vacuole", "vacuole", "golgi", "nucleus", "nucleus", "", "several terms"]
    places = np.arange(2.0 * len(groups)).reshape(-1, 2)
    points = Points({"protein": groups}, [""] * len(groups))
    plot = scatter(points, places[:, 0], places[:, 1], groups, name="cells", classes=every)
    legend = [(item.label.value, item.renderers[0].glyph) for item in plot.right[0].items]
    on_page = {label.rpartition(" (")[0]: glyph.fill_color for label, glyph in legend}
    assert list(on_page) == ["vacuole", "nucleus", "golgi", "several terms", "unlabelled"]
    labels = np.array(["cytosol", "golgi", "golgi", "nucleus", "vacuole", "", "", "nucleus"])
    (drawn,) = embedding_scatter([("map", places, labels)], "title", every).legends
    handles = zip(drawn.get_texts(), drawn.legend_handles, strict=True)
    in_figure = {text.get_text(): to_hex(handle.get_color()) for text, handle in handles}
    assert {name: in_figure[name] for name in ("golgi", "nucleus", "vacuole")} == {
        name: on_page[name] for name in ("golgi", "nucleus", "vacuole")
    }
    assert len({*in_figure.values(), *on_page.values()}) == 4 + 3  # classes, and three greys
