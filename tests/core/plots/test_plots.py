"""What the pictures of scores show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pcip_core.plots.pictures import preview
from pcip_core.plots.scatter import embedding_scatter
from pcip_core.plots.scores.benchmarks import VGG_LAYERS, accuracy_by_layer, accuracy_by_vgg_layer
from pcip_core.plots.scores.classes import accuracy_by_k, recall_by_class
from pcip_core.plots.scores.confusion import confusion_matrix
from pcip_core.plots.scores.pairwise import pairwise_by_line, pairwise_distances
from pcip_core.plots.style import PALETTE, colour, marker, shade

TITLE = "yeast (simulated images)"
Row = dict[str, Any]


def score(feature_set: str, value: float, **other: Any) -> Row:
    return {
        "feature_set": feature_set,
        "value": value,
        "protocol": "leave_one_image_out",
        "parameter": "k=11",
        "label": None,
        "metric": "balanced_accuracy",
        **other,
    }


def distance(feature_set: str, value: float, label: str | None = None, **other: Any) -> Row:
    bounds = {"low": value - 0.5, "high": value + 0.25, "metric": "normalized_pairwise_distance"}
    return {
        "feature_set": feature_set,
        "value": value,
        "label": label,
        "protocol": "any_line",
        **bounds,
        **other,
    }


def heat(axes: Axes) -> np.ndarray:
    array = axes.images[0].get_array()
    assert array is not None
    return np.ma.filled(np.ma.asarray(array, float), np.nan)


def ticks(axes: Axes, which: str) -> list[str]:
    labels = axes.get_xticklabels() if which == "x" else axes.get_yticklabels()
    return [label.get_text() for label in labels]


def legend(figure: Figure) -> list[str]:
    found = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for one in found if one is not None for text in one.get_texts()]


def drawn(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """x and y of each line that has a name."""
    return {
        str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata()))  # type: ignore[arg-type]
        for line in axes.lines
        if not str(line.get_label()).startswith("_")
    }


def title_of(figure: Figure) -> str:
    return figure.get_suptitle()


@pytest.mark.parametrize(
    "draw",
    [
        confusion_matrix,
        recall_by_class,
        accuracy_by_k,
        accuracy_by_layer,
        accuracy_by_vgg_layer,
        pairwise_distances,
        pairwise_by_line,
        embedding_scatter,
    ],
)
def test_nothing_to_draw_says_so(draw: Callable[..., Figure]) -> None:
    figure = draw([], TITLE)
    assert [text.get_text() for text in figure.axes[0].texts] == ["no scores"]
    assert title_of(figure) == TITLE
    assert preview(figure)[8:12] == b"WEBP"


def test_rows_of_other_kinds_are_nothing_to_draw() -> None:
    other = [score("classic", 0.5, metric="recall", label="ER"), score("classic", 0.5, metric="accuracy")]
    assert accuracy_by_layer(other, TITLE).axes[0].texts[0].get_text() == "no scores"
    assert (
        accuracy_by_k([score("classic", 0.5, parameter="C=1")], TITLE).axes[0].texts[0].get_text()
        == "no scores"
    )
    same = [distance("classic", -1, protocol="same_line")]
    assert pairwise_distances(same, TITLE).axes[0].texts[0].get_text() == "no scores"


def test_a_title_wider_than_the_figure_is_wrapped_not_cut() -> None:
    rows = [{"label": "ER", "predicted": "ER", "n": 1}]
    figure = confusion_matrix(
        rows, "a long title of a screen, its protocol and its parameter " * 3 + "(simulated images)"
    )
    preview(figure)
    assert figure._suptitle is not None  # type: ignore[attr-defined]
    box = figure._suptitle.get_window_extent()  # type: ignore[attr-defined]
    assert "(simulated images)" in title_of(figure)
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert box.y1 <= figure.bbox.height
    assert box.y0 >= figure.axes[0].get_window_extent().y1


class TestConfusion:
    def test_rows_are_shares_of_the_true_class(self) -> None:
        rows = [
            {"label": "ER", "predicted": "ER", "n": 3},
            {"label": "ER", "predicted": "Golgi", "n": 1},
            {"label": "Golgi", "predicted": "Golgi", "n": 4},
            {"label": "Golgi", "predicted": "ER", "n": 2},
            {"label": "Golgi", "predicted": "Vacuole", "n": 2},  # never a true class here
        ]
        figure = confusion_matrix(rows, TITLE)
        axes = figure.axes[0]
        np.testing.assert_allclose(heat(axes), [[0.75, 0.25, 0], [0.25, 0.5, 0.25], [0, 0, 0]])
        assert ticks(axes, "x") == ticks(axes, "y") == ["ER", "Golgi", "Vacuole"]
        # x is the predicted class, y the true one
        assert {text.get_position(): text.get_text() for text in axes.texts}[1, 0] == "25"
        assert len(axes.texts) == 9
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
        assert title_of(figure) == TITLE

    @pytest.mark.parametrize(("classes", "cells"), [(12, 144), (13, 13), (18, 18)])
    def test_many_classes_have_numbers_on_the_diagonal_only(self, classes: int, cells: int) -> None:
        names = [f"class {index:02}" for index in range(classes)]
        rows = [{"label": name, "predicted": name, "n": 1} for name in names]
        texts = confusion_matrix(rows, TITLE).axes[0].texts
        assert len(texts) == cells
        assert {text.get_text() for text in texts if len(set(text.get_position())) == 1} == {"100"}


class TestClasses:
    def test_recall_is_sorted_by_overall_accuracy_which_comes_first(self) -> None:
        rows = [
            score("classic", 0.4),
            score("inpainting", 0.8),
            score("classic", 0.3, label="Golgi", metric="recall"),
            score("classic", 0.5, label="ER", metric="recall"),
            score("inpainting", 0.9, label="ER", metric="recall"),
            score("new", 0.6, label="ER", metric="recall"),
            score("classic", 0.1, label="ER", metric="precision"),
        ]
        axes = recall_by_class(rows, TITLE).axes[0]
        assert ticks(axes, "x") == ["inpainting", "classic", "new"]
        assert ticks(axes, "y") == ["balanced accuracy", "ER", "Golgi"]
        nan = np.nan
        np.testing.assert_allclose(heat(axes), [[0.8, 0.4, nan], [0.9, 0.5, 0.6], [nan, 0.3, nan]])
        assert sorted(text.get_text() for text in axes.texts) == ["30", "40", "50", "60", "80", "90"]

    def test_accuracy_over_k_in_the_order_of_the_numbers(self) -> None:
        rows = [score("classic", value, parameter=f"k={k}") for k, value in ((11, 0.5), (5, 0.4), (50, 0.3))]
        rows += [score("inpainting", 0.9, parameter="k=5"), score("classic", 0.99, parameter="C=1")]
        rows += [score("classic", 0.98, parameter="k=1", metric="recall", label="ER")]
        figure = accuracy_by_k(rows, TITLE)
        lines = drawn(figure.axes[0])
        assert lines == {"inpainting": ([5], [0.9]), "classic": ([5, 11, 50], [0.4, 0.5, 0.3])}
        assert ticks(figure.axes[0], "x") == ["5", "11", "50"]
        assert legend(figure) == ["inpainting", "classic"]
        assert not figure.legends

    def test_many_lines_have_the_legend_outside(self) -> None:
        figure = accuracy_by_k([score(f"set {index}", 0.5) for index in range(7)], TITLE)
        assert len(figure.legends) == 1
        assert len(legend(figure)) == 7


class TestLayers:
    def test_layers_are_lines_and_the_rest_dashed(self) -> None:
        rows = [score(f"inpainting_conv{n}", n / 10) for n in (3, 1, 2)]
        rows += [score(f"supervised_conv{n}", n / 10) for n in range(1, 9)] + [score("supervised_fc1", 0.85)]
        rows += [
            score("classic", 0.33),
            score("cellprofiler", 0.44),
            score("inpainting_conv3_by_plate", 0.77),
        ]
        figure = accuracy_by_layer(rows, TITLE)
        (axes,) = figure.axes
        lines = drawn(axes)
        assert list(lines) == ["inpainting", "supervised", "inpainting_by_plate", "classic", "cellprofiler"]
        assert lines["inpainting"] == ([0, 1, 2], [0.1, 0.2, 0.3])
        assert lines["supervised"] == (list(range(9)), [*(n / 10 for n in range(1, 9)), 0.85])
        assert lines["inpainting_by_plate"] == ([2], [0.77])
        assert lines["classic"][1] == [0.33, 0.33]
        assert ticks(axes, "x") == [*(f"conv{n}" for n in range(1, 9)), "fc1"]
        dashed = [line for line in axes.lines if line.is_dashed()]
        assert [line.get_label() for line in dashed] == ["classic", "cellprofiler"]
        assert len({line.get_color() for line in axes.lines}) == 5
        assert title_of(figure) == f"{TITLE}, 11-NN"
        assert legend(figure) == list(lines)

    def test_only_the_best_of_vgg16_and_the_same_in_each_panel(self) -> None:
        rows = [
            score("vgg16_protein_block1_conv1", 0.5),
            score("vgg16_rgb_224_block4_conv1", 0.6),
            score("vgg16_protein_224_fc2", 0.4),
            score("vgg16_protein_block1_conv1", 0.9, protocol="leave_one_plate_out"),
            score("vgg16_rgb_224_block4_conv1", 0.2, protocol="leave_one_plate_out"),
        ]
        first, second = accuracy_by_layer(rows, TITLE).axes
        name = "vgg16_rgb_224_block4_conv1\n(best of VGG16)"
        assert {label: y for label, (_, y) in drawn(first).items()} == {name: [0.6, 0.6]}
        assert {label: y for label, (_, y) in drawn(second).items()} == {name: [0.2, 0.2]}
        assert (first.get_title(), second.get_title()) == ("leave one image out", "leave one plate out")

    def test_a_method_absent_from_the_last_panel_is_in_the_legend_in_its_own_colour(self) -> None:
        rows = [score("inpainting_conv1", 0.5), score("random_conv1", 0.4)]
        rows += [score("random_conv1", 0.3, protocol="leave_one_plate_out")]
        figure = accuracy_by_layer(rows, TITLE)
        assert legend(figure) == ["inpainting", "random"]
        first, second = figure.axes
        assert first.lines[1].get_color() == second.lines[0].get_color() != first.lines[0].get_color()

    def test_the_parameter_asked_for_or_else_the_first(self) -> None:
        rows = [score("classic", 0.2, parameter="k=5"), score("classic", 0.3, parameter="k=50")]
        assert drawn(accuracy_by_layer(rows, TITLE, parameter="k=50").axes[0])["classic"][1] == [0.3, 0.3]
        figure = accuracy_by_layer(rows, TITLE)
        assert drawn(figure.axes[0])["classic"][1] == [0.2, 0.2]
        assert title_of(figure) == f"{TITLE}, 5-NN"

    def test_vgg16_a_line_an_input(self) -> None:
        rows = [score("classic", 0.9, protocol="other")]
        rows += [score(f"vgg16_protein_{layer}", 0.5 + n / 100) for n, layer in enumerate(VGG_LAYERS)][::-1]
        rows += [score("vgg16_protein_224_block1_conv2", 0.3), score("vgg16_protein_224_fc2", 0.35)]
        rows += [score("vgg16_rgb_block5_conv3", 0.2), score("vgg16_rgb_block5_conv3_whitened", 0.1)]
        rows += [score("vgg16_rgb_block1_conv1", 0.1, protocol="leave_one_plate_out")]
        figure = accuracy_by_vgg_layer(rows, TITLE)
        axes = figure.axes[0]
        lines = drawn(axes)
        assert lines == {
            "protein": (list(range(13)), [0.5 + n / 100 for n in range(13)]),
            "protein, at 224 px": ([1, 13], [0.3, 0.35]),
            "rgb": ([12], [0.2]),
        }
        assert ticks(axes, "x") == [*VGG_LAYERS, "fc2"]
        assert (len(VGG_LAYERS), VGG_LAYERS[0], VGG_LAYERS[-1]) == (13, "block1_conv1", "block5_conv3")
        plain, resized, rgb = axes.lines
        assert [line.is_dashed() for line in axes.lines] == [False, True, False]
        assert plain.get_color() == resized.get_color() != rgb.get_color()
        assert title_of(figure) == f"{TITLE}, 11-NN, leave one image out"


class TestPairwise:
    def test_terms_below_overall_with_their_intervals(self) -> None:
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

    def test_two_dots_a_set_joined(self) -> None:
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


class TestScatter:
    def test_a_class_has_one_colour_in_all_panels(self) -> None:
        places = np.arange(10.0).reshape(5, 2)
        panels = [
            ("first", places, np.array(["ER", "", "ER", "Golgi", ""])),
            ("second", places, np.array(["Golgi", "Golgi", "Golgi", "Golgi", "ER"])),
        ]
        figure = embedding_scatter(panels, TITLE)
        counts = [
            {to_hex(one.get_facecolor()[0]).upper(): len(one.get_offsets()) for one in axes.collections}
            for axes in figure.axes
        ]
        grey = to_hex("lightgrey").upper()
        assert counts == [{grey: 2, PALETTE[0]: 2, PALETTE[1]: 1}, {PALETTE[0]: 1, PALETTE[1]: 4}]
        np.testing.assert_array_equal(figure.axes[0].collections[1].get_offsets(), places[[0, 2]])
        assert [axes.get_title() for axes in figure.axes] == ["first", "second"]
        assert legend(figure) == ["ER", "Golgi", "unlabelled"]
        assert len(figure.legends) == 1
        assert all(one.get_rasterized() for axes in figure.axes for one in axes.collections)
        assert not any(len(axes.get_xticks()) or len(axes.get_yticks()) for axes in figure.axes)

    def test_points_that_are_not_finite_are_left_out(self) -> None:
        places = np.array([[0.0, 1.0], [np.nan, 1.0], [2.0, np.inf]])
        figure = embedding_scatter([("map", places, np.array(["ER", "ER", "ER"]))], TITLE)
        assert [len(one.get_offsets()) for one in figure.axes[0].collections] == [1]
        assert legend(figure) == ["ER"]

    def test_no_class_vanishes_where_points_are_small(self) -> None:
        member = np.repeat(np.arange(18), 500)
        places = np.stack([member + np.random.default_rng(0).uniform(-0.3, 0.3, 9000), member * 0.0], axis=1)
        labels = np.array([f"class {index:02}" for index in range(18)])[member]
        figure = embedding_scatter([("map", places, labels)], TITLE)
        (axes,) = figure.axes
        for text in axes.texts:
            text.set_visible(False)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        drawn = np.asarray(canvas.buffer_rgba())[::-1, :, :3]  # from the bottom, as transData has it
        for index in range(18):
            (left, y), (right, _) = axes.transData.transform([(index - 0.3, 0), (index + 0.3, 0)]).astype(int)
            assert (drawn[y - 4 : y + 5, left : right + 1].min(axis=2) < 250).any(), index

    def test_18_classes_differ_in_colour_or_marker(self) -> None:
        assert len({(colour(index), marker(index)) for index in range(81)}) == 81
        names = [f"class {index:02}" for index in range(18)]
        figure = embedding_scatter([("map", np.zeros((18, 2)), np.array(names))], TITLE)
        preview(figure)
        box = figure.legends[0].get_window_extent()
        assert legend(figure) == [f"{number}  {name}" for number, name in enumerate(names, 1)]
        assert [text.get_text() for text in figure.axes[0].texts] == [str(number) for number in range(1, 19)]
        assert len({shade(index) for index in range(18)}) == 18
        assert box.y0 >= 0
        assert box.y1 <= figure.bbox.height
