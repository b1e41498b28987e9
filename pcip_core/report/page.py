"""A self-contained HTML page: text, tables and pictures in one file that loads nothing."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from pcip_core.files import file_name, replacing
from pcip_core.plots.pictures import preview

_MAX_BYTES = 800_000  # limit of one picture


@dataclass(frozen=True)
class Cell:
    """A cell of a table: text, and whether it is the best of its column or a value from the paper.

    Attributes:
        more: further items, which the page shows after a click.
        value: the number with all its digits, for the CSV file; None: the text.
    """

    text: str
    best: bool = False
    paper: bool = False
    more: Sequence[str] = ()
    value: float | None = None

    @property
    def plain(self) -> str:
        """The text of the CSV file."""
        return ", ".join(filter(None, (self.text, *self.more))) if self.value is None else repr(self.value)


@dataclass(frozen=True)
class Table:
    """Rows of text or `Cell`s under column headings. Columns after the first hold numbers, except those in `words`.
    Columns in `paper` hold only values from the paper."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    paper: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    caption: str = ""
    kind: str = "table"

    @property
    def csv(self) -> str:
        """The table as a data URL of a CSV file (UTF-8 with a byte order mark, which Excel needs)."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(self.columns)
        writer.writerows([cell if isinstance(cell, str) else cell.plain for cell in row] for row in self.rows)
        return data_url(("\ufeff" + file.getvalue()).encode(), "text/csv")


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure with its alternative text; `links` are files of it in the page's folder: name, address."""

    figure: Figure
    alt: str
    caption: str = ""
    links: Sequence[tuple[str, str]] = ()
    kind: str = "picture"

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return data_url(preview(self.figure, max_bytes=_MAX_BYTES), "image/webp")


@dataclass(frozen=True)
class File:
    """A figure from a file, shown `width` px wide; `links` are its files in the page's folder: name, address."""

    data: bytes
    media_type: str
    alt: str
    caption: str = ""
    links: Sequence[tuple[str, str]] = ()
    width: int | None = None
    kind: str = "picture"

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return data_url(self.data, self.media_type)


@dataclass(frozen=True)
class Interactive:
    """An interactive plot. `place` is HTML from Bokeh and is not escaped.

    Attributes:
        place: the element that the script of the page fills with the plot.
        caption: what it shows, and how to use the mouse.
        scale: the colour bar as lowest value, colours, highest value; empty for no colour bar.
    """

    place: Markup
    caption: str = ""
    scale: tuple[str, ...] = ()
    kind: str = "interactive"


@dataclass(frozen=True)
class Code:
    """A block of SQL."""

    text: str
    kind: str = "code"


@dataclass(frozen=True)
class Links:
    """A line of links to files in the page's folder: text, then (name, address) of each link."""

    text: str
    links: Sequence[tuple[str, str]]
    kind: str = "links"


@dataclass(frozen=True)
class Download:
    """A link that saves a file, which the page contains: text, name of the file, content."""

    text: str
    name: str
    content: str
    kind: str = "download"

    @property
    def source(self) -> str:
        """The file as a data URL."""
        return data_url(self.content.encode(), "text/plain")


@dataclass(frozen=True)
class Key:
    """The colours of the channels in all pictures of cells: (channel, CSS colour); and a note on their size."""

    colours: Sequence[tuple[str, str]]
    note: str = ""
    kind: str = "key"


@dataclass(frozen=True)
class Text:
    """A paragraph; a `note` is set in smaller type."""

    text: str
    note: bool = False
    kind: str = "text"


Block = Table | Picture | File | Interactive | Code | Links | Download | Key | Text


@dataclass
class Section:
    """A heading with its blocks; a `folded` section opens on a click."""

    heading: str
    blocks: list[Block] = field(default_factory=list)
    folded: bool = False


def data_url(data: bytes, media_type: str) -> str:
    """A file as an address that contains it.

    >>> data_url(b"a", "text/csv")
    'data:text/csv;base64,YQ=='
    """
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


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
        title: title of the page.
        sections: the sections in their order.
        banner: warning at the top of the page and in its title, for simulated images.
        subtitle: line below the title.
        scripts: scripts of the `Interactive` blocks, from Bokeh; they are not escaped.
        made_from: hash of the inputs, stored in the page's head and read by `made_from`.
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
    """Write a page atomically: the file is never incomplete."""
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def made_from(path: Path) -> str | None:
    """The hash of the inputs of the page in a file; None without such a page."""
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        match = re.search(r'<meta name="pcip-made-from" content="([0-9a-f]+)">', file.read(2000))
    return match[1] if match else None


def _code(text: str) -> Markup:
    """Text whose parts between backticks are set as code.

    >>> _code("the view `a<b`")
    Markup('the view <code>a&lt;b</code>')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


@cache
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("pcip_core", "report")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["file_name"] = file_name
    environment.filters["code"] = _code
    return environment.get_template("page.html.j2")
