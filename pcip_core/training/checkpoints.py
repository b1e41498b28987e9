"""Checkpoints: the state of a training after its last complete epoch, on disk; also before the first, in `auto`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from pcip_core.errors import TrainingError
from pcip_core.files import replacing
from pcip_core.models.network import CellNetwork, Shape
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.precision import Choice
from pcip_core.training.task import Task


class Checkpoints:
    """The last state of one training.

    Args:
        folder: folder of the checkpoint, created when needed; None saves nothing.
        task, network, config: settings that must be equal to resume a training. The number of epochs may increase,
            unless the learning rate depends on it.
    """

    def __init__(self, folder: Path | None, task: Task, network: Shape, config: TrainingConfig) -> None:
        epochs = config.epochs if config.scheduled else 1
        same = dataclasses.replace(config.deciding(), epochs=epochs, preview_every=0, device="", precision="")
        self._path = folder / "last.pt" if folder else None
        self._precision = config.precision
        self._identity = f"{task.identity} {same} {network}"

    def resume(
        self, model: CellNetwork, optimizer: torch.optim.Optimizer, device: torch.device
    ) -> tuple[list[dict[str, float]], Choice | None]:
        """Load the last state into the model and the optimizer, and return the history and the precision.

        Without a checkpoint, the history is empty and the precision None. A resumed training keeps its precision,
        because it must equal one that was never interrupted.

        Raises:
            TrainingError: the checkpoint belongs to a different training.
        """
        if self._path is None or not self._path.is_file():
            return [], None
        try:
            state: dict[str, Any] = torch.load(self._path, map_location=device, weights_only=True)
            choice = Choice(**state["precision"])
        except Exception as error:  # torch raises any kind of exception on damaged files
            raise TrainingError(
                self._path,
                found=f"a checkpoint that cannot be read ({type(error).__name__})",
                required="the state of a training after an epoch",
                remedy="Remove the file; the training then starts again from its first epoch.",
            ) from error
        if state["identity"] != self._identity:
            raise TrainingError(
                self._path,
                found=f"the checkpoint of a training with other settings: {state['identity']}",
                required=self._identity,
                remedy="Use another folder for this training, or remove the checkpoint.",
            )
        if self._precision not in ("auto", choice.precision):
            raise TrainingError(
                self._path,
                found=f"the checkpoint of a training in {choice.precision}",
                required=f"encoder.precision, {self._precision}",
                remedy="Use another folder for this training, or remove the checkpoint.",
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return list(state["history"]), choice

    def save(
        self,
        model: CellNetwork,
        optimizer: torch.optim.Optimizer,
        history: list[dict[str, float]],
        choice: Choice,
    ) -> None:
        """Replace the checkpoint by this state."""
        if self._path is None:
            return
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": history,
            "precision": choice.as_dict(),
            "identity": self._identity,
        }
        with replacing(self._path, sync=True) as temporary:
            torch.save(state, temporary)
