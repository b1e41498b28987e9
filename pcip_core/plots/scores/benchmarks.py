"""Balanced accuracy against the layer of a network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from pcip_core.features.names import split_name
from pcip_core.plots.scores.chance import draw_chance, draw_intervals
from pcip_core.plots.style import (
    DASHES,
    LEGEND_INCHES,
    add_legend,
    add_title,
    colour,
    marker,
    no_scores,
    wide_legend,
)

VGG_LAYERS = tuple(
    f"block{block}_conv{conv}"
    for block, convs in enumerate((2, 2, 3, 3, 3), start=1)
    for conv in range(1, convs + 1)
)
_VGG = "vgg16"


def accuracy_by_layer(
    rows: Sequence[Mapping[str, Any]], title: str, *, parameter: str = "k=11", classes: int = 0
) -> Figure:
    """Draw the balanced accuracy against the layer, with one line per method and one panel per protocol.

    Methods without layers are dashed horizontal lines. Of the VGG16 feature sets, only the best of the first protocol
    is drawn, as a dashed line in all panels. A corrected feature set counts as a separate method. Thin vertical lines
    are the intervals of scores that have one.

    Args:
        rows: score rows with feature_set, protocol, parameter, label, metric and value; low and high may be None.
        title: title of the figure; states if images are simulated.
        parameter: the number of neighbours to draw; the first in the rows if none has this parameter.
        classes: number of classes, for the line of chance; 0: no such line.

    >>> row = {"protocol": "leave_image_out", "parameter": "k=11", "label": None, "metric": "balanced_accuracy"}
    >>> figure = accuracy_by_layer([row | {"feature_set": "inpainting_conv3", "value": 0.8}], "example")
    >>> figure.axes[0].get_title()
    'leave image out'
    """
    overall, parameter = _overall(rows, parameter)
    if not overall:
        return no_scores(title)
    protocols = list(dict.fromkeys(row["protocol"] for row in overall))
    scores: dict[str, dict[str, float]] = {protocol: {} for protocol in protocols}
    row_of = {(row["protocol"], row["feature_set"]): row for row in overall}
    for row in overall:
        scores[row["protocol"]][row["feature_set"]] = row["value"]

    lines: dict[str, dict[str, str]] = {}  # method to layer to feature set
    across: dict[str, str] = {}  # label to feature set
    for feature_set in dict.fromkeys(row["feature_set"] for row in overall):
        method, layer, correction = split_name(feature_set)
        if method.split("_")[0] == _VGG:
            continue
        if layer is None:
            across[feature_set] = feature_set
        else:
            lines.setdefault(f"{method}_{correction}" if correction else method, {})[layer] = feature_set
    if best := _best_vgg(scores):
        across[f"{best}\n(best of VGG16)"] = best

    layers = sorted({layer for sets in lines.values() for layer in sets}, key=_layer_order)
    outside = wide_legend(len(lines) + len(across) + (classes > 1))
    width = max(5.0, 1.2 + (0.45 * len(layers) + 1.2) * len(protocols), 3.2 * len(protocols))
    figure = Figure(figsize=(width + outside * LEGEND_INCHES, 3.4), layout="constrained")
    add_title(figure, f"{title}, {_neighbours(parameter)}")
    panels = list(figure.subplots(1, len(protocols), squeeze=False, sharey=True)[0])
    for protocol, axes in zip(protocols, panels, strict=True):
        values = scores[protocol]
        for index, (method, sets) in enumerate(lines.items()):
            names = sorted((layers.index(layer), name) for layer, name in sets.items() if name in values)
            if names:
                x = [place for place, _ in names]
                y = [values[name] for _, name in names]
                axes.plot(x, y, color=colour(index), marker=marker(index), markersize=4.5, label=method)
                draw_intervals(axes, x, [row_of[protocol, name] for _, name in names], colour(index))
        for index, (label, name) in enumerate(across.items()):
            if name in values:
                dash = DASHES[index % len(DASHES)]
                axes.axhline(values[name], color=colour(len(lines) + index), linestyle=dash, label=label)
        draw_chance(axes, classes)
        axes.set_xticks(range(len(layers)), layers, rotation=45 if len(layers) > 5 else 0, fontsize=8)
        axes.set_xlim(-0.3, max(len(layers), 2) - 0.7)
        axes.set_title(str(protocol).replace("_", " "), fontsize=9)
        axes.set_ylim(0, 1)
    panels[0].set_ylabel("balanced accuracy")
    add_legend(figure, panels)
    return figure


def accuracy_by_vgg_layer(
    rows: Sequence[Mapping[str, Any]], title: str, *, parameter: str = "k=11", classes: int = 0
) -> Figure:
    """Draw the balanced accuracy against the layer of VGG16, one line per strategy (paper, Supplementary Figure 2).

    Lines for crops resized to 224 px are dashed, in the colour of the same strategy at the original size. Corrected
    feature sets are omitted. Fully connected layers, which require resized crops, follow the convolutional layers.

    Args:
        rows: as for `accuracy_by_layer`; the first protocol with VGG16 feature sets is drawn.
        title, parameter, classes: as for `accuracy_by_layer`.
    """
    overall, parameter = _overall(rows, parameter)
    layered: dict[str, dict[str, float]] = {}
    protocol = None
    for row in overall:
        method, layer, correction = split_name(row["feature_set"])
        if not method.startswith(f"{_VGG}_") or layer is None or correction:
            continue
        protocol = protocol or row["protocol"]
        if row["protocol"] == protocol:
            layered.setdefault(method.removeprefix(f"{_VGG}_"), {})[layer] = row["value"]
    if not layered:
        return no_scores(title)

    fully = sorted({layer for values in layered.values() for layer in values} - set(VGG_LAYERS))
    layers = [*VGG_LAYERS, *fully]
    strategies = list(dict.fromkeys(name.removesuffix("_224") for name in layered))
    figure = Figure(
        figsize=(7 + wide_legend(len(layered) + (classes > 1)) * LEGEND_INCHES, 3.8), layout="constrained"
    )
    add_title(figure, f"{title}, {_neighbours(parameter)}, {str(protocol).replace('_', ' ')}")
    axes = figure.add_subplot()
    for name, values in layered.items():
        index = strategies.index(name.removesuffix("_224"))
        resized = name.endswith("_224")
        x, y = zip(*sorted((layers.index(layer), value) for layer, value in values.items()), strict=True)
        axes.plot(
            x,
            y,
            color=colour(index),
            marker=marker(index),
            markersize=4.5,
            linestyle=DASHES[0] if resized else "-",
            markerfacecolor="white" if resized else colour(index),
            label=f"{strategies[index]}, at 224 px" if resized else name,
        )
    draw_chance(axes, classes)
    axes.set_xticks(range(len(layers)), layers, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_xlim(-0.3, len(layers) - 0.7)
    axes.set(ylabel="balanced accuracy", ylim=(0, 1))
    add_legend(figure, [axes])
    return figure


def _overall(rows: Sequence[Mapping[str, Any]], parameter: str) -> tuple[list[Mapping[str, Any]], str]:
    """Select the rows of balanced accuracy over all classes with this parameter, otherwise with the first one.

    Returns:
        The rows, and the parameter.
    """
    overall = [row for row in rows if row["metric"] == "balanced_accuracy" and row["label"] is None]
    known = list(dict.fromkeys(row["parameter"] for row in overall))
    parameter = parameter if parameter in known else known[0] if known else parameter
    return [row for row in overall if row["parameter"] == parameter], parameter


def _best_vgg(scores: Mapping[str, Mapping[str, float]]) -> str | None:
    """Find the VGG16 feature set with the highest score, in the first protocol that has any."""
    for values in scores.values():
        sets = [name for name in values if split_name(name).method.split("_")[0] == _VGG]
        if sets:
            return max(sets, key=lambda name: values[name])
    return None


def _layer_order(layer: str) -> tuple[bool, list[int]]:
    """Sort convolutional layers by number, then fully connected layers."""
    return layer.startswith("fc"), [int(number) for number in re.findall(r"\d+", layer)]


def _neighbours(parameter: str) -> str:
    return f"{parameter.removeprefix('k=')}-NN" if parameter.startswith("k=") else parameter
