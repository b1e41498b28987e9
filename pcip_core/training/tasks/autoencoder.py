"""The task of the paper's autoencoder: reconstruct all channels of a cell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import mse_loss

from pcip_core.models.autoencoder import Autoencoder, AutoencoderConfig, build_autoencoder
from pcip_core.models.network import CellNetwork
from pcip_core.spec.training import Augmentation, EncoderConfig, TrainingConfig
from pcip_core.training.augmentation import changed, draw_changes
from pcip_core.training.batches import CellBatches, chosen_evenly, slices
from pcip_core.training.cells import CellSet
from pcip_core.training.processes import ALONE, Processes
from pcip_core.training.sampling import draw_flips, draw_order, hold_out
from pcip_core.training.task import Batch, mean_loss
from pcip_core.training.tracker import Preview


class Autoencoding:
    """Each cell once per epoch, flipped and changed as the sources of pairs; mean squared error of all channels.

    The truth is the cell as it was changed (`EncoderConfig.augment`). The held-out cells are those of inpainting with
    the same seed and fraction.
    """

    identity, unit, fewest_rows = "autoencoder", "cells", 2

    def __init__(
        self, cells: CellSet, network: AutoencoderConfig, config: TrainingConfig, device: torch.device
    ) -> None:
        held = hold_out(cells.image, fraction=config.validation_fraction, seed=config.seed)
        self.training, self.validation = np.flatnonzero(~held), np.flatnonzero(held)
        self._network, self._config = network, config
        self._augment = config.augment if isinstance(config, EncoderConfig) else Augmentation()
        self._cells = CellBatches(cells.pixels, device, config.memory_fraction)
        self.streamed = self._cells.streamed

    def build(self) -> Autoencoder:
        """Build the untrained network."""
        return build_autoencoder(self._network, self._config.seed)

    def batches(self, epoch: int, processes: Processes = ALONE) -> Iterator[Batch]:
        """Yield the training cells, flipped and changed; each is its own truth."""
        n, seed = len(self.training), self._config.seed
        order = draw_order(n, seed=seed, epoch=epoch)
        cells, flips = self.training[order], draw_flips(n, seed=seed, epoch=epoch)[order]
        for part in slices(n, self._config.batch_size):
            mine = processes.share(part)
            x = self._changed(self._cells.flipped(cells[mine], flips[mine, :2]), order[mine], epoch)
            yield Batch((x,), x, processes.others(part))

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Compute the mean squared error over the pixels of all channels."""
        return mse_loss(output, batch.truth)

    def validate(
        self, network: CellNetwork, precision: torch.dtype, processes: Processes = ALONE
    ) -> dict[str, float]:
        """Compute the loss on the held-out cells."""
        if not len(self.validation):
            return {}
        return {"validation_loss": mean_loss(self, network, self._held(processes), precision, processes)}

    def preview(self, network: CellNetwork) -> Preview:
        """Make a preview of a few cells and their reconstructions, from the held-out cells if there are any."""
        x = self._cells.of(chosen_evenly(self.validation if len(self.validation) else self.training))
        cells, reconstructed = x.cpu().numpy(), network(x).float().cpu().numpy()
        return Preview(cells, cells, reconstructed, self._network.channels, self._network.channels)

    def _changed(self, x: torch.Tensor, numbers: np.ndarray, epoch: int) -> torch.Tensor:
        """Change cells as the sources of the same numbers in `Pairs`."""
        if self._augment == Augmentation():
            return x
        changes = draw_changes(self._augment, 2 * numbers, x.shape[1], seed=self._config.seed, epoch=epoch)
        return changed(x, changes, self._augment)

    def _held(self, processes: Processes) -> Iterator[Batch]:
        for part in slices(len(self.validation), self._config.batch_size):
            x = self._cells.of(self.validation[processes.share(part)])
            yield Batch((x,), x, processes.others(part))
