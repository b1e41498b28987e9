"""What no longer counts is removed when nobody can need it any more, by the clock of the server; nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from pcip_core.store.partitions import Store
from pcip_core.store.places.objects import Objects
from tests.core.store.places.s3_server import S3Server, backdate, objects, raw
from tests.core.store.writers import commit_version, version_of

MANIFEST = "scr/.manifests/shard=s.json"


class Killed(BaseException):
    """Ends a commit as a kill would."""


def data() -> set[str]:
    """The objects that hold tables and arrays."""
    return {name for name in objects() if not name.startswith("scr/.")}


@pytest.mark.parametrize(("hours", "stays"), [(23, True), (25, False)])
def test_what_was_replaced_stays_for_a_day(store: Store, hours: int, *, stays: bool) -> None:
    commit_version(store, 1)
    first = data()
    assert len(first) == 3
    commit_version(store, 2)
    assert first < data()
    second = data() - first
    backdate(MANIFEST, timedelta(hours=hours))  # when the first was replaced
    commit_version(store, 3)
    assert len(first & data()) == (3 if stays else 0)
    assert second < data()
    assert version_of(store) == 3


def test_tables_that_are_not_written_again_go_as_well(store: Store) -> None:
    commit_version(store, 1)
    others = {name for name in data() if name.startswith("scr/others")}
    assert len(others) == 1
    store.remove("scr", "others", "s")
    assert others < data()
    backdate(MANIFEST, timedelta(days=2))
    store.commit("scr", {"more": pl.DataFrame({"v": [1]})}, shard="s")
    store.commit("scr", {"more": pl.DataFrame({"v": [1]})}, shard="s")
    assert others.isdisjoint(data())
    assert version_of_notes(store) == 1


def version_of_notes(store: Store) -> int:
    """The version of a shard without its table `others`."""
    return int(store.read("scr", "notes", shards=["s"])["v"][0])


@pytest.mark.parametrize("step", range(6))
def test_what_a_killed_writer_uploaded_is_invisible_and_goes_after_a_week(
    store: Store, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    commit_version(store, 1)
    before, steps = data(), iter(range(step))
    with monkeypatch.context() as patch:
        for name in ("upload", "replace", "read"):
            real = getattr(Objects, name)

            def counted(*args, real=real, **kwargs):
                if next(steps, None) is None:
                    raise Killed
                return real(*args, **kwargs)

            patch.setattr(Objects, name, counted)
        with pytest.raises(Killed):
            commit_version(store, 2)
    left = data() - before
    assert len(left) == max(
        0, min(3, step - 3)
    )  # manifest read, number read and replaced, then three uploads
    assert version_of(Store(store.root)) == 1
    for name in left:
        backdate(name, timedelta(days=6))
    commit_version(store, 3)
    assert left <= data()
    for name in left:
        backdate(name, timedelta(days=2))
    commit_version(store, 4)
    assert left.isdisjoint(data())
    assert version_of(store) == 4


def test_other_shards_whose_names_begin_alike_are_left_alone(store: Store) -> None:
    for shard in ("s", "s1", "s/1"):
        commit_version(store, 1, shard)
    store.commit(
        "scr", {"notes": pl.DataFrame({"v": [1]})}
    )  # a table without shards has its files above them
    for name in data():
        backdate(name, timedelta(days=30))
    commit_version(store, 2, "s")
    store.commit("scr", {"notes": pl.DataFrame({"v": [2]})})
    assert [version_of(store, shard) for shard in ("s", "s1", "s/1")] == [2, 1, 1]
    assert len(data()) == 3 * 3 + 3 + 1 + 1


def test_the_number_is_above_all_after_it_was_lost(store: Store, server: S3Server) -> None:
    for version in range(3):
        commit_version(store, version, f"p{version}")
    raw().delete("some/prefix/scr/.commits")
    commit_version(store, 3, "p0")
    assert (store.provenance("scr", "notes", "p0") or {})["commit_number"] == 4


_FAKED_CLOCK = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


@pytest.mark.skipif(_FAKED_CLOCK is None, reason="libfaketime is not installed (apt-get install faketime)")
@pytest.mark.parametrize("days", [-400, 400])
def test_the_clock_of_a_writer_does_not_matter(store: Store, days: int) -> None:
    """A machine whose clock is a year behind, or ahead, replaces what was written a moment ago."""
    commit_version(store, 1)
    first = data()
    script = (
        "import sys, time\n"
        "from pcip_core.store.partitions import Store\n"
        "from tests.core.store.writers import commit_version\n"
        "commit_version(Store(sys.argv[1]), 2)\n"
        "print(time.time())"
    )
    clock = {
        "LD_PRELOAD": str(_FAKED_CLOCK),
        "FAKETIME": f"{days:+d}d",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", script, str(store.root)],
        env={**os.environ, **clock},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert abs(float(ran.stdout) - time.time()) > 300 * 86_400
    assert version_of(store) == 2
    assert first < data()  # readers of the old version may still need it
    commit_version(store, 3)
    assert version_of(store) == 3
