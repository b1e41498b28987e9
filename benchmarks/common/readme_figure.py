"""The figure of the README: reference results on real cells, from `benchmarks/results/quality.json`.

Run `python -m benchmarks.common.readme_figure` after `pcip bench quality`. The plotted values are stored in the file
as its description, so that a test can compare the committed figure with the results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pcip_core.plots.style import colour

_REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = _REPOSITORY / "benchmarks" / "results" / "quality.json"
FIGURE = _REPOSITORY / "docs" / "images" / "real_cells.png"
_PREFIX = "human_labelled_cells (real images), 11-NN, leave image out: "
_CLASSES = 5
LAYERS = tuple(f"conv{number}" for number in range(1, 6))


def method_of(rows: Mapping[str, Any]) -> str:
    """The method of the encoder, from the row of its first layer."""
    names = [what.removeprefix(_PREFIX) for what in rows if what.startswith(_PREFIX)]
    return next(name for name in names if name.endswith(f" {LAYERS[0]}")).removesuffix(f" {LAYERS[0]}")


def trained_method(scores: Mapping[str, float]) -> str:
    """The method of the encoder among the feature sets of `read_scores`."""
    return next(name for name in scores if name.endswith(f"_{LAYERS[0]}")).removesuffix(f"_{LAYERS[0]}")


def read_scores(results: Path = RESULTS) -> dict[str, float]:
    """Feature set -> balanced accuracy on the real labelled cells, to six digits; and `cells`, their number."""
    rows = {row["what"]: row for row in json.loads(results.read_text())["rows"]}
    method = method_of(rows)
    scores: dict[str, float] = {}
    for layer in LAYERS:
        row = rows[f"{_PREFIX}{method} {layer}"]
        scores[f"{method}_{layer}"] = round(row["value"], 6)
        scores[f"untrained_{layer}"] = round(row["against_value"], 6)
    intensity = rows[f"{_PREFIX}intensity"]
    return scores | {"intensity": round(intensity["value"], 6), "cells": intensity["n"]}


def draw(scores: dict[str, float]) -> Figure:
    """Bars by layer, trained beside untrained, with lines for intensities and chance."""
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    trained = next(name for name in scores if name not in ("intensity", "cells")).rsplit("_", 1)[0]
    labels = {
        trained: f"trained by {trained.replace('_', ' and ')}",
        "untrained": "the same network, untrained",
    }
    for index, (method, label) in enumerate(labels.items()):
        values = [scores[f"{method}_{layer}"] for layer in LAYERS]
        places = [place + 0.4 * (index - 0.5) for place in range(len(LAYERS))]
        bars = axes.bar(places, values, width=0.38, label=label, color=colour(index))
        axes.bar_label(bars, labels=[f"{value:.2f}" for value in values], fontsize=8, padding=1)
    axes.axhline(scores["intensity"], color="dimgrey", linestyle="--", label="channel intensities only")
    axes.axhline(1 / _CLASSES, color="dimgrey", linestyle=":", label="chance")
    axes.set_xticks(range(len(LAYERS)), LAYERS)
    axes.set_ylim(0, 0.7)
    axes.set_ylabel("balanced accuracy")
    axes.set_xlabel("layer of the network")
    axes.legend(ncols=4, fontsize=8, loc="upper center", frameon=False)
    axes.set_title(
        f"Real cells of the Human Protein Atlas: {scores['cells']:.0f} cells, {_CLASSES} compartments,"
        " 11 nearest neighbours from other images",
        fontsize=10,
    )
    return figure


def write(path: Path = FIGURE, results: Path = RESULTS) -> None:
    """Draw the figure, with the plotted values as its description."""
    scores = read_scores(results)
    draw(scores).savefig(path, dpi=110, metadata={"Description": json.dumps(scores), "Software": None})


if __name__ == "__main__":
    write()
