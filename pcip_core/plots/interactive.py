"""Plots that answer the mouse, by Bokeh: maps of points with pictures, and clustered heat maps.

Bokeh is imported where it is used, as that takes a second. Text in tooltips is escaped by Bokeh.
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
from pcip_core.plots.style import PALETTE, shade

WIDTH = 1070
OTHERS, SEVERAL, UNNAMED = "others", "several terms", ""
"""Groups that are grey and lie below the points of all others."""
_GREYS = {OTHERS: "#b8b8b8", SEVERAL: "#8f8f8f", UNNAMED: "#d4d4d4"}
_FONT = "system-ui, sans-serif"
_MARKERS = ("circle", "square", "triangle", "inverted_triangle", "hex", "diamond", "star")
_NOTHING = "data:,"  # no picture, and nothing that a browser would look for
_MOST_GROUPS = 2 * len(PALETTE) - 1
_MOST_SHOWN = 4  # tooltips at once


@dataclass(frozen=True)
class Points:
    """What is told of n things; plots of the same things share it, so that it is in the page once.

    Attributes:
        told: heading -> n texts, in the order of the tooltip; a thing without a text there may have "".
        pictures: n data URLs, "" where there is none.
    """

    told: Mapping[str, Sequence[str]]
    pictures: Sequence[str]
    source: Any = field(init=False)

    def __post_init__(self) -> None:
        from bokeh.models import ColumnDataSource

        columns = {f"told_{number}": list(texts) for number, texts in enumerate(self.told.values())}
        columns["picture"] = [picture or _NOTHING for picture in self.pictures]
        if len({len(values) for values in columns.values()}) > 1:
            raise ShapeError(
                "points of a plot",
                found=", ".join(f"{len(values)} {name}" for name, values in columns.items()),
                required="as many of each",
                remedy="Pass a text under each heading, and a picture or nothing, for every point.",
            )
        object.__setattr__(self, "source", ColumnDataSource(columns))

    def add(self, name: str, values: Sequence[Any] | np.ndarray) -> str:
        """A further column for one plot; its name."""
        column = f"{name}_{len(self.source.data)}"
        self.source.add(values if isinstance(values, np.ndarray) else list(values), column)
        return column

    def tooltip(self, more: Mapping[str, str] | None = None) -> str:
        """HTML with placeholders for what is told, `more` columns under their headings, and the picture."""
        fields = {heading: f"told_{number}" for number, heading in enumerate(self.told)} | dict(more or {})
        lines = "".join(
            f'<div><span style="color:#666">{heading}</span> @{{{name}}}</div>'
            for heading, name in fields.items()
        )
        return (
            f'<div style="font:13px {_FONT};max-width:640px;background:white">{lines}'
            '<img src="@{picture}" alt="" style="zoom:1.5;display:block;margin-top:2px"></div>'
        )


def grouped(labels: Sequence[str], *, most: int = _MOST_GROUPS) -> list[str]:
    """The labels, the rarest of too many put together as `others`; "" stays."""
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
    labels: tuple[str, str] | None = None,
    sizes: np.ndarray | float = 8.0,
    heading: str = "group",
    numbered: bool = False,
    height: int = 560,
    x_names: Mapping[float, str] | None = None,
) -> Any:
    """A map of points, coloured by group; ctrl and the wheel zoom, a click on the legend hides a group.

    Args:
        points: what is told of the n points.
        x, y: (n,) places; a point without a finite one is not drawn.
        groups: n names; "" is grey.
        name: of the plot in the page.
        order: of the groups in the legend; by default the largest first.
        labels: of both axes; None: no axes, as of a UMAP.
        sizes: diameter, px, one or (n,).
        heading: of the groups in the legend and the tooltip.
        numbered: write each group's name at the median of its points.
        height: px.
        x_names: names in place of numbers at the x axis.
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
    for turn, label in sorted(enumerate(names), key=lambda item: item[1] in coloured):  # grey ones lie below
        marker = _MARKERS[(turn + turn // len(PALETTE)) % len(_MARKERS)]
        drawn[label] = figure.scatter(
            across,
            up,
            source=points.source,
            view=CDSView(filter=GroupFilter(column_name=group, group=label)),
            size=size,
            marker=marker if label in coloured else "circle",
            color=to_hex(shade(turn)) if label in coloured else _GREYS[label],
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


def _in_order(counts: Mapping[str, int], order: Sequence[str] | None) -> list[str]:
    """The groups that have points, in the given order or the largest first; those that are grey come last."""
    ordered = order or sorted(counts, key=lambda label: (-counts[label], label))
    coloured = [label for label in ordered if label in counts and label not in _GREYS]
    return coloured + [label for label in _GREYS if label in counts]


def _add_legend(figure: Any, heading: str, drawn: Mapping[str, Any]) -> None:
    """A line for each label with its points, which a click on it hides."""
    from bokeh.models import Legend, LegendItem

    items = [LegendItem(label=label, renderers=[points]) for label, points in drawn.items()]
    legend = Legend(items=items, title=heading, click_policy="hide", label_text_font_size="12px", spacing=0)
    legend.border_line_color = None
    figure.add_layout(legend, "right")


def _number(figure: Any, x: np.ndarray, y: np.ndarray, groups: Sequence[str], names: Sequence[str]) -> None:
    """Write the names of groups at the medians of their points."""
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
    """A plot with its tools, without Bokeh's logo; `axes` are the names of both, None: no axes."""
    from bokeh.plotting import figure

    settings: dict[str, Any] = {
        "width": WIDTH,
        "height": height,
        "tools": "pan,box_zoom,reset,save",
        "toolbar_location": "above",
        "name": name,
        "background_fill_color": None,
    }
    made = figure(**{**settings, **options})
    add_wheel(made)
    made.toolbar.logo = None
    made.grid.grid_line_color = "#eeeeee"
    made.outline_line_color = None
    if axes is None:
        made.axis.visible = False
        made.grid.visible = False
    else:
        made.xaxis.axis_label, made.yaxis.axis_label = axes
    return made


def add_wheel(figure: Any, dimensions: str = "both") -> None:
    """Let ctrl and the wheel zoom; the wheel alone scrolls the page."""
    from bokeh.models import WheelZoomTool

    wheel = WheelZoomTool(dimensions=dimensions, modifiers="ctrl")
    figure.add_tools(wheel)
    figure.toolbar.active_scroll = wheel


def embedded(plots: Sequence[Any], callbacks: Sequence[Any] = ()) -> tuple[list[Markup], list[Markup]]:
    """The scripts of a page with these plots, Bokeh's own code first, and the place of each plot in the page.

    Args:
        plots: Bokeh models.
        callbacks: run once when the page has been drawn.
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
