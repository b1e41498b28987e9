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
little: compartments overlap, and a true channel is grainier than any prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pcip_core.errors import EvaluationError, ShapeError

if TYPE_CHECKING:
    from pcip_core.models.inpainting import PairedCellInpainting

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Sources (B, C, S, S) and target markers (B, M, S, S), float32 in [0, 1] -> (B, P, S, S) protein channels."""

_TIE = 1e-6  # correlations of equal pictures differ by rounding
_BATCH = 64


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

    network.eval()
    device = next(network.parameters()).device

    def predict(sources: np.ndarray, markers: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            parts = [torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (sources, markers)]
            return np.asarray(network(*parts).float().cpu().numpy())

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
    references: int = 5,
    seed: int = 0,
) -> Mismatch:
    """Predict targets from sources of another label, and say what the predictions resemble.

    Args:
        predict: `network_predictor`, or any function like it.
        pixels: (n, C, S, S) uint8, cells that the network was not trained on if it is to be judged.
        labels: (n,) localization of each cell: one term, "" for cells to leave out.
        image: (n,) image of each cell.
        channels: names of the C channels; structural and protein: which of them the network sees of a target,
            and predicts, in the order of the channels.
        each: pairs of every ordered pair of labels.
        references: other sources in each mean; fewer where a label has fewer cells in other images.
        seed: every draw is a function of it, of the two labels and of the number of the pair, so that the
            pairs of two labels do not depend on which others there are.

    Raises:
        ShapeError: lengths or channels differ.
        EvaluationError: fewer than two labels with two images or more.

    Source: paper, Supplementary Figure 1.
    """
    labels, image = np.asarray(labels, dtype=str), np.asarray(image)
    _require_shapes(pixels, labels, image, channels)
    terms = sorted(set(labels.tolist()) - {""})
    usable = [term for term in terms if len(np.unique(image[labels == term])) >= 2]
    if len(usable) < 2:
        raise EvaluationError(
            "mismatch",
            found=f"{len(usable)} labels with two images or more, of {len(terms)}",
            required="two labels or more",
            remedy="Give cells of more images.",
        )
    drawn = [
        _draw(labels, image, source_label, target_label, references, [seed, number])
        for source_label in usable
        for target_label in usable
        if source_label != target_label
        for number in range(each)
    ]
    seen = [index for index, name in enumerate(channels) if name in structural]
    asked = [index for index, name in enumerate(channels) if name in protein]
    rows = []
    for source, target, same, matching in drawn:
        sources = np.concatenate([[source], same, matching])
        made = predicted(predict, pixels, sources, np.full(len(sources), target), seen)
        truth = pixels[target, asked].astype(np.float32) / 255
        k = len(same)
        row: dict[str, Any] = {
            "source": int(source),
            "target": int(target),
            "source_label": str(labels[source]),
            "target_label": str(labels[target]),
            "references": k,
            "r_source": correlation(made[0], made[1 : 1 + k].mean(0)),
            "r_target": correlation(made[0], made[1 + k :].mean(0)),
            "r_truth": correlation(made[0], truth),
            "r_matched": float(np.mean([correlation(one, truth) for one in made[1 + k :]])),
        }
        row["resembles_source"] = row["r_source"] > max(row["r_target"], row["r_truth"]) + _TIE
        rows.append(row)
    return Mismatch(rows, _summary(rows), [term for term in terms if term not in usable])


def _draw(
    labels: np.ndarray,
    image: np.ndarray,
    source_label: str,
    target_label: str,
    references: int,
    key: list[int],
) -> tuple[int, int, np.ndarray, np.ndarray]:
    """A source, a target, other cells of the source's label, and as many of the target's."""
    words = [int.from_bytes(term.encode(), "little") for term in (source_label, target_label)]
    rng = np.random.default_rng([key[0] % 2**64, key[1], len(source_label), *words])
    source = rng.choice(np.flatnonzero(labels == source_label))
    target = rng.choice(np.flatnonzero(labels == target_label))
    pools = [
        np.flatnonzero((labels == labels[cell]) & (image != image[cell]) & (image != image[target]))
        for cell in (source, target)
    ]
    count = min(references, *(len(pool) for pool in pools))
    same, matching = (rng.choice(pool, count, replace=False) for pool in pools)
    return int(source), int(target), same, matching


def predicted(
    predict: Predict, pixels: np.ndarray, sources: np.ndarray, targets: np.ndarray, structural: Sequence[int]
) -> np.ndarray:
    """Predictions for pairs of cells, in batches: (b, P, S, S).

    Args:
        predict: as for `mismatch`.
        pixels: (n, C, S, S) uint8.
        sources, targets: (b,) positions in pixels.
        structural: positions of the channels that are seen of a target.
    """
    parts = []
    for start in range(0, len(sources), _BATCH):
        part = slice(start, start + _BATCH)
        x = pixels[sources[part]].astype(np.float32) / 255
        markers = pixels[targets[part]][:, list(structural)].astype(np.float32) / 255
        parts.append(predict(x, markers))
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


def _require_shapes(
    pixels: np.ndarray, labels: np.ndarray, image: np.ndarray, channels: Sequence[str]
) -> None:
    if (
        pixels.ndim != 4
        or len({len(pixels), len(labels), len(image)}) > 1
        or pixels.shape[1] != len(channels)
    ):
        raise ShapeError(
            "mismatch",
            found=f"pixels {pixels.shape}, {len(labels)} labels, {len(image)} images, {len(channels)} channels",
            required="(n, C, S, S), n labels, n images and C names",
            remedy="Pass arrays of one length, and the channels of the crops.",
        )
