"""The heat map that answers the mouse: its colours, its rows, and what is held once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster import hierarchy

from pcip_core.clustering.tree import leaf_order
from pcip_core.errors import ClusterError, ShapeError
from pcip_core.plots.heatmap import LEVELS, heat_map, lines_of, palette
from pcip_core.plots.interactive import Points, embedded
from tests.core.clustering.clouds import made_tree
from tests.core.plots.bokeh_pages import attributes, documents, values_of


def test_levels_of_colour_are_the_features() -> None:
    points = np.random.default_rng(0).normal(size=(40, 6))
    lines = lines_of(points)
    limit = np.percentile(np.abs(points), 99)
    assert lines.limit == pytest.approx(limit)
    assert lines.levels.dtype == np.uint8
    colours = palette()
    assert (colours[0], colours[LEVELS // 2], colours[-1]) == ("#4fa3ff", "#000000", "#ffe600")
    values = (lines.levels.astype(float) - LEVELS // 2) / (LEVELS // 2) * limit
    clipped = np.clip(points, -limit, limit)
    matched = [
        min(range(6), key=lambda other: np.abs(values[:, column] - clipped[:, other]).max())
        for column in range(6)
    ]
    assert sorted(matched) == list(range(6))  # each column once, in another order
    assert np.abs(values - clipped[:, matched]).max() <= limit / (LEVELS // 2) / 2 + 1e-9


def test_two_trees_of_the_same_lines_hold_them_once() -> None:
    points, tree = made_tree(60)
    other = hierarchy.linkage(points, "average")
    items = Points({"protein": [f"P{row}" for row in range(60)]}, [""] * 60)
    lines = lines_of(points)
    names = [f"P{row}" for row in range(60)]
    plots = [
        heat_map(items, lines, rows_tree, {}, name=f"heat_{number}", rows=np.arange(60), names=names)
        for number, rows_tree in enumerate((tree, other))
    ]
    assert len(lines.callbacks) == 1
    text = documents([str(one) for one in embedded(plots, lines.callbacks)[0]])
    sources = [dict(one["data"]["entries"]) for one in attributes(text, "ColumnDataSource")]
    first, second = (values_of(one["image"][0]) for one in sources if "image" in one)
    assert np.array_equal(first, lines.levels[leaf_order(tree)])
    assert second.size == 1  # the page puts it together (tests/end_to_end looks at that)
    (moved,) = (values_of(one["line"]) for one in sources if "line" in one)
    assert np.array_equal(first[moved], lines.levels[leaf_order(other)])


def test_mismatched_names_and_rows_raise() -> None:
    points, tree = made_tree()
    items = Points({"protein": ["x"] * 12}, [""] * 12)
    with pytest.raises(ShapeError, match="11 names"):
        heat_map(items, lines_of(points), tree, {}, name="h", rows=np.arange(12), names=["x"] * 11)
    order = leaf_order(tree)
    apart = {"A": [order[0], order[5]]}
    with pytest.raises(ClusterError, match="not neighbours"):
        heat_map(items, lines_of(points), tree, apart, name="h", rows=np.arange(12), names=["x"] * 12)
    with pytest.raises(ShapeError, match="3 text_0"):
        Points({"protein": ["a", "b", "c"]}, ["", ""])
