"""What the pictures of pairwise distances show."""

from __future__ import annotations

from pcip_core.plots.scores.pairwise import pairwise_by_line, pairwise_distances
from tests.core.plots.reading import TITLE, distance, drawn, legend, ticks


def test_terms_below_overall_with_their_intervals() -> None:
    rows = [
        distance("classic", -1.0, "Nucleoli"),
        distance("classic", -2.0),
        distance("inpainting", -3.0, low=None, high=None),
        distance("inpainting", 0.5, "Golgi"),
        distance("inpainting", 9.0, "Vesicles", metric="median_distance"),
        distance("inpainting", 9.0, protocol="same_line"),
    ]
    figure = pairwise_distances(rows, TITLE)
    axes = figure.axes[0]
    assert ticks(axes, "y") == ["overall", "Golgi", "Nucleoli"]
    assert [label.get_fontweight() for label in axes.get_yticklabels()] == ["bold", "normal", "normal"]
    lines = drawn(axes)
    assert {name: x for name, (x, _) in lines.items()} == {
        "classic": [-1.0, -2.0],
        "inpainting": [-3.0, 0.5],
    }
    assert [round(y) for y in lines["classic"][1]] == [2, 0]
    assert [round(y) for y in lines["inpainting"][1]] == [0, 1]
    spans = [sorted(segment[:, 0].tolist() for segment in one.get_segments()) for one in axes.collections]
    assert spans == [[[-2.5, -1.75], [-1.5, -0.75]], [[0.0, 0.75]]]  # no interval where it is not known
    assert axes.get_ylim() == (2.5, -0.5)  # overall on top
    assert any(list(line.get_xdata()) == [0, 0] for line in axes.lines)
    assert "negative: closer than chance" in axes.get_xlabel()
    assert legend(figure) == ["classic", "inpainting"]


def test_two_dots_a_set_joined() -> None:
    rows = [
        distance("classic", -1.0, protocol="same_line"),
        distance("classic", -0.5, protocol="different_line"),
        distance("inpainting", -2.0, protocol="different_line", low=None, high=None),
        distance("inpainting", -3.0, protocol="same_line"),
        distance("inpainting", 7.0, "Golgi", protocol="same_line"),
        distance("inpainting", 7.0, protocol="different_minus_same_line"),
    ]
    figure = pairwise_by_line(rows, TITLE)
    axes = figure.axes[0]
    assert ticks(axes, "y") == ["classic", "inpainting"]
    assert drawn(axes) == {
        "same cell line": ([-1.0, -3.0], [0, 1]),
        "different cell lines": ([-0.5, -2.0], [0, 1]),
    }
    joined = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines[:2]]  # type: ignore[arg-type]
    assert joined == [([-1.0, -0.5], [0, 0]), ([-2.0, -3.0], [1, 1])]
    assert [len(one.get_segments()) for one in axes.collections] == [2, 1]  # type: ignore[attr-defined]
    assert legend(figure) == ["same cell line", "different cell lines"]
