"""Figures of a training: the loss curve, and predictions of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pcip_core.plots.cells.key import KEY_INCHES, add_key
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.cells.tiles import add_rows
from pcip_core.training.tracker import Preview


def loss_curve(
    history: Sequence[Mapping[str, float]], title: str, *, loss: str = "mean squared error"
) -> Figure:
    """Draw the training and validation loss by epoch.

    Args:
        history: one dict per epoch, as in `TrainedEncoder.history`.
        title: title of the figure.
        loss: name of the loss, for the axis.

    >>> loss_curve([{"epoch": 1, "loss": 0.5}], "example").axes[0].get_ylabel()
    'mean squared error'
    """
    figure = Figure(figsize=(5, 3), layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = figure.add_subplot()
    for name, label in (("loss", "training"), ("validation_loss", "validation")):
        points = [(row["epoch"], row[name]) for row in history if name in row]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=label)
    axes.set(xlabel="epoch", ylabel=loss)
    if history:  # none of an encoder that was taken as it is
        axes.legend(frameon=False)
    return figure


def inpainting_preview(preview: Preview, title: str) -> Figure:
    """Draw one column per pair: source cell, target markers, predicted protein, true protein.

    For an autoencoder, which predicts all channels, the rows are the predicted and the true channels.
    """
    markers = preview.target.copy()
    protein = [preview.channels.index(name) for name in preview.protein]
    markers[:, protein] = 0
    rows: list[tuple[str, np.ndarray]] = []
    if len(protein) < len(preview.channels):
        rows = [
            ("source", composite(preview.source, preview.channels, preview.protein)),
            ("target markers", composite(markers, preview.channels, preview.protein)),
        ]
    for index, name in enumerate(preview.protein):
        rows.append((f"predicted {name}", np.clip(preview.prediction[:, index], 0, 1)))
        rows.append((f"true {name}", preview.target[:, protein[index]]))
    size = (len(preview.source) * 1.1 + 0.3, len(rows) * 1.1 + 0.25 + KEY_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=10)
    add_rows(figure, [(label, list(pictures)) for label, pictures in rows], upright=True)
    if len(protein) < len(preview.channels):
        add_key(figure, preview.channels, preview.protein)
    return figure
