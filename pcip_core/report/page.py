"""A self-contained HTML page: text, tables and pictures in one file that loads nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from pcip_core.files import replacing
from pcip_core.plots.pictures import preview

_MAX_BYTES = 800_000  # a picture: a page is a file, not a row of a database


@dataclass(frozen=True)
class Cell:
    """A cell of a table: text, and whether it is the best of its column or a value from the paper."""

    text: str
    best: bool = False
    paper: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text or `Cell`s under their headings; columns after the first are numbers, but those in `words`.
    Headings in `paper` are of columns that hold the paper's figures alone."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    paper: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
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
        return (
            f"data:image/webp;base64,{base64.b64encode(preview(self.figure, max_bytes=_MAX_BYTES)).decode()}"
        )


@dataclass(frozen=True)
class File:
    """A figure from a file, shown `width` px wide; `link` leads to the file where it lies beside the page."""

    data: bytes
    media_type: str
    alt: str
    caption: str = ""
    link: str = ""
    width: int | None = None
    kind: str = "picture"

    @property
    def source(self) -> str:
        """The picture itself, as a data URL."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True)
class Interactive:
    """An interactive plot. `place` is Bokeh's own HTML, of which nothing is escaped.

    Attributes:
        place: where the plot goes; the script of the page fills it.
        caption: what it shows, and how to use the mouse.
        scale: lowest value, colour, ..., highest value of a colour bar, or nothing.
    """

    place: Markup
    caption: str = ""
    scale: tuple[str, ...] = ()
    kind: str = "interactive"


@dataclass(frozen=True)
class Code:
    """Lines of code: SQL."""

    text: str
    kind: str = "code"


@dataclass(frozen=True)
class Links:
    """A line with links to files beside the page: text, (name, address) each."""

    text: str
    links: Sequence[tuple[str, str]]
    kind: str = "links"


@dataclass(frozen=True)
class Text:
    """A paragraph; a `note` is set smaller."""

    text: str
    note: bool = False
    kind: str = "text"


Block = Table | Picture | File | Interactive | Code | Links | Text


@dataclass
class Section:
    """A heading with its blocks; a click opens a `folded` one."""

    heading: str
    blocks: list[Block] = field(default_factory=list)
    folded: bool = False


def page(
    title: str,
    sections: Sequence[Section],
    *,
    banner: str = "",
    subtitle: str = "",
    scripts: Sequence[Markup] = (),
    made_from: str = "",
) -> str:
    """The page as HTML.

    Args:
        title: of the page.
        sections: in their order.
        banner: at the top and in the title: that images are simulated.
        subtitle: under the title.
        scripts: of `Interactive` blocks, Bokeh's own; nothing of them is escaped.
        made_from: a hash, kept in the page's head for `made_from` to find.
    """
    return _template().render(
        title=title,
        sections=sections,
        banner=banner,
        subtitle=subtitle,
        scripts=scripts,
        made_from=made_from,
    )


def save_page(html: str, path: Path) -> None:
    """Write a page: the old file or the new one is there, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def made_from(path: Path) -> str | None:
    """The hash that the page in a file was made from; None where there is no such page."""
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        match = re.search(r'<meta name="pcip-made-from" content="([0-9a-f]+)">', file.read(2000))
    return match[1] if match else None


@cache
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("pcip_core", "report")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2")
