"""What the pictures of scores by layer show."""

from __future__ import annotations

from pcip_core.plots.scores.benchmarks import VGG_LAYERS, accuracy_by_layer, accuracy_by_vgg_layer
from tests.core.plots.reading import TITLE, drawn, intervals, legend, score, ticks, title_of


def test_layers_are_lines_and_the_rest_dashed() -> None:
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


def test_only_the_best_of_vgg16_and_the_same_in_each_panel() -> None:
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


def test_a_method_absent_from_the_last_panel_is_in_the_legend_in_its_own_colour() -> None:
    rows = [score("inpainting_conv1", 0.5), score("random_conv1", 0.4)]
    rows += [score("random_conv1", 0.3, protocol="leave_one_plate_out")]
    figure = accuracy_by_layer(rows, TITLE)
    assert legend(figure) == ["inpainting", "random"]
    first, second = figure.axes
    assert first.lines[1].get_color() == second.lines[0].get_color() != first.lines[0].get_color()


def test_the_parameter_asked_for_or_else_the_first() -> None:
    rows = [score("classic", 0.2, parameter="k=5"), score("classic", 0.3, parameter="k=50")]
    assert drawn(accuracy_by_layer(rows, TITLE, parameter="k=50").axes[0])["classic"][1] == [0.3, 0.3]
    figure = accuracy_by_layer(rows, TITLE)
    assert drawn(figure.axes[0])["classic"][1] == [0.2, 0.2]
    assert title_of(figure) == f"{TITLE}, 5-NN"


def test_chance_and_intervals_are_drawn_in_each_panel() -> None:
    rows = [score(f"inpainting_conv{n}", n / 10, low=n / 20, high=n / 5) for n in (1, 2)]
    rows += [score("inpainting_conv1", 0.3, protocol="leave_one_plate_out", low=None, high=None)]
    first, second = accuracy_by_layer(rows, TITLE, classes=4).axes
    assert drawn(first)["chance (1/4)"][1] == drawn(second)["chance (1/4)"][1] == [0.25, 0.25]
    assert intervals(first) == {(0, 0.05, 0.2), (1, 0.1, 0.4)}
    assert intervals(second) == set()
    assert "chance" not in " ".join(drawn(accuracy_by_layer(rows, TITLE).axes[0]))


def test_vgg16_a_line_an_input() -> None:
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
