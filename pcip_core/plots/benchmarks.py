"""Pictures of scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure


def accuracy_by_layer(rows: Sequence[Mapping[str, Any]], title: str, *, parameter: str = "k=11") -> Figure:
    """Balanced accuracy against the layer, a line a method and a panel a protocol.

    Args:
        rows: score rows with feature_set, protocol, parameter, label, metric and value.
        title: of the whole figure; says where images are simulated.
        parameter: which kNN is drawn; when no row has it, the first that there is.
    """
    overall = [row for row in rows if row["metric"] == "balanced_accuracy" and row["label"] is None]
    known = list(dict.fromkeys(row["parameter"] for row in overall))
    parameter = parameter if parameter in known else known[0] if known else parameter
    overall = [row for row in overall if row["parameter"] == parameter]
    protocols = list(dict.fromkeys(row["protocol"] for row in overall))
    figure = Figure(figsize=(4.2 * max(1, len(protocols)), 3.2), layout="constrained")
    figure.suptitle(f"{title}, {parameter.replace('k=', '')}-NN", fontsize=10)
    panels = figure.subplots(1, max(1, len(protocols)), squeeze=False, sharey=True)[0]
    for protocol, axes in zip(protocols, panels, strict=False):
        lines: dict[str, list[tuple[str, float]]] = {}
        for row in overall:
            if row["protocol"] == protocol:
                layered = re.fullmatch(r"(.+?)_(conv\d+)", row["feature_set"])
                method, layer = layered.groups() if layered else (row["feature_set"], "")
                lines.setdefault(method, []).append((layer, row["value"]))
        for method, points in lines.items():
            if points[0][0]:
                axes.plot(*zip(*sorted(points), strict=True), marker="o", label=method)
            else:
                axes.axhline(points[0][1], color="grey", linestyle="--", label=method)
        axes.set_title(protocol.replace("_", " "), fontsize=9)
        axes.set_ylim(0, 1)
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("balanced accuracy")
    return figure
