"""Intact and hostile HDF5 archives and Harmony exports for `benchmarks.common.hostile`."""

from __future__ import annotations

import functools
import io
import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.common.hostile_files import ENTITIES, Change, Files, Link, deflated, noise, picture, put


def archive(data: np.ndarray) -> bytes:
    """An archive of three cells with these pixels."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["data1"], file["Index1"] = data, np.eye(3, dtype=np.int8)
        file["Index1_columns"] = np.array([b"a", b"b", b"c"])
    return stream.getvalue()


@functools.cache
def _intact_archive() -> bytes:
    return archive(noise(3, (3, 8192)))


def archives(plate: str, rng: random.Random) -> Files:
    """One archive of three cells."""
    return {"Chong_test_set.hdf5": _intact_archive()}


def _archive_with(change: Callable[[h5py.File], object]) -> Change:
    def write(files: Files) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.h5"
            path.write_bytes(_intact_archive())
            with h5py.File(path, "a") as file:
                change(file)
            files["Chong_test_set.hdf5"] = path.read_bytes()

    return write


def _replaced(name: str, **how: Any) -> Callable[[h5py.File], object]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **how)

    return change


def _linked(link: object) -> Callable[[h5py.File], object]:
    def change(file: h5py.File) -> None:
        del file["data1"]
        file["data1"] = link

    return change


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 8192), "u2")
    layout[:] = h5py.VirtualSource("../../outside/x.h5", "data1", (3, 8192))
    del file["data1"]
    file.create_virtual_dataset("data1", layout)


def _direct_chunk(packed: bytes) -> Callable[[h5py.File], object]:
    def change(file: h5py.File) -> None:
        del file["data1"]
        array = file.create_dataset("data1", (3, 8192), "u2", chunks=(1, 8192), compression="gzip")
        for row in range(3):
            array.id.write_direct_chunk((row, 0), packed)

    return change


_EXTERNAL = [("../../outside/x.h5", 0, 49_152)]
ARCHIVES: Mapping[str, Change] = {
    "an external link": _archive_with(_linked(h5py.ExternalLink("../../outside/x.h5", "/data1"))),
    "a soft link": _archive_with(_linked(h5py.SoftLink("/Index1"))),
    "a virtual array": _archive_with(_virtual),
    "external storage": _archive_with(_replaced("data1", shape=(3, 8192), dtype="u2", external=_EXTERNAL)),
    "10 million cells": _archive_with(_replaced("data1", shape=(10**7, 8192), dtype="f4", chunks=(1, 8192))),
    "a chunk of 2 GiB": _archive_with(
        _replaced("data1", shape=(3, 8192), maxshape=(None, 8192), dtype="u2", chunks=(1 << 17, 8192))
    ),
    "a chunk that unpacks to 64 MiB": _archive_with(_direct_chunk(deflated(64 << 20))),
    "a chunk that unpacks to 2 GiB": _archive_with(_direct_chunk(deflated(2 << 30))),
    "classes of 1 TB": _archive_with(
        _replaced("Index1", shape=(10**6, 10**6), dtype="i1", fillvalue=1, chunks=(100, 100))
    ),
    "texts in place of numbers": _archive_with(
        _replaced("data1", shape=(3, 8192), dtype=h5py.string_dtype())
    ),
    "a link out of the root": put("Chong_test_set.hdf5", Link("../../outside/x.h5")),
}


def harmony_plates(plate: str, rng: random.Random) -> Files:
    """Two fields of two channels, with an index."""
    index = (
        "<?xml version='1.0' encoding='utf-8'?><EvaluationInputData xmlns='http://www.perkinelmer.com/PEHH/HarmonyV5'>"
        f"<Plates><Plate><PlateID>id</PlateID><Name>{plate}</Name></Plate></Plates><Images>"
        "<Image><id>1</id><ChannelID>1</ChannelID><ChannelName>DNA</ChannelName></Image>"
        "<Image><id>2</id><ChannelID>2</ChannelID><ChannelName>GFP</ChannelName></Image>"
        "</Images></EvaluationInputData>"
    )
    files: Files = {"Index.xml": index.encode()}
    for field in (1, 2):
        for channel in (1, 2):
            name = f"r01c01f{field:02d}p01-ch{channel}sk1fk1fl1.tiff"
            files[name] = picture(2 * field + channel, "tif")
    return files


def _index(change: Callable[[bytes], bytes]) -> Change:
    def write(files: Files) -> None:
        index = files["Index.xml"]
        assert isinstance(index, bytes)
        files["Index.xml"] = change(index)

    return write


def _encoding(name: str) -> Change:
    return _index(lambda index: index.replace(b"utf-8", name.encode(), 1))


def _named(name: str) -> Change:
    return _index(lambda index: index.replace(b">spoilt<", b">" + name.encode() + b"<"))


INDICES: Mapping[str, Change] = {
    **{
        f"the encoding {name}": _encoding(name)
        for name in ("utf-99", "utf-16", "utf-7", "hex", "idna", "cp037", "")
    },
    "entities": _index(
        lambda index: index.replace(b"<Eval", ENTITIES.encode() + b"<Eval").replace(b">id<", b">&f;<")
    ),
    "an external entity": _index(
        lambda index: index.replace(
            b"<Eval", b"<!DOCTYPE x [<!ENTITY f SYSTEM '/etc/hostname'>]><Eval"
        ).replace(b">spoilt<", b">&f;<")
    ),
    "a million levels": _index(lambda index: index.replace(b"<Images>", b"<Images>" + b"<a>" * 1_000_000)),
    "a tag of 40 MB": _index(
        lambda index: index.replace(b"<Images>", b"<Images " + b"a" * 40_000_000 + b"='1'>")
    ),
    "a name of 40 MB": _named("x" * 40_000_000),
    "a name of a folder above": _named("../../outside"),
    "a name with a line break": _named("a\nb...c"),
    "100,000 channels": _index(
        lambda index: index.replace(
            b"<Images>",
            b"<Images>"
            + b"".join(
                b"<Image><ChannelID>%d</ChannelID><ChannelName>x</ChannelName></Image>" % n
                for n in range(100_000)
            ),
        )
    ),
    "no index but a folder": lambda files: (files.pop("Index.xml"), files.update({"Index.xml/x": b""})),
    "an index that is a pipe": put("Index.xml", None),
    "an index linked out of the root": put("Index.xml", Link("/etc/hostname")),
}
