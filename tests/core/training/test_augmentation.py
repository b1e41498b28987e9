"""Random changes of cells against scipy and naive loops; equal on any number of processes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from pcip_core.errors import TrainingError
from pcip_core.spec.training import Augmentation, EncoderConfig
from pcip_core.training.augmentation import Changes, changed, draw_changes, resampled_lines
from pcip_core.training.loop import train
from pcip_core.training.processes import Processes
from pcip_core.training.tasks.inpainting import Inpainting
from pcip_core.training.tasks.pairs import Pairs
from tests.core.training.process_jobs import PAIRED, PAIRS, cells
from tests.core.training.small import INPAINTING, Listener

EVERY = Augmentation(turns=True, scale=0.2, blur=1.5, intensity=0.5)
CONFIG = dataclasses.replace(PAIRED, augment=EVERY)
CPU = torch.device("cpu")
NOTHING = {"transposed": False, "factor": 1.0, "sigma": 0.0, "power": [1.0, 1.0]}


def change(x: np.ndarray, **drawn: Any) -> np.ndarray:
    """One crop, changed by what is given."""
    changes = Changes(**{name: np.array([value]) for name, value in {**NOTHING, **drawn}.items()})
    return changed(torch.from_numpy(x)[None], changes, EVERY)[0].numpy()


@pytest.fixture
def crop() -> np.ndarray:
    return np.random.default_rng(0).random((2, 24, 24)).astype(np.float32)


def test_without_a_change_a_cell_stays_as_it_is(crop: np.ndarray) -> None:
    np.testing.assert_allclose(change(crop), crop, atol=1e-6)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_scale_is_linear_interpolation_about_the_centre(crop: np.ndarray, factor: float) -> None:
    lines = 11.5 + (np.arange(24) - 11.5) / factor
    places = np.meshgrid(lines, lines, indexing="ij")
    expected = [ndimage.map_coordinates(plane, places, order=1, mode="nearest") for plane in crop]
    np.testing.assert_allclose(change(crop, factor=factor), expected, atol=1e-5)


def test_blur_is_gaussian(crop: np.ndarray) -> None:
    expected = [ndimage.gaussian_filter(plane, 1.2, truncate=8) for plane in crop]
    inside = np.s_[:, 8:-8, 8:-8]  # the border is treated otherwise
    np.testing.assert_allclose(change(crop, sigma=1.2)[inside], np.array(expected)[inside], atol=1e-5)
    np.testing.assert_allclose(resampled_lines(24, np.array([0.8]), np.array([3.0])).sum(2), 1, atol=1e-5)


def test_transposition_and_power(crop: np.ndarray) -> None:
    np.testing.assert_allclose(change(crop, transposed=True), crop.transpose(0, 2, 1), atol=1e-6)
    expected = [crop[0] ** 0.5, crop[1] ** 1.4]
    np.testing.assert_allclose(change(crop, power=[0.5, 1.4]), expected, rtol=1e-5, atol=1e-6)


def test_draws_are_uniform_in_their_limits_and_keyed() -> None:
    numbers = np.arange(20_000)
    drawn = draw_changes(EVERY, numbers, 2, seed=0, epoch=1)
    assert abs(drawn.transposed.mean() - 0.5) < 0.02
    uniform = [
        np.log(drawn.factor) / np.log(1.2) / 2 + 0.5,
        drawn.sigma / 1.5,
        *(np.log(drawn.power) / np.log(1.5) / 2 + 0.5).T,
    ]
    for values in uniform:
        counts = np.histogram(values, 10, (0, 1))[0]
        assert counts.sum() == 20_000
        assert (abs(counts - 2000) < 5 * 2000**0.5).all()
    assert (abs(np.corrcoef([drawn.transposed, *uniform]) - np.eye(5)) < 0.03).all()
    few = draw_changes(EVERY, np.array([7, 3]), 2, seed=0, epoch=1)
    assert all(np.array_equal(a, b[[7, 3]]) for a, b in zip(few, drawn, strict=True))
    for key in ({"seed": 0, "epoch": 2}, {"seed": 1, "epoch": 1}):
        assert not np.array_equal(draw_changes(EVERY, numbers, 2, **key).sigma, drawn.sigma)


def test_both_cells_of_a_pair_change_each_by_itself_and_alike_on_any_number_of_processes() -> None:
    work = Pairs(cells()[0], PAIRS, CONFIG, CPU)
    plain = Pairs(cells()[0], PAIRS, PAIRED, CPU)
    whole = list(work.batches(2))
    assert all(batch.truth is batch.inputs[1] for batch in whole)  # input and truth of inpainting alike
    for alone, before in zip(whole, plain.batches(2), strict=True):
        for changed_cells, flipped_cells in zip(alone.inputs, before.inputs, strict=True):
            assert changed_cells.is_contiguous(memory_format=torch.channels_last)
            assert (abs(changed_cells - flipped_cells).amax((1, 2, 3)) > 0.01).all()
    again = {rank: list(work.batches(2, Processes(rank, 2))) for rank in (0, 1)}
    for number, alone in enumerate(whole):
        for rank in (0, 1):
            share = again[rank][number]
            for mine, every in zip(share.inputs, alone.inputs, strict=True):
                torch.testing.assert_close(mine, every[rank::2])
    same_cell = dataclasses.replace(CONFIG, augment=Augmentation(blur=1.5))
    numbers = np.arange(10)
    source, target = (draw_changes(same_cell.augment, 2 * numbers + n, 2, seed=0, epoch=1) for n in (0, 1))
    assert (source.sigma != target.sigma).all()


def test_validation_and_previews_are_not_changed() -> None:
    data, heard = cells()[0], Listener()
    config = dataclasses.replace(CONFIG, epochs=1, preview_every=1)
    train(data, PAIRS, config, task=Pairs, tracker=heard)
    target = (heard.previews[1].target * 255).round().astype(np.uint8)
    assert {crop.tobytes() for crop in target} <= {crop.tobytes() for crop in data.pixels}
    changed_work, plain = (Pairs(data, PAIRS, each, CPU) for each in (CONFIG, PAIRED))
    network = plain.build().eval()
    with torch.no_grad():
        first, second = (work.validate(network, torch.float32) for work in (changed_work, plain))
    assert first["validation_loss"] == second["validation_loss"]


def test_an_augmented_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    data = cells()[0]

    def run(listener: Listener, folder: Path | None = None) -> dict[str, torch.Tensor]:
        trained = train(data, PAIRS, CONFIG, task=Pairs, tracker=listener, checkpoints=folder)
        return trained.network.state_dict()

    with pytest.raises(KeyboardInterrupt):
        run(Listener(stop_after=1), tmp_path)
    resumed, whole = run(Listener(), tmp_path), run(Listener())
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())


def test_the_task_of_the_paper_flips_only() -> None:
    config = EncoderConfig(augment=Augmentation(turns=True))
    assert EncoderConfig().as_in_the_paper
    assert not config.as_in_the_paper
    with pytest.raises(TrainingError, match="pairs of the paper"):
        Inpainting(cells()[0], INPAINTING, config, CPU)
