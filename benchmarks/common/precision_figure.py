"""The loss curves in both precisions of docs/decisions/0036-precision.md, from `benchmarks/results/precision.json`.

Run `python -m benchmarks.common.precision_figure` after `pcip bench precision`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pcip_core.plots.style import colour

_REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = _REPOSITORY / "benchmarks" / "results" / "precision.json"
FIGURE = _REPOSITORY / "docs" / "images" / "precision_loss.png"
_CURVE = re.compile(r"(?P<about>.+): loss in (?P<precision>\w+) of epoch (?P<epoch>\d+)")
_WIDTHS = {"float32": 4.0, "bf16": 1.5}  # the curves may lie on each other

Curves = dict[str, dict[str, list[tuple[int, float, float, float]]]]


def read_curves(results: Path = RESULTS) -> Curves:
    """Screen -> precision -> epoch, mean loss, lowest and highest of the seeds."""
    curves: Curves = {}
    for row in json.loads(results.read_text())["rows"]:
        if match := _CURVE.fullmatch(row["what"]):
            points = curves.setdefault(match["about"], {}).setdefault(match["precision"], [])
            points.append((int(match["epoch"]), row["value"], *row["spread"]))
    return curves


def draw(curves: Curves) -> Figure:
    """One panel per screen; a band is the range of the seeds."""
    figure = Figure(figsize=(3.4 * len(curves), 3.0), layout="constrained")
    for place, (about, by_precision) in enumerate(curves.items(), 1):
        axes = figure.add_subplot(1, len(curves), place)
        for index, (precision, points) in enumerate(by_precision.items()):
            epochs, means, lows, highs = zip(*points, strict=True)
            axes.fill_between(epochs, lows, highs, color=colour(index), alpha=0.25, linewidth=0)
            axes.plot(epochs, means, color=colour(index), linewidth=_WIDTHS[precision], label=precision)
        name, _, details = about.partition(" (")
        axes.set_title(f"{name}\n({details}", fontsize=8)
        axes.set(xlabel="epoch", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.axes[0].set_ylabel("loss (mean squared error)")
    figure.axes[0].legend(frameon=False)
    return figure


if __name__ == "__main__":
    draw(read_curves()).savefig(FIGURE, dpi=110, metadata={"Software": None})
