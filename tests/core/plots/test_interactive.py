"""Plots that answer the mouse: what goes into them, against scipy's dendrogram and plain loops."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image
from scipy.cluster import hierarchy

from pcip_core.clustering.tree import from_nodes, heights, leaf_order, parents, sizes, spans
from pcip_core.errors import ClusterError, ShapeError
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.cells.thumbnails import lighter, strip
from pcip_core.plots.clustermap import branches
from pcip_core.plots.heatmap import LEVELS, heat_map, lines_of, palette
from pcip_core.plots.interactive import OTHERS, Points, embedded, grouped, scatter


def made_tree(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    points = np.random.default_rng(3).normal(size=(n, 5))
    return points, hierarchy.linkage(points, "ward")


def nodes_of(tree: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "parent": parents(tree),
        "height": heights(tree),
        "size": sizes(tree),
        "first_leaf": spans(tree)[:, 0],
    }


def test_branches_are_those_of_scipys_dendrogram() -> None:
    _, tree = made_tree()
    drawn = hierarchy.dendrogram(tree, no_plot=True)
    expected = {
        (*np.round(up, 9), *np.round((np.array(across) - 5) / 10 + 0.5, 9))
        for across, up in zip(drawn["icoord"], drawn["dcoord"], strict=True)
    }
    found = {(*np.round(line[:, 0], 9), *np.round(line[:, 1], 9)) for line in branches(tree)}
    assert found == expected


def test_a_tree_from_its_nodes_is_the_tree() -> None:
    _, tree = made_tree()
    swapped = tree.copy()
    swapped[4, :2] = swapped[4, 1::-1]  # the order of leaves is kept, also another than linkage gives
    again = from_nodes(**nodes_of(swapped))
    assert np.array_equal(again, swapped)
    assert np.array_equal(leaf_order(again), hierarchy.leaves_list(swapped))


@pytest.mark.parametrize("damage", ["lost", "no pair"])
def test_nodes_that_are_no_tree(damage: str) -> None:
    nodes = nodes_of(made_tree()[1])
    if damage == "lost":
        nodes = {name: values[:-1] for name, values in nodes.items()}
    else:
        nodes["parent"] = np.where(np.arange(len(nodes["parent"])) == 0, nodes["parent"][5], nodes["parent"])
    with pytest.raises(ClusterError, match="no tree of pairs"):
        from_nodes(**nodes)


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


def documents(scripts: list[str]) -> str:
    """The JSON that the page's script hands to Bokeh, as Bokeh will read it."""
    found = re.search(r"const docs_json = '(.*)';\n", scripts[-1])
    assert found is not None
    return unescape(found[1].replace("\\\\", "\\"))


def values_of(array: dict) -> np.ndarray:
    """An array of the document, which Bokeh may have compressed."""
    data = base64.b64decode(array["array"]["data"])
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return np.frombuffer(data, array["dtype"]).reshape(array["shape"])


def attributes(text: str, name: str) -> list[dict]:
    """Attributes of every model of a kind in the document."""
    found: list[dict] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if node.get("name") == name and "attributes" in node:
                found.append(node["attributes"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json.loads(text))
    return found


def test_two_trees_of_the_same_lines_hold_them_once() -> None:
    points, tree = made_tree(60)
    other = hierarchy.linkage(points, "average")
    told = Points({"protein": [f"P{row}" for row in range(60)]}, [""] * 60)
    lines = lines_of(points)
    names = [f"P{row}" for row in range(60)]
    plots = [
        heat_map(told, lines, one, {}, name=f"heat_{number}", rows=np.arange(60), names=names)
        for number, one in enumerate((tree, other))
    ]
    assert len(lines.callbacks) == 1
    text = documents([str(one) for one in embedded(plots, lines.callbacks)[0]])
    sources = [dict(one["data"]["entries"]) for one in attributes(text, "ColumnDataSource")]
    first, second = (values_of(one["image"][0]) for one in sources if "image" in one)
    assert np.array_equal(first, lines.levels[leaf_order(tree)])
    assert second.size == 1  # the page puts it together (tests/end_to_end looks at that)
    (moved,) = (values_of(one["line"]) for one in sources if "line" in one)
    assert np.array_equal(first[moved], lines.levels[leaf_order(other)])


def test_names_and_rows_that_do_not_fit() -> None:
    points, tree = made_tree()
    told = Points({"protein": ["x"] * 12}, [""] * 12)
    with pytest.raises(ShapeError, match="11 names"):
        heat_map(told, lines_of(points), tree, {}, name="h", rows=np.arange(12), names=["x"] * 11)
    order = leaf_order(tree)
    apart = {"A": [order[0], order[5]]}
    with pytest.raises(ClusterError, match="not neighbours"):
        heat_map(told, lines_of(points), tree, apart, name="h", rows=np.arange(12), names=["x"] * 12)
    with pytest.raises(ShapeError, match="3 told_0"):
        Points({"protein": ["a", "b", "c"]}, ["", ""])


def test_groups_by_their_size() -> None:
    labels = ["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["d"] + [""]
    assert grouped(labels, most=4) == labels
    assert grouped(labels, most=3) == ["a"] * 5 + ["b"] * 4 + [OTHERS] * 4 + [""]


def test_text_goes_into_the_page_as_text_and_points_without_place_stay_out() -> None:
    bad = "</script><script>bad()</script>"
    told = Points({"protein": [bad, "it's"]}, ["", ""])
    plot = scatter(told, np.array([0.0, np.nan]), np.array([1.0, 2.0]), [bad, bad], name="map", numbered=True)
    scripts, places = embedded([plot])
    assert "<script>bad" not in scripts[-1]
    assert scripts[-1].count("</script>") == 1
    assert len(places) == 1
    columns = [dict(one["data"]["entries"]) for one in attributes(documents(scripts), "ColumnDataSource")]
    shared = next(one for one in columns if "told_0" in one)
    assert shared["told_0"] == [bad, "it's"]
    (ups,) = (values for name, values in shared.items() if name.startswith("y_"))
    assert ups["dtype"] == "float32"
    up = values_of(ups)
    assert up[0] == 1
    assert np.isnan(up[1])


def test_nothing_to_draw_needs_no_script() -> None:
    assert embedded([]) == ([], [])


def test_a_strip_shows_the_crops() -> None:
    y, x = np.mgrid[:64, :64]
    crops = np.stack([np.stack([y * 3, x * 3]), np.stack([x * 2, 255 - y * 2])]).astype(np.uint8)
    source = strip(crops, ("dna", "tag"), ("tag",))
    kind, data = source.split(",", 1)
    assert kind == "data:image/webp;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), float)
    expected = np.concatenate(list(composite(crops, ("dna", "tag"), ("tag",))), axis=1) * 255
    assert shown.shape == (64, 128, 3)
    assert np.abs(shown - expected).mean() < 4
    small = strip(crops[:, :, ::2, ::2], ("dna", "tag"), ("tag",))
    assert Image.open(io.BytesIO(base64.b64decode(small.split(",", 1)[1]))).size == (128, 64)


def test_a_figure_for_print_is_made_as_wide_as_it_is_read() -> None:
    file = io.BytesIO()
    Image.new("RGB", (2000, 500), "white").save(file, "PNG")
    data, width = lighter(file.getvalue())
    assert Image.open(io.BytesIO(data)).size == (1600, 400)
    assert width == 2000 * 105 // 200
