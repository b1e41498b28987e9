"""The settings of a training; imports nothing, so that reading a spec stays quick."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar


@dataclass(frozen=True)
class TrainingConfig:
    """How an encoder is trained. Defaults are the paper's, and the authors' where the paper is silent.

    Args:
        epochs: passes over the cells, each the source once (paper: 30).
        batch_size: pairs a step (authors' yeast training: 64).
        learning_rate: Adam's (paper: 1e-4).
        beta1: Adam's first decay (authors: 0.5).
        width: factor on every filter count; 1 is the paper's network of 7.32 M parameters.
        seed: keys every random draw together with epoch and cell.
        validation_fraction: share of cells that are predicted but never trained on; 0 is the paper's.
        preview_every: epochs between inpainting previews.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
        precision: `auto` (bf16 where the GPU has it, else float32), `float32`, `bf16`.
        processes: how many share each batch, on GPUs each with its own; the weights are the same within the
            error of floating point. Under torchrun its number counts.
        memory_fraction: share of the free memory, of the GPU or else of the machine, that the crops may take;
            more of them are streamed from their files. The weights do not depend on it.
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

    def deciding(self) -> TrainingConfig:
        """These settings, with those at their defaults that leave the weights as they are."""
        default = TrainingConfig()
        return replace(self, processes=default.processes, memory_fraction=default.memory_fraction)
