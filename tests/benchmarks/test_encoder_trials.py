"""What was tried for real cells: its rows at a tiny size, and its scores against direct computations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.accuracy import encoder_trials
from benchmarks.common import (
    encoder_pairs,
    encoder_plates,
    encoder_starts,
    encoder_sweeps,
    encoder_trainings,
    varied_cells,
)
from benchmarks.common.encoder_blocks import (
    ConvNextEncoder,
    ResidualEncoder,
    TransformerEncoder,
    with_encoder,
)
from benchmarks.common.encoder_features import CLASSIC
from benchmarks.common.encoder_scores import KNN, LOGISTIC, PLATE
from benchmarks.common.encoder_starts import CHOICE, REST, Candidate
from pcip_core.errors import PcipError
from pcip_core.simulate import human, plan
from pcip_core.training.cells import CellSet
from tests.benchmarks.test_encoders_benchmark import QUESTION, drawn, tiny


def test_a_plate_of_its_own_cell_line_cannot_be_told_from_it() -> None:
    _, cells = drawn()
    line = np.array(["a", "b"])[cells.image % 2]
    assert encoder_plates.testable_plates(replace(cells, line=line)) == (2, 0)
    assert encoder_plates.testable_plates(replace(cells, line=np.zeros(96))) == (2, 2)
    screen = replace(tiny("human_antibodies"), questions={QUESTION: replace(cells, line=line)})
    ours = encoder_trainings.trained(screen, screen.encoder)
    rows = {row.what.removeprefix(screen.about): row for row in encoder_plates.plate_rows(screen, ours)}
    assert rows[": plates with several images of a protein"].value == 2
    assert rows[": plates of these, with a cell line that another plate has"].value == 0
    assert rows[f": {QUESTION}: conv5 corrected by plate, {KNN}"].against_value == ours.score(QUESTION, KNN)


def test_pairs_of_one_protein_are_compared_with_pairs_of_one_image() -> None:
    cells = tiny("human_antibodies")
    (labelled,) = cells.questions.values()
    cells = replace(cells, questions={QUESTION: replace(labelled, alike=labelled.groups // 2)})
    names = [row.what for row in encoder_plates.pairs_rows(cells, replace(cells.encoder, epochs=1))]
    for kind in ("image", "protein"):
        assert any(f"pairs of the {kind}, conv5, {PLATE}" in name for name in names)


def test_halves_score_their_own_cells() -> None:
    features, cells = drawn()
    scores = encoder_starts.half_scores(features, cells)
    half = encoder_starts.first_half(cells)
    assert sorted(set(cells.groups[half])) == [0, 2, 4, 6, 8, 10]  # every other image of each class
    plain = encoder_starts.neighbour_votes(features, cells.labels, cells.groups)[0]
    for part, kept in ((CHOICE, half), (REST, ~half)):
        recalls = [(plain[kept & (cells.labels == label)] == label).mean() for label in "abc"]
        assert scores[KNN][part] == pytest.approx(np.mean(recalls))


def test_recalls_are_those_of_each_class() -> None:
    features, cells = drawn()
    rows = list(encoder_starts.recall_rows("x", features, cells))
    plain, _ = encoder_starts.neighbour_votes(features, cells.labels, cells.groups)
    assert rows[0].what == "x, 11-NN: a, 6 montages"
    assert rows[0].value == (plain[:48] == "a").mean()
    assert len(rows) == 6


def test_the_standard_error_is_that_of_a_mean_over_groups() -> None:
    """A feature that is the class, but for one image of the six of the first class."""
    _, cells = drawn()
    value = np.unique(cells.labels, return_inverse=True)[1] + 1.1 * (cells.groups == 0)
    features = (value + np.random.default_rng(0).normal(0, 1e-3, 96))[:, None]
    error = encoder_starts.uncertainty(features, cells)[KNN]
    assert error == pytest.approx(np.sqrt(1 / 6 * 5 / 6 / 6) / 3, rel=0.1)  # binomial, one of three classes


def test_a_start_is_tuned_from_its_weights() -> None:
    cells, candidate = tiny("human_labelled_cells"), Candidate(size_px=16, width=0.03, epochs=1)
    state, _ = encoder_starts.trained_start(cells.crops, candidate)
    as_it_is = encoder_starts.tuned(cells, candidate, state, epochs=0)
    network = as_it_is.encoder.network.state_dict()
    assert all(torch.equal(values, state[name]) for name, values in network.items())
    trained = encoder_starts.tuned(cells, candidate, state, epochs=1)
    assert not np.array_equal(trained.features["conv5"], as_it_is.features["conv5"])


def test_varied_cells_have_more_classes_than_the_simulator() -> None:
    before = dict(plan.CLASSES), dict(human._COMPARTMENTS)
    cells = varied_cells.varied_cells(part=range(150, 151))  # a class that the simulator lacks
    assert (dict(plan.CLASSES), dict(human._COMPARTMENTS)) == before
    assert cells.pixels.shape[1:] == (3, 128, 128)
    assert len(cells.image) > 1
    assert (np.asarray(cells.pixels).max((2, 3)) == 255).all()
    again = varied_cells.varied_cells(part=range(150, 151))
    np.testing.assert_array_equal(again.pixels, cells.pixels)


def test_halved_cells_are_means_of_four_pixels() -> None:
    pixels = np.arange(2 * 16, dtype=np.uint8).reshape(2, 1, 4, 4)
    (first, _) = varied_cells.halved(CellSet(pixels, np.array([0, 0]), ("protein",))).pixels
    means = np.array([[2.5, 4.5], [10.5, 12.5]])
    expected = np.round((means - 2.5) / 10 * 255)
    np.testing.assert_array_equal(first[0], expected)


@pytest.mark.parametrize("make", [ResidualEncoder, ConvNextEncoder, TransformerEncoder])
def test_other_networks_learn_the_same_tasks(make: type[torch.nn.Module]) -> None:
    cells = tiny("simulated_human")
    task = with_encoder(make)
    config = replace(cells.encoder, precision="float32")  # auto depends on a timed step
    once, again = (encoder_trainings.trained(cells, config, task=task) for _ in range(2))
    assert isinstance(once.encoder.network.source, make)
    np.testing.assert_array_equal(once.features["conv5"], again.features["conv5"])
    assert (once.features["conv5"].std(0) > 0).any()


def test_a_residual_block_without_its_convolutions_is_the_identity() -> None:
    x = torch.rand(2, 8, 6, 6)
    block = encoder_trials.ENCODERS["residual blocks"](8, (8, 8)).eval()
    for parameter in (block.blocks[0].first.weight, block.blocks[0].second.weight):
        torch.nn.init.zeros_(parameter)
    (first, _) = block.activations(x)
    torch.testing.assert_close(first, x)


def test_a_block_of_convnext_sees_seven_by_seven_pixels() -> None:
    """Its norm and its linear layers see one place each. Without them, it is the convolution to its filters."""
    encoder = ConvNextEncoder(2, (4,)).eval()
    x = torch.rand(1, 2, 15, 15)
    other = x.clone()
    other[..., 7, 6] += 1
    with torch.no_grad():
        changed = (encoder(x) - encoder(other)).abs().amax((0, 1)) > 1e-6
        places = changed.nonzero()
        assert changed.sum() == 49
        assert (places.min(0).values.tolist(), places.max(0).values.tolist()) == ([4, 3], [10, 9])
        torch.nn.init.zeros_(encoder.blocks[0].inner[2].weight)
        torch.nn.init.zeros_(encoder.blocks[0].inner[2].bias)
        torch.testing.assert_close(encoder(x), encoder.blocks[0].before(x))


def test_patches_of_a_transformer_keep_their_places() -> None:
    """Without attention, a change of one patch reaches its own position and, through the encoding, its neighbours."""
    encoder = TransformerEncoder(2, (8, 8)).eval()
    for block in encoder.blocks:
        torch.nn.init.zeros_(block.self_attn.out_proj.weight)
    x = torch.rand(1, 2, 32, 32)
    other = x.clone()
    other[..., :8, 24:] += 1  # the upper right patch of four by four
    with torch.no_grad():
        for layer, changed in zip(encoder.activations(x), encoder.activations(other), strict=True):
            assert layer.shape == (1, 8, 4, 4)
            moved = (layer - changed).abs().amax((0, 1)) > 1e-6
            assert moved[:2, 2:].all()
            assert moved.sum() == 4


def test_the_sweep_has_each_setting_at_each_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_sweeps, "WIDTHS", (0.03, 0.05))
    monkeypatch.setattr(encoder_sweeps, "SETTINGS", (("torch", 1e-3), ("glorot", 1e-3)))
    monkeypatch.setattr(encoder_sweeps, "EPOCHS", 1)
    rows = list(encoder_sweeps.swept_rows(tiny("simulated_human")))
    assert len({row.what.rsplit(" (", 1)[0] for row in rows}) == 2 * 2 * 2 * len((KNN, LOGISTIC))
    assert "seed 1, width 0.05, initial weights glorot, learning rate 0.001" in rows[-1].what


def test_feature_sets_are_scored_alone_and_combined() -> None:
    cells = tiny("human_labelled_cells")
    encoder = encoder_trainings.trained(cells, cells.encoder)
    bright = np.asarray(cells.crops.pixels).mean((2, 3))
    rows = list(encoder_trials.set_rows("x", cells, cells, encoder, {CLASSIC: bright}))
    names = {row.what.split(", ")[1] for row in rows}
    larger = "crops of 128 px"
    expected = ["conv5", "classic", larger, "conv5 + classic", "conv4 + conv5 + classic"]
    assert names == {
        *expected,
        f"conv5 + {larger}",
        f"conv5 + {larger} + classic",
    }  # without weights of VGG16
    (same,) = [row.value for row in rows if row.what == f"x, {larger}, all, {KNN}"]
    (first,) = [row.value for row in rows if row.what == f"x, conv5, all, {KNN}"]
    assert same == first  # the same cells in both places


def test_without_images_each_real_screen_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(encoder_trials, "DATA", tmp_path_factory.mktemp("empty"))
    rows = encoder_trials.run()
    assert [row.what.split(":")[0] for row in rows] == ["human_labelled_cells", "human_antibodies"]
    assert all(row.value is None for row in rows)


def test_harder_pairs_are_compared_with_any_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_pairs, "HARDEST_OF", (1, 3))
    monkeypatch.setattr(encoder_pairs, "SEEDS", 1)
    monkeypatch.setitem(encoder_trainings._EPOCHS, "simulated_human", 1)
    cells = tiny("simulated_human")
    rows = [*encoder_pairs.harder_rows(cells), *encoder_pairs.papers_harder_rows(cells)]
    for name in ("shipped settings", "the paper's settings"):
        plain, harder = (
            [row for row in rows if f"{name}, 1 epochs, hardest of {of}" in row.what] for of in (1, 3)
        )
        assert [row.ratio for row in plain] == [1.0] * 3
        assert [row.against_value for row in harder] == [row.value for row in plain]
    blank = replace(cells, structural=("blank",))
    (row,) = encoder_pairs.papers_harder_rows(blank)
    assert row.value is None
    assert "no structural channel" in row.what


def test_lengths_of_vectors_are_compared_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_pairs, "VECTORS", (8, 32))
    monkeypatch.setattr(encoder_pairs, "SEEDS", 3)
    cells = tiny("simulated_human")
    cells = replace(
        cells, encoder=replace(cells.encoder, precision="float32")
    )  # auto depends on a timed step
    rows = list(encoder_pairs.vector_rows(cells))
    assert len(rows) == 2 * 3
    trainings = [
        encoder_trainings.trained(cells, replace(cells.encoder, projector=32, seed=seed)) for seed in range(3)
    ]
    values = sorted(each.score(QUESTION, KNN) for each in trainings)
    (row,) = [row for row in rows if f"vectors of 32, conv5, {KNN}" in row.what]
    assert row.value == values[1]
    assert row.spread == (values[0], values[2])
    assert row.against_value == rows[0].value


def test_a_part_is_run_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a text in its name; without one, a size has its parts and those of the smaller sizes."""
    ran = []

    def cells_of(name: str, _: object) -> object:
        ran.append(name)
        return replace(tiny("simulated_human"), screen=name)

    monkeypatch.setattr(encoder_trials, "cells_of", cells_of)
    monkeypatch.setattr(encoder_sweeps, "WIDTHS", (0.03,))
    monkeypatch.setattr(encoder_sweeps, "SETTINGS", (("torch", 1e-3),))
    monkeypatch.setenv("PCIP_BENCH_PART", "simulated_yeast: sweep")
    rows = encoder_trials.run("long")
    assert ran == ["simulated_yeast"]
    assert all("sweep" in row.what for row in rows)
    monkeypatch.delenv("PCIP_BENCH_PART")
    sizes = [encoder_trials.parts_of(size) for size in range(3)]
    assert [sum(map(len, parts.values())) for parts in sizes] == [2, 8, 28]


def test_a_part_that_a_size_lacks_is_an_error_that_names_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCIP_BENCH_PART", "sweep")
    with pytest.raises(PcipError, match="human_labelled_cells: feature sets; human_antibodies: plates"):
        encoder_trials.run("small")
