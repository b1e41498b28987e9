"""Interactive plots by Bokeh: maps of points with pictures in their tooltips.

Bokeh is imported where it is used, because the import takes a second. Bokeh escapes the text of tooltips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.colors import to_hex

from pcip_core.errors import ShapeError
from pcip_core.plots.style import PALETTE, class_numbers, shade

WIDTH = 1070
OTHERS, SEVERAL, UNNAMED = "others", "several terms", ""
"""Groups that are drawn in grey, below the points of all other groups."""
_GREYS = {OTHERS: "#b8b8b8", SEVERAL: "#8f8f8f", UNNAMED: "#d4d4d4"}
_FONT = "system-ui, sans-serif"
_MARKERS = (
    "circle",
    "square",
    "triangle",
    "diamond",
    "inverted_triangle",
    "plus",
    "hex",
    "star",
    "square_pin",
)
_NOTHING = "data:,"  # no picture, without a request by the browser
_MOST_GROUPS = 2 * len(PALETTE) - 1
_MOST_SHOWN = 4  # maximum number of simultaneous tooltips


@dataclass(frozen=True)
class Points:
    """The tooltips of n items. Plots of the same items share this data, so that the page contains it once.

    Attributes:
        texts: heading -> n texts, in the order of the tooltip; "" for an item without a text.
        pictures: n data URLs; "" for an item without a picture.

    Raises:
        ShapeError: the numbers of texts and pictures differ.
    """

    texts: Mapping[str, Sequence[str]]
    pictures: Sequence[str]
    source: Any = field(init=False)

    def __post_init__(self) -> None:
        from bokeh.models import ColumnDataSource

        columns = {f"text_{number}": list(texts) for number, texts in enumerate(self.texts.values())}
        columns["picture"] = [picture or _NOTHING for picture in self.pictures]
        if len({len(values) for values in columns.values()}) > 1:
            raise ShapeError(
                "points of a plot",
                found=", ".join(f"{len(values)} {name}" for name, values in columns.items()),
                required="equal numbers",
                remedy="Pass one text per heading and one picture, possibly empty, for every point.",
            )
        object.__setattr__(self, "source", ColumnDataSource(columns))

    def add(self, name: str, values: Sequence[Any] | np.ndarray) -> str:
        """Add a column for one plot, and return its name."""
        column = f"{name}_{len(self.source.data)}"
        self.source.add(values if isinstance(values, np.ndarray) else list(values), column)
        return column

    def tooltip(self, more: Mapping[str, str] | None = None) -> str:
        """Make the HTML of the tooltip, with placeholders for the texts, for `more` columns and for the picture."""
        fields = {heading: f"text_{number}" for number, heading in enumerate(self.texts)} | dict(more or {})
        lines = "".join(
            f'<div><span style="color:#666">{heading}</span> @{{{name}}}</div>'
            for heading, name in fields.items()
        )
        return (
            f'<div style="font:13px {_FONT};max-width:640px;background:white">{lines}'
            '<img src="@{picture}" alt="" style="zoom:1.5;display:block;margin-top:2px"></div>'
        )


def grouped(labels: Sequence[str], *, most: int = _MOST_GROUPS) -> list[str]:
    """Replace the rarest labels by `others` if there are more than `most`; "" does not change.

    >>> grouped(["a", "a", "b", "c", ""], most=2)
    ['a', 'a', 'others', 'others', '']
    """
    counts = Counter(label for label in labels if label)
    kept = sorted(counts, key=lambda label: (-counts[label], label))
    kept = kept if len(kept) <= most else kept[: most - 1]
    return [label if not label or label in kept else OTHERS for label in labels]


def scatter(
    points: Points,
    x: np.ndarray,
    y: np.ndarray,
    groups: Sequence[str],
    *,
    name: str,
    order: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    labels: tuple[str, str] | None = None,
    sizes: np.ndarray | float = 8.0,
    heading: str = "group",
    numbered: bool = False,
    height: int = 560,
    x_names: Mapping[float, str] | None = None,
) -> Any:
    """Draw a map of points coloured by group. Ctrl and the wheel zoom; a click on the legend hides a group.

    Args:
        points: the tooltips of the n points.
        x, y: (n,) coordinates; points with a non-finite coordinate are not drawn.
        groups: n names; "" is grey.
        name: name of the plot in the page.
        order: order of the groups in the legend; by default the largest first.
        classes: all classes of the screen, which have the same colours in all figures; None: colours in the order.
        labels: labels of both axes; None: no axes, as for a UMAP.
        sizes: diameter in px, a number or (n,).
        heading: heading of the groups in the legend and the tooltip.
        numbered: whether to write the name of each group at the median of its points.
        height: height in px.
        x_names: position -> name on the x axis, instead of numbers.
    """
    from bokeh.models import CDSView, GroupFilter, HoverTool

    groups = grouped(groups)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = (np.where(finite, values, np.nan).astype(np.float32) for values in (x, y))
    across, up, group = points.add("x", x), points.add("y", y), points.add("group", groups)
    size = points.add("size", np.broadcast_to(np.float32(sizes), len(x)).astype(np.float32))
    figure = base_figure(name, height, axes=labels)
    if labels is not None and x_names is not None:
        figure.xaxis.ticker = list(x_names)
        figure.xaxis.major_label_overrides = dict(x_names)
    counts = Counter(groups)
    names = _in_order(counts, order)
    coloured = [label for label in names if label not in _GREYS]
    drawn: dict[str, Any] = {}
    number_of = class_numbers(coloured, coloured if classes is None else classes)
    for label in sorted(names, key=coloured.__contains__):  # grey groups first
        drawn[label] = figure.scatter(
            across,
            up,
            source=points.source,
            view=CDSView(filter=GroupFilter(column_name=group, group=label)),
            size=size,
            **_look(label, number_of),
            fill_alpha=0.75,
            line_color="white",
            line_width=0.5,
            hover_line_color="black",
        )
    if numbered:
        _number(figure, x, y, groups, coloured)
    figure.add_tools(
        HoverTool(
            renderers=list(drawn.values()),
            tooltips=points.tooltip({heading: group}),
            limit=_MOST_SHOWN,
            point_policy="snap_to_data",
        )
    )
    _add_legend(
        figure, heading, {f"{label or 'unlabelled'} ({counts[label]:,})": drawn[label] for label in names}
    )
    return figure


def _look(label: str, number_of: Mapping[str, int]) -> dict[str, str]:
    """The marker and the colour of a group."""
    if label in _GREYS:
        return {"marker": "circle", "color": _GREYS[label]}
    number = number_of[label]
    marker = _MARKERS[(number + number // len(PALETTE)) % len(_MARKERS)]
    return {"marker": marker, "color": to_hex(shade(number))}


def _in_order(counts: Mapping[str, int], order: Sequence[str] | None) -> list[str]:
    """Sort the groups that have points by the given order, otherwise by size; grey groups come last."""
    ordered = order or sorted(counts, key=lambda label: (-counts[label], label))
    coloured = [label for label in ordered if label in counts and label not in _GREYS]
    return coloured + [label for label in _GREYS if label in counts]


def _add_legend(figure: Any, heading: str, drawn: Mapping[str, Any]) -> None:
    """Add a legend entry per label; a click on it hides its points."""
    from bokeh.models import Legend, LegendItem

    items = [LegendItem(label=label, renderers=[points]) for label, points in drawn.items()]
    legend = Legend(items=items, title=heading, click_policy="hide", label_text_font_size="12px", spacing=0)
    legend.border_line_color = None
    figure.add_layout(legend, "right")


def _number(figure: Any, x: np.ndarray, y: np.ndarray, groups: Sequence[str], names: Sequence[str]) -> None:
    """Write the name of each group at the median of its points."""
    from bokeh.models import ColumnDataSource

    finite = np.isfinite(x) & np.isfinite(y)
    members = {label: np.array([group == label for group in groups]) & finite for label in names}
    shown = [label for label in names if members[label].any()]
    places = {
        "x": [float(np.median(x[members[label]])) for label in shown],
        "y": [float(np.median(y[members[label]])) for label in shown],
    }
    figure.text(
        "x",
        "y",
        "text",
        source=ColumnDataSource({**places, "text": shown}),
        anchor="center",
        text_font={"value": _FONT},
        text_font_style="bold",
        text_font_size="13px",
        background_fill_color="white",
        background_fill_alpha=0.75,
        padding=2,
        border_radius=6,
    )


def base_figure(name: str, height: int, *, axes: tuple[str, str] | None, **options: Any) -> Any:
    """Make an empty plot with tools and without Bokeh's logo; `axes` are the labels of both axes, None: no axes."""
    from bokeh.plotting import figure

    settings: dict[str, Any] = {
        "width": WIDTH,
        "height": height,
        "tools": "pan,box_zoom,reset,save",
        "toolbar_location": "above",
        "name": name,
        "background_fill_color": None,
    }
    plot = figure(**{**settings, **options})
    add_wheel(plot)
    plot.toolbar.logo = None
    plot.grid.grid_line_color = "#eeeeee"
    plot.outline_line_color = None
    if axes is None:
        plot.axis.visible = False
        plot.grid.visible = False
    else:
        plot.xaxis.axis_label, plot.yaxis.axis_label = axes
    return plot


def add_wheel(figure: Any, dimensions: str = "both") -> None:
    """Zoom by ctrl and the mouse wheel; the wheel alone scrolls the page."""
    from bokeh.models import WheelZoomTool

    wheel = WheelZoomTool(dimensions=dimensions, modifiers="ctrl")
    figure.add_tools(wheel)
    figure.toolbar.active_scroll = wheel


def embedded(plots: Sequence[Any], callbacks: Sequence[Any] = ()) -> tuple[list[Markup], list[Markup]]:
    """Make the scripts of a page with these plots, Bokeh's code first, and the HTML element of each plot.

    Args:
        plots: Bokeh models.
        callbacks: callbacks that run once after the page has been drawn.
    """
    from bokeh.document import Document
    from bokeh.embed import components
    from bokeh.resources import Resources

    if not plots:
        return [], []
    document = Document()
    for plot in plots:
        document.add_root(plot)
    for callback in callbacks:
        document.js_on_event("document_ready", callback)
    script, places = components(tuple(plots))
    code = Resources(mode="inline", components=["bokeh"]).render()
    return [Markup(code), Markup(script)], [Markup(place) for place in places]
