"""Processes that the tests of the store start, and kill, in a module that they can import.

A version of a shard is one number: every row of `notes`, the one row of `others` and every pixel
of `crops` say it, and the number of rows follows from it. So a mixture of two versions shows.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import polars as pl

from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish

KILLED = 9
FORKSERVER = multiprocessing.get_context("forkserver")  # imports once, then starts a process in milliseconds
FORKSERVER.set_forkserver_preload(["pytest", "tests.core.store.writers"])


def rows_of(version: int) -> int:
    """How many notes a version has."""
    return 1 + version % 7


def commit_version(store: Store, version: int, shard: str = "s") -> str:
    """Write one version of a shard."""
    rows = rows_of(version)
    return store.commit(
        "scr",
        {"notes": pl.DataFrame({"v": [version] * rows}), "others": pl.DataFrame({"v": [version]})},
        shard=shard,
        arrays={"crops": np.full((rows, 64, 64), version, np.int32)},
        provenance={"version": version},
    )


def version_of(store: Store, shard: str = "s") -> int:
    """The version that table and array agree on."""
    notes, crops = store.read_with_array("scr", "notes", "crops", shard)
    version = int(notes["v"][0])
    assert notes["v"].to_list() == [version] * rows_of(version)
    assert crops.shape == (rows_of(version), 64, 64)
    assert (crops == version).all()
    return version


def write_for_ever(root: Path, first: int, told: Connection) -> None:
    """Commit version after version, telling of each when it is done."""
    for version in itertools.count(first):
        commit_version(Store(root), version)
        told.send(version)


def write_some(root: Path, shard: str, versions: list[int], start: Barrier) -> None:
    """Commit these versions, all processes beginning together."""
    start.wait()
    for version in versions:
        commit_version(Store(root), version, shard)


def publish_once(root: Path, path: Path) -> None:
    """Publish a store."""
    publish(Store(root), path)


def publish_until(root: Path, path: Path, steps: int) -> None:
    """Publish a store, and be killed before a step: a change of names, modes or files in the folder of the file."""
    events = {"os.rename", "os.link", "os.remove", "os.chmod"}
    left = itertools.count(steps, -1)

    def killed(event: str, arguments: tuple[object, ...]) -> None:
        if event in events and Path(str(arguments[0])).parent == path.parent and next(left) == 0:
            os._exit(KILLED)

    sys.addaudithook(killed)
    publish(Store(root), path)
