"""One HTML page that opens anywhere: text, tables and pictures in one file, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import jinja2
from matplotlib.figure import Figure

from pcip_core.plots.png import to_png

_MAX_BYTES = 800_000  # a picture: a page is a file, not a row of a database


@dataclass(frozen=True)
class Cell:
    """What stands in a table: text, and whether it is the best of its column or a figure of the paper."""

    text: str
    best: bool = False
    paper: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text or `Cell`s under their headings; columns after the first are numbers. Headings in
    `paper` are of columns that hold the paper's figures alone."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    paper: frozenset[str] = frozenset()
    caption: str = ""
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A figure, with what it shows for those who cannot see it."""

    figure: Figure
    alt: str
    caption: str = ""
    kind: str = "picture"

    @property
    def source(self) -> str:
        """The picture itself, as a data URL."""
        return f"data:image/png;base64,{base64.b64encode(to_png(self.figure, max_bytes=_MAX_BYTES)).decode()}"


@dataclass(frozen=True)
class Text:
    """A paragraph; a `note` is set smaller."""

    text: str
    note: bool = False
    kind: str = "text"


@dataclass
class Section:
    """A heading and what stands under it; a `folded` one is opened by a click."""

    heading: str
    blocks: list[Table | Picture | Text] = field(default_factory=list)
    folded: bool = False


def page(title: str, sections: Sequence[Section], *, banner: str = "", subtitle: str = "") -> str:
    """The page as HTML.

    Args:
        title: of the page.
        sections: in their order.
        banner: said at the top and in the title: that images are simulated.
        subtitle: under the title.
    """
    return _template().render(title=title, sections=sections, banner=banner, subtitle=subtitle)


@cache
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("pcip_core", "report")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2")
