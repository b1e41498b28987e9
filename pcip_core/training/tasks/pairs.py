"""Training on pairs of cells of one image, by a weighted sum of tasks.

| task | loss |
|---|---|
| `inpainting` | mean squared error of the target's protein channel (the paper) |
| `agreement` | the vectors of both cells agree (`agreement`) |
| `identity` | cross-entropy of the image of the source |
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy, mse_loss

from pcip_core.crops.shapes import comparable_shapes
from pcip_core.errors import TrainingError
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.models.network import CellNetwork
from pcip_core.models.pairs import PairConfig, PairedCells, build_pairs
from pcip_core.models.starts.starting import started
from pcip_core.spec.training import Augmentation, EncoderConfig
from pcip_core.training.augmentation import changed, draw_changes
from pcip_core.training.batches import CellBatches, chosen_evenly, epoch_pairs, slices
from pcip_core.training.cells import CellSet
from pcip_core.training.processes import ALONE, Processes
from pcip_core.training.sampling import Harder, draw_partners, hold_out
from pcip_core.training.task import Batch, Output, TaskKind, mean_loss
from pcip_core.training.tasks.agreement import agreement_loss
from pcip_core.training.tasks.inpainting import Inpainting
from pcip_core.training.tracker import Preview
from pcip_core.words import many

_LEAST_SPREAD = 1e-3  # standard deviation of the vectors that shall agree; in a useful training it is near 1
_COMPARED_ROWS = 16  # of a batch with agreement: over two rows, batch norm maps any vectors to -1 and 1


def network_and_task(
    config: EncoderConfig,
    channels: tuple[str, ...],
    structural: tuple[str, ...],
    protein: tuple[str, ...],
    size_px: int,
    *,
    images: int,
) -> tuple[NetworkConfig, TaskKind]:
    """The settings of the network and the class of the task for an encoder: the paper's, or those for other tasks.

    Args:
        config: settings of the encoder.
        channels, structural, protein, size_px: as for `NetworkConfig`.
        images: number of images, for `identity`.

    >>> shape, task = network_and_task(EncoderConfig(task="agreement"), ("dna", "er"), ("dna",), ("er",), 64, images=3)
    >>> type(shape).__name__, task.__name__
    ('PairConfig', 'Pairs')
    """
    shape = NetworkConfig(
        channels,
        structural,
        protein,
        size_px,
        config.width,
        config.block,
        config.initial_weights,
        config.stages,
    )
    if config.as_in_the_paper:
        return shape, Inpainting
    identified = images if "identity" in config.tasks else 0
    pairs = PairConfig(
        **vars(shape), tasks=tuple(config.tasks), images=identified, projector=config.projector
    )
    return pairs, Pairs


class _Drawn(NamedTuple):
    """What an epoch draws for its n pairs: (n, 4) flips, and the number of each pair, the key of further draws."""

    flips: np.ndarray
    number: np.ndarray
    epoch: int


class Pairs:
    """Each cell is the source once per epoch, with a random target; both are flipped and changed, each by itself.

    Raises:
        TrainingError: a cell has no partner (see `draw_partners`), `agreement` gets too few cells per batch,
            `identity` gets other images than the network tells apart, or harder pairs are asked for and all cells have
            the same shape.
    """

    identity, unit = "pairs", "pairs"

    def __init__(
        self, cells: CellSet, network: PairConfig, config: EncoderConfig, device: torch.device
    ) -> None:
        held = hold_out(cells.image, fraction=config.validation_fraction, seed=config.seed)
        self.training, self.validation = np.flatnonzero(~held), np.flatnonzero(held)
        self._network, self._config, self._image = network, config, cells.image
        self._weights, self._protein_of = config.tasks, _proteins(cells, config)
        self._pixels = CellBatches(cells.pixels, device, config.memory_fraction)
        self._protein, self._markers = network.index(network.protein), network.index(network.structural)
        self.streamed = self._pixels.streamed
        self._fewest, self.fewest_rows, self._spread = 1, 2, torch.tensor(torch.nan)
        if "agreement" in network.tasks:
            self._fewest = max(2 * config.processes, config.batch_size // 2)
            self.fewest_rows = _COMPARED_ROWS
            _require_enough(len(self.training), config)
        if "identity" in network.tasks:
            _require_images(cells.image, network.images)
        self._harder = None
        if config.hardest_of > 1:
            shapes = comparable_shapes(cells.pixels, self._markers, network.structural)
            self._harder = Harder(shapes[self.training], config.hardest_of)

    def build(self) -> PairedCells:
        """Build the network as the training starts."""
        return started(build_pairs(self._network, self._config.seed), self._config.start)

    def batches(self, epoch: int, processes: Processes = ALONE) -> Iterator[Batch]:
        """Yield pairs of training cells, flipped and changed."""
        image, protein = self._image[self.training], self._protein_of[self.training]
        source, target, flips = epoch_pairs(
            image,
            protein,
            across=self._config.across,
            harder=self._harder,
            seed=self._config.seed,
            epoch=epoch,
        )
        drawn = _Drawn(flips, source, epoch)
        yield from self._of(self.training[source], self.training[target], drawn, processes)

    def loss(self, output: Output, batch: Batch) -> torch.Tensor:
        """Compute the weighted sum of the losses of all tasks."""
        assert isinstance(output, dict)
        image = batch.image
        assert image is not None
        if "agreement" in output and output["agreement"].requires_grad:
            self._spread = output["agreement"].detach().std(0).mean()
        losses = {
            "inpainting": lambda values: mse_loss(values, batch.truth[:, self._protein]),
            "agreement": lambda values: agreement_loss(values, batch.processes),
            "identity": lambda values: cross_entropy(values, image),
        }
        total = batch.truth.new_zeros(())
        for task, weight in self._weights.items():
            total = total + weight * losses[task](output[task])
        return total

    def validate(
        self, network: CellNetwork, precision: torch.dtype, processes: Processes = ALONE
    ) -> dict[str, float]:
        """Compute the loss on held-out cells, and the spread of the vectors in the last training batch.

        Inpainting predicts the held-out cell, and identity names its image: one is the target, the other the source.

        Raises:
            TrainingError: the vectors have collapsed to a point.
        """
        metrics = {}
        if len(self.validation) >= self._fewest:
            held, partners = self.validation, self._sources(self.validation)
            metrics["validation_loss"] = sum(
                mean_loss(task, network, task._of(source, target, None, processes), precision, processes)
                for task, source, target in (
                    (self._only({"inpainting", "agreement"}), partners, held),
                    (self._only({"identity"}), held, partners),
                )
                if task._weights
            )
        if "agreement" in self._network.tasks:
            metrics["spread"] = float(processes.sum(self._spread)) / processes.size
            self._require_spread(metrics["spread"])
        return metrics

    def preview(self, network: CellNetwork) -> Preview | None:
        """Make a preview of a few pairs, with held-out targets if there are any; None without inpainting."""
        if "inpainting" not in self._network.tasks:
            return None
        assert isinstance(network, PairedCells)
        target = chosen_evenly(self.validation if len(self.validation) else self.training)
        x, truth = self._pixels.of(self._sources(target)), self._pixels.of(target)
        prediction = network.predict(x, truth[:, self._markers]).float().cpu().numpy()
        channels, protein = self._network.channels, self._network.protein
        return Preview(x.cpu().numpy(), truth.cpu().numpy(), prediction, channels, protein)

    def _only(self, tasks: Collection[str]) -> Pairs:
        """The same pairs, with the loss of some of the tasks."""
        some = copy.copy(self)
        some._weights = {task: weight for task, weight in self._weights.items() if task in tasks}
        return some

    def _of(
        self, source: np.ndarray, target: np.ndarray, drawn: _Drawn | None, processes: Processes
    ) -> Iterator[Batch]:
        """Yield batches of pairs at (n,) positions, flipped and changed as drawn; None: as they are."""
        for part in slices(len(source), self._config.batch_size, fewest=self._fewest):
            mine = processes.share(part)
            if drawn is None:
                x, y = self._pixels.of(source[mine]), self._pixels.of(target[mine])
            else:
                x = self._changed(self._pixels.flipped(source[mine], drawn.flips[mine, :2]), drawn, mine, 0)
                y = self._changed(self._pixels.flipped(target[mine], drawn.flips[mine, 2:]), drawn, mine, 1)
            image = self._pixels.on_device(self._image[source[mine]].astype(np.int64))
            yield Batch((x, y), y, processes.others(part), image, processes)

    def _changed(self, x: torch.Tensor, drawn: _Drawn, mine: slice, place: int) -> torch.Tensor:
        """Change the sources (place 0) or the targets (place 1) of some pairs."""
        augment, numbers = self._config.augment, 2 * drawn.number[mine] + place
        if augment == Augmentation():
            return x
        changes = draw_changes(augment, numbers, x.shape[1], seed=self._config.seed, epoch=drawn.epoch)
        return changed(x, changes, augment)

    def _sources(self, targets: np.ndarray) -> np.ndarray:
        """Draw a partner for each target, equal in every epoch and with any `hardest_of`, so that losses compare."""
        across, seed = self._config.across, self._config.seed
        return draw_partners(self._image, self._protein_of, across=across, seed=seed, epoch=0)[targets]

    def _require_spread(self, spread: float) -> None:
        """Require that the vectors of the last batch of an epoch differ between pairs."""
        if spread < _LEAST_SPREAD:
            raise TrainingError(
                "encoder.task agreement",
                found=f"vectors that have collapsed: their standard deviation is {spread:.1e}",
                required=f"{_LEAST_SPREAD:g} or more",
                remedy=f"Lower encoder.learning_rate (now {self._config.learning_rate:g}), raise encoder.batch_size "
                f"(now {self._config.batch_size}), or add inpainting to encoder.task. No encoder is registered.",
            )


def _proteins(cells: CellSet, config: EncoderConfig) -> np.ndarray:
    """Number the protein of each cell, and require that each cell has a partner; without proteins, all are 0."""
    if not config.across:
        return np.zeros(len(cells.image), np.int64)
    if cells.protein is None:
        raise TrainingError(
            f"encoder.pairs {config.pairs}",
            found="cells without proteins",
            required="the protein of each cell",
            remedy="Pass `protein` with the crops, or set encoder.pairs to same_image.",
        )
    draw_partners(cells.image, cells.protein, across=config.across, seed=config.seed, epoch=0)
    return np.unique(cells.protein, return_inverse=True)[1]


def _require_images(image: np.ndarray, images: int) -> None:
    """Identity needs images that are numbered from 0, all of which the network tells apart."""
    if image.min() < 0 or image.max() >= images:
        raise TrainingError(
            "encoder.task identity",
            found=f"image numbers from {image.min()} to {image.max()}",
            required=f"0 to {images - 1}, for the {many(images, 'image')} that the network tells apart",
            remedy="Number the images from 0, and build the network for all of them.",
        )


def _require_enough(cells: int, config: EncoderConfig) -> None:
    """Agreement needs two pairs or more in each process, because it compares the pairs of a batch."""
    least = 2 * config.processes
    if min(cells, config.batch_size) < least:
        raise TrainingError(
            "encoder.task agreement",
            found=f"{many(cells, 'cell')} in batches of {config.batch_size}",
            required=f"{least} or more per batch, two for each of {config.processes} processes",
            remedy="Raise encoder.batch_size, use fewer processes, or train on more cells.",
        )
