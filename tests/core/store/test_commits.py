"""A partition is the old or the new one and never a mixture, however writers die and meet."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pcip_core import locks
from pcip_core.locks import locked
from pcip_core.store import journal
from pcip_core.store.partitions import Store
from tests.core.store.small import files_of
from tests.core.store.writers import (
    FORKSERVER,
    commit_version,
    version_of,
    write_for_ever,
    write_some,
)

# -- the order of commits -----------------------------------------------------------------------------


def number_of(store: Store, shard: str) -> int:
    """The number of the commit that made a shard."""
    return (store.provenance("scr", "notes", shard) or {})["commit_number"]


def test_commits_are_numbered_in_their_order_whoever_makes_them(store: Store) -> None:
    commit_version(store, 1, "a")
    start = FORKSERVER.Barrier(2)
    writers = [
        FORKSERVER.Process(target=write_some, args=(store.root, shard, [1, 2, 3], start)) for shard in "bc"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
        assert writer.exitcode == 0
    commit_version(store, 1, "d")
    assert number_of(store, "a") == 1
    assert {number_of(store, "b"), number_of(store, "c")} < set(range(4, 8))
    assert 7 in (number_of(store, "b"), number_of(store, "c"))
    assert number_of(store, "d") == 8


@pytest.mark.parametrize("text", [None, ""])
def test_a_lost_count_goes_on_above_the_highest(store: Store, text: str | None) -> None:
    for version in range(3):
        commit_version(store, version)
    counter = store.root / "scr" / ".commits"
    assert counter.read_text().split()[0] == "3"
    counter.unlink()
    if text is not None:
        counter.write_text(text)
    (store.root / "scr" / "damaged").mkdir()
    (store.root / "scr" / "damaged" / "part.parquet").write_bytes(b"garbage")
    commit_version(store, 9, "other")
    assert number_of(store, "other") == 4


@pytest.mark.parametrize("restore", [Path.write_text, lambda path, text: replace_file(path, text)])
def test_commits_go_on_above_the_highest_after_the_count_is_restored(
    store: Store, restore: Callable[[Path, str], object]
) -> None:
    counter = store.root / "scr" / ".commits"
    commit_version(store, 0, "a")
    backup = counter.read_text()
    for version in range(1, 4):
        commit_version(store, version, "a")
    restore(counter, backup)
    commit_version(store, 4, "a")
    assert number_of(store, "a") == 5


def test_commits_go_on_above_the_highest_of_all_shards_after_a_backup_was_unpacked(store: Store) -> None:
    counter = store.root / "scr" / ".commits"
    commit_version(store, 0, "a")
    backup = counter.read_text()
    for shard in "bcd":
        commit_version(store, 0, shard)
    replace_file(counter, backup)
    commit_version(store, 1, "a")
    assert number_of(store, "a") == 5
    commit_version(store, 1, "b")
    assert number_of(store, "b") == 6


def replace_file(path: Path, text: str) -> None:
    """As rsync and tar do, which write another file and give it the name."""
    path.with_name("new").write_text(text)
    path.with_name("new").replace(path)


# -- the writer dies ----------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a commit as a kill would, at a step that the test chooses."""


def test_an_interruption_at_every_step_gives_the_old_or_the_new(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call that changes the disk, in turn, is the last one of its commit."""
    commit_version(store, 0)
    seen: list[int] = []
    for step in range(100):
        steps = iter(range(step + 1))
        with monkeypatch.context() as patch:
            for where, name in (
                (Path, "mkdir"), (Path, "replace"), (Path, "unlink"), (Path, "write_text"),
                (journal, "sync"), (journal.shutil, "rmtree"), (np, "save"), (pq, "write_table"),
            ):  # fmt: skip
                real = getattr(where, name)

                def counted(*args, real=real, steps=steps, **kwargs):
                    if next(steps, None) is None:
                        raise Killed
                    return real(*args, **kwargs)

                patch.setattr(where, name, counted)
            try:
                commit_version(store, step + 1)
                done = True
            except Killed:
                done = False
        before = seen[-1] if seen else 0
        seen.append(version_of(Store(store.root)))
        assert seen[-1] in (before, step + 1)
        assert store.read("scr", "others")["v"].to_list() == [seen[-1]]
        if done:
            break
    assert done
    assert seen[-1] == step + 1
    assert 15 < step < 90  # it did stop at many steps
    assert 0 in seen
    assert len(set(seen)) > 5  # some were finished by the reader


def test_the_next_reader_finishes_what_the_journal_says(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_version(store, 1)
    real, calls = journal._finish, iter((True, False))  # first what others left, then its own

    def killed(home: Path) -> None:
        if not next(calls):
            raise Killed
        real(home)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_finish", killed)
        with pytest.raises(Killed):
            commit_version(store, 2)
    assert (store.root / "scr" / ".journal").exists()
    assert Store(store.root).provenance("scr", "others", "s")["version"] == 2
    assert version_of(store) == 2
    assert not (store.root / "scr" / ".journal").exists()
    assert len(files_of(store, "*.npy")) == 1


def test_sigkill_at_random_moments(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each kill the last version told of is there, or the one after it, whole."""
    rng = random.Random(1)
    commit_version(store, 0)
    version, interrupted = 0, 0
    home = store.root / "scr"
    for _ in range(20):
        told, telling = FORKSERVER.Pipe(duplex=False)
        writer = FORKSERVER.Process(target=write_for_ever, args=(store.root, version + 1, telling))
        writer.start()
        telling.close()
        assert told.poll(300)
        time.sleep(rng.uniform(0, 0.12))
        writer.kill()
        writer.join()
        last = version
        try:
            while True:
                last = told.recv()
        except EOFError:
            told.close()
        interrupted += any((home / ".staging").iterdir()) or (home / ".journal").exists()
        version = version_of(store)
        assert version in (last, last + 1)
        assert store.read("scr", "others")["v"].to_list() == [version]
    assert interrupted > 5
    assert version >= 20
    monkeypatch.setattr(locks, "_SWEEP_AFTER_S", 0.0)
    commit_version(store, version + 1)
    assert not list((home / ".staging").iterdir())
    assert len(files_of(store, "*.npy")) == 1


def test_the_sweep_leaves_writers_that_live(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_version(store, 1)
    staging = store.root / "scr" / ".staging"
    for name in ("alive", "dead", "new"):
        (staging / name).mkdir()
    for name in ("alive", "dead"):
        os.utime(staging / name, (0, 0))
    with locked(staging / "alive" / "owner"):
        os.utime(staging / "alive", (0, 0))
        commit_version(store, 2)
        assert sorted(path.name for path in staging.iterdir()) == ["alive", "new"]


# -- several at once ----------------------------------------------------------------------------------


def test_readers_never_see_a_mixture(store: Store) -> None:
    commit_version(store, 0)
    told, telling = FORKSERVER.Pipe(duplex=False)
    writer = FORKSERVER.Process(target=write_for_ever, args=(store.root, 1, telling))
    writer.start()
    telling.close()
    try:
        assert told.poll(300)
        seen, end = [], time.monotonic() + 300
        while len(set(seen)) < 30:
            assert time.monotonic() < end
            seen.append(version_of(store))
            (alone,) = set(store.read("scr", "notes")["v"].to_list())
            seen.append(alone)
            while told.poll():
                told.recv()
    finally:
        writer.kill()
        writer.join()
        told.close()
    assert seen == sorted(seen)


@pytest.mark.parametrize("shards", [("p1", "p2"), ("s", "s")])
def test_two_processes_commit_at_once(store: Store, shards: tuple[str, str]) -> None:
    start = FORKSERVER.Barrier(2)
    versions = [list(range(first, first + 15)) for first in (100, 200)]
    writers = [
        FORKSERVER.Process(target=write_some, args=(store.root, shard, some, start))
        for shard, some in zip(shards, versions, strict=True)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
        assert writer.exitcode == 0
    last = {version_of(store, shard) for shard in shards}
    assert last == {114, 214} if shards[0] != shards[1] else last < {114, 214}
    assert len(files_of(store, "*.npy")) == len(set(shards))
    assert not list((store.root / "scr" / ".staging").iterdir())


def test_two_that_wait_to_replace_one_shard_leave_one_array(store: Store) -> None:
    """What is in the place when a commit's turn comes goes, not what was there when it was prepared."""
    commit_version(store, 0)
    start, home = FORKSERVER.Barrier(2), store.root / "scr"
    writers = [FORKSERVER.Process(target=write_some, args=(store.root, "s", [one], start)) for one in (1, 2)]
    with locked(home / ".lock"):
        for writer in writers:
            writer.start()
        end = time.monotonic() + 300
        while len(list((home / ".staging").glob("*/*.parquet"))) < 4:
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.3)  # both are at the lock
    for writer in writers:
        writer.join(300)
        assert writer.exitcode == 0
    assert version_of(store) in (1, 2)
    assert len(files_of(store, "*.npy")) == 1


def test_a_lock_is_not_kept_by_a_child_forked_meanwhile(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with locked(tmp_path / "lock"):
        child = os.fork()
        if child == 0:
            os.read(reading, 1)
            os._exit(0)
    with locked(tmp_path / "lock", wait=False):
        pass
    os.write(writing, b".")
    os.waitpid(child, 0)
    for descriptor in (reading, writing):
        os.close(descriptor)


def test_a_lock_that_is_held(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
        pass
