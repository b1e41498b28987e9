"""The benchmark of encoders: its scores against direct computations, and its rows at a tiny size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.accuracy import encoders, precision, quality
from benchmarks.accuracy.encoders import FRESH, PAPER, SHIPPED, START, judged
from benchmarks.common import (
    encoder_features,
    encoder_rounds,
    encoder_scores,
    encoder_screens,
    encoder_trainings,
    starting_weights,
)
from benchmarks.common.encoder_features import combinations
from benchmarks.common.encoder_scores import KNN, LOGISTIC, PLATE, PRIOR, RETRIEVAL, Labelled
from benchmarks.common.encoder_screens import Cells
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import START_SHAPE, Augmentation, EncoderConfig
from pcip_core.training.cells import CellSet

QUESTION = "localization, image left out"


def drawn(seed: int = 0) -> tuple[np.ndarray, Labelled]:
    """Features of 12 images of 8 cells, of three classes of unequal size, on two plates."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(12), 8)
    label = np.array(["a", "a", "a", "a", "a", "a", "b", "b", "b", "b", "c", "c"])[image]
    features = rng.standard_normal((96, 4)) + (label == "b")[:, None] + 2 * (label == "c")[:, None]
    return features, Labelled(label, image, plate=image % 2, image=image, alike=image * 0)


def test_votes_are_those_of_neighbours_of_other_groups() -> None:
    features, cells = drawn()
    plain, corrected = encoder_scores.neighbour_votes(features, cells.labels, cells.groups)
    points = (features - features.mean(0)) / features.std(0)
    for cell in range(0, 96, 5):
        others = cells.groups != cells.groups[cell]
        model = KNeighborsClassifier(11).fit(points[others], cells.labels[others])
        assert plain[cell] == model.predict(points[[cell]])[0]
        share = model.predict_proba(points[[cell]])[0]
        sizes = np.array([(cells.labels[others] == label).sum() for label in model.classes_])
        assert corrected[cell] == model.classes_[(share / sizes).argmax()]


def test_precision_is_a_mean_over_classes() -> None:
    features, cells = drawn()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    each = []
    for cell in range(96):
        others = cells.groups != cells.groups[cell]
        relevant = cells.labels[others] == cells.labels[cell]
        each.append(average_precision_score(relevant, unit[others] @ unit[cell]))
    expected = np.mean([np.mean(np.array(each)[cells.labels == label]) for label in "abc"])
    measured = encoder_scores.macro_precision(features, cells.labels, cells.groups)
    assert measured == pytest.approx(expected)


def test_plates_are_recognised_only_where_features_hold_them() -> None:
    features, cells = drawn()
    assert encoder_scores.plate_p_value(features, cells, draws=39) > 0.05
    shifted = features + 5 * cells.plate[:, None]
    assert encoder_scores.plate_p_value(shifted, cells, draws=39) < 0.05


def test_plates_of_one_image_cannot_be_recognised() -> None:
    features, cells = drawn()
    alone = replace(cells, plate=cells.image)
    assert np.isnan(encoder_scores.plate_p_value(features, alone, draws=3))
    assert PLATE not in encoder_scores.scores_of(features, alone, ways=(PLATE,))


def test_shuffled_labels_give_the_p_value() -> None:
    features, cells = drawn()
    assert encoder_scores.retrieval_p_value(features, cells, draws=19) == pytest.approx(1 / 20)
    noise = np.random.default_rng(3).standard_normal(features.shape)
    assert encoder_scores.retrieval_p_value(noise, cells, draws=19) > 0.1


def test_aims_are_judged_by_three_seeds() -> None:
    assert judged("simulated_human", QUESTION, KNN, 0.91, 3)["held"] is True
    assert judged("simulated_human", QUESTION, KNN, 0.89, 3)["held"] is False
    assert judged("simulated_human", QUESTION, KNN, 0.91, 1)["held"] is None
    assert judged("simulated_human", QUESTION, LOGISTIC, 0.91, 3) == {}


def tiny(screen: str) -> Cells:
    """Cells of 12 images of 8 cells of 16 px, whose brightness is their class."""
    _, labelled = drawn()
    rng = np.random.default_rng(0)
    bright = (labelled.labels == "b") * 60 + (labelled.labels == "c") * 120
    pixels = rng.integers(0, 120, (96, 2, 16, 16)) + bright[:, None, None, None]
    low, high = np.zeros((96, 2), np.float32), np.ones((96, 2), np.float32)
    encoder = EncoderConfig(
        epochs=1, width=0.03, task="agreement", block="norm_first", augment=Augmentation(turns=True)
    )
    return Cells(
        screen,
        CellSet(pixels.astype(np.uint8), labelled.groups, ("dna", "protein")),
        ("dna",),
        low,
        high,
        np.arange(96),
        {QUESTION: labelled},
        encoder,
    )


def test_rows_and_tables_of_a_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoders, "_DRAWS", 3)
    monkeypatch.setattr(encoder_features, "DATA", Path("/nowhere"))
    cells = tiny("simulated_human")
    monkeypatch.setitem(encoder_trainings._EPOCHS, "simulated_human", 1)
    trainings = encoders.trainings_of(cells, (1, 1))
    assert set(trainings) == {SHIPPED, PAPER}  # the shipped settings have no start
    rows = encoders.screen_rows(cells, trainings, "small")
    names = [row.what for row in rows]
    for way in (KNN, PRIOR, LOGISTIC, RETRIEVAL, PLATE):
        assert any(name.endswith(f"shipped settings, conv5, {way}") for name in names)
        assert any(name.endswith(f"classic, {way}") for name in names)
    (knn,) = [row for row in rows if row.what.endswith(f"shipped settings, conv5, {KNN}")]
    assert knn.aim is not None
    assert knn.held is None  # one seed is not judged
    assert any("training of 1 epochs" in name for name in names)
    (timed,) = [row for row in rows if "training until" in row.what]
    assert timed.value is not None
    printed = capsys.readouterr().out
    for name in (SHIPPED, PAPER):
        assert f"{name}, conv5" in printed


def test_a_start_is_compared_with_itself_and_with_a_training_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder_features, "DATA", Path("/nowhere"))
    monkeypatch.setattr(encoders, "_DRAWS", 3)
    monkeypatch.setitem(encoder_trainings._EPOCHS, "human_antibodies", 1)
    small = replace(
        tiny("human_antibodies").encoder,
        **START_SHAPE,
        start="simulated_human",
        epochs=0,
        precision="float32",
    )
    cells = replace(tiny("human_antibodies"), encoder=small)
    trainings = encoders.trainings_of(cells, (1, 0)) | {PAPER: []}
    assert trainings[START][0].scores == trainings[SHIPPED][0].scores  # no epoch: the start as it is
    assert trainings[FRESH][0].scores != trainings[SHIPPED][0].scores
    trainings[PAPER] = trainings[FRESH]
    names = [row.what for row in encoders.screen_rows(cells, trainings, "small")]
    for name in (f"{START}, conv5", f"{FRESH}, conv5", f"{SHIPPED}, combined conv3 + conv4 + conv5"):
        assert any(f"{name}, {LOGISTIC}" in what for what in names)


def test_changes_of_a_start_as_it_is_are_trainings() -> None:
    """Where the shipped settings train, each change is one of them; where they do not, the training itself is first."""
    cells = tiny("simulated_human")
    changes = encoders.changes_of(cells)
    assert changes["batches of 256"] == replace(cells.encoder, batch_size=256)
    assert changes["twice the epochs"].epochs == 2 * cells.encoder.epochs
    untrained = replace(cells.encoder, **START_SHAPE, start="simulated_human", epochs=0)
    first, *others = encoders.changes_of(replace(cells, encoder=untrained)).items()
    assert first == ("10 epochs", replace(untrained, epochs=10))
    assert [name for name, _ in others] == list(changes)
    assert {config.epochs for name, config in others if name != "twice the epochs"} == {10}


def test_combined_sets_have_equal_shares() -> None:
    features, _ = drawn()
    constant = np.c_[features[:, :2], np.ones(96)]
    layers = dict.fromkeys(("conv1", "conv2", "conv3", "conv4"), features)
    made = combinations(layers, "conv4", {"classic": constant})
    assert list(made) == ["conv2 + conv3 + conv4", "conv4 + classic"]
    assert made["conv4 + classic"].shape == (96, 6)  # without the constant column
    squares = np.square(made["conv4 + classic"]).mean(0)
    np.testing.assert_allclose([squares[:4].sum(), squares[4:].sum()], 1, rtol=1e-5)


def test_a_second_round_leaves_out_the_images_that_vary_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the cells of the protein that two images show are bright, whatever the class of the others."""
    cells = tiny("simulated_human")
    pixels = np.asarray(cells.crops.pixels).copy()
    odd = np.isin(cells.crops.image, (2, 3))
    pixels[odd] //= 4
    pixels[odd & (np.arange(96) % 2 == 0), :, 4:12, 4:12] = 255
    protein = [f"P{number // 2}" for number in range(12)]
    kind = ["variable" if name == "P1" else "single" for name in protein]
    images = pl.DataFrame({"protein": protein, "cell_line": [""] * 12, "kind": kind})
    cells = replace(cells, images=images, crops=replace(cells.crops, pixels=pixels))
    first = encoder_trainings.trained(cells, cells.encoder)
    left_out = encoder_rounds.most_variable(cells, first)
    assert np.flatnonzero(left_out).tolist() == [2, 3]
    seen: list[np.ndarray] = []

    def train_on(cells: Cells, config: EncoderConfig, kept: np.ndarray) -> encoder_trainings.Trained:
        seen.append(cells.crops.image[kept])
        return first

    monkeypatch.setattr(encoder_rounds, "trained", train_on)
    rows = list(encoder_rounds.round_rows(cells, cells.encoder, [first]))
    assert (rows[0].value, rows[1].ratio) == (1.0, 1.0)
    assert "2 of 12 images left out, 2 truly variable" in rows[0].what
    assert [sorted(set(each.tolist())) for each in seen] == [[0, 1, *range(4, 12)]] * 2


def test_cells_of_a_start_are_simulated_at_several_magnifications() -> None:
    recipe = starting_weights.STARTS["simulated_yeast"]
    simulation = replace(
        recipe.simulation, plates=1, proteins_per_class=1, mixed_proteins=0, field_size_px=160
    )
    cells = starting_weights.varied_cells(replace(recipe, simulation=simulation))
    assert cells.channels == ("cytosol", "protein")
    assert cells.pixels.shape[1:] == (2, 64, 64)
    dark = [(cells.pixels[cells.image == number, 0] == 0).mean() for number in np.unique(cells.image)]
    assert min(dark) < 0.2 < 0.4 < max(dark)  # some images keep the background of their cells


@pytest.mark.parametrize(
    ("module", "read"),
    [
        (encoder_screens, lambda folder: encoder_screens.cells_of("simulated_yeast", None)),
        (precision, lambda folder: precision.cells_of("simulated_yeast", None, folder)),
        (quality, lambda folder: quality._scores("simulated_yeast", None)),
    ],
    ids=["encoders", "precision", "quality"],
)
def test_screens_of_benchmarks_are_those_that_come_with_pcip(
    module: Any, read: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The workspace of a benchmark is an empty folder, which has no spec."""
    reached: list[str] = []

    def simulate(screen: Screen) -> None:
        reached.append(screen.name)
        raise InterruptedError

    monkeypatch.setattr(module, "ensure_simulated", simulate)
    with pytest.raises(InterruptedError):
        read(tmp_path)
    assert reached == ["simulated_yeast"]


def test_screens_without_their_images_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(encoders, "DATA", tmp_path)
    monkeypatch.setattr(encoders, "SIMULATED", ())
    rows = encoders.run()
    assert [row.what.split(":")[0] for row in rows] == list(encoders.REAL)
    assert all("not run: its images cannot be distributed" in row.what for row in rows)
    monkeypatch.setenv("PCIP_BENCH_PART", encoders.REAL[1])
    assert [row.what.split(":")[0] for row in encoders.run()] == [encoders.REAL[1]]
