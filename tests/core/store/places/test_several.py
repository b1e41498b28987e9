"""Several writers and readers of one bucket, and writers that are killed."""

from __future__ import annotations

import multiprocessing
import random
import time
from concurrent.futures import ThreadPoolExecutor

import polars as pl

from pcip_core.store.partitions import Store
from pcip_core.store.places.bucket import Bucket
from pcip_core.store.publish import connect, publish
from tests.core.store.places.s3_server import Faults, S3Server
from tests.core.store.writers import commit_version, rows_of, version_of, write_for_ever


def another(store: Store) -> Store:
    """A store as another process has it: it shares nothing but the server."""
    new = Store(store.root)
    new._place = Bucket(str(store.root))
    return new


def test_writers_of_one_shard_lose_nothing_and_readers_see_no_mixture(store: Store, server: S3Server) -> None:
    commit_version(store, 0)
    server.faults = Faults(slow=0.3, refuse=0.03)
    done = []

    def write(number: int) -> None:
        mine = another(store)
        for version in range(6):
            commit_version(mine, 100 * number + version, "s")
            mine.commit("scr", {f"table_{number}": pl.DataFrame({"v": [version]})}, shard="s")
        done.append(number)

    def read() -> int:
        seen, mine = 0, another(store)
        while len(done) < 3:
            version_of(mine)  # requires one version in all rows and pixels
            seen += 1
        return seen

    with ThreadPoolExecutor(4) as threads:
        reader = threads.submit(read)
        for writer in [threads.submit(write, number) for number in (1, 2, 3)]:
            writer.result()
        assert reader.result() > 3
    assert version_of(store) in (105, 205, 305)
    assert store.tables("scr") == ["notes", "others", "table_1", "table_2", "table_3"]
    assert [store.read("scr", f"table_{number}")["v"].to_list() for number in (1, 2, 3)] == [[5]] * 3
    numbers = [(store.provenance("scr", name, "s") or {})["commit_number"] for name in store.tables("scr")]
    assert max(numbers) <= 37
    assert numbers[0] == numbers[1]


def test_a_killed_writer_leaves_the_old_or_the_new(store: Store) -> None:
    spawn, rng = multiprocessing.get_context("spawn"), random.Random(1)  # which has this environment
    version = 0
    commit_version(store, 0)
    for _ in range(3):
        told, telling = spawn.Pipe(duplex=False)
        writer = spawn.Process(target=write_for_ever, args=(store.root, version + 1, telling))
        writer.start()
        telling.close()
        assert told.poll(300)
        time.sleep(rng.uniform(0, 0.5))
        writer.kill()
        writer.join()
        last = version
        try:
            while True:
                last = told.recv()
        except EOFError:
            told.close()
        version = version_of(store)
        assert version in (last, last + 1)
        assert store.read("scr", "others")["v"].to_list() == [version]
    assert version >= 3


def test_a_publication_shows_one_moment_and_costs_what_changed(
    store: Store, server: S3Server, tmp_path
) -> None:
    path = tmp_path / "feature_store.duckdb"
    for number in range(6):
        commit_version(store, number, f"p{number}")
    assert publish(store, path).loaded == 12
    assert not publish(store, path).changed
    server.faults = Faults()
    other = another(store)
    commit_version(other, 9, "p3")
    result = publish(store, path)
    assert (result.loaded, result.dropped) == (2, 0)
    with connect(path) as con:
        rows = con.execute(
            "SELECT shard, min(v), max(v), count(*) FROM scr.notes GROUP BY shard ORDER BY shard"
        )
        expected = {f"p{number}": number for number in range(6)} | {"p3": 9}
        assert rows.fetchall() == [(name, v, v, rows_of(v)) for name, v in expected.items()]
    other.remove("scr", "notes", "p0")
    assert publish(store, path).dropped == 1
