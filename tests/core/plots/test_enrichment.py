"""What the picture of enriched terms shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from pcip_core.plots.enrichment import LARGEST, enrichment_dots
from pcip_core.plots.pictures import preview
from tests.core.plots.reading import overlaps_the_title

TITLE = "yeast (simulated images)"


def row(cluster: str, name: str, q: float, hits: int = 5, **other: Any) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "term": f"GO:{name}",
        "name": name,
        "q": q,
        "hits": hits,
        "annotated": 10,
        "fold": 2.0,
        **other,
    }


def dots(figure: Figure) -> dict[tuple[str, str], tuple[float, float]]:
    """(cluster, term) -> area, -log10 q, as drawn."""
    axes = figure.axes[0]
    (drawn,) = (one for one in axes.collections if isinstance(one, PathCollection))
    x, y = ticks(axes, "x"), ticks(axes, "y")
    places = np.asarray(drawn.get_offsets(), int)
    colours = np.asarray(drawn.get_array(), float)
    return {
        (x[column], y[line]): (float(area), float(colour))
        for (column, line), area, colour in zip(places, drawn.get_sizes(), colours, strict=True)
    }


def ticks(axes: Axes, which: str) -> list[str]:
    labels = axes.get_xticklabels() if which == "x" else axes.get_yticklabels()
    return [label.get_text() for label in labels]


def test_size_is_the_share_and_colour_the_rate() -> None:
    figure = enrichment_dots([row("A", "nucleus", 1e-8, 10), row("B", "cytosol", 1e-3, 2)], TITLE)
    assert dots(figure) == {
        ("A", "nucleus"): (pytest.approx(LARGEST), pytest.approx(8)),
        ("B", "cytosol"): (pytest.approx(0.2 * LARGEST), pytest.approx(3)),
    }
    assert figure.get_suptitle() == TITLE
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["25%", "50%", "100%"]
    assert preview(figure)[8:12] == b"WEBP"


def test_the_best_terms_of_each_cluster_are_shown_wherever_they_are_significant() -> None:
    rows = [row("A", name, q) for name, q in (("one", 1e-9), ("two", 1e-6), ("three", 1e-4), ("four", 0.2))]
    rows += [row("B", "three", 1e-5), row("B", "two", 0.04), row("B", "one", 0.06), row("C", "one", 0.5)]
    figure = enrichment_dots(rows, TITLE, per_cluster=1)
    assert ticks(figure.axes[0], "x") == ["A", "B", "C"]  # C keeps its empty column
    assert ticks(figure.axes[0], "y") == ["one", "three"]  # in the order of clusters
    assert set(dots(figure)) == {("A", "one"), ("A", "three"), ("B", "three")}
    assert set(dots(enrichment_dots(rows, TITLE, per_cluster=2, max_q=1e-5))) == {
        ("A", "one"),
        ("A", "two"),
        ("B", "three"),
    }


def test_of_equal_rates_the_larger_fold_is_shown_and_zero_has_a_colour() -> None:
    rows = [row("A", "broad", 0.0), row("A", "narrow", 0.0, fold=9.0)]
    assert dots(enrichment_dots(rows, TITLE, per_cluster=1)) == {
        ("A", "narrow"): (LARGEST / 2, pytest.approx(300))
    }


@pytest.mark.parametrize("clusters", [1, 5, 20])
@pytest.mark.parametrize(
    "title", [TITLE, "human_labelled_cells: maximum likelihood", "a long name of a screen: " * 3]
)
def test_the_legend_leaves_the_title_free(clusters: int, title: str) -> None:
    rows = [row(str(cluster), f"term {cluster}", 1e-4) for cluster in range(clusters)]
    assert not overlaps_the_title(enrichment_dots(rows, title))


def test_long_names_are_cut() -> None:
    figure = enrichment_dots([row("A", "a very long name of a term " * 3, 1e-8)], TITLE)
    (name,) = ticks(figure.axes[0], "y")
    assert len(name) == 40
    assert name.endswith("…")


@pytest.mark.parametrize("rows", [[], [row("A", "nucleus", 0.3)]])
def test_nothing_to_show_is_said(rows: list[dict[str, Any]]) -> None:
    figure = enrichment_dots(rows, TITLE)
    assert [text.get_text() for text in figure.axes[0].texts] == ["no scores"]
