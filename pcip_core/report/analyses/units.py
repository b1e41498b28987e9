"""The section of what single features see."""

from __future__ import annotations

from pcip_core.report.analyses.plots import Plots, captioned, figure
from pcip_core.report.analyses.rows import AnalysisRows
from pcip_core.report.page import Block, Section, Table, Text

_INTRODUCTION = (
    "Each figure shows one feature (unit) of the vector: the cells with its highest and its lowest values, and for the "
    "highest ones where in the crop the value comes from. For such a map, a patch slides over one channel and sets its "
    "pixels to the background; orange marks pixels without which the value drops, violet those without which it rises, "
    "relative to the largest change in any channel of that cell. The units are those that separate the labels best, at "
    "most one per label before a label has two. `pcip units {screen} {feature_set} UNIT` shows any other unit, or a "
    "direction between two labels."
)


def units(rows: AnalysisRows, _: Plots) -> Section | None:
    """A table of the units, and the figure of each."""
    if rows.units.is_empty():
        return None
    grouped_by = rows.units["grouped_by"][0]
    body = [
        [str(row["unit"]), row["label"], f"{row['share']:.2f}"]
        for row in rows.units.sort("rank").iter_rows(named=True)
    ]
    columns = ["unit", f"highest in ({grouped_by})", "share of its variance between them"]
    caption = captioned(rows, f"Units of {rows.feature_set}.")
    blocks: list[Block] = [
        Text(_INTRODUCTION.format(screen=rows.screen, feature_set=rows.feature_set)),
        Table(columns, body, words=frozenset(columns[1:2]), caption=caption),
    ]
    for row in rows.units.sort("rank").iter_rows(named=True):
        caption = f"Unit {row['unit']} of {row['feature_set']}, highest in {row['label']}."
        blocks.append(
            figure(rows, f"units_{row['rank']}", "Cells with the highest and the lowest values", caption)
        )
    return Section("What single features see", blocks)
