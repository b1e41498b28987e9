"""Does the network draw what the source shows, or what the target's markers give away?

Supplementary Figure 1 of the paper gives a network a source and a target of different localization and shows that
the prediction is of the source's kind. Here that is counted. The source's localization is nowhere drawn in the
target's geometry, so that it cannot be compared with directly; what stands for it is what the network itself
predicts for the same target from other cells of the source's label. For a pair with a source of label a and a
target of label b, of the protein channel, over the pixels of the crop:

- `r_source`: correlation of the prediction with the mean prediction for this target from other sources of label a,
  of other images than the source;
- `r_target`: the same with as many sources of label b, of other images than the target;
- `r_truth`: with the target's true protein channel;
- `r_matched`: not of this prediction: mean correlation of those from label b with the target's true channel.

A pair resembles its source if r_source is above both r_target and r_truth. The first comparison is fair: both
references are means of equally many predictions, equally smooth, for the same markers, and neither is of the
source's or the target's own image. A network that ignores the source predicts the same from every source, and
fails it by a tie. But it compares kinds, not amounts: any trace of the source passes it, and an untrained network
lets many through. So read the share beside that of an untrained network, and beside two numbers of size:
`margin`, the mean of r_source - r_target, and r_truth against
`r_matched`: a network that follows its source predicts the true channel worse from a mismatched source than from
a matching one (`share_worse_than_matched`), while to one that ignores it they are the same. r_truth alone says
little: compartments overlap, and a true channel is grainier than any prediction. `verdict` puts both into a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pcip_core.analysis.mismatched_pairs import Drawn, draw_pairs
from pcip_core.errors import ShapeError

if TYPE_CHECKING:
    from pcip_core.models.inpainting import PairedCellInpainting

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Sources (B, C, S, S) and target markers (B, M, S, S), float32 in [0, 1] -> (B, P, S, S) protein channels."""

Crops = np.ndarray | Mapping[int, np.ndarray]
"""Crops by position, (C, S, S) uint8 each: all of them as one array, or those that are needed."""

_TIE = 1e-6  # correlations of equal pictures differ by rounding
_BATCH = 64
_ALPHA = 0.05


@dataclass(frozen=True)
class Mismatch:
    """What predictions from mismatched sources resemble.

    Attributes:
        pairs: one row a pair: source, target (positions of the cells), source_label, target_label, references
            (how many in each mean), r_source, r_target, r_truth, r_matched, resembles_source.
        summary: n, share_resembling_source, share_worse_than_matched, margin, and the mean of each r.
        left_out: labels with cells in one image only, for which nothing can be compared.
    """

    pairs: list[dict[str, Any]]
    summary: dict[str, float]
    left_out: list[str]


def network_predictor(network: PairedCellInpainting) -> Predict:
    """A trained network as a function of arrays, on the device where its weights are; left in eval mode."""
    import torch

    last = torch.channels_last  # on a CPU a third faster
    network = network.eval().to(memory_format=last)  # type: ignore[call-overload]
    device = next(network.parameters()).device

    def predict(sources: np.ndarray, markers: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            tensors = [torch.from_numpy(part).to(device, memory_format=last) for part in (sources, markers)]
            return np.asarray(network(*tensors).float().cpu().numpy())

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
) -> Mismatch:
    """Predict targets from sources of another label, and say what the predictions resemble.

    Args:
        pixels: (n, C, S, S) uint8, cells that the network was not trained on if it is to be judged.
        predict, channels, structural, protein: as for `compare`.
        labels, image, each, most, references, seed: as for `draw_pairs`.

    Raises:
        ShapeError: lengths or channels differ.
        EvaluationError: fewer than two labels with two images or more.

    Source: paper, Supplementary Figure 1.
    """
    if pixels.ndim != 4 or pixels.shape[1] != len(channels) or len(pixels) != len(labels):
        raise ShapeError(
            "mismatch",
            found=f"pixels {pixels.shape}, {len(labels)} labels, {len(channels)} channels",
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
) -> Mismatch:
    """What the predictions of drawn pairs resemble.

    Args:
        predict: `network_predictor`, or any function like it.
        crops: of all cells, or of `drawn.cells`.
        drawn: the pairs.
        labels: (n,) as for `draw_pairs`.
        channels: names of the C channels; structural and protein: which of them the network sees of a target,
            and predicts, in the order of the channels.
    """
    seen = [index for index, name in enumerate(channels) if name in structural]
    asked = [index for index, name in enumerate(channels) if name in protein]
    sources = [pair.sources for pair in drawn.pairs]
    targets = [np.full(len(own), pair.target) for pair, own in zip(drawn.pairs, sources, strict=True)]
    every = predicted(predict, crops, np.concatenate(sources), np.concatenate(targets), seen)
    rows, ends = [], np.cumsum([len(own) for own in sources])[:-1]
    for pair, made in zip(drawn.pairs, np.split(every, ends), strict=True):
        truth = crops[pair.target][asked].astype(np.float32) / 255
        k = len(pair.same)
        row: dict[str, Any] = {
            "source": pair.source,
            "target": pair.target,
            "source_label": str(labels[pair.source]),
            "target_label": str(labels[pair.target]),
            "references": k,
            "r_source": correlation(made[0], made[1 : 1 + k].mean(0)),
            "r_target": correlation(made[0], made[1 + k :].mean(0)),
            "r_truth": correlation(made[0], truth),
            "r_matched": float(np.mean([correlation(one, truth) for one in made[1 + k :]])),
        }
        row["resembles_source"] = row["r_source"] > max(row["r_target"], row["r_truth"]) + _TIE
        rows.append(row)
    return Mismatch(rows, _summary(rows), drawn.left_out)


def predicted(
    predict: Predict, crops: Crops, sources: np.ndarray, targets: np.ndarray, structural: Sequence[int]
) -> np.ndarray:
    """Predictions for pairs of cells, in batches: (b, P, S, S).

    Args:
        predict, crops: as for `compare`.
        sources, targets: (b,) positions in crops.
        structural: positions of the channels that are seen of a target.
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


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's r over pixels, the mean over channels of (P, S, S); 0 where a channel is the same all over."""
    found = []
    for a, b in zip(one.reshape(len(one), -1), other.reshape(len(other), -1), strict=True):
        a, b = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (a, b))
        size = float(np.linalg.norm(a) * np.linalg.norm(b))
        found.append(float(a @ b) / size if size > 1e-12 else 0.0)
    return float(np.mean(found))


def _summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Shares and means over pairs."""
    worse = [row["r_truth"] < row["r_matched"] - _TIE for row in rows]
    means = {
        name: float(np.mean([row[name] for row in rows]))
        for name in ("r_source", "r_target", "r_truth", "r_matched")
    }
    return {
        "n": len(rows),
        "share_resembling_source": float(np.mean([row["resembles_source"] for row in rows])),
        "share_worse_than_matched": float(np.mean(worse)),
        "margin": means["r_source"] - means["r_target"],
        **means,
    }


@dataclass(frozen=True)
class Verdict:
    """Whether a network follows its sources.

    Attributes:
        follows: the answer.
        p: of the sign test.
        targets: target cells that gave a vote; `worse` of them are predicted worse from mismatched sources.
        reasons: why not; empty where it follows.
    """

    follows: bool
    p: float
    targets: int
    worse: int
    reasons: tuple[str, ...]


def verdict(trained: Mismatch, untrained: Mismatch) -> Verdict:
    """Judge a trained network beside the same network untrained, on the same pairs.

    It follows its sources if its margin is above that of the untrained network, and if target cells are
    predicted worse from mismatched than from matching sources more often than by chance: one-sided sign test,
    p < 0.05. Each target cell has one vote, the mean of r_matched - r_truth over its pairs, because pairs with the
    same target are not independent; a mean of 0 is no vote.
    """
    gaps: dict[int, list[float]] = {}
    for row in trained.pairs:
        gaps.setdefault(row["target"], []).append(row["r_matched"] - row["r_truth"])
    votes = [gap for own in gaps.values() if abs(gap := float(np.mean(own))) > _TIE]
    worse = sum(gap > 0 for gap in votes)
    n = len(votes)
    p = sum(math.comb(n, k) for k in range(worse, n + 1)) / 2**n
    margins = [found.summary["margin"] for found in (trained, untrained)]
    reasons = []
    if margins[0] <= margins[1] + _TIE:
        reasons.append(
            f"its margin {margins[0]:.3f} is not above that of the untrained network, {margins[1]:.3f}"
        )
    if p >= _ALPHA:
        reasons.append(
            f"{worse} of {n} target cells are predicted worse from mismatched than from matching sources "
            f"(p = {p:.2g})"
        )
    return Verdict(not reasons, p, n, worse, tuple(reasons))
