"""The plot in which the page shows a map: Bokeh's tools around a picture that the server draws."""

from typing import Any


def map_figure() -> dict[str, Any]:
    """The plot as JSON, for `Bokeh.embed.embed_item`; models `map` and `picture` are found by their names."""
    import numpy as np
    from bokeh.embed import json_item
    from bokeh.models import BoxSelectTool, ColumnDataSource, LassoSelectTool, Range1d, WheelZoomTool

    from pcip_core.plots.interactive import base_figure

    plot = base_figure(
        "map",
        500,
        axes=None,
        tools="pan,reset",
        toolbar_location="above",
        sizing_mode="stretch_both",
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
        min_border=4,
    )
    plot.tools = [tool for tool in plot.tools if not isinstance(tool, WheelZoomTool)]
    wheel, lasso = WheelZoomTool(), LassoSelectTool(continuous=False)
    plot.add_tools(lasso, BoxSelectTool(continuous=False), wheel)
    plot.toolbar.active_scroll, plot.toolbar.active_drag = wheel, lasso
    empty = {"image": [np.zeros((1, 1), np.uint32)], "x": [0], "y": [0], "dw": [1], "dh": [1]}
    plot.image_rgba("image", "x", "y", "dw", "dh", source=ColumnDataSource(empty, name="picture"))
    return dict(json_item(plot, "map"))
