"""Intact and hostile OME-Zarr plates for `benchmarks.common.hostile`."""

from __future__ import annotations

import functools
import json
import random
import struct
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zarr
from numcodecs import LZ4, Blosc, Zlib, Zstd
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from benchmarks.common.hostile_files import Change, Files, Link, deflated, noise

_FORMS: Mapping[str, dict[str, Any]] = {  # how chunks are packed
    "blosc": {"zarr_format": 2, "compressors": Blosc()},
    "zlib": {"zarr_format": 2, "compressors": Zlib()},
    "lz4": {"zarr_format": 2, "compressors": LZ4()},
    "zstd": {"zarr_format": 2, "compressors": Zstd()},
    "gzip": {"zarr_format": 3, "compressors": GzipCodec()},
    "blosc 3": {"zarr_format": 3, "compressors": BloscCodec()},
    "shards": {"zarr_format": 3, "compressors": ZstdCodec(), "shards": (2, 16, 32)},
}
_WELLS = ("A/1", "B/2")
_SHAPE = (2, 24, 32)


def plates(plate_name: str, rng: random.Random) -> Files:
    """A plate of two wells with a field of two channels each, packed in one of the ways."""
    return plate(plate_name, rng.choice(list(_FORMS)))


def plate(name: str, form: str, value: int | None = None) -> Files:
    """A plate of noise, or of one pixel value, as its files."""
    metadata = "zarr.json" if _FORMS[form]["zarr_format"] == 3 else ".zattrs"
    files = dict(_written(form, value))
    content = files[metadata]
    assert isinstance(content, bytes)
    files[metadata] = content.replace(b'"template"', json.dumps(name).encode())
    return files


@functools.cache
def _written(form: str, value: int | None) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        newer = _FORMS[form]["zarr_format"] == 3
        wells = [{"path": path, "rowIndex": n, "columnIndex": n} for n, path in enumerate(_WELLS)]
        _group(root, {"plate": {"name": "template", "wells": wells}}, newer=newer)
        for number, path in enumerate(_WELLS):
            _group(root / path, {"well": {"images": [{"path": "0"}]}}, newer=newer)
            axes = [{"name": axis} for axis in "cyx"]
            image = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
            image |= {"omero": {"channels": [{"label": "DNA"}, {"label": "GFP"}]}}
            _group(root / path / "0", image, newer=newer)
            pixels = noise(number, _SHAPE)
            if value is not None:
                pixels[:, 1:] = value
            zarr.create_array(root / path / "0" / "0", data=pixels, chunks=(1, 16, 16), **_FORMS[form])
        return {
            file.relative_to(root).as_posix(): file.read_bytes()
            for file in sorted(root.rglob("*"))
            if file.is_file()
        }


def _group(folder: Path, attributes: dict[str, Any], *, newer: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if newer:
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": attributes}}
        (folder / "zarr.json").write_text(json.dumps(group))
    else:
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(attributes))


def _plate(change: Callable[[dict[str, Any]], object]) -> Change:
    """Change the metadata of the plate."""
    return _metadata("", lambda attributes: change(attributes["plate"]))


def _metadata(folder: str, change: Callable[[dict[str, Any]], object]) -> Change:
    def write(files: Files) -> None:
        name = next(name for name in (f"{folder}zarr.json", f"{folder}.zattrs") if name in files)
        whole = json.loads(files[name] or b"")  # type: ignore[arg-type]
        change(whole["attributes"]["ome"] if name.endswith("zarr.json") else whole)
        files[name] = json.dumps(whole).encode()

    return write


def _set_metadata(content: bytes | None) -> Change:
    """Replace the file with the metadata of the plate."""
    return lambda files: files.update({name: content for name in (".zattrs", "zarr.json") if name in files})


def _rebuilt(form: str, change: Callable[[Files], object]) -> Change:
    """Change a plate that is packed in a given way."""

    def write(files: Files) -> None:
        files.clear()
        files |= plate("spoilt", form)
        change(files)

    return write


def _chunk(form: str, content: bytes | Link) -> Change:
    """Replace the first chunk of the first field."""

    def change(files: Files) -> None:
        prefix = "A/1/0/0/"
        chunks = [
            name
            for name in files
            if name.startswith(prefix) and not name.endswith((".json", ".zarray", ".zattrs"))
        ]
        files[chunks[0]] = content

    return _rebuilt(form, change)


def _array(form: str, **values: Any) -> Change:
    """Change the metadata of the first array."""

    def change(files: Files) -> None:
        name = "A/1/0/0/zarr.json" if _FORMS[form]["zarr_format"] == 3 else "A/1/0/0/.zarray"
        files[name] = json.dumps(json.loads(files[name] or b"") | values).encode()  # type: ignore[arg-type]

    return _rebuilt(form, change)


def _without(prefix: str, **files_instead: bytes | Link) -> Change:
    def change(files: Files) -> None:
        for name in [name for name in files if name.startswith(prefix)]:
            del files[name]
        files.update({prefix.rstrip("/"): content for content in files_instead.values()})

    return change


def _well(**values: Any) -> Change:
    return _plate(lambda metadata: metadata["wells"][0].update(values))


def _levels(path: Any) -> Change:
    return _metadata("A/1/0/", lambda image: image["multiscales"][0].update(datasets=[{"path": path}]))


_GIB = 1 << 30
_OUT = "../../outside/p.zarr"
_SHARD = bytes(8) + struct.pack("<QQ", 0, 1 << 40) * 4 + bytes(4)
PLATES: Mapping[str, Change] = {
    "wells: null": _plate(lambda plate: plate.update(wells=None)),
    "no wells": _plate(lambda plate: plate.pop("wells")),
    "wells: a text": _plate(lambda plate: plate.update(wells="A/1")),
    "a well without a path": _plate(lambda plate: plate["wells"].append({})),
    "a well of 1": _plate(lambda plate: plate["wells"].append(1)),
    "plate: null": _metadata("", lambda whole: whole.update(plate=None)),
    "plate: a list": _metadata("", lambda whole: whole.update(plate=[1])),
    "an absolute well": _well(path="/etc"),
    "a well above": _well(path=f"{_OUT}/A/1"),
    "a well above, to the root": _well(path="../intact/A/1"),
    "a well of NUL": _well(path="A/\0"),
    "a well that is the plate": _well(path="."),
    "the well A/²": _well(path="A/²"),
    "the row 1e9": _well(path="x/y", rowIndex=10**9),
    "the row -1": _well(path="x/y", rowIndex=-1),
    "the row x": _well(path="x/y", rowIndex="x"),
    "two wells alike": _plate(lambda plate: plate["wells"][1].update(path="a/01")),
    "100,000 wells": _plate(lambda plate: plate.update(wells=[{"path": f"A/{n}"} for n in range(100_000)])),
    "a name of 10,000": _plate(lambda plate: plate.update(name="x" * 10_000)),
    "a name of 1": _plate(lambda plate: plate.update(name=1)),
    "a name of line breaks": _plate(lambda plate: plate.update(name="a\nb...")),
    "a name above": _plate(lambda plate: plate.update(name="../../x")),
    "a field above": _metadata(
        "A/1/", lambda whole: whole["well"].update(images=[{"path": "../../../outside"}])
    ),
    "fields: null": _metadata("A/1/", lambda whole: whole["well"].update(images=None)),
    "a level above": _levels(f"../../../{_OUT}/A/1/0/0"),
    "an absolute level": _levels("/etc"),
    "a level of 0": _levels(0),
    "metadata of 40 MB": lambda files: files.update(
        {".zattrs": b"[" + b"0," * 20_000_000 + b"0]", "zarr.json": b"{}"}
    ),
    "metadata of 100,000 levels": lambda files: files.update(
        {".zattrs": b"[" * 100_000, "zarr.json": b"[" * 100_000}
    ),
    "metadata that are a pipe": lambda files: files.update(
        {name: None for name in files if name in (".zattrs", "zarr.json")}
    ),
    "a plate linked out": _without("A/", link=Link(f"{_OUT}/A")),
    "a field linked out": _without("A/1/0/", link=Link(f"../../../{_OUT}/A/1/0")),
    "a level linked out": _without("A/1/0/0/", link=Link(f"../../../../{_OUT}/A/1/0/0")),
    "a chunk linked out": _chunk("zlib", Link("../../../../../../outside/p.zarr/A/1/0/0/0.0.0")),
    "a chunk that is a device": _chunk("zlib", Link("/dev/zero")),
    **{
        f"a chunk of {form} that unpacks to more": _chunk(form, content)
        for form, content in (
            ("zlib", deflated(_GIB >> 5)),
            ("gzip", deflated(_GIB >> 5, form="gzip")),
            ("lz4", struct.pack("<I", 2 * _GIB - 1) + bytes(100)),
            ("blosc", bytes([2, 1, 33, 2]) + struct.pack("<III", 2 * _GIB - 100, 1 << 18, 100) + bytes(84)),
            ("blosc 3", bytes([2, 1, 33, 2]) + struct.pack("<III", 2 * _GIB - 100, 1 << 18, 100) + bytes(84)),
            ("zstd", b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 3 * _GIB) + bytes(20)),
        )
    },
    "a chunk of 2 MB that unpacks to 2 GiB": _chunk("zlib", deflated(2 * _GIB)),
    "a shard with an index of 1 TB": _chunk("shards", _SHARD),
    "a large file in place of a chunk": _chunk("zlib", bytes(1 << 20)),
    "100,000 x 100,000 px": _array("zlib", shape=[2, 100_000, 100_000]),
    "chunks of 2 GiB": _array("zlib", chunks=[1, 32_768, 32_768]),
    "chunks of 1 px": _array("zlib", shape=[2, 20_000, 10_000], chunks=[1, 1, 1]),
    "chunks of 0": _array("zlib", chunks=[0, 0, 0]),
    "a pickle": _array("zlib", compressor={"id": "pickle"}, dtype="|O", filters=[{"id": "pickle"}]),
    "a chain of compressors": _array("zlib", filters=[{"id": "zlib", "level": 1}] * 3),
    "texts": _array("zlib", dtype="<U999999", fill_value=""),
    "complex numbers": _array("zlib", dtype="<c16", fill_value=[0, 0]),
    "a codec that is none": _array("gzip", codecs=[{"name": "none"}]),
    "a codec of codecs": _array("shards", codecs=None),
}
