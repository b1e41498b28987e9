"""Predictions for sources and targets of different localization (paper, Supplementary Figure 1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from pcip_core.errors import ShapeError
from pcip_core.plots.cells.key import KEY_INCHES, Scale, add_key, draw_bar
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.cells.tiles import add_rows
from pcip_core.plots.style import add_title, no_scores
from pcip_core.words import many

COLUMNS = ("source", "target markers", "prediction", "its protein", "truth", "its protein")


def mismatch_pairs(
    sources: np.ndarray,
    targets: np.ndarray,
    predictions: np.ndarray,
    title: str,
    *,
    channels: tuple[str, ...],
    protein: tuple[str, ...],
    labels: Sequence[tuple[str, str]],
    notes: Sequence[str] = (),
    scale: Scale | None = None,
) -> Figure:
    """Draw one row per pair: the source, the target's markers, and the predicted and true protein with these markers.

    The first protein channel of the prediction and the truth is also shown separately, in grey from its minimum to its
    maximum, because an uncertain network predicts a faint protein, whose position is hard to see among the markers.

    Args:
        sources, targets: (n, C, S, S) uint8.
        predictions: (n, P, S, S) predicted protein channels, clipped to [0, 1].
        title: title of the figure; states if images are simulated.
        channels, protein: names of the C channels, and of the P protein channels, in the order of the channels.
        labels: labels of the source and of the target of each pair.
        notes: texts at the right of each row, such as its correlations; none by default.
        scale: size of a pixel of the crops; None: no scale bar.

    Raises:
        ShapeError: lengths differ.
    """
    if len({len(sources), len(targets), len(predictions), len(labels), len(notes) or len(labels)}) > 1:
        raise ShapeError(
            "mismatch pairs",
            found=(
                f"{many(len(sources), 'source')}, {many(len(targets), 'target')}, "
                f"{many(len(predictions), 'prediction')}, "
                f"{many(len(labels), 'label')}, {many(len(notes), 'note')}"
            ),
            required="equal numbers, or no notes",
            remedy="Pass the same pairs in all arguments.",
        )
    if not len(sources):
        return no_scores(title)
    held = [index for index, name in enumerate(channels) if name in protein]
    unit = targets.astype(np.float32) / 255
    markers, inpainted = unit.copy(), unit.copy()
    markers[:, held] = 0
    inpainted[:, held] = np.clip(predictions, 0, 1)
    side = 1.25 if notes else 0.0
    size = (len(COLUMNS) * 1.1 + 1.0 + side, 1.1 * len(sources) + 0.6 + KEY_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    add_title(figure, title)
    rows = []
    for row, (source_label, _) in enumerate(labels):
        coloured = [
            composite(picture[row], channels, protein) for picture in (sources, markers, inpainted, unit)
        ]
        alone = [stretched(predictions[row, 0]), stretched(unit[row, held[0]])]
        pictures = [*coloured[:3], alone[0], coloured[3], alone[1]]
        rows.append((source_label.replace(" ", "\n"), pictures))
    right = [target for _, target in labels]
    if notes:
        right = [f"{target}\n{note}" for target, note in zip(right, notes, strict=True)]
    axes = add_rows(figure, rows, columns=COLUMNS, notes=right, upright=True)
    bar = "" if scale is None else draw_bar(axes, scale, sources.shape[-1])
    add_key(figure, channels, protein, bar=bar)
    return figure


def stretched(picture: np.ndarray) -> np.ndarray:
    """A picture from 0 at its minimum to 1 at its maximum."""
    low, high = float(picture.min()), float(picture.max())
    return (picture - low) / max(high - low, 1e-9)
