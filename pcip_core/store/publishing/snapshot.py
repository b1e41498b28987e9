"""The partitions of the store, each screen as it was at one moment.

Commits that take effect while the partitions are being read do not change the snapshot: it holds links to the
files. Without links, a reader could see rows of one commit beside rows of a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from pcip_core.errors import StoreError
from pcip_core.store import parquet
from pcip_core.store.partitions import Store
from pcip_core.store.paths import Part
from pcip_core.store.publishing.books import WHOLE, Books, Entry, Key, out_of_date
from pcip_core.store.schemas import BENCHMARKS, SCREENS


@dataclass
class Snapshot:
    """The partitions to be published.

    Attributes:
        books: every partition, except those that are out of date, and those of damaged screens.
        left_out: those that are out of date.
        damaged: screen -> why it cannot be published; the others can.
    """

    books: Books = field(default_factory=dict)
    left_out: list[Key] = field(default_factory=list)
    damaged: dict[str, StoreError] = field(default_factory=dict)
    _held: dict[Key, tuple[Callable[[], Path], str]] = field(default_factory=dict)  # how to get it, its name

    def rows(self, key: Key) -> pa.Table:
        """The rows of a partition; of a table that has changed, or of one that describes a whole screen.

        Raises:
            StoreError: the file is damaged.
        """
        path, file = self._held[key]
        with parquet.opened(path(), name=Path(file)) as part:
            return part.read()

    def schema(self, key: Key) -> pa.Schema:
        """The columns of a partition, and its provenance as their metadata. Otherwise as `rows`."""
        path, file = self._held[key]
        with parquet.opened(path(), name=Path(file)) as part:
            return part.schema_arrow


def has_changed(store: Store, have: Books) -> bool:
    """Whether the store differs from the books, by the stamps of all files; no file is opened."""
    stamps: dict[Key, str] = {}
    for screen in store.screens():
        try:
            with store.frozen(screen) as files:
                stamps |= _stamps(screen, files)
        except StoreError:  # the snapshot names it
            return True
    return stamps != {key: entry.stamp for key, entry in have.items()}


@contextmanager
def snapshot(store: Store, *files: Books) -> Iterator[Snapshot]:
    """A snapshot of the store.

    Args:
        store: the store.
        files: what the published file holds, and each other file that may be updated. Partitions with the same stamp
            in one of them are not opened.
    """
    taken = Snapshot()
    with ExitStack() as stack:
        for screen in store.screens():
            folder = stack.enter_context(store.scratch(screen))
            try:
                stamps = _linked(taken, store, screen, folder, files)
                taken.books |= {key: _entry(taken, key, stamp, files) for key, stamp in stamps.items()}
            except StoreError as error:
                taken.damaged[screen] = error
        taken.left_out = out_of_date(taken.books)
        for key in taken.left_out:
            del taken.books[key]
        yield taken


def _linked(
    taken: Snapshot, store: Store, screen: str, folder: Path, files: Sequence[Books]
) -> dict[Key, str]:
    """The stamps of a screen's partitions, and links to those that may be read."""
    with store.frozen(screen) as parts:
        stamps, changed = _stamps(screen, parts), set()
        for books in files or ({},):
            changed |= _changed_tables(stamps, {key: books[key].stamp for key in books if key[0] == screen})
        for number, ((table, shard), (file, _)) in enumerate(parts.items()):
            if table in changed or _describes_whole_screen(table):
                held = store.hold(file, f"{folder}/{number}")
                taken._held[screen, table, shard or WHOLE] = (held, file)
    return stamps


def _stamps(screen: str, files: Mapping[tuple[str, str | None], Part]) -> dict[Key, str]:
    """Partition -> the stamp of its file."""
    return {(screen, table, shard or WHOLE): part.stamp for (table, shard), part in files.items()}


def _changed_tables(now: Mapping[Key, str], before: Mapping[Key, str]) -> set[str]:
    """The tables of one screen of which a partition is new, replaced or gone."""
    return {key[1] for key in now.keys() | before.keys() if now.get(key) != before.get(key)}


def _describes_whole_screen(table: str) -> bool:
    """Whether the rows of a table go into a table over all screens; they are read whenever the screen changes."""
    return SCREENS.holds(table) or BENCHMARKS.holds(table)


def _entry(taken: Snapshot, key: Key, stamp: str, files: Sequence[Books]) -> Entry:
    """The entry of a partition: a known one, or that of its file."""
    for books in files:
        known = books.get(key)
        if known is not None and known.stamp == stamp:
            return known
    schema = taken.schema(key)
    kind = schema.field("features").type if "features" in schema.names else None
    dim = kind.list_size if kind is not None and pa.types.is_fixed_size_list(kind) else None
    return Entry.of(stamp, parquet.provenance_in(schema, Path(taken._held[key][1])), dim)
