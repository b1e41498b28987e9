"""Sources and targets of different localization: what is predicted (paper, Supplementary Figure 1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from pcip_core.errors import ShapeError
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.style import add_title, no_scores

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
) -> Figure:
    """A row a pair: the source, the target's markers, the predicted and the true protein in these markers.

    Beside both the (first) protein channel stands alone, in grey from its own minimum to its own maximum: a network
    that is unsure predicts a faint protein, whose place is hard to see among markers.

    Args:
        sources, targets: (n, C, S, S) uint8.
        predictions: (n, P, S, S) of the protein channels, 0 to 1; cut off there.
        title: written above; says where images are simulated.
        channels, protein: names of the C channels, and of the P among them, in the order of the channels.
        labels: of the source and of the target of each pair.
        notes: written at the right of each row, such as its correlations; none by default.

    Raises:
        ShapeError: lengths differ.
    """
    if len({len(sources), len(targets), len(predictions), len(labels), len(notes) or len(labels)}) > 1:
        raise ShapeError(
            "mismatch pairs",
            found=f"{len(sources)} sources, {len(targets)} targets, {len(predictions)} predictions, "
            f"{len(labels)} labels, {len(notes)} notes",
            required="as many of each, or no notes",
            remedy="Pass the same pairs everywhere.",
        )
    if not len(sources):
        return no_scores(title)
    held = [index for index, name in enumerate(channels) if name in protein]
    unit = targets.astype(np.float32) / 255
    markers, inpainted = unit.copy(), unit.copy()
    markers[:, held] = 0
    inpainted[:, held] = np.clip(predictions, 0, 1)
    side = 1.25 if notes else 0.0
    figure = Figure(figsize=(len(COLUMNS) * 1.1 + 1.0 + side, 1.1 * len(sources) + 0.6), layout="constrained")
    add_title(figure, title)
    grid = figure.subplots(len(sources), len(COLUMNS), squeeze=False)
    for row, line in enumerate(grid):
        coloured, alone = line[[0, 1, 2, 4]], line[[3, 5]]
        for axes, picture in zip(
            coloured, (sources[row], markers[row], inpainted[row], unit[row]), strict=True
        ):
            axes.imshow(composite(picture, channels, protein), interpolation="nearest")
        for axes, channel in zip(alone, (predictions[row, 0], unit[row, held[0]]), strict=True):
            axes.imshow(channel, cmap="gray", interpolation="nearest")
        for axes in line:
            axes.set(xticks=[], yticks=[])
        source_label, target_label = labels[row]
        line[0].set_ylabel(source_label.replace(" ", "\n"), fontsize=8)
        line[-1].yaxis.set_label_position("right")
        note = f"\n{notes[row]}" if notes else ""
        line[-1].set_ylabel(target_label + note, fontsize=7, rotation=0, ha="left", va="center", labelpad=4)
    for axes, name in zip(grid[0], COLUMNS, strict=True):
        axes.set_title(name, fontsize=9)
    return figure
