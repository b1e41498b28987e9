"""Image files with every kind of damage that a disk, a copy or a wrong export can cause."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import tifffile
from PIL import Image

KINDS = ("tif", "lzw.tif", "tif.gz", "png", "jpg")


def encoded(pixels: np.ndarray, kind: str, **how: object) -> bytes:
    """Encode an image as the bytes of a file of this kind (the end of its name)."""
    stream = io.BytesIO()
    if "tif" in kind:
        how = {"compression": "lzw" if kind.startswith("lzw") else None, "photometric": "minisblack"} | how
        tifffile.imwrite(stream, pixels, **how)  # type: ignore[arg-type]
        return gzip.compress(stream.getvalue(), 1) if kind.endswith("gz") else stream.getvalue()
    Image.fromarray(pixels).save(stream, "JPEG" if kind == "jpg" else "PNG")
    return stream.getvalue()


def huge_header(kind: str, side: int = 100_000) -> bytes:
    """A file of a few bytes whose header states side x side pixels (65,500 for JPEG, which has 16 bits)."""
    small = np.arange(64, dtype=np.uint8).reshape(8, 8)
    if "tif" in kind:
        tags = [(256, 4, side), (257, 4, side), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
        tags += [(277, 3, 1), (278, 4, side), (279, 4, 8)]
        rows = b"".join(struct.pack("<HHII", tag, form, 1, value) for tag, form, value in tags)
        data = b"II*\0" + struct.pack("<I", 16) + bytes(8) + struct.pack("<H", len(tags)) + rows + bytes(4)
        return gzip.compress(data) if kind.endswith("gz") else data
    data = bytearray(encoded(small, kind))
    if kind == "png":
        at = data.index(b"IHDR")
        data[at + 4 : at + 12] = struct.pack(">II", side, side)
        data[at + 17 : at + 21] = struct.pack(">I", zlib.crc32(bytes(data[at : at + 17])))
    else:
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(data)


def _flipped(data: bytes, rng: np.random.Generator, *, within: int | None = None) -> bytes:
    out = bytearray(data)
    for at in rng.integers(0, min(len(out), within or len(out)), rng.integers(1, 40)):
        out[at] ^= int(rng.integers(1, 256))
    return bytes(out)


def _zeroed(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(0, len(data)))
    length = min(int(rng.integers(1, 4096)), len(data) - start)
    return data[:start] + bytes(length) + data[start + length :]


def damages(pixels: np.ndarray, kind: str) -> dict[str, Callable[[np.random.Generator], bytes | None]]:
    """Kinds of damage, name -> function that returns the bytes of the damaged file, or None for no file."""
    whole = encoded(pixels, kind)
    spoilt: dict[str, Callable[[np.random.Generator], bytes | None]] = {
        "whole": lambda rng: whole,
        "gone": lambda rng: None,
        "empty": lambda rng: b"",
        "truncated": lambda rng: whole[: int(rng.integers(1, len(whole)))],
        "flipped bytes": lambda rng: _flipped(whole, rng),
        "flipped bytes in the header": lambda rng: _flipped(whole, rng, within=120),
        "a hole of zeros": lambda rng: _zeroed(whole, rng),
        "all zeros": lambda rng: bytes(len(whole)),
        "a web page": lambda rng: b"<!DOCTYPE html><html><body>Sorry</body></html>",
        "noise": lambda rng: rng.bytes(len(whole)),
        "header of 100,000 px": lambda rng: huge_header(kind),
        "other size": lambda rng: encoded(pixels[:-8, :-4], kind),
        "constant": lambda rng: encoded(np.full_like(pixels, 7), kind),
    }
    if "tif" in kind:
        with_nan = pixels.astype(np.float32)
        with_nan[3, 3] = np.nan
        rgba = np.stack([pixels] * 4, axis=2)
        spoilt |= {
            "NaN": lambda rng: encoded(with_nan, kind),
            "a stack": lambda rng: encoded(np.stack([pixels] * 3), kind),
            "other bit depth": lambda rng: encoded(pixels.astype(np.uint16) * 9, kind),
            "64 bits": lambda rng: encoded(pixels.astype(np.int64), kind),
            "complex": lambda rng: encoded(pixels.astype(np.complex64), kind, compression=None),
            "RGBA": lambda rng: encoded(rgba, kind, photometric="rgb", extrasamples=["unassalpha"]),
            "white is zero": lambda rng: encoded(pixels, kind, photometric="miniswhite"),
        }
    else:
        cmyk = np.asarray(Image.fromarray(pixels).convert("CMYK"))
        spoilt["CMYK" if kind == "jpg" else "RGBA"] = lambda rng: _mode(
            cmyk if kind == "jpg" else np.stack([pixels] * 4, axis=2), kind
        )
        if kind == "png":
            spoilt["palette"] = lambda rng: _saved(Image.fromarray(pixels).convert("P"), "PNG")
            spoilt["1 bit"] = lambda rng: _saved(Image.fromarray(pixels > 99), "PNG")
            spoilt["other bit depth"] = lambda rng: encoded(pixels.astype(np.uint16) * 9, kind)
    return spoilt


def _mode(pixels: np.ndarray, kind: str) -> bytes:
    return _saved(
        Image.frombytes("CMYK" if kind == "jpg" else "RGBA", pixels.shape[1::-1], pixels.tobytes()),
        "JPEG" if kind == "jpg" else "PNG",
    )


def _saved(picture: Image.Image, form: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form)
    return stream.getvalue()
