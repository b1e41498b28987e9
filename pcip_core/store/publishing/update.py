"""Updates of a private file that is to be published: a new one, a copy of the published file, or its spare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pcip_core.errors import StoreError
from pcip_core.store.publishing.books import Books, commits, of_screen
from pcip_core.store.publishing.of_all_screens import comment, make_main, update_main
from pcip_core.store.publishing.of_screen import update_screen
from pcip_core.store.publishing.snapshot import Snapshot
from pcip_core.store.schemas import PUBLISHED
from pcip_core.store.sql import NO_EXTENSIONS, STORAGE, quoted, text

MEMORY = "128MB"  # for DuckDB, in addition to one shard; by default it caches up to 80 % of all memory
_ROWS = 4096  # per row group: larger shards have row groups of their own, and leave no gaps when they are replaced
_MERGES = 1  # of row groups with gaps, per table: DuckDB's 100 would rewrite a whole table now and then
_SETTINGS = (
    "SET disabled_compression_methods = 'alp,alprd'",  # vectors as they are; not effective as `config` of `connect`
    "SET fsync_mode = 'NONE'",  # the file is synced once, when it is complete
    f"SET max_vacuum_tasks = {_MERGES}",
)


class BehindError(Exception):
    """The file does not hold the published rows of a damaged screen."""


def update(taken: Snapshot, file: Path, have: Books, shown: Books) -> None:
    """Update a private file from the partitions that it has to those of the snapshot.

    A screen with a damaged partition stays as it is; the snapshot receives its error.

    Args:
        taken: the snapshot.
        file: the file; it is made if it does not exist.
        have: the partitions that it has.
        shown: the partitions that the published file has.

    Raises:
        BehindError: a screen is damaged, and the file does not hold its published rows.
        duckdb.Error: the file is damaged or cannot be written.
    """
    with _writable(file) as con:
        con.execute("BEGIN")
        if made := make_main(con):
            comment(con, "main")
        con.execute("COMMIT")
        for screen in sorted({key[0] for key in taken.books | have} - taken.damaged.keys()):
            before, wanted = of_screen(have, screen), of_screen(taken.books, screen)
            if made or before != wanted:
                listed = {} if PUBLISHED.name in made else before
                _update_or_keep(con, taken, screen, before, wanted, listed)
        for screen in taken.damaged:
            if commits(of_screen(have, screen)) != commits(of_screen(shown, screen)):
                raise BehindError
        con.execute("CHECKPOINT")


def _update_or_keep(
    con: duckdb.DuckDBPyConnection, taken: Snapshot, screen: str, have: Books, wanted: Books, listed: Books
) -> None:
    """Update one screen, of which `main.published` lists some partitions; if damaged, keep it and note why."""
    con.execute("BEGIN")  # hundreds of statements, each of which would be synced on its own
    try:
        if wanted:
            update_screen(con, taken, screen, have, wanted)
        else:
            con.execute(f"DROP SCHEMA IF EXISTS {quoted(screen)} CASCADE")
        update_main(con, taken, screen, listed, wanted)
        comment(con, screen)
    except StoreError as error:
        con.execute("ROLLBACK")
        taken.damaged[screen] = error
    else:
        con.execute("COMMIT")


@contextmanager
def _writable(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which the file is the only database.

    It is attached, because only ATTACH has the size of row groups and the version of the storage. Its name differs from
    those of all screens.
    """
    if file.exists():
        file.chmod(file.stat().st_mode | 0o200)
    config = {**NO_EXTENSIONS, "memory_limit": MEMORY, "temp_directory": f"{file}.tmp"}
    with duckdb.connect(config=config) as con:
        for setting in _SETTINGS:
            con.execute(setting)
        options = f"ROW_GROUP_SIZE {_ROWS}, STORAGE_VERSION {text(STORAGE)}"
        con.execute(f'ATTACH {text(str(file))} AS ".file" ({options})')
        con.execute('USE ".file"')
        con.execute("DETACH memory")
        yield con
