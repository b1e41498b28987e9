"""Accuracy by label against accuracy by plate."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from pcip_core.features.names import split_name
from pcip_core.plots.style import LEGEND_INCHES, add_legend, add_title, colour, marker, no_scores

_MARGIN = 0.04


def label_against_plate(
    by_label: Mapping[str, float], excess: Mapping[str, float], title: str, *, label: str
) -> Figure:
    """Draw one point per feature set, with an arrow from each set to its corrected copies.

    The best sets are at the top near the dotted line: they predict the label, and the plate no better than by chance.

    Args:
        by_label: feature set -> balanced accuracy of nearest neighbours in predicting the label.
        excess: feature set -> the same in predicting the plate, minus its chance; sets that lack one are left out.
        title: title of the figure; states if images are simulated.
        label: what is predicted, for the axis.

    >>> figure = label_against_plate({"classic": 0.8}, {"classic": 0.3}, "example", label="localization")
    >>> figure.axes[0].get_xlabel()
    'balanced accuracy by plate, minus its chance'
    """
    names = [name for name in by_label if name in excess]
    if not names:
        return no_scores(title)
    figure = Figure(figsize=(4.6 + LEGEND_INCHES, 3.8), layout="constrained")
    add_title(figure, title)
    axes = figure.add_subplot()
    axes.axvline(0, color="dimgrey", linestyle=":", label="no plate effect")
    for index, name in enumerate(names):
        axes.plot(
            excess[name],
            by_label[name],
            color=colour(index),
            marker=marker(index),
            markersize=7,
            linestyle="none",
            label=name,
        )
    for name in names:
        plain = without_correction(name)
        if plain != name and plain in names:
            axes.annotate(
                "",
                xy=(excess[name], by_label[name]),
                xytext=(excess[plain], by_label[plain]),
                arrowprops={"arrowstyle": "->", "color": "dimgrey", "shrinkA": 5, "shrinkB": 5},
            )
    x, y = [0.0, *(excess[name] for name in names)], [by_label[name] for name in names]
    axes.set_xlim(min(x) - _MARGIN, max(x) + _MARGIN)
    axes.set_ylim(max(min(y) - _MARGIN, 0), min(max(y) + _MARGIN, 1))
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("balanced accuracy by plate, minus its chance")
    axes.set_ylabel(f"balanced accuracy by {label}")
    add_legend(figure, [axes], outside=True)
    return figure


def without_correction(feature_set: str) -> str:
    """The name of the set that was corrected, or the name itself.

    >>> without_correction("inpainting_conv3_by_plate")
    'inpainting_conv3'
    """
    correction = split_name(feature_set).correction
    return feature_set.removesuffix(f"_{correction}") if correction else feature_set
