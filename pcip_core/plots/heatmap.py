"""An interactive clustered heat map by Bokeh: dendrogram, features and bars of clusters with shared rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from pcip_core.clustering.tree import leaf_order
from pcip_core.errors import ShapeError
from pcip_core.plots.clustermap import (
    BLUE_YELLOW,
    MAJOR,
    MINOR,
    branches,
    cluster_bars,
    feature_order,
)
from pcip_core.plots.interactive import WIDTH, Points, add_wheel, base_figure
from pcip_core.words import many

LEVELS = 255
"""Number of colours of the heat map; the middle colour is 0."""
_TILE = 4096  # lines per image, because browsers limit the height of images
_FEW = 400  # maximum number of visible lines for the full detail of the tree
_LEAST_HEIGHT, _MOST_HEIGHT, _LINE = 360, 760, 12  # px
_TREE, _NAMES, _BAR = 170, 130, 70


@dataclass
class Lines:
    """The heat map of one set of rows. Several trees can order the rows; the page contains the data once.

    Attributes:
        levels: (n, d) uint8, columns in their display order.
        limit: the magnitude at which colours saturate, the 99th percentile.
        order: the order of the first tree.
        source: the data in the page, in that order.
        callbacks: callbacks that reorder the data for the other trees after the page has been drawn.
    """

    levels: np.ndarray
    limit: float
    order: np.ndarray | None = None
    source: Any = None
    callbacks: list[Any] = field(default_factory=list)


def lines_of(points: np.ndarray) -> Lines:
    """Convert standardized features to levels of colour.

    Args:
        points: (n, d).

    >>> lines_of(np.array([[-1.0], [0.0], [1.0]])).levels.ravel().tolist()
    [0, 127, 254]
    """
    if points.shape[1] > 1:
        points = points[:, feature_order(points)]
    limit = float(np.percentile(np.abs(points), 99)) or 1.0
    middle = LEVELS // 2
    levels = np.clip(np.round(points / limit * middle), -middle, middle) + middle
    return Lines(levels.astype(np.uint8), limit)


def palette() -> list[str]:
    """Make the colours of the levels: blue, black at 0, yellow."""
    return [to_hex(BLUE_YELLOW(place)) for place in np.linspace(0, 1, LEVELS)]


def heat_map(
    points: Points,
    lines: Lines,
    tree: np.ndarray,
    clusters: Mapping[str, Sequence[int]],
    *,
    name: str,
    rows: np.ndarray,
    names: Sequence[str],
    notes: Mapping[str, str] | None = None,
) -> Any:
    """Draw rows in the order of a tree, the tree at the left, and bars of clusters at the right.

    Ctrl and the mouse wheel zoom all three panels together. Names of rows appear if there is space for them.

    Args:
        points: tooltips and pictures of items, which include the rows.
        lines: heat map of the leaves, in the order of their numbers.
        tree: (n - 1, 4) linkage matrix.
        clusters: name -> leaves, which must be neighbours in the order.
        name: name of the plot in the page.
        rows: (n,) item of each leaf.
        names: (n,) names of the leaves.
        notes: cluster -> additional text of its tooltip.

    Raises:
        ShapeError: lines, tree, rows and names differ in length.
        ClusterError: leaves of a cluster are not neighbours.
    """
    from bokeh.layouts import gridplot
    from bokeh.models import CustomJS, Range1d

    order = leaf_order(tree)
    n, columns = lines.levels.shape
    if not n == len(order) == len(rows) == len(names):
        raise ShapeError(
            f"heat map {name}",
            found=f"{many(n, 'line')}, {len(order)} leaves, {many(len(rows), 'row')}, {many(len(names), 'name')}",
            required="equal numbers",
            remedy="Pass the rows, the names and the tree of the same clustering.",
        )
    height = int(np.clip(_LINE * n, _LEAST_HEIGHT, _MOST_HEIGHT)) + 60
    bars = cluster_bars(order, clusters)
    beside = _TREE + _NAMES + _BAR * (1 + max((depth for *_, depth in bars), default=0))
    down = Range1d(n - 0.5, -0.5, bounds=(-0.5, n - 0.5), min_interval=min(n / 2, 8))
    common: dict[str, Any] = {"y_range": down, "toolbar_location": None}
    left = base_figure(f"{name}_tree", height, axes=None, width=_TREE, x_range=_tree_range(tree), **common)
    heat = base_figure(
        f"{name}_heat", height, axes=None, width=WIDTH - beside + _NAMES,
        x_range=Range1d(0, columns, bounds=(0, columns)), **common,
    )  # fmt: skip
    right = base_figure(f"{name}_bars", height, axes=None, width=beside - _TREE - _NAMES, **common)
    for panel in (left, heat, right):
        panel.min_border = 0
        panel.outline_line_color = None
    for panel in (left, right):
        panel.toolbar.tools = []
        add_wheel(panel, "height")
    heat.toolbar.tools = [tool for tool in heat.toolbar.tools if type(tool).__name__ != "WheelZoomTool"]
    add_wheel(heat, "height")

    _draw_tree(left, tree, down, n)
    _draw_lines(heat, lines, order)
    _draw_rows(heat, points, order, rows, clusters, columns)
    _write_names(heat, [names[leaf] for leaf in order], height - 60)
    _draw_bars(right, bars, order, notes or {})
    for panel in (left, heat, right):
        panel.js_on_event(
            "doubletap", CustomJS(args={"down": down}, code=f"down.start = {n - 0.5}; down.end = -0.5")
        )
    return gridplot([[left, heat, right]], toolbar_options={"logo": None}, toolbar_location="above")


def _tree_range(tree: np.ndarray) -> Any:
    """Make the range of heights, from the root at the left to slightly below 0."""
    from bokeh.models import Range1d

    top = float(tree[-1, 2]) or 1.0
    return Range1d(1.02 * top, -0.01 * top)


def _draw_tree(figure: Any, tree: np.ndarray, down: Any, n: int) -> None:
    """Draw the tree; of a large tree only the large parts, until the user zooms in."""
    from bokeh.models import ColumnDataSource, CustomJS

    def draw(least: float, width: float) -> Any:
        segments = branches(tree, least=least).astype(np.float32)
        gaps = np.full((len(segments), 1, 2), np.nan, np.float32)
        segments = np.concatenate([segments, gaps], axis=1)
        source = ColumnDataSource({"x": segments[:, :, 0].ravel(), "y": segments[:, :, 1].ravel() - 0.5})
        return figure.line("x", "y", source=source, color="black", line_width=width)

    if n <= _FEW:
        draw(1, 1.0)
        return
    coarse, fine = draw(n / _FEW, 1.0), draw(1, 0.7)
    fine.visible = False
    code = f"""
      const few = Math.abs(down.end - down.start) <= {_FEW};
      if (fine.visible != few) {{ fine.visible = few; coarse.visible = !few; }}
    """
    chosen = CustomJS(args={"down": down, "fine": fine, "coarse": coarse}, code=code)
    down.js_on_change("start", chosen)
    down.js_on_change("end", chosen)


def _draw_lines(figure: Any, lines: Lines, order: np.ndarray) -> None:
    """Draw the heat map in tiles that every browser can draw, sampling lines if there are more than pixels."""
    from bokeh.models import ColumnDataSource, CustomJS, LinearColorMapper

    n, columns = lines.levels.shape
    starts = list(range(0, n, _TILE))
    heights = [min(_TILE, n - start) for start in starts]
    first = lines.source is None
    tiles = [
        np.ascontiguousarray(lines.levels[order[start : start + _TILE]])
        if first
        else np.zeros((1, 1), np.uint8)
        for start in starts
    ]
    source = ColumnDataSource(
        {
            "image": tiles,
            "x": [0] * len(tiles),
            "y": [start - 0.5 for start in starts],
            "dw": [columns] * len(tiles),
            "dh": heights,
        }
    )
    mapper = LinearColorMapper(palette=palette(), low=0, high=LEVELS - 1)
    figure.image("image", "x", "y", "dw", "dh", source=source, color_mapper=mapper)
    if first:
        lines.source, lines.order = source, order
        return
    place = np.empty(n, np.int32)
    place[lines.order] = np.arange(n)
    moved = ColumnDataSource({"line": place[order]})
    args = {"shown": lines.source, "wanted": source, "moved": moved, "columns": columns, "tile": _TILE}
    lines.callbacks.append(CustomJS(args=args, code=_REORDER))


_REORDER = """
  const line = moved.data.line, tiles = shown.data.image;
  const bytes = tiles.map((array) => new Uint8Array(array.buffer, array.byteOffset, array.length));
  const image = tiles.map((array, number) => {
    const rows = array.length / columns, out = new Uint8Array(array.length);
    for (let row = 0; row < rows; row++) {
      const at = line[number * tile + row], from = (at % tile) * columns;
      out.set(bytes[Math.floor(at / tile)].subarray(from, from + columns), row * columns);
    }
    return new array.constructor(out, [rows, columns]);
  });
  wanted.data = {...wanted.data, image};
"""


def _draw_rows(
    figure: Any,
    points: Points,
    order: np.ndarray,
    rows: np.ndarray,
    clusters: Mapping[str, Sequence[int]],
    columns: int,
) -> None:
    """Draw a bar over each row, which is invisible except under the mouse, and shows the tooltip."""
    from bokeh.models import HoverTool

    clusters_of: list[list[str]] = [[] for _ in order]
    for name, leaves in sorted(clusters.items(), key=lambda item: -len(item[1])):
        for leaf in leaves:
            clusters_of[leaf].append(name)
    count = len(points.pictures)
    place, cluster = np.full(count, np.nan, np.float32), [""] * count
    place[rows[order]] = np.arange(len(order))
    for leaf, row in enumerate(rows):
        cluster[row] = ", ".join(clusters_of[leaf])
    y, named = points.add("leaf", place), points.add("cluster", cluster)
    bars = figure.hbar(
        y=y, height=1, left=0, right=columns, source=points.source, fill_alpha=0, line_alpha=0,
        hover_fill_color="white", hover_fill_alpha=0.12, hover_line_color="white", hover_line_alpha=1,
        nonselection_fill_alpha=0, nonselection_line_alpha=0,
    )  # fmt: skip
    figure.add_tools(
        HoverTool(
            renderers=[bars],
            tooltips=points.tooltip({"cluster": named}),
            limit=1,
            point_policy="follow_mouse",
            attachment="right",
        )
    )


def _write_names(figure: Any, names: list[str], px: int) -> None:
    """Write the names of the rows at the right, if there is space for one per row."""
    from bokeh.models import BasicTicker, CustomJSTickFormatter, LinearAxis

    axis = LinearAxis(
        ticker=BasicTicker(min_interval=1, desired_num_ticks=max(px // 11, 10)),
        formatter=CustomJSTickFormatter(
            args={"names": names, "most": px / 8},
            code="""
              const each = ticks.length < 2 || ticks[1] - ticks[0] == 1;
              return each && ticks.length <= most && tick in names ? names[tick] : "";
            """,
        ),
        major_label_text_font_size="9px",
        major_tick_line_color=None,
        minor_tick_line_color=None,
        axis_line_color=None,
        major_label_standoff=0,
    )
    figure.add_layout(axis, "right")


def _draw_bars(
    figure: Any, bars: list[tuple[str, int, int, int]], order: np.ndarray, notes: Mapping[str, str]
) -> None:
    """Draw bars of clusters; clusters within others are further right."""
    from bokeh.models import ColumnDataSource, HoverTool, Range1d

    deepest = max((depth for *_, depth in bars), default=0)
    figure.x_range = Range1d(0, deepest + 1)
    turns: dict[int, int] = {}
    rows: dict[str, list[Any]] = {
        key: []
        for key in ("left", "right", "top", "bottom", "middle", "colour", "name", "size", "note", "text")
    }
    for name, start, stop, depth in bars:
        turn = turns[depth] = turns.get(depth, -1) + 1
        values = {
            "left": depth, "right": depth + 0.15, "text": depth + 0.22, "top": start - 0.5, "bottom": stop - 0.5,
            "middle": (start + stop - 1) / 2, "colour": (MINOR if depth else MAJOR)[turn % 2], "name": name,
            "size": str(stop - start), "note": notes.get(name, ""),
        }  # fmt: skip
        for key, value in values.items():
            rows[key].append(value)
    source = ColumnDataSource(rows)
    drawn = figure.quad("left", "right", "top", "bottom", source=source, color="colour", line_color="white")
    figure.text(
        "text", "middle", "name", source=source, text_color="colour", text_font_size="12px",
        text_baseline="middle",
    )  # fmt: skip
    tooltip = "<div><b>cluster @name</b>: @size members</div><div>@note</div>"
    figure.add_tools(HoverTool(renderers=[drawn], tooltips=tooltip, attachment="left"))
