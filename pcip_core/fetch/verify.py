"""Verification of downloaded files before they get their final names."""

from __future__ import annotations

import gzip
import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

MAX_PIXELS = 80_000_000  # of one page
MAX_UNPACKED_BYTES = 1 << 30  # of one file, and of all pages of a TIFF together
_MAX_MEMBERS, _MAX_DEPTH = 10_000, 200
_PIECE = 1 << 20
_END_BYTES = 4096


def fault(path: Path, name: str) -> str | None:
    """Check that a file has the format of its name; return the reason if it has not, otherwise None.

    Images are decoded in full, XML is parsed, and archives are unpacked and compared with their checksums. A web
    page in place of another file is reported. Files of other formats must only be non-empty.

    Args:
        path: the file.
        name: its final name, whose extension gives the format.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.part").write_text("<!DOCTYPE html><html>Sorry</html>")
    ...     fault(Path(folder) / "a.part", "a.jpg")
    'a web page instead of the file'
    """
    if path.stat().st_size == 0:
        return "an empty file"
    with path.open("rb") as stream:
        start = stream.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")) and not name.lower().endswith((".html", ".htm")):
        return "a web page instead of the file"
    try:
        _check_of(name)(path)
    except Exception as error:  # decoders raise any kind of exception on damaged files
        return f"a damaged file ({type(error).__name__}: {error})"
    return None


def _check_of(name: str) -> Callable[[Path], None]:
    """The check for a file with this name."""
    lower = name.lower()
    for suffixes, check in _CHECKS.items():
        if lower.endswith(suffixes):
            return check
    return lambda path: None


def _jpeg(path: Path) -> None:
    _picture(path, "JPEG", end=b"\xff\xd9")


def _png(path: Path) -> None:
    _picture(path, "PNG", end=b"IEND\xaeB`\x82")


def _picture(path: Path, form: str, *, end: bytes) -> None:
    """Decode an image and check its end marker, without which decoders accept truncated files."""
    from PIL import Image

    with path.open("rb") as stream:
        stream.seek(-min(_END_BYTES, path.stat().st_size), io.SEEK_END)
        complete = end in stream.read()
    if not complete:
        raise ValueError("no end marker")
    with Image.open(path, formats=(form,)) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width} x {height} px, more than {MAX_PIXELS:,} px")
        picture.load()


def _tiff(path: Path) -> None:
    with path.open("rb") as stream:
        _tiff_pages(stream, path.stat().st_size)


def _tiff_gz(path: Path) -> None:
    with gzip.open(path) as packed, tempfile.TemporaryFile(dir=path.parent) as stream:
        size = 0
        while piece := packed.read(_PIECE):
            size += stream.write(piece)
            if size > MAX_UNPACKED_BYTES:
                raise ValueError(f"more than {MAX_UNPACKED_BYTES >> 30} GiB when unpacked")
        _tiff_pages(stream, size)


def _tiff_pages(stream: BinaryIO, size: int) -> None:
    """Decode the pages one after the other."""
    import tifffile

    from pcip_core.images.formats.tiff import check_pages

    stream.seek(0)
    pixels = 0
    with tifffile.TiffFile(stream, name="page.tif") as tiff:
        check_pages(Path("page.tif"), tiff)
        for page in tiff.pages:
            key: Any = page.keyframe
            ends = [at + count for at, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
            if max(ends, default=0) > size:
                raise ValueError(f"pixels end at byte {max(ends)} of a file of {size} bytes")
            if key.imagewidth * key.imagelength > MAX_PIXELS:
                raise ValueError(f"{key.imagewidth} x {key.imagelength} px, more than {MAX_PIXELS:,} px")
            pixels += key.nbytes
            if pixels > MAX_UNPACKED_BYTES:
                raise ValueError(f"pages of more than {MAX_UNPACKED_BYTES >> 30} GiB of pixels")
            page.asarray(maxworkers=1)


def _xml(path: Path) -> None:
    """Parse XML without keeping any of it."""
    parser, depth = expat.ParserCreate(), 0

    def start(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"more than {_MAX_DEPTH} elements within each other")

    def end(*_: object) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler, parser.EndElementHandler = start, end
    with path.open("rb") as stream:
        parser.ParseFile(stream)


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > _MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
            raise ValueError(
                f"more than {_MAX_MEMBERS:,} files or {MAX_UNPACKED_BYTES >> 30} GiB when unpacked"
            )
        bad = archive.testzip()
    if bad is not None:
        raise ValueError(f"the checksum of {bad} is wrong")


def _gz(path: Path) -> None:
    with gzip.open(path) as stream:
        size = 0
        while piece := stream.read(_PIECE):
            size += len(piece)
            if size > MAX_UNPACKED_BYTES:
                raise ValueError(f"more than {MAX_UNPACKED_BYTES >> 30} GiB when unpacked")


_CHECKS: dict[tuple[str, ...], Callable[[Path], None]] = {
    (".jpg", ".jpeg"): _jpeg,
    (".png",): _png,
    (".tif", ".tiff"): _tiff,
    (".tif.gz", ".tiff.gz"): _tiff_gz,
    (".xml",): _xml,
    (".zip",): _zip,
    (".gz",): _gz,
}
