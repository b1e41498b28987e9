"""The task of paired cell inpainting: predict a cell's protein from another cell of its image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import mse_loss

from pcip_core.errors import TrainingError
from pcip_core.models.inpainting import NetworkConfig, PairedCellInpainting, build_network
from pcip_core.models.network import CellNetwork
from pcip_core.models.starts.starting import started
from pcip_core.spec.training import EncoderConfig, TrainingConfig
from pcip_core.training.batches import PairBatches, chosen_evenly, epoch_pairs, slices
from pcip_core.training.cells import CellSet
from pcip_core.training.processes import ALONE, Processes
from pcip_core.training.sampling import draw_partners, hold_out
from pcip_core.training.task import Batch, mean_loss
from pcip_core.training.tracker import Preview


class Inpainting:
    """Each cell is the source once per epoch, with a random target; mean squared error of the target's protein.

    Raises:
        TrainingError: an image has only one cell, or the settings ask for pairs other than the paper's.
    """

    identity, unit, fewest_rows = "inpainting", "pairs", 2

    def __init__(
        self, cells: CellSet, network: NetworkConfig, config: TrainingConfig, device: torch.device
    ) -> None:
        if isinstance(config, EncoderConfig) and not config.as_in_the_paper:
            raise TrainingError(
                "encoder settings",
                found=f"tasks {', '.join(config.tasks)}; pairs {config.pairs}, the hardest of {config.hardest_of}; "
                f"{config.augment}",
                required="inpainting alone, from the pairs of the paper",
                remedy="Train with the task `pairs.Pairs`.",
            )
        held = hold_out(cells.image, fraction=config.validation_fraction, seed=config.seed)
        self.training, self.validation = np.flatnonzero(~held), np.flatnonzero(held)
        self._cells, self._network, self._config = cells, network, config
        self._pairs = PairBatches(cells.pixels, network, device, config.memory_fraction)
        self.streamed = self._pairs.streamed

    def build(self) -> PairedCellInpainting:
        """Build the network as the training starts."""
        network = build_network(self._network, self._config.seed)
        return started(network, self._config.start if isinstance(self._config, EncoderConfig) else "none")

    def batches(self, epoch: int, processes: Processes = ALONE) -> Iterator[Batch]:
        """Yield pairs of training cells, flipped."""
        image = self._cells.image[self.training]
        source, target, flips = epoch_pairs(image, seed=self._config.seed, epoch=epoch)
        source, target = self.training[source], self.training[target]
        for part in slices(len(source), self._config.batch_size):
            mine = processes.share(part)
            x, markers, truth = self._pairs.of(source[mine], target[mine], flips[mine])
            yield Batch((x, markers), truth, processes.others(part))

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Compute the mean squared error over the pixels of the targets' protein channels."""
        return mse_loss(output, batch.truth)

    def validate(
        self, network: CellNetwork, precision: torch.dtype, processes: Processes = ALONE
    ) -> dict[str, float]:
        """Compute the loss on held-out targets."""
        if not len(self.validation):
            return {}
        return {"validation_loss": mean_loss(self, network, self._held(processes), precision, processes)}

    def preview(self, network: CellNetwork) -> Preview:
        """Make a preview of a few pairs, with held-out targets if there are any."""
        shown = chosen_evenly(self.validation if len(self.validation) else self.training)
        source, target = self._sources(shown), shown
        x, markers, _ = self._pairs.of(source, target)
        prediction = network(x, markers).float().cpu().numpy()
        truth = self._cells.pixels[target].astype(np.float32) / 255
        channels, protein = self._network.channels, self._network.protein
        return Preview(x.cpu().numpy(), truth, prediction, channels, protein)

    def _held(self, processes: Processes) -> Iterator[Batch]:
        source, target = self._sources(self.validation), self.validation
        for part in slices(len(target), self._config.batch_size):
            mine = processes.share(part)
            x, markers, truth = self._pairs.of(source[mine], target[mine])
            yield Batch((x, markers), truth, processes.others(part))

    def _sources(self, targets: np.ndarray) -> np.ndarray:
        """Draw for each target another cell of its image, equal in every epoch."""
        return draw_partners(self._cells.image, seed=self._config.seed, epoch=0)[targets]
