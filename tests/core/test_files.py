"""Files are replaced whole; numbers within names sort by their value."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save_file

import pcip_core
from pcip_core.errors import StoreError, WriteError
from pcip_core.files import file_name, natural_key, replacing, shared_by_machines, writing


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_replaced_at_the_end(tmp_path: Path, *, sync: bool) -> None:
    path = tmp_path / "folder" / "scores.csv"
    with replacing(path, sync=sync) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with replacing(path, sync=sync) as temporary:
        temporary.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def save_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, NUMBERS)


NUMBERS = np.random.default_rng(0).random(100_000)
WRITERS = {
    "text": lambda path: path.write_text(str(NUMBERS.tolist())),
    "copy": lambda path: shutil.copyfile(np.lib.__file__.replace("__init__", "_function_base_impl"), path),
    "numpy": save_array,
    "parquet": lambda path: pq.write_table(pa.table({"numbers": NUMBERS}), path),
    "torch": lambda path: torch.save({"numbers": torch.from_numpy(NUMBERS)}, path),
    "safetensors": lambda path: save_file({"numbers": torch.from_numpy(NUMBERS)}, path),
    "tiff": lambda path: tifffile.imwrite(path, NUMBERS),
    "picture": lambda path: Image.fromarray((NUMBERS * 255).astype(np.uint8).reshape(250, 400)).save(
        path, "PNG"
    ),
}


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 16 kB, which libraries find out as they would a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("library", WRITERS)
def test_a_file_that_cannot_be_written_is_named_whichever_library_writes_it(
    tmp_path: Path, library: str
) -> None:
    path = tmp_path / "result"
    with pytest.raises(WriteError, match=r"result: found (no space left|file too large)") as raised:  # noqa: SIM117
        with replacing(path) as temporary:
            WRITERS[library](temporary)
    assert isinstance(raised.value, OSError)
    assert list(tmp_path.iterdir()) == []


def test_only_errors_of_writing_are_restated() -> None:
    for error in (
        ValueError("no"),
        FileNotFoundError(2, "No such file"),
        StoreError("a", found="", required="", remedy=""),
    ):
        with pytest.raises(type(error)) as raised, writing("here"):
            raise error
        assert raised.value is error


def test_an_error_of_sqlite_is_restated_whatever_wraps_it(tmp_path: Path) -> None:
    def insert() -> None:
        try:
            with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
                connection.execute("PRAGMA max_page_count = 2")
                connection.execute("CREATE TABLE a AS SELECT randomblob(100000)")
        except sqlite3.Error as error:
            raise RuntimeError("a library's own error") from error

    with pytest.raises(WriteError, match=r"a file in /data: found no space left"), writing(inside="/data"):
        insert()


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from pcip_core.files import replacing\n"
        "for name in 'scores.csv', 'scores.csv.png':\n"
        "    open_file = replacing(pathlib.Path(name)); open_file.__enter__().write_text('half')\n"
        "os.kill(os.getpid(), 9)"
    )
    environment = {"PYTHONPATH": str(Path(pcip_core.__file__).parents[1])}
    subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, env=environment, check=False)
    (killed,) = tmp_path.glob(".scores.csv.*[0-9].tmp")
    machine, number = killed.name.removesuffix(".tmp").rsplit(".", 2)[1:]
    others = {
        "of another machine": f".scores.csv.00000000.{number}.tmp",
        "of another file": next(tmp_path.glob(".scores.csv.png.*.tmp")).name,
        "of a living process": f".scores.csv.{machine}.{os.getppid()}.tmp",
        "of a user": f".scores.csv.{machine}.mine.tmp",
    }
    for name in others.values():
        (tmp_path / name).touch()
    with replacing(tmp_path / "scores.csv") as temporary:
        temporary.touch()
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", *others.values()}


def test_an_error_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "scores.csv"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_numbers_sort_by_value_whatever_the_order_before() -> None:
    wanted = [
        "",
        "2",
        "10",
        "10a",
        "plate",
        "plate_1",
        "plate_2",
        "plate_10",
        "plate_10_2",
        "plate_10_11",
        "²",
    ]
    for names in [*permutations(wanted[:6]), wanted[::-1]]:
        assert sorted(names, key=natural_key) == wanted[: len(names)]


def test_the_natural_order_has_no_ties() -> None:
    assert sorted(["p2", "p02", "p002", "p1"], key=natural_key) == ["p1", "p002", "p02", "p2"]
    assert natural_key("p2") != natural_key("p02")


def test_names_of_figures() -> None:
    assert file_name("enrichment_U-2 OS/nucleus+1.5") == "enrichment_U-2_OS_nucleus+1.5"
    assert file_name("../é") == ".._"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/lab/data", "nfs4"),
        ("/lab/data/deep/er", "nfs4"),
        ("/lab/database", None),
        ("/lab/data/local/store", None),
        ("/mnt/far/x", "fuse.sshfs"),
        ("/mnt/usb/x", None),
        ("/elsewhere", None),
    ],
)
def test_a_file_system_that_machines_share_is_known(
    monkeypatch: pytest.MonkeyPatch, path: str, kind: str | None
) -> None:
    mounts = {
        "/": "ext4",
        "/lab/data": "nfs4",
        "/lab/data/local": "xfs",
        "/mnt/far": "fuse.sshfs",
        "/mnt/usb": "fuseblk",
    }
    parts = [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in mounts.items()]
    monkeypatch.setattr("psutil.disk_partitions", lambda *, all: parts)
    assert shared_by_machines(Path(path)) == kind
