"""Cells and pairs as tensors: gathered, flipped and rescaled on the device, no Python for a single cell."""

from __future__ import annotations

import numpy as np
import torch

from pcip_core.crops.pixels import Pixels, ShardedPixels, free_memory
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.training.sampling import draw_flips, draw_order, draw_partners

_PREVIEWED = 8
_PIECE = 4096  # crops that are copied at a time


class CellBatches:
    """Batches of crops that lie, as uint8, on the device when they fit there, else in RAM, else in their files.

    Args:
        pixels: (n, C, S, S) uint8.
        device: where the batches are wanted.
        memory: the share of free memory that they may take; an array that is in RAM may stay there.

    Attributes:
        streamed: whether they stay in their files. Batches are then best made ahead.
    """

    def __init__(self, pixels: Pixels, device: torch.device, memory: float = 0.6) -> None:
        on_gpu = device.type == "cuda" and pixels.nbytes < torch.cuda.mem_get_info(device)[0] * memory
        in_files = isinstance(pixels, ShardedPixels)
        self.device = device
        self.streamed = in_files and not on_gpu and pixels.nbytes >= free_memory() * memory
        self._pixels = self._held(pixels, on_gpu=on_gpu)

    def _held(self, pixels: Pixels, *, on_gpu: bool) -> torch.Tensor | ShardedPixels:
        """The crops where they stay: on the GPU, in RAM (from which a GPU reads by itself), or in their files."""
        cuda = self.device.type == "cuda"
        if isinstance(pixels, np.ndarray) and not cuda:
            return torch.from_numpy(np.ascontiguousarray(pixels))
        if isinstance(pixels, ShardedPixels) and self.streamed:
            return pixels
        place = self.device if on_gpu else torch.device("cpu")
        held = torch.empty(pixels.shape, dtype=torch.uint8, device=place, pin_memory=cuda and not on_gpu)
        for start in range(0, len(pixels), _PIECE):
            part = slice(start, start + _PIECE)
            held[part] = torch.from_numpy(np.array(pixels[part]))
        return held

    def of(self, cells: np.ndarray) -> torch.Tensor:
        """Cells at the (B,) given positions as they are: (B, C, S, S) in [0, 1]."""
        return unit(self.gather(cells))

    def flipped(self, cells: np.ndarray, flips: np.ndarray) -> torch.Tensor:
        """Cells at (B,) positions, flipped where (B, 2) bool say so, vertically and horizontally."""
        turn = self.on_device(flips)
        return unit(flipped(self.gather(cells), turn[:, 0], turn[:, 1]))

    def warped(
        self, cells: np.ndarray, transposed: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> torch.Tensor:
        """Cells at (B,) positions, transposed where (B,) bool say so, then read at rows and columns.

        Args:
            cells, transposed: (B,).
            rows, columns: (B, S) which row and column of the crop comes where.

        Returns:
            (B, C, S, S) in [0, 1].
        """
        crops = self.gather(cells)
        turn = self.on_device(transposed)[:, None, None, None]
        crops = torch.where(turn, crops.transpose(2, 3), crops)
        down = self.on_device(rows)[:, None, :, None].expand_as(crops)
        across = self.on_device(columns)[:, None, None, :].expand_as(crops)
        return unit(crops.gather(2, down).gather(3, across))

    def gather(self, cells: np.ndarray) -> torch.Tensor:
        """(B,) positions -> (B, C, S, S) uint8 on the device."""
        if isinstance(self._pixels, ShardedPixels):
            read = torch.from_numpy(self._pixels[cells])
            read = read.pin_memory() if self.device.type == "cuda" else read
            return read.to(self.device, non_blocking=True)
        index = torch.from_numpy(cells).to(self._pixels.device, non_blocking=True)
        return self._pixels[index].to(self.device, non_blocking=True)

    def on_device(self, values: np.ndarray) -> torch.Tensor:
        """An array as a tensor where the batches are."""
        return torch.from_numpy(values).to(self.device, non_blocking=True)


class PairBatches(CellBatches):
    """Batches of pairs."""

    def __init__(
        self, pixels: Pixels, network: NetworkConfig, device: torch.device, memory: float = 0.6
    ) -> None:
        super().__init__(pixels, device, memory)
        self._markers, self._protein = network.index(network.structural), network.index(network.protein)

    def of(  # type: ignore[override]
        self, source: np.ndarray, target: np.ndarray, flips: np.ndarray | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One batch.

        Args:
            source, target: (B,) positions of the cells.
            flips: (B, 4) bool as of `draw_flips`; None for none.

        Returns:
            source (B, C, S, S), target markers (B, structural, S, S), truth (B, protein, S, S), in [0, 1].
        """
        first, second = self.gather(source), self.gather(target)  # (B, C, S, S) uint8
        if flips is not None:
            turn = self.on_device(flips)
            first = flipped(first, turn[:, 0], turn[:, 1])
            second = flipped(second, turn[:, 2], turn[:, 3])
        return unit(first), unit(second[:, self._markers]), unit(second[:, self._protein])


def flipped(cells: torch.Tensor, vertically: torch.Tensor, horizontally: torch.Tensor) -> torch.Tensor:
    """(B, C, S, S) with each cell flipped as (B,) bool say."""
    cells = torch.where(vertically[:, None, None, None], cells.flip(2), cells)
    return torch.where(horizontally[:, None, None, None], cells.flip(3), cells)


def unit(cells: torch.Tensor) -> torch.Tensor:
    """uint8 as float32 in [0, 1], channels last in memory."""
    return cells.to(torch.float32, memory_format=torch.channels_last).div_(255)


def slices(n: int, size: int, *, fewest: int = 1) -> list[slice]:
    """Consecutive batches of n; a last one of fewer than `fewest` joins the one before."""
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] < fewest:
        del starts[-1]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], n], strict=True)]


def chosen_evenly(cells: np.ndarray) -> np.ndarray:
    """A few of the cells to show, evenly spaced."""
    return cells[np.linspace(0, len(cells) - 1, min(_PREVIEWED, len(cells))).astype(int)]


def epoch_pairs(image: np.ndarray, *, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of an epoch in their order: sources (n,), targets (n,), flips (n, 4).

    Each cell is the source once; its target is drawn from the other cells of its image.
    """
    order = draw_order(len(image), seed=seed, epoch=epoch)
    targets = draw_partners(image, seed=seed, epoch=epoch)[order]
    return order, targets, draw_flips(len(image), seed=seed, epoch=epoch)[order]
