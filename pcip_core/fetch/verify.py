"""Verification of downloaded files before they get their final names."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

MAX_PIXELS = 80_000_000
MAX_UNPACKED_BYTES = 2 << 30
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

    if end not in path.read_bytes()[-_END_BYTES:]:
        raise ValueError("no end marker")
    with Image.open(path, formats=(form,)) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width} x {height} px, more than {MAX_PIXELS:,} px")
        picture.load()


def _tiff(path: Path) -> None:
    _tiff_bytes(path.read_bytes())


def _tiff_gz(path: Path) -> None:
    with gzip.open(path) as stream:
        data = stream.read(MAX_UNPACKED_BYTES + 1)
    if len(data) > MAX_UNPACKED_BYTES:
        raise ValueError(f"more than {MAX_UNPACKED_BYTES >> 30} GiB when unpacked")
    _tiff_bytes(data)


def _tiff_bytes(data: bytes) -> None:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        for page in tiff.pages:
            if not isinstance(page, tifffile.TiffPage):
                continue
            ends = [at + size for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
            if max(ends, default=0) > len(data):
                raise ValueError(f"pixels end at byte {max(ends)} of a file of {len(data)} bytes")
            if page.imagewidth * page.imagelength > MAX_PIXELS:
                raise ValueError(f"{page.imagewidth} x {page.imagelength} px, more than {MAX_PIXELS:,} px")
        tiff.asarray()


def _xml(path: Path) -> None:
    for _, element in ElementTree.iterparse(path):
        element.clear()


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise ValueError(f"the checksum of {bad} is wrong")


def _gz(path: Path) -> None:
    with gzip.open(path) as stream:
        while stream.read(1 << 20):
            pass


_CHECKS: dict[tuple[str, ...], Callable[[Path], None]] = {
    (".jpg", ".jpeg"): _jpeg,
    (".png",): _png,
    (".tif", ".tiff"): _tiff,
    (".tif.gz", ".tiff.gz"): _tiff_gz,
    (".xml",): _xml,
    (".zip",): _zip,
    (".gz",): _gz,
}
