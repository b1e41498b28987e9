"""The baselines resume bit for bit, and a checkpoint belongs to its training."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcip_core.errors import TrainingError
from pcip_core.training.tasks.supervised import train_supervised
from tests.core.training.small import CONFIG, DEEPLOC, Listener, labelled, trained


def weights(one: Any) -> list[np.ndarray]:
    return [value.numpy() for value in one.network.state_dict().values()]


def without_speed(one: Any) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if "seconds" not in k and "_per_s" not in k} for row in one.history]


def same(one: Any, other: Any) -> bool:
    equal = all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))
    return equal and without_speed(one) == without_speed(other)


@pytest.mark.parametrize("kind", ["autoencoder", "supervised"])
def test_resumed_equals_uninterrupted_bit_for_bit(kind: str, tmp_path: Path) -> None:
    whole = trained(kind)
    with pytest.raises(KeyboardInterrupt):
        trained(kind, tracker=Listener(stop_after=2), checkpoints=tmp_path)
    torch.rand(5)  # torch's global random state plays no part
    listener = Listener()
    resumed = trained(kind, tracker=listener, checkpoints=tmp_path)
    assert listener.epochs == [3, 4]
    assert listener.resumed_after == (2, 4)
    assert same(whole, resumed)
    assert same(whole, trained(kind))
    assert not same(whole, trained(kind, config=dataclasses.replace(CONFIG, seed=4)))


def test_a_checkpoint_belongs_to_its_task_and_its_labels(tmp_path: Path) -> None:
    cells, labels = labelled()
    config = dataclasses.replace(CONFIG, epochs=1)
    told = partial(train_supervised, cells, network=DEEPLOC, config=config, checkpoints=tmp_path)
    told(labels=labels, tracker=Listener())
    told(labels=labels, tracker=Listener())
    with pytest.raises(TrainingError, match="other settings: supervised"):
        told(labels=1 - labels, tracker=Listener())
    with pytest.raises(TrainingError, match="other settings: supervised"):
        told(labels=labels, balanced=False, tracker=Listener())
    with pytest.raises(TrainingError, match="other settings: supervised"):
        trained("autoencoder", config=config, checkpoints=tmp_path)
