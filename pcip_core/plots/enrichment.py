"""Enrichment of terms in clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pcip_core.plots.style import LEGEND_INCHES, add_title, no_scores

LARGEST = 150.0
"""Area, in square points, of the dot of a term that all proteins of a cluster have."""
_SHARES = (0.25, 0.5, 1.0)
_LEAST_Q = 1e-300  # smaller values, and 0, have the same colour
_LONGEST = 40  # maximum length of the name of a term


def enrichment_dots(
    rows: Sequence[Mapping[str, Any]], title: str, *, per_cluster: int = 3, max_q: float = 0.05
) -> Figure:
    """Draw a dot for each cluster (column) and term (row): area is the share of the cluster's proteins, colour is q.

    The rows are the `per_cluster` terms with the smallest q of each cluster (ties: the largest fold), in the order of
    the clusters, so that dots near the diagonal show the main terms of each cluster. Dots are drawn for all clusters in
    which one of these terms has a q of at most `max_q`. A cluster without such a term has an empty column.

    Args:
        rows: rows of `enrichment`: cluster, term, name, hits, annotated, fold and q.
        title: title of the figure; states if images are simulated.
        per_cluster: number of terms per cluster.
        max_q: maximum false discovery rate.

    >>> row = {"cluster": "1", "term": "GO:1", "name": "ribosome", "hits": 3, "annotated": 4, "fold": 9.0, "q": 1e-4}
    >>> enrichment_dots([row], "example").axes[0].get_xlabel()
    'cluster'
    """
    significant = [row for row in rows if row["q"] <= max_q]
    if not significant:
        return no_scores(title)
    clusters = list(dict.fromkeys(row["cluster"] for row in rows))
    names: dict[str, str] = {}
    for cluster in clusters:
        of_cluster = [row for row in significant if row["cluster"] == cluster]
        for row in sorted(of_cluster, key=lambda row: (row["q"], -row["fold"]))[:per_cluster]:
            names.setdefault(row["term"], _short(row["name"]))
    lines, columns = {term: place for place, term in enumerate(names)}, {c: x for x, c in enumerate(clusters)}
    shown = [row for row in significant if row["term"] in lines]

    figure = Figure(
        figsize=(
            max(3.0, 0.3 * len(clusters)) + 0.07 * max(map(len, names.values())) + LEGEND_INCHES,
            max(3.2, 0.24 * len(names) + 1.4),
        ),
        layout="constrained",
    )
    add_title(figure, title)
    axes = figure.add_subplot()
    dots = axes.scatter(
        [columns[row["cluster"]] for row in shown],
        [lines[row["term"]] for row in shown],
        s=[LARGEST * row["hits"] / row["annotated"] for row in shown],
        c=[-np.log10(max(row["q"], _LEAST_Q)) for row in shown],
        cmap="viridis_r",
        vmin=0,
        edgecolors="black",
        linewidths=0.4,
        zorder=2,
    )
    axes.grid(color="0.92", zorder=0)
    axes.set_axisbelow(True)
    axes.set_xticks(range(len(clusters)), [str(cluster) for cluster in clusters], fontsize=8)
    if max(len(str(cluster)) for cluster in clusters) > 3:
        axes.tick_params("x", rotation=90)
    axes.set_yticks(range(len(names)), list(names.values()), fontsize=8)
    axes.set(xlabel="cluster", xlim=(-0.7, len(clusters) - 0.3), ylim=(len(names) - 0.3, -0.7))
    figure.colorbar(dots, ax=axes, label="$-\\log_{10}$ q", shrink=0.6, ticks=MaxNLocator(5))
    _add_legend(figure)
    return figure


def _add_legend(figure: Figure) -> None:
    """Add the legend of the areas of the dots."""
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            markersize=float(np.sqrt(LARGEST * share)),
            markerfacecolor="none",
            markeredgecolor="black",
            label=f"{100 * share:.0f}%",
        )
        for share in _SHARES
    ]
    figure.legend(
        handles=handles,
        title="cluster's proteins\nwith the term",
        loc="outside right lower",  # the title is centred on the figure, and may be as wide
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        labelspacing=1,
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
