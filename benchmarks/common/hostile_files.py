"""Intact and hostile pictures, OME-TIFFs, HDF5 archives and Harmony indices for `benchmarks.common.hostile`."""

from __future__ import annotations

import functools
import gzip
import io
import json
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from PIL import Image

SECRET = 51_966  # pixel value of all files outside the root
_SHAPE = (24, 32)
_UUID = "urn:uuid:00000000-0000-0000-0000-000000000000"
_KINDS = ("tif", "lzw.tif", "tiled.tif", "tif.gz", "png", "jpg")
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class Link:
    """A symbolic link in place of a file."""

    target: str


Files = dict[str, "bytes | Link | None"]
"""Path -> contents; None for a named pipe. Bytes of names that are not UTF-8 are escaped as surrogates."""

Change = Callable[[Files], object]


def noise(seed: int, shape: tuple[int, ...] = _SHAPE, dtype: type = np.uint16) -> np.ndarray:
    """Pixels of intact files, all different from SECRET."""
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def deflated(size: int, *, form: str = "zlib") -> bytes:
    """`size` zeros, a multiple of 1 MiB, packed in a moment: one packed piece, repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if form == "gzip" else 15)
    first = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + piece * ((size >> 20) - 1)


def damage(files: Files, rng: random.Random) -> str:
    """Damage one file in a random way; return what was done."""
    name = rng.choice([name for name, content in sorted(files.items()) if isinstance(content, bytes)])
    data = files[name]
    assert isinstance(data, bytes)
    ways: dict[str, Callable[[bytes, random.Random], bytes]] = {
        "bits": _flip,
        "bits in the header": lambda data, rng: _flip(data[:200], rng) + data[200:],
        "cut": lambda data, rng: data[: rng.randrange(len(data) + 1)],
        "hole": _hole,
        "number": _number,
        "twice": lambda data, rng: data[: (at := rng.randrange(len(data) + 1))] + data[at // 2 :],
    }
    values = _json(data)
    if values is not None:
        ways |= {"value": _value, "value ": _value, "value  ": _value}
    way = rng.choice(list(ways))
    files[name] = ways[way](data, rng)
    return f"{way.strip()} in {name}"


def _flip(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 30)) if out else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _hole(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    end = min(len(data), start + rng.randrange(1, 600))
    return data[:start] + bytes(end - start) + data[end:]


def _number(data: bytes, rng: random.Random) -> bytes:
    width = rng.choice((1, 2, 4, 8))
    number = struct.pack("<Q", rng.choice(_NUMBERS))[:width]
    at = rng.randrange(max(1, len(data) - width))
    return data[:at] + (number if rng.random() < 0.5 else number[::-1]) + data[at + width :]


def _json(data: bytes) -> Any:
    if not data.startswith(b"{"):
        return None
    try:
        return json.loads(data)
    except ValueError:
        return None


def _value(data: bytes, rng: random.Random) -> bytes:
    """Replace one value anywhere in JSON by an unexpected one."""
    whole = {"": _json(data)}
    places: list[tuple[Any, Any]] = []
    waiting: list[tuple[Any, Any]] = [(whole, "")]
    while waiting:
        parent, key = waiting.pop()
        places.append((parent, key))
        value = parent[key]
        if isinstance(value, dict | list):
            waiting += [(value, inner) for inner in (value if isinstance(value, dict) else range(len(value)))]
    parent, key = rng.choice(places)
    odd = (
        None,
        True,
        -1,
        0,
        1,
        1 << 31,
        1 << 63,
        10**400,
        1e308,
        float("nan"),
        "",
        "..",
        "../../outside/p.zarr/A/1/0",
    )
    odd += (
        "/etc",
        "²",
        "x" * 300,
        "\0",
        "\ud800",
        [],
        {},
        [[]],
        [None],
        ["0"] * 1000,
        "vlen-utf8",
        "lzma",
        "<U9999",
    )
    parent[key] = rng.choice(odd)
    return json.dumps(whole[""]).encode()


def outside() -> Files:
    """Files outside the root, all of whose pixels are SECRET."""
    from benchmarks.common import hostile_exports, hostile_zarr

    plane = np.full(_SHAPE, SECRET, np.uint16)
    plane[0, 0] = 1  # not constant
    files: Files = {"x.tif": _encoded(plane, "tif"), "x.ome.tif": _encoded(np.stack([plane] * 2), "ome.tif")}
    cells = np.full((3, 8192), SECRET, np.uint16)
    cells[:, ::100] = 1
    files["x.h5"] = hostile_exports.archive(cells)
    files |= {
        f"p.zarr/{name}": content for name, content in hostile_zarr.plate("outside", "zlib", SECRET).items()
    }
    return files


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "ome.tif":
        tifffile.imwrite(
            stream, pixels, ome=True, photometric="minisblack", metadata={"axes": "CYX", "UUID": _UUID}
        )
    elif "tif" in kind:
        how: dict[str, Any] = {"compression": "lzw"} if kind.startswith("lzw") else {}
        how |= {"tile": (16, 16), "compression": "zlib"} if kind.startswith("tiled") else {}
        tifffile.imwrite(stream, pixels, photometric="minisblack", **how)
    else:
        Image.fromarray(pixels.astype(np.uint8) if kind == "jpg" else pixels).save(
            stream, kind.replace("jpg", "jpeg")
        )
    return gzip.compress(stream.getvalue(), 1, mtime=0) if kind.endswith("gz") else stream.getvalue()


@functools.cache
def picture(seed: int, kind: str) -> bytes:
    """A picture of noise as the bytes of a file."""
    return _encoded(noise(seed), kind)


def pictures(plate: str, rng: random.Random) -> Files:
    """Two wells of two channels, each well in a format of its own."""
    kinds = [rng.choice(_KINDS), rng.choice(_KINDS)]
    return {
        f"A{well:02d}_{channel}.{kind}": picture(2 * well + number, kind)
        for well, kind in enumerate(kinds)
        for number, channel in enumerate(("nucleus", "protein"))
    }


def _huge(kind: str) -> bytes:
    side = 100_000
    if kind == "png":
        data = bytearray(picture(1, "png"))
        at = data.index(b"IHDR")
        data[at + 4 : at + 12] = struct.pack(">II", side, side)
        data[at + 17 : at + 21] = struct.pack(">I", zlib.crc32(bytes(data[at : at + 17])))
        return bytes(data)
    tags = [(256, 4, side), (257, 4, side), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, side), (279, 4, 8)]
    rows = b"".join(struct.pack("<HHII", tag, form, 1, value) for tag, form, value in tags)
    return b"II*\0" + struct.pack("<I", 16) + bytes(8) + struct.pack("<H", len(tags)) + rows + bytes(4)


def _endless_pages() -> bytes:
    """A TIFF whose second page is its first."""
    data = bytearray(picture(1, "tif"))
    first = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, first)[0]
    data[first + 2 + 12 * count : first + 6 + 12 * count] = struct.pack("<I", first)
    return bytes(data)


def put(name: str, content: bytes | Link | None) -> Change:
    """Put a file, a link or a pipe in place."""
    return lambda files: files.update({name: content})


def _first(content: Callable[[], bytes | Link | None], ending: str) -> Change:
    """Replace the planes of the first well."""

    def change(files: Files) -> None:
        for name in [name for name in files if name.startswith("A00")]:
            del files[name]
        files[f"A00_nucleus.{ending}"] = content()
        files[f"A00_protein.{ending}"] = picture(1, ending) if ending in _KINDS else content()

    return change


PICTURES: Mapping[str, Change] = {
    "a TIFF of 100,000 px": _first(lambda: _huge("tif"), "tif"),
    "a PNG of 100,000 px": _first(lambda: _huge("png"), "png"),
    "a page that follows itself": _first(_endless_pages, "tif"),
    "a link out of the root": _first(lambda: Link("../../outside/x.tif"), "tif"),
    "a link to itself": _first(lambda: Link("A00_nucleus.tif"), "tif"),
    "a link to a device": _first(lambda: Link("/dev/zero"), "tif"),
    "a named pipe": _first(lambda: None, "tif"),
    "a folder in place of a file": put("A07_nucleus.tif/x", b"x"),
    "a folder linked within itself": put("loop", Link(".")),
    "a name that is not UTF-8": put("A08\udcff_nucleus.tif", b"x"),
    "a name with a line break": put("A09\n_nucleus.tif", b"x"),
    "a gzip of 4 GiB": _first(lambda: deflated(4 << 30, form="gzip"), "tif.gz"),
}


def ome_tiffs(plate: str, rng: random.Random) -> Files:
    """Two wells, each one file of two channels."""
    return {f"A{well:02d}.ome.tif": _ome(well) for well in (0, 1)}


@functools.cache
def _ome(seed: int) -> bytes:
    return _encoded(noise(seed, (2, *_SHAPE)), "ome.tif")


def _ome_xml(change: Callable[[str], str]) -> Change:
    """Write the file of the first well again with another OME-XML."""

    def write(files: Files) -> None:
        with tifffile.TiffFile(io.BytesIO(_ome(0))) as tiff:
            text = change(str(tiff.ome_metadata))
        stream = io.BytesIO()
        tifffile.imwrite(
            stream, noise(0, (2, *_SHAPE)), description=text.encode(), metadata=None, photometric="minisblack"
        )
        files["A00.ome.tif"] = stream.getvalue()

    return write


def _elsewhere(text: str) -> str:
    start, end = text.index("<TiffData"), text.rindex("</Pixels>")
    data = '<TiffData IFD="0" FirstC="{}"><UUID FileName="../../outside/x.tif">urn:uuid:1</UUID></TiffData>'
    return text[:start] + data.format(0) + data.format(1) + text[end:]


ENTITIES = (
    "<!DOCTYPE x [<!ENTITY a '"
    + "a" * 1000
    + "'>"
    + "".join(f"<!ENTITY {name} '{f'&{inner};' * 40}'>" for inner, name in zip("abcde", "bcdef", strict=True))
    + "]>"
)

OME_TIFFS: Mapping[str, Change] = {
    "a set of files outside the root": _ome_xml(_elsewhere),
    "an OME-XML of entities": _ome_xml(lambda text: text.replace("<OME", ENTITIES + "<OME Creator='&f;'", 1)),
    "an OME-XML of a huge size": _ome_xml(lambda text: text.replace('SizeX="32"', 'SizeX="999999999"')),
    "an OME-XML of many channels": _ome_xml(lambda text: text.replace('SizeC="2"', 'SizeC="999999999"')),
    "an OME-XML cut in half": _ome_xml(lambda text: text[: len(text) // 2]),
    "pages without end": put("A00.ome.tif", _endless_pages()),
}
