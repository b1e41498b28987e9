"""XML files of microscopes, read as a stream, so that their size does not matter. Namespaces are ignored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.parsers import expat

from pcip_core.errors import ImageFileError
from pcip_core.images.inside import opened

MAX_DEPTH = 50  # elements within elements
MAX_TEXT = 1_000  # characters of an element
_PIECE = 1 << 20
_LONGEST_TOKEN = 1 << 24  # bytes that expat holds until a tag is complete

Start = Callable[[str, dict[str, str]], None]
End = Callable[[str, str], None]


def read_markup(path: Path, start: Start, end: End) -> None:
    """Read an XML file.

    Args:
        path: the file.
        start: called with the name and the attributes of an element, without prefixes.
        end: called with the name of an element and its text. The text of its children is not part of it.

    Raises:
        ImageFileError: the file is incomplete or damaged, declares entities, or exceeds the limits of this module.
            A ValueError of `start` or `end` is given as the reason.
    """
    reader = _Reader(start, end)
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.buffer_text = True
    try:
        feed(path, parser)
    except (expat.ExpatError, OSError, ValueError, LookupError) as error:
        raise ImageFileError(
            path,
            found=f"a list of images that cannot be read ({error})",
            required="a complete XML file",
            remedy="Wait until the plate is copied, or copy this file again. Or leave it out: "
            f'`exclude: ["{path.name}"]` in files of the spec; pcip then uses the names of the images.',
        ) from error


def feed(path: Path, parser: expat.XMLParserType) -> None:
    """Give a file to a parser, piece by piece.

    Raises:
        ValueError: the file declares an entity, or a tag is longer than `_LONGEST_TOKEN`, which the parser would hold
            in memory.
    """
    parser.EntityDeclHandler = _refuse_entity
    fed = 0
    with opened(path) as stream:
        while piece := stream.read(_PIECE):
            fed += len(piece)
            parser.Parse(piece)
            if fed - parser.CurrentByteIndex > _LONGEST_TOKEN:
                raise ValueError(f"a tag of more than {_LONGEST_TOKEN >> 20} MiB")
    parser.Parse(b"", True)  # noqa: FBT003 (the end of the file)


class _Reader:
    """The handlers of the parser."""

    def __init__(self, start: Start, end: End) -> None:
        self._start, self._end = start, end
        self._texts: list[list[str]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._texts) == MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} elements within each other")
        self._texts.append([])
        self._start(
            tag.rpartition(":")[2], {name.rpartition(":")[2]: text for name, text in attributes.items()}
        )

    def text(self, text: str) -> None:
        texts = self._texts[-1]
        texts.append(text)
        if len(texts) > MAX_TEXT or sum(map(len, texts)) > MAX_TEXT:
            if "".join(texts).strip():
                raise ValueError(f"a text of more than {MAX_TEXT} characters")
            texts.clear()

    def end(self, tag: str) -> None:
        self._end(tag.rpartition(":")[2], "".join(self._texts.pop()).strip())


def _refuse_entity(name: str, *_: object) -> None:
    raise ValueError(f"the declaration of an entity ({name[:60]})")
