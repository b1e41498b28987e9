"""The settings of a training. This module imports only the standard library, so reading a spec is fast."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar


@dataclass(frozen=True)
class TrainingConfig:
    """Training of an encoder. The defaults are the paper's, or the authors' code's where the paper gives no value.

    Args:
        epochs: passes over the cells; each cell is the source once per epoch (paper: 30).
        batch_size: pairs per step (authors' yeast training: 64).
        learning_rate: learning rate of Adam (paper: 1e-4).
        beta1: first-moment decay rate of Adam (authors: 0.5).
        width: factor on all filter counts; 1 is the paper's network of 7.32 M parameters.
        seed: seed of all random draws, combined with epoch and cell.
        validation_fraction: share of cells that are predicted but not used for training (paper: 0).
        preview_every: epochs between inpainting previews.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
        precision: `auto` (bf16 if the GPU supports it, otherwise float32), `float32`, `bf16`.
        processes: number of processes that share each batch, each with its own GPU if there are GPUs. The weights
            are the same up to floating-point error. Under torchrun, its number of processes is used.
        memory_fraction: share of the free memory (of the GPU if there is one, otherwise of the machine) that the
            crops may use. If they need more, they are streamed from their files. The weights do not depend on it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 1e-4
    beta1: float = 0.5
    width: float = 1.0
    seed: int = 0
    validation_fraction: float = 0.1
    preview_every: int = 5
    device: str = "auto"
    precision: str = "auto"
    processes: int = 1
    memory_fraction: float = 0.6

    def problems(self, section: str) -> Iterator[tuple[str, str]]:
        """Invalid settings of a section of this name: (found, required).

        >>> list(TrainingConfig(epochs=0).problems("encoder"))
        [('encoder.epochs 0', '1 or more')]
        """
        for name in ("epochs", "batch_size", "preview_every", "processes"):
            if getattr(self, name) < 1:
                yield f"{section}.{name} {getattr(self, name)}", "1 or more"
        for name in ("learning_rate", "width"):
            if not 0 < getattr(self, name) < math.inf:
                yield f"{section}.{name} {getattr(self, name)}", "more than 0"
        for name in ("beta1", "validation_fraction"):
            if not 0 <= getattr(self, name) < 1:
                yield f"{section}.{name} {getattr(self, name)}", "0 or more, and less than 1"
        if not 0 <= self.memory_fraction <= 1:
            yield f"{section}.memory_fraction {self.memory_fraction}", "0 to 1"

    def deciding(self) -> TrainingConfig:
        """These settings with all that do not affect the weights reset to their defaults.

        >>> TrainingConfig(epochs=3, processes=4).deciding() == TrainingConfig(epochs=3)
        True
        """
        default = TrainingConfig()
        return replace(self, processes=default.processes, memory_fraction=default.memory_fraction)
