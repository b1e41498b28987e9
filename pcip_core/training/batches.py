"""Batches of cells and pairs as tensors: gathered, flipped and rescaled on the device, without loops over cells."""

from __future__ import annotations

import numpy as np
import torch

from pcip_core.crops.pixels import Pixels, ShardedPixels, free_memory
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.training.sampling import Harder, draw_flips, draw_order, draw_partners

_PREVIEWED = 8
_PIECE = 4096  # crops per copy


class CellBatches:
    """Batches of crops, which are kept as uint8 on the device if they fit, otherwise in RAM, otherwise in their files.

    Args:
        pixels: (n, C, S, S) uint8.
        device: the device of the batches.
        memory: the fraction of free memory that the crops may occupy; an array in RAM may stay there.

    Attributes:
        streamed: whether the crops stay in their files. Batches should then be prefetched.

    >>> pixels = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    >>> CellBatches(pixels * 85, torch.device("cpu")).of(np.array([2, 0])).flatten().tolist()
    [0.6666666865348816, 0.0]
    """

    def __init__(self, pixels: Pixels, device: torch.device, memory: float = 0.6) -> None:
        on_gpu = device.type == "cuda" and pixels.nbytes < torch.cuda.mem_get_info(device)[0] * memory
        in_files = isinstance(pixels, ShardedPixels)
        self.device = device
        self.streamed = in_files and not on_gpu and pixels.nbytes >= free_memory() * memory
        self._pixels = self._held(pixels, on_gpu=on_gpu)

    def _held(self, pixels: Pixels, *, on_gpu: bool) -> torch.Tensor | ShardedPixels:
        """Place the crops on the GPU, in RAM (pinned, for transfers to a GPU), or leave them in their files."""
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
        """Return the cells at (B,) positions: (B, C, S, S) in [0, 1]."""
        return unit(self.gather(cells))

    def flipped(self, cells: np.ndarray, flips: np.ndarray) -> torch.Tensor:
        """Return the cells at (B,) positions, flipped vertically and horizontally as (B, 2) bool specify."""
        turn = self.on_device(flips)
        return unit(flipped(self.gather(cells), turn[:, 0], turn[:, 1]))

    def warped(
        self, cells: np.ndarray, transposed: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> torch.Tensor:
        """Return the cells at (B,) positions, transposed where specified, then resampled at rows and columns.

        Args:
            cells: (B,) positions.
            transposed: (B,) bool.
            rows, columns: (B, S) source row and column of each row and column of the result.

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
        """Return the cells at (B,) positions: (B, C, S, S) uint8 on the device."""
        if isinstance(self._pixels, ShardedPixels):
            crops = torch.from_numpy(self._pixels[cells])
            crops = crops.pin_memory() if self.device.type == "cuda" else crops
            return crops.to(self.device, non_blocking=True)
        index = torch.from_numpy(cells).to(self._pixels.device, non_blocking=True)
        return self._pixels[index].to(self.device, non_blocking=True)

    def on_device(self, values: np.ndarray) -> torch.Tensor:
        """Copy an array to the device of the batches."""
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
        """Return one batch of pairs.

        Args:
            source, target: (B,) positions of the cells.
            flips: (B, 4) bool as from `draw_flips`; None: no flips.

        Returns:
            Source (B, C, S, S), target markers (B, structural, S, S) and truth (B, protein, S, S), in [0, 1].
        """
        first, second = self.gather(source), self.gather(target)  # (B, C, S, S) uint8
        if flips is not None:
            turn = self.on_device(flips)
            first = flipped(first, turn[:, 0], turn[:, 1])
            second = flipped(second, turn[:, 2], turn[:, 3])
        return unit(first), unit(second[:, self._markers]), unit(second[:, self._protein])


def flipped(cells: torch.Tensor, vertically: torch.Tensor, horizontally: torch.Tensor) -> torch.Tensor:
    """Flip each cell of (B, C, S, S) as specified by (B,) bool."""
    cells = torch.where(vertically[:, None, None, None], cells.flip(2), cells)
    return torch.where(horizontally[:, None, None, None], cells.flip(3), cells)


def unit(cells: torch.Tensor) -> torch.Tensor:
    """Convert uint8 to float32 in [0, 1], with channels last in memory."""
    return cells.to(torch.float32, memory_format=torch.channels_last).div_(255)


def slices(n: int, size: int, *, fewest: int = 1) -> list[slice]:
    """Divide n rows into consecutive batches. A last batch with fewer than `fewest` rows joins the previous one.

    >>> slices(7, 3), slices(7, 3, fewest=2)
    ([slice(0, 3, None), slice(3, 6, None), slice(6, 7, None)], [slice(0, 3, None), slice(3, 7, None)])
    """
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] < fewest:
        del starts[-1]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], n], strict=True)]


def chosen_evenly(cells: np.ndarray) -> np.ndarray:
    """Select up to 8 evenly spaced cells for previews."""
    return cells[np.linspace(0, len(cells) - 1, min(_PREVIEWED, len(cells))).astype(int)]


def epoch_pairs(
    image: np.ndarray,
    protein: np.ndarray | None = None,
    *,
    across: float = 0.0,
    harder: Harder | None = None,
    seed: int,
    epoch: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw all pairs of an epoch in their order: sources (n,), targets (n,), flips (n, 4).

    Each cell is the source once; its target is drawn by `draw_partners`, which has the same arguments.

    >>> source, target, flips = epoch_pairs(np.array([0, 0, 1, 1]), seed=0, epoch=1)
    >>> sorted(zip(source.tolist(), target.tolist())), flips.shape
    ([(0, 1), (1, 0), (2, 3), (3, 2)], (4, 4))
    """
    order = draw_order(len(image), seed=seed, epoch=epoch)
    targets = draw_partners(image, protein, across=across, harder=harder, seed=seed, epoch=epoch)[order]
    return order, targets, draw_flips(len(image), seed=seed, epoch=epoch)[order]
