"""A network that is trained on pairs of cells of one image by any of three tasks, or by several of them.

All tasks share the source encoder, whose layers are the features:

- `inpainting`: the decoder predicts the protein of the second cell (the paper's task; see `inpainting`);
- `agreement`: a projector maps each of the two cells to a vector; the vectors of a pair shall agree;
- `identity`: a linear layer names the image of the first cell.

Source of the projector: Bardes, Ponce and LeCun, "VICReg", ICLR 2022, at the size that these small networks need.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from pcip_core.errors import EncoderError
from pcip_core.models.inpainting import LAYERS, SOURCE_FILTERS, NetworkConfig, PairedCellInpainting
from pcip_core.models.network import CellNetwork, initialized

TASKS = ("inpainting", "agreement", "identity")


@dataclass(frozen=True)
class PairConfig(NetworkConfig):
    """The settings of a network for pairs: those of inpainting, and the tasks.

    Args:
        tasks: some of `TASKS`.
        images: number of images that `identity` tells apart.
        projector: length of the vectors of `agreement`.

    Raises:
        EncoderError: a task is unknown, or there is none.
    """

    tasks: tuple[str, ...] = ("inpainting",)
    images: int = 0
    projector: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown or not self.tasks:
            raise EncoderError(
                "network",
                found=f"tasks {', '.join(self.tasks) or 'none'}",
                required=f"one or more of {', '.join(TASKS)}",
                remedy="Correct `encoder.task` in the spec.",
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PairConfig:
        """Restore the config from `as_dict`, also after a round trip through JSON."""
        names = {key: tuple(values[key]) for key in ("channels", "structural", "protein", "tasks")}
        return cls(**{**values, **names})


class Projector(nn.Module):
    """Maximum over space, batch norm, and two linear layers."""

    def __init__(self, filters: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(filters, eps=1e-3),
            nn.Linear(filters, width),
            nn.BatchNorm1d(width, eps=1e-3),
            nn.ReLU(),
            nn.Linear(width, width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, filters, h, w) -> (B, width)."""
        return self.layers(x.amax((2, 3)))


class PairedCells(CellNetwork):
    """The source encoder with the parts that the tasks need."""

    architecture: ClassVar[str] = "paired_cells"
    layers: tuple[str, ...] = LAYERS
    config: PairConfig

    def __init__(self, config: PairConfig) -> None:
        super().__init__(config)
        paper = PairedCellInpainting(config)
        self.source, self.layers = paper.source, paper.layers
        filters = config.filters(SOURCE_FILTERS[-1])
        if "inpainting" in config.tasks:
            self.target, self.decoder = paper.target, paper.decoder
        if "agreement" in config.tasks:
            self.projector = Projector(filters, config.projector)
        if "identity" in config.tasks:
            self.identity = nn.Linear(filters, config.images)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the output of each task for pairs of cells.

        Args:
            source, target: (B, C, S, S) all channels of both cells, in [0, 1].

        Returns:
            task -> output: `inpainting` (B, protein, S, S), `agreement` (B, 2, projector), `identity` (B, images).
        """
        encoded = self.source(source)
        output = {}
        if "inpainting" in self.config.tasks:
            output["inpainting"] = self._decoded(
                encoded, target[:, self.config.index(self.config.structural)]
            )
        if "agreement" in self.config.tasks:
            pair = [self.projector(encoded), self.projector(self.source(target))]
            output["agreement"] = torch.stack(pair, dim=1)
        if "identity" in self.config.tasks:
            output["identity"] = self.identity(encoded.amax((2, 3)))
        return output

    def predict(self, source: torch.Tensor, target_markers: torch.Tensor) -> torch.Tensor:
        """Predict the protein channels of the target cells, as `PairedCellInpainting.forward`."""
        return self._decoded(self.source(source), target_markers)

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the layers of the source encoder: (B, C, S, S) -> conv1 to the last, each (B, filters, h, w)."""
        return self.source.activations(x)

    def _decoded(self, encoded: torch.Tensor, target_markers: torch.Tensor) -> torch.Tensor:
        return self.decoder(torch.cat([encoded, self.target(target_markers)], dim=1))


def build_pairs(config: PairConfig, seed: int) -> PairedCells:
    """Build an untrained network, with weights that depend only on the seed.

    >>> config = PairConfig(("dna", "protein"), ("dna",), ("protein",), size_px=8, width=0.03, tasks=("agreement",))
    >>> cells = torch.rand(2, 2, 8, 8)
    >>> {task: output.shape for task, output in build_pairs(config, seed=0)(cells, cells).items()}
    {'agreement': torch.Size([2, 2, 64])}
    """
    return initialized(PairedCells, config, seed)
