"""Shared parts of the sections: interactive plots, figures for print, captions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from pcip_core.files import natural_key
from pcip_core.plots.cells.thumbnails import lighter
from pcip_core.plots.heatmap import Lines
from pcip_core.plots.interactive import Points, embedded
from pcip_core.report.analyses.rows import AnalysisRows, Cloud
from pcip_core.report.page import Block, File, Interactive, Text

MOUSE = "Hover over a point to see its cells. Ctrl + wheel zooms, dragging pans; click on a group to hide it."
WORDS = frozenset({"term", "cell line"})
"""Columns of tables that hold text."""


@dataclass
class Plots:
    """Interactive plots of the page; `finish` inserts them all together."""

    rows: AnalysisRows
    proteins: Points | None
    drawn: list[Any] = field(default_factory=list)
    blocks: list[tuple[list[Block], int, str, tuple[str, ...]]] = field(default_factory=list)
    lines: dict[str, Lines] = field(default_factory=dict)

    def add(self, blocks: list[Block], plot: Any, caption: str, scale: tuple[str, ...] = ()) -> None:
        """Add a plot at the end of these blocks."""
        self.drawn.append(plot)
        self.blocks.append((blocks, len(blocks), captioned(self.rows, caption), scale))
        blocks.append(Text(""))

    def finish(self) -> list[Markup]:
        """Insert the plots into their sections; return the scripts of the page."""
        callbacks = [callback for lines in self.lines.values() for callback in lines.callbacks]
        scripts, places = embedded(self.drawn, callbacks)
        for (blocks, index, caption, scale), place in zip(self.blocks, places, strict=True):
            blocks[index] = Interactive(place, caption, scale)
        return scripts


def captioned(rows: AnalysisRows, caption: str) -> str:
    """A caption that states whether images are simulated."""
    return f"{caption} SIMULATED images." if rows.simulated else caption


def figure(rows: AnalysisRows, name: str, alt: str, caption: str) -> Block:
    """A figure for print, or a note where its file is missing."""
    if name not in rows.figures:
        return Text(f"{caption} (The file of this figure is missing: {name}.png.)", note=True)
    data, width = lighter(rows.figures[name])
    links = rows.files.get(name, (("PNG", f"{name}.png"),))
    return File(data, "image/webp", alt, captioned(rows, caption), links=links, width=width)


def count(cloud: Cloud) -> str:
    """The number of cells drawn, out of the total."""
    drawn = len(cloud.x)
    return f"{drawn:,} cells" + (f" of {cloud.of:,}" if cloud.of > drawn else "")


def point_size(n: int) -> float:
    """Diameter of each of n points (px)."""
    return float(np.clip(400 / max(n, 1) ** 0.5, 4, 11))


def without_lines(columns: list[str], body: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows without the column `cell line`, where no row names one.

    >>> without_lines(["protein", "cell line", "cells"], [["A", "", "9"]])
    (['protein', 'cells'], [['A', '9']])
    """
    place = columns.index("cell line")
    if any(row[place] for row in body):
        return columns, body
    return columns[:place] + columns[place + 1 :], [row[:place] + row[place + 1 :] for row in body]


def natural(names: Iterable[str]) -> list[str]:
    """Distinct names in natural order (2 before 10)."""
    return sorted(set(names) - {""}, key=natural_key)
