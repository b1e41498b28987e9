"""Heat maps of clustered proteins, as in the paper's Figure 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from pcip_core.clustering.linkage import cluster_tree
from pcip_core.clustering.tree import heights, leaf_order, ordered, sizes, spans
from pcip_core.errors import ClusterError, ShapeError
from pcip_core.plots.style import add_title
from pcip_core.words import many

BLUE_YELLOW = LinearSegmentedColormap.from_list("blue_yellow", ["#4FA3FF", "#000000", "#FFE600"], N=31)
MAJOR, MINOR = ("#8A8A8A", "#000000"), ("#E8820C", "#7B3FA0")
"""Alternating colours of bars of clusters, and of clusters within clusters."""
MOST_NAMES = 80
_MOST_BRANCHES = 200  # approximate number of branches; smaller parts of the tree are not drawn
_NAME_INCHES, _CHARACTER_INCHES = 0.15, 0.085


def cluster_map(
    points: np.ndarray,
    tree_or_order: np.ndarray,
    title: str,
    *,
    clusters: Mapping[str, Sequence[int] | np.ndarray] | None = None,
    labels: Sequence[str] | None = None,
    rows_are: str = "proteins",
    most_lines: int = 640,
    most_columns: int = 480,
) -> Figure:
    """Draw a heat map of features (columns) over rows in the order of a tree: positive yellow, negative blue, 0 black.

    If there are more rows than `most_lines`, each line is the mean of neighbouring rows, and likewise for columns; the
    axis label states the number of averaged rows. In large trees, parts with less than 1 in 200 rows are not drawn.
    Colours saturate at the 99th percentile of the displayed magnitudes. Columns are ordered by average linkage.

    Args:
        points: (n, d) standardized features, in the order of the numbers of the leaves.
        tree_or_order: (n - 1, 4) linkage matrix, drawn at the left, or (n,) rows from top to bottom.
        title: title of the figure; states if images are simulated.
        clusters: name -> its rows, which must be neighbours in the order (`members_of`). Bars at the right show the
            clusters, in alternating grey and black; clusters within others are further right, in orange and purple.
        labels: (n,) names of rows, written for up to 80 rows.
        rows_are: noun for the rows, for the axis label.
        most_lines, most_columns: maximum size of the heat map; by default about its pixels at 110 dots per inch, for
            which a PNG of 12,000 proteins has 0.5 MB. With half of both, the map stays readable in the 200 kB of
            `preview`.

    Raises:
        ShapeError: points, tree or order, and labels differ in the number of rows.
        ClusterError: the rows of a cluster are not neighbours, are unknown, or there are none.

    >>> points = np.array([[1.0, -1.0], [1.0, -0.5], [-1.0, 1.0]])
    >>> figure = cluster_map(points, cluster_tree(points), "example", clusters={"A": [0, 1]})
    >>> len(figure.axes)  # tree, heat map, bars and colour bar
    4

    Source: paper, Figure 4 and Supplementary Figures 4 and 5.
    """
    is_tree = tree_or_order.ndim == 2
    order = leaf_order(tree_or_order) if is_tree else np.asarray(tree_or_order)
    n, columns = points.shape
    if sorted(order) != list(range(n)) or (labels is not None and len(labels) != n):
        raise ShapeError(
            "cluster map",
            found=f"{many(n, 'row')}, an order of {len(order)} and "
            + ("no labels" if labels is None else many(len(labels), "label")),
            required="each row once in the order, and one label per row",
            remedy="Pass the rows, the names and the tree of the same clustering.",
        )
    bars = cluster_bars(order, clusters or {})
    named = labels is not None and n <= MOST_NAMES
    depth_inches = [
        0.25 + _CHARACTER_INCHES * max(len(name) for name, _, _, at in bars if at == depth)
        for depth in range(1 + max((at for *_, at in bars), default=-1))
    ]
    wide, tall = float(np.clip(columns / 70, 2.5, 5.5)), float(np.clip(_NAME_INCHES * n, 2.4, 7.0))
    if named:
        tall = max(2.4, _NAME_INCHES * n)
    widths = [1.3] * is_tree + [wide] + ([sum(depth_inches)] if bars else [])
    names_inches = _CHARACTER_INCHES * max(map(len, labels), default=0) if named and labels else 0.0
    figure = Figure(
        figsize=(sum(widths) + names_inches + 1.1, tall + 1.3),
        layout=ConstrainedLayoutEngine(w_pad=0.02, wspace=0.0),
    )
    add_title(figure, title)
    panels = list(figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0])

    if is_tree:
        _draw_tree(panels[0], tree_or_order)
    heat = panels[int(is_tree)]
    _draw_heat(figure, heat, points[order], rows_are, (most_lines, most_columns))
    if named and labels is not None:
        heat.yaxis.tick_right()
        heat.set_yticks(np.arange(n) + 0.5, [labels[row] for row in order], fontsize=7)
        heat.tick_params(axis="y", length=0)
    if bars:
        _draw_bars(panels[-1], bars, n, depth_inches, gap=n * 0.15 / tall)
    return figure


def _draw_heat(figure: Figure, axes: Axes, lines: np.ndarray, rows_are: str, most: tuple[int, int]) -> None:
    """Draw rows in their order and columns by their tree, averaged to at most `most` lines and columns."""
    n, columns = lines.shape
    if columns > 1:
        lines = lines[:, feature_order(lines)]
    shown = _means(_means(lines, most[0]).T, most[1]).T
    limit = float(np.percentile(np.abs(shown), 99)) or 1.0
    image = axes.imshow(
        shown,
        cmap=BLUE_YELLOW,
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
        extent=(0, columns, n, 0),
    )
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(
        f"{_count_label(columns, shown.shape[1], 'features')}\n{_count_label(n, len(shown), rows_are)}",
        fontsize=8,
    )
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.6, aspect=30, pad=0.01, extend="both")
    bar.set_label("standardized feature", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def feature_order(lines: np.ndarray) -> np.ndarray:
    """Order the columns of (n, d) lines by average linkage: (d,) columns from left to right."""
    columns = np.ascontiguousarray(lines.T)
    return leaf_order(ordered(cluster_tree(columns, method="average", scale=False), columns))


def _means(lines: np.ndarray, most: int) -> np.ndarray:
    """Average neighbouring lines in groups of nearly equal size: (at most `most`, d)."""
    n = len(lines)
    if n <= most:
        return lines
    starts = np.arange(most) * n // most
    return np.add.reduceat(lines.astype(np.float64), starts, axis=0) / np.diff([*starts, n])[:, None]


def _count_label(count: int, drawn: int, noun: str) -> str:
    """Make the label of an axis: the number of rows or columns, and how many are averaged."""
    average = f", mean of {count / drawn:.0f}" if drawn < count else ""
    return f"{count:,} {noun}{average}"


def _draw_tree(axes: Axes, tree: np.ndarray) -> None:
    """Draw the branches from the root at the left; in a large tree, small parts end where they join others."""
    n = len(tree) + 1
    segments = branches(tree, least=n / _MOST_BRANCHES)
    highest, lowest = float(tree[-1, 2]), float(segments[:, :, 0].min())
    axes.add_collection(LineCollection(list(segments), colors="black", linewidths=0.6, capstyle="projecting"))
    room = 0.02 * (highest - lowest) or 1.0
    axes.set(xlim=(highest + room, lowest - room * (lowest > 0)), ylim=(n, 0))
    axes.set_axis_off()


def branches(tree: np.ndarray, *, least: float = 1.0) -> np.ndarray:
    """Compute the lines of a dendrogram: (branches, 4 points, 2); a point is the height and the line of the map.

    The middle of the first line is 0.5. Parts with fewer than `least` leaves end where they join others.

    >>> branches(np.array([[0.0, 1.0, 1.0, 2.0]])).tolist()
    [[[0.0, 0.5], [1.0, 0.5], [1.0, 1.5], [0.0, 1.5]]]
    """
    n = len(tree) + 1
    height, span, size = heights(tree), spans(tree), sizes(tree)
    middle = np.concatenate([span[:n, 0] + 0.5, np.zeros(n - 1)])
    for merge, (left, right) in enumerate(tree[:, :2].astype(int)):
        middle[n + merge] = (middle[left] + middle[right]) / 2
    nodes = np.flatnonzero(size[n:] >= 2 * least) + n
    ends, at = tree[nodes - n, :2].astype(int), height[nodes]
    foot = np.where(size[ends] >= least, height[ends], at[:, None])
    places = np.stack([foot[:, 0], at, at, foot[:, 1]], axis=1)
    lines = middle[ends[:, [0, 0, 1, 1]]]
    return np.stack([places, lines], axis=2)


def cluster_bars(
    order: np.ndarray, clusters: Mapping[str, Sequence[int] | np.ndarray]
) -> list[tuple[str, int, int, int]]:
    """Compute the name, first line, line after the last, and nesting depth of each cluster, from the top.

    >>> cluster_bars(np.array([2, 0, 1]), {"A": [0, 1], "A1": [1]})
    [('A', 1, 3, 0), ('A1', 2, 3, 1)]
    """
    line = np.empty(len(order), int)
    line[order] = np.arange(len(order))
    bars = []
    for name, rows in clusters.items():
        wanted = np.unique(np.asarray(rows, int))
        known = wanted.size > 0 and wanted[0] >= 0 and wanted[-1] < len(order)
        lines = line[wanted] if known else np.array([-1])
        if not known or np.ptp(lines) != len(wanted) - 1:
            raise ClusterError(
                f"cluster {name}",
                found=f"{many(len(wanted), 'row')} that are not neighbours in the map, or not in it",
                required="rows that are adjacent in the order",
                remedy="Pass the members of a node of the drawn tree.",
            )
        bars.append((str(name), int(lines.min()), int(lines.max()) + 1))
    bars.sort(key=lambda bar: (bar[1], -bar[2]))
    return [
        (name, start, stop, sum(a <= start and stop <= b for other, a, b in bars if other != name))
        for name, start, stop in bars
    ]


def _draw_bars(
    axes: Axes, bars: list[tuple[str, int, int, int]], n: int, inches: list[float], *, gap: float
) -> None:
    """Draw one column of bars per depth, with the names at their right, moved apart where they would overlap."""
    left = np.concatenate([[0], np.cumsum(inches)])
    for depth in range(len(inches)):
        at_depth = [(name, start, stop) for name, start, stop, at in bars if at == depth]
        colours = MAJOR if depth == 0 else MINOR
        places = spread_apart([(start + stop) / 2 for _, start, stop in at_depth], gap, n)
        for turn, ((name, start, stop), place) in enumerate(zip(at_depth, places, strict=True)):
            colour = colours[turn % 2]
            axes.bar(left[depth], stop - start, 0.1, bottom=start, align="edge", color=colour)
            line = [left[depth] + 0.1, left[depth] + 0.18], [(start + stop) / 2, place]
            axes.plot(*line, color=colour, linewidth=0.6)
            axes.text(left[depth] + 0.2, place, name, fontsize=8, va="center", color=colour)
    axes.set(xlim=(0, left[-1]), ylim=(n, 0))
    axes.set_axis_off()


def spread_apart(places: list[float], gap: float, n: int) -> list[float]:
    """Move ascending positions slightly, so that neighbours are `gap` apart, within 0 to n if they fit.

    >>> spread_apart([1.0, 1.5, 4.0], 1.0, 5)
    [1.0, 2.0, 4.0]
    """
    moved = list(places)
    for k in range(1, len(moved)):
        moved[k] = max(moved[k], moved[k - 1] + gap)
    limit = n - gap / 2
    for k in range(len(moved) - 1, -1, -1):
        moved[k] = min(moved[k], limit)
        limit = moved[k] - gap
    return moved
