"""Plots that answer the mouse: groups, texts and places as the page holds them."""

from __future__ import annotations

import numpy as np

from pcip_core.plots.interactive import OTHERS, Points, embedded, grouped, scatter
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
