"""Does the network use the source cell, or infer the localization from the target's structural channels?

Supplementary Figure 1 of the paper gives a network a source and a target of different localization and shows that
the prediction has the localization of the source. This module measures it. There is no image of the source's
localization in the geometry of the target to compare with. Instead, the prediction is compared with predictions for
the same target from other cells of the source's label. For a source of label a and a target of label b, the measures
are correlations of the protein channel over the pixels of the crop:

- `r_source`: of the prediction with the mean prediction for this target from other sources of label a, in other
  images than the source;
- `r_target`: of the prediction with the mean prediction from as many sources of label b, in other images than the
  target;
- `r_truth`: of the prediction with the true protein channel of the target;
- `r_matched`: of the predictions from label b with the true channel, as a mean; independent of this source.

A pair resembles its source if r_source is above both r_target and r_truth. The first comparison is unbiased:
both references are means of equally many predictions for the same structural channels, and neither uses the image of
the source or of the target. A network that ignores the source predicts the same from every source, so that the
correlations are equal and the test fails. However, weak use of the source is enough to pass, and many pairs of an
untrained network pass. Compare the share with that of an untrained network, and consider two effect sizes: `margin`,
the mean of r_source - r_target, and `r_truth` relative to `r_matched`. A network that uses the source predicts the
true channel worse from a mismatched source than from a matching one (`share_worse_than_matched`); for a network that
ignores it, they are equal. r_truth alone is not informative, because compartments overlap and a true channel is
noisier than a prediction. `verdict` combines both effect sizes in one rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pcip_core.analysis.mismatched_pairs import Drawn, draw_pairs
from pcip_core.errors import ShapeError
from pcip_core.words import many, share

if TYPE_CHECKING:
    from pcip_core.models.inpainting import PairedCellInpainting
    from pcip_core.models.pairs import PairedCells

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Sources (B, C, S, S) and target markers (B, M, S, S), float32 in [0, 1] -> (B, P, S, S) protein channels."""

Crops = np.ndarray | Mapping[int, np.ndarray]
"""Crops by position, (C, S, S) uint8 each: all of them as one array, or a mapping of the required ones."""

_TIE = 1e-6  # correlations of equal images differ by rounding errors
_BATCH = 64
_ALPHA = 0.05
_CORRELATIONS = ("r_source", "r_target", "r_truth", "r_matched")
_MARGIN = pl.col("r_source") - pl.col("r_target")
_WORSE = pl.col("r_truth") < pl.col("r_matched") - _TIE
_SCORES = ("margin", "share_worse_than_matched", "share_resembling_source")


def network_predictor(network: PairedCellInpainting | PairedCells) -> Predict:
    """A trained network as a function of arrays, on the device of its weights; the network remains in eval mode."""
    import torch

    last = torch.channels_last  # a third faster on a CPU
    network = network.eval().to(memory_format=last)  # type: ignore[call-overload]
    device = next(network.parameters()).device

    def predict(sources: np.ndarray, markers: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            tensors = [torch.from_numpy(part).to(device, memory_format=last) for part in (sources, markers)]
            return np.asarray(network.predict(*tensors).float().cpu().numpy())

    return predict


def mismatch(
    predict: Predict,
    pixels: np.ndarray,
    labels: np.ndarray,
    image: np.ndarray,
    *,
    channels: Sequence[str],
    structural: Collection[str],
    protein: Collection[str],
    each: int = 2,
    most: int = 150,
    references: int = 5,
    seed: int = 0,
) -> pl.DataFrame:
    """Draw pairs of different labels, predict their targets, and compare the predictions.

    Args:
        pixels: (n, C, S, S) uint8; to evaluate a network, use cells that it was not trained on.
        predict, channels, structural, protein: as for `compare`.
        labels, image, each, most, references, seed: as for `draw_pairs`.

    Returns:
        One row per pair, as `compare`.

    Raises:
        ShapeError: lengths or channels differ.
        EvaluationError: fewer than two labels with two images or more.

    Source: paper, Supplementary Figure 1.
    """
    if pixels.ndim != 4 or pixels.shape[1] != len(channels) or len(pixels) != len(labels):
        raise ShapeError(
            "mismatch",
            found=f"pixels {pixels.shape}, {many(len(labels), 'label')}, {len(channels)} channels",
            required="(n, C, S, S), n labels and C names",
            remedy="Pass arrays of one length, and the channels of the crops.",
        )
    drawn = draw_pairs(labels, image, each=each, most=most, references=references, seed=seed)
    return compare(predict, pixels, drawn, labels, channels=channels, structural=structural, protein=protein)


def compare(
    predict: Predict,
    crops: Crops,
    drawn: Drawn,
    labels: np.ndarray,
    *,
    channels: Sequence[str],
    structural: Collection[str],
    protein: Collection[str],
) -> pl.DataFrame:
    """Correlate the predictions of drawn pairs with the references of both labels and with the true channel.

    Args:
        predict: `network_predictor`, or a function with the same signature.
        crops: crops of all cells, or of `drawn.cells`.
        drawn: the pairs.
        labels: (n,) as for `draw_pairs`.
        channels: names of the C channels; structural and protein: those that the network sees of a target,
            and those that it predicts, in the order of the channels.

    Returns:
        One row per pair: source, target (positions of the cells), source_label, target_label, n_references,
        r_source, r_target, r_truth, r_matched, resembles_source.
    """
    seen = [index for index, name in enumerate(channels) if name in structural]
    predicted_channels = [index for index, name in enumerate(channels) if name in protein]
    sources = [pair.sources for pair in drawn.pairs]
    targets = [np.full(len(cells), pair.target) for pair, cells in zip(drawn.pairs, sources, strict=True)]
    predictions = predicted(predict, crops, np.concatenate(sources), np.concatenate(targets), seen)
    ends = np.cumsum([len(cells) for cells in sources])[:-1]
    correlations = [
        _correlations(
            of_pair, len(pair.same), crops[pair.target][predicted_channels].astype(np.float32) / 255
        )
        for pair, of_pair in zip(drawn.pairs, np.split(predictions, ends), strict=True)
    ]
    pairs = pl.DataFrame(
        {
            "source": [pair.source for pair in drawn.pairs],
            "target": [pair.target for pair in drawn.pairs],
            "source_label": [str(labels[pair.source]) for pair in drawn.pairs],
            "target_label": [str(labels[pair.target]) for pair in drawn.pairs],
            "n_references": [len(pair.same) for pair in drawn.pairs],
            **dict(zip(_CORRELATIONS, map(list, zip(*correlations, strict=True)), strict=True)),
        }
    )
    return pairs.with_columns(
        resembles_source=pl.col("r_source") > pl.max_horizontal("r_target", "r_truth") + _TIE
    )


def _correlations(predictions: np.ndarray, k: int, truth: np.ndarray) -> tuple[float, float, float, float]:
    """`_CORRELATIONS` of one pair.

    Args:
        predictions: (1 + 2k, P, S, S) from the source, from k sources of its label, from k of the target's label.
        k: number of references of each label.
        truth: (P, S, S) true protein channels of the target.
    """
    prediction, same, matching = predictions[0], predictions[1 : 1 + k], predictions[1 + k :]
    return (
        correlation(prediction, same.mean(0)),
        correlation(prediction, matching.mean(0)),
        correlation(prediction, truth),
        float(np.mean([correlation(reference, truth) for reference in matching])),
    )


def predicted(
    predict: Predict, crops: Crops, sources: np.ndarray, targets: np.ndarray, structural: Sequence[int]
) -> np.ndarray:
    """Predictions for pairs of cells, in batches: (b, P, S, S).

    Args:
        predict, crops: as for `compare`.
        sources, targets: (b,) positions in crops.
        structural: positions of the channels that the network sees of a target.
    """
    parts = []
    for start in range(0, len(sources), _BATCH):
        part = slice(start, start + _BATCH)
        x, y = (
            np.stack([crops[cell] for cell in cells[part].tolist()]).astype(np.float32) / 255
            for cells in (sources, targets)
        )
        parts.append(predict(x, y[:, list(structural)]))
    return np.concatenate(parts)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's r over the pixels of (P, S, S), averaged over channels; 0 for a constant channel."""
    of_channels = []
    for a, b in zip(first.reshape(len(first), -1), second.reshape(len(second), -1), strict=True):
        a, b = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (a, b))
        size = float(np.linalg.norm(a) * np.linalg.norm(b))
        of_channels.append(float(a @ b) / size if size > 1e-12 else 0.0)
    return float(np.mean(of_channels))


def summary(pairs: pl.DataFrame) -> dict[str, float]:
    """Shares and means over the pairs of one network.

    Args:
        pairs: rows of `compare`, or of the table `mismatch`.

    Returns:
        n, share_resembling_source, share_worse_than_matched, margin, and the mean of each correlation.

    >>> pairs = pl.DataFrame({"r_source": [0.9, 0.5], "r_target": [0.2, 0.4], "r_truth": [0.3, 0.6],
    ...                       "r_matched": [0.7, 0.5], "resembles_source": [True, False]})
    >>> {name: round(value, 2) for name, value in summary(pairs).items()}["margin"]
    0.4
    """
    return pairs.select(
        pl.len().alias("n"),
        pl.col("resembles_source").mean().alias("share_resembling_source"),
        _WORSE.mean().alias("share_worse_than_matched"),
        _MARGIN.mean().alias("margin"),
        *(pl.col(name).mean() for name in _CORRELATIONS),
    ).row(0, named=True)


def scores(table: pl.DataFrame) -> dict[str, float]:
    """The scores for the comparison of trainings: three of `summary`, and the p-value of the verdict.

    Args:
        table: rows of the table `mismatch`.

    Returns:
        `margin`, `margin_untrained`, ..., `p`; empty if no pair was compared.
    """
    if table.is_empty():
        return {}
    of_networks = {
        ending: summary(table.filter(network=network))
        for network, ending in (("encoder", ""), ("untrained", "_untrained"))
    }
    values = {name + ending: of_networks[ending][name] for name in _SCORES for ending in of_networks}
    return {**values, "p": verdict(table).p}


@dataclass(frozen=True)
class Verdict:
    """Whether a network uses its source cells.

    Attributes:
        follows: whether it does.
        p: p-value of the sign test.
        targets: number of target cells in the test; `worse` of them are predicted worse from mismatched sources.
        reasons: reasons for a negative verdict; otherwise empty.
    """

    follows: bool
    p: float
    targets: int
    worse: int
    reasons: tuple[str, ...]


def verdict(table: pl.DataFrame) -> Verdict:
    """Evaluate a trained network against the same untrained network, on the same pairs.

    The network uses its sources if its margin is above that of the untrained network, and if target cells are
    predicted worse from mismatched than from matching sources more often than by chance: one-sided sign test,
    p < 0.05. Each target cell counts once, by the mean of r_matched - r_truth over its pairs, because pairs
    with the same target are not independent; targets with a mean of 0 are excluded.

    Args:
        table: rows of the table `mismatch` for the networks `encoder` and `untrained`.
    """
    gaps = (
        table.filter(network="encoder")
        .group_by("target_cell")
        .agg((pl.col("r_matched") - pl.col("r_truth")).mean().alias("gap"))
        .filter(pl.col("gap").abs() > _TIE)["gap"]
    )
    n, worse = len(gaps), int((gaps > 0).sum())
    p = sum(math.comb(n, k) for k in range(worse, n + 1)) / 2**n
    margin, untrained = (
        table.filter(network=network).select(_MARGIN.mean()).item() for network in ("encoder", "untrained")
    )
    reasons = []
    if margin <= untrained + _TIE:
        reasons.append(f"its margin {margin:.3f} is not above that of the untrained network, {untrained:.3f}")
    if p >= _ALPHA:
        reasons.append(
            f"{share(worse, n, 'target cell', does='are')} predicted worse from mismatched than from matching sources "
            f"(p = {p:.2g})"
        )
    return Verdict(not reasons, p, n, worse, tuple(reasons))
