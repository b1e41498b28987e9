"""Crops with captions, in a grid or at the branches of a dendrogram (paper, Figure 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from scipy.cluster.hierarchy import dendrogram

from pcip_core.errors import ShapeError
from pcip_core.plots.cells.key import KEY_INCHES, Scale, add_key, draw_bar
from pcip_core.plots.cells.montage import composite, crop_mosaic
from pcip_core.plots.cells.tiles import add_rows
from pcip_core.plots.style import add_title, colour, no_scores
from pcip_core.words import many

_CROP_INCHES = 0.95


def gallery(
    crops: np.ndarray,
    channels: tuple[str, ...],
    protein: tuple[str, ...],
    captions: Sequence[str],
    title: str,
    *,
    columns: int = 8,
    alone: bool = False,
    scale: Scale | None = None,
) -> Figure:
    """Draw crops as composites in a grid, with a caption below each, a scale bar and the colours of the channels.

    Args:
        crops: (n, C, S, S) uint8, or float in [0, 1].
        channels, protein: names of the C channels, and of the protein channels.
        captions: n captions, with one or more short lines each.
        title: title of the figure; states if images are simulated.
        columns: maximum number of columns of the grid.
        alone: whether to draw the first protein channel in grey instead of the composite.
        scale: size of a pixel of the crops; None: no scale bar.

    Raises:
        ShapeError: crops and captions differ in length.

    >>> figure = gallery(np.zeros((2, 1, 8, 8), np.uint8), ("protein",), ("protein",), ["A", "B"], "example")
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['A', 'B']
    """
    _require_captions("gallery", crops, captions)
    if not len(crops):
        return no_scores(title)
    columns = min(columns, len(crops))
    rows = -(-len(crops) // columns)
    below = 0.16 * max(caption.count("\n") + 1 for caption in captions)
    figure = Figure(
        figsize=(max(columns * _CROP_INCHES, 2.4), rows * (_CROP_INCHES + below) + 0.5 + KEY_INCHES),
        layout="constrained",
    )
    add_title(figure, title)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(crops) :]:
        axes.set_axis_off()
    for axes, crop, caption in zip(grid, crops, captions, strict=False):
        _show(axes, crop, channels, protein, alone=alone)
        axes.set_xlabel(caption, fontsize=7, labelpad=2)
    bar = "" if scale is None else draw_bar(grid[0], scale, crops.shape[-1])
    marks = {f"{protein[0]} (grey)": "0.7"} if alone else {}
    add_key(figure, () if alone else channels, protein, bar=bar, marks=marks)
    return figure


def row_gallery(
    rows: Sequence[tuple[str, np.ndarray]],
    channels: tuple[str, ...],
    protein: tuple[str, ...],
    title: str,
    *,
    scale: Scale | None = None,
) -> Figure:
    """Draw one row of crops per protein, with its name at the left (paper, Figure 5: the ten most variable).

    Args:
        rows: name, possibly with several lines, and (n, C, S, S) crops from left to right.
        channels, protein: names of the C channels, and of the protein channels.
        title: title of the figure; states if images are simulated.
        scale: size of a pixel of the crops; None: no scale bar.
    """
    columns = max((len(crops) for _, crops in rows), default=0)
    if not columns:
        return no_scores(title)
    label = 0.09 * max(len(line) for name, _ in rows for line in name.split("\n"))
    size = (columns * _CROP_INCHES + label + 0.2, len(rows) * (_CROP_INCHES + 0.05) + 0.5 + KEY_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    add_title(figure, title)
    axes = add_rows(figure, [(name, list(composite(crops, channels, protein))) for name, crops in rows])
    bar = "" if scale is None else draw_bar(axes, scale, rows[0][1].shape[-1])
    add_key(figure, channels, protein, bar=bar)
    return figure


def crop_montage(
    pixels: np.ndarray,
    channels: tuple[str, ...],
    protein: tuple[str, ...],
    title: str,
    *,
    scale: Scale | None = None,
) -> Figure:
    """Draw evenly spaced crops of a shard as composites, with the protein channel of each below it.

    Args:
        pixels: (n, C, S, S) uint8.
        channels, protein: names of the C channels, and of the protein channels.
        title: title of the figure; states if images are simulated.
        scale: size of a pixel of the crops; None: no scale bar.
    """
    mosaic, size = crop_mosaic(pixels, channels, protein), pixels.shape[-1]
    height, width = (0.8 * side / size for side in mosaic.shape[:2])
    whole = height + 0.3 + KEY_INCHES
    figure = Figure(figsize=(width, whole))
    figure.suptitle(title, fontsize=10, y=1 - 0.05 / whole)
    axes = figure.add_axes((0, KEY_INCHES / whole, 1, height / whole))
    axes.imshow(mosaic, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    bar = "" if scale is None else draw_bar(axes, scale, size)
    add_key(figure, channels, protein, bar=bar)
    return figure


def dendrogram_gallery(
    tree: np.ndarray,
    crops: np.ndarray,
    title: str,
    *,
    channels: tuple[str, ...],
    protein: tuple[str, ...],
    cluster: np.ndarray,
    shown: Mapping[int, Sequence[int]],
    names: Mapping[int, str] | None = None,
    captions: Mapping[int, str] | None = None,
    scale: Scale | None = None,
) -> Figure:
    """Draw a dendrogram and, below it, crops of each cluster, connected to their leaves by lines.

    Args:
        tree: (n - 1, 4) linkage matrix, as `Phenotypes.linkage`; leaves are drawn in its order.
        crops: (n, C, S, S) crops of all cells, of which only those in `shown` are read.
        title: title of the figure; states if images are simulated.
        channels, protein: names of the C channels, and of the protein channels.
        cluster: (n,) number of the cluster of each cell, from 1; the clusters are a cut of the tree.
        shown: cluster -> positions of its cells to draw, as `Phenotype.rows`.
        names: cluster -> its name; by default its number. The share of the cells is added.
        captions: position of a cell -> caption below its crop.
        scale: size of a pixel of the crops; None: no scale bar.

    Raises:
        ShapeError: crops, clusters and tree differ in length.
    """
    cluster = np.asarray(cluster)
    if not len(tree) + 1 == len(crops) == len(cluster):
        raise ShapeError(
            "dendrogram gallery",
            found=f"{len(tree) + 1} leaves, {many(len(crops), 'crop')}, {len(cluster)} cluster numbers",
            required="equal numbers",
            remedy="Pass the crops of the clustered cells, in the same order.",
        )
    drawn = dendrogram(tree, no_plot=True)
    place_of = {leaf: 10.0 * index + 5 for index, leaf in enumerate(drawn["leaves"])}  # as scipy draws them
    cells = sorted((cell for rows in shown.values() for cell in rows), key=lambda cell: place_of[cell])
    columns = max(len(cells), 1)
    figure = Figure(figsize=(max(columns * _CROP_INCHES, 4.0), 4.0 + KEY_INCHES), layout="constrained")
    add_title(figure, title)
    grid = figure.add_gridspec(2, columns, height_ratios=(2.0, 1.0))
    top = figure.add_subplot(grid[0, :])
    labels = cluster[np.array(drawn["leaves"])]
    _branches(top, drawn, labels)
    for number in sorted(set(cluster.tolist())):
        leaves = np.flatnonzero(labels == number)
        span = (10.0 * leaves.min(), 10.0 * leaves.max() + 10)
        top.axvspan(*span, ymax=0.03, color=colour(number - 1), linewidth=0)
        name = (names or {}).get(number, str(number))
        text = f"{name}\n{np.mean(cluster == number):.0%}"
        top.text(sum(span) / 2, 1.01, text, ha="center", va="bottom", fontsize=8, color=colour(number - 1),
                 transform=top.get_xaxis_transform())  # fmt: skip
    top.set(xlim=(0, 10 * len(labels)), ylim=(0, None), xticks=[])
    top.set_ylabel("Ward distance", fontsize=8)
    top.spines[["top", "right"]].set_visible(False)
    bar = ""
    for column, cell in enumerate(cells):
        axes = figure.add_subplot(grid[1, column])
        _show(axes, crops[cell], channels, protein, alone=False)
        if scale is not None and column == 0:
            bar = draw_bar(axes, scale, crops.shape[-1])
        axes.set_xlabel((captions or {}).get(cell, ""), fontsize=8, labelpad=2)
        tint = colour(int(cluster[cell]) - 1)
        for spine in axes.spines.values():
            spine.set(color=tint, linewidth=2)
        figure.add_artist(
            ConnectionPatch(
                (place_of[cell], 0), (0.5, 1), "data", "axes fraction", axesA=top, axesB=axes,
                color=tint, linewidth=0.8,
            )
        )  # fmt: skip
    add_key(figure, channels, protein, bar=bar)
    return figure


def _branches(axes: Axes, drawn: Mapping[str, Any], labels: np.ndarray) -> None:
    """Draw the merges of a tree, in the colour of the cluster that they lie in."""
    for across, up in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        first, last = (int(np.clip(round((x - 5) / 10), 0, len(labels) - 1)) for x in (across[0], across[3]))
        under = set(labels[first : last + 1].tolist())
        axes.plot(across, up, color=colour(under.pop() - 1) if len(under) == 1 else "dimgrey", linewidth=1)


def _show(
    axes: Axes, crop: np.ndarray, channels: tuple[str, ...], protein: tuple[str, ...], *, alone: bool
) -> None:
    """Draw one crop, without ticks."""
    if alone:
        top = 255 if crop.dtype == np.uint8 else 1
        axes.imshow(crop[channels.index(protein[0])], cmap="gray", vmin=0, vmax=top, interpolation="nearest")
    else:
        axes.imshow(composite(crop, channels, protein), interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def _require_captions(where: str, crops: np.ndarray, captions: Sequence[str]) -> None:
    if len(crops) != len(captions):
        raise ShapeError(
            where,
            found=f"{many(len(crops), 'crop')}, {many(len(captions), 'caption')}",
            required="one caption per crop",
            remedy="Pass a caption, possibly empty, for each crop.",
        )
