"""Pairs as tensors: gathered, flipped and rescaled on the device, no Python for a single cell."""

from __future__ import annotations

import numpy as np
import torch

from pcip_core.models.inpainting import NetworkConfig
from pcip_core.pairs import draw_flips, draw_order, draw_partners


class PairBatches:
    """Batches of pairs from crops that lie, as uint8, on the device when they fit there, else in RAM."""

    def __init__(self, pixels: np.ndarray, network: NetworkConfig, device: torch.device) -> None:
        tensor = torch.from_numpy(np.ascontiguousarray(pixels))
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            tensor = tensor.to(device) if tensor.nbytes < free * 0.6 else tensor.pin_memory()
        self._pixels, self._device = tensor, device
        self._markers, self._protein = network.index(network.structural), network.index(network.protein)

    def of(
        self, source: np.ndarray, target: np.ndarray, flips: np.ndarray | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One batch.

        Args:
            source, target: (B,) positions of the cells.
            flips: (B, 4) bool as of `draw_flips`; None for none.

        Returns:
            source (B, C, S, S), target markers (B, structural, S, S), truth (B, protein, S, S), in [0, 1].
        """
        first, second = self._gather(source), self._gather(target)  # (B, C, S, S) uint8
        if flips is not None:
            turn = torch.from_numpy(flips).to(self._device, non_blocking=True)
            first = _flipped(first, turn[:, 0], turn[:, 1])
            second = _flipped(second, turn[:, 2], turn[:, 3])
        return _unit(first), _unit(second[:, self._markers]), _unit(second[:, self._protein])

    def _gather(self, cells: np.ndarray) -> torch.Tensor:
        index = torch.from_numpy(cells).to(self._pixels.device, non_blocking=True)
        return self._pixels[index].to(self._device, non_blocking=True)


def _flipped(cells: torch.Tensor, vertically: torch.Tensor, horizontally: torch.Tensor) -> torch.Tensor:
    cells = torch.where(vertically[:, None, None, None], cells.flip(2), cells)
    return torch.where(horizontally[:, None, None, None], cells.flip(3), cells)


def _unit(cells: torch.Tensor) -> torch.Tensor:
    return cells.to(torch.float32, memory_format=torch.channels_last).div_(255)


def epoch_pairs(image: np.ndarray, *, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of an epoch in their order: sources (n,), targets (n,), flips (n, 4).

    Each cell is the source once; its target is drawn from the other cells of its image.
    """
    order = draw_order(len(image), seed=seed, epoch=epoch)
    targets = draw_partners(image, seed=seed, epoch=epoch)[order]
    return order, targets, draw_flips(len(image), seed=seed, epoch=epoch)[order]
