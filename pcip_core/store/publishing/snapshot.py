"""The partitions of the store, each screen as it was at one moment.

Commits that take effect while the partitions are being read do not change the snapshot: it holds links to the
files. Without links, a reader could see rows of one commit beside rows of a later one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from pcip_core.store import parquet
from pcip_core.store.partitions import Store
from pcip_core.store.paths import Part
from pcip_core.store.publishing.books import WHOLE, Books, Entry, Key, out_of_date
from pcip_core.store.schemas import BENCHMARKS, SCREENS


@dataclass
class Snapshot:
    """The partitions to be published.

    Attributes:
        books: every partition, except those that are out of date.
        left_out: those that are out of date.
    """

    books: Books = field(default_factory=dict)
    left_out: list[Key] = field(default_factory=list)
    _links: dict[Key, tuple[Path, Path]] = field(default_factory=dict)  # link, file

    def screens(self) -> list[str]:
        """The screens, by name."""
        return sorted({screen for screen, *_ in self.books})

    def rows(self, key: Key) -> pa.Table:
        """The rows of a partition; of a table that has changed, or of one that describes a whole screen.

        Raises:
            StoreError: the file is damaged.
        """
        link, file = self._links[key]
        with parquet.opened(link, name=file) as part:
            return part.read()

    def schema(self, key: Key) -> pa.Schema:
        """The columns of a partition, and its provenance as their metadata. Otherwise as `rows`."""
        link, file = self._links[key]
        with parquet.opened(link, name=file) as part:
            return part.schema_arrow


def has_changed(store: Store, have: Books) -> bool:
    """Whether the store differs from the books, by the stamps of all files; no file is opened."""
    stamps: dict[Key, str] = {}
    for screen in store.screens():
        with store.frozen(screen) as files:
            stamps |= _stamps(screen, files)
    return stamps != {key: entry.stamp for key, entry in have.items()}


@contextmanager
def snapshot(store: Store, have: Books) -> Iterator[Snapshot]:
    """A snapshot of the store.

    Args:
        store: the store.
        have: the published partitions; those with the same stamp are not opened.

    Raises:
        StoreError: a partition is damaged.
    """
    taken = Snapshot()
    stamps: dict[Key, str] = {}
    with ExitStack() as stack:
        for screen in store.screens():
            folder = stack.enter_context(store.scratch(screen))
            with store.frozen(screen) as files:
                here = _stamps(screen, files)
                changed = _changed_tables(here, {key: have[key].stamp for key in have if key[0] == screen})
                for number, ((table, shard), (file, _)) in enumerate(files.items()):
                    if table in changed or _describes_whole_screen(table):
                        link = folder / str(number)
                        _link(Path(file), link)
                        taken._links[screen, table, shard or WHOLE] = (link, Path(file))
            stamps |= here
        for key, stamp in stamps.items():
            known = have.get(key)
            taken.books[key] = known if known and known.stamp == stamp else _entry(taken, key, stamp)
        taken.left_out = out_of_date(taken.books)
        for key in taken.left_out:
            del taken.books[key]
        yield taken


def _stamps(screen: str, files: Mapping[tuple[str, str | None], Part]) -> dict[Key, str]:
    """Partition -> the stamp of its file."""
    return {(screen, table, shard or WHOLE): part.stamp for (table, shard), part in files.items()}


def _changed_tables(now: Mapping[Key, str], before: Mapping[Key, str]) -> set[str]:
    """The tables of one screen of which a partition is new, replaced or gone."""
    return {key[1] for key in now.keys() | before.keys() if now.get(key) != before.get(key)}


def _describes_whole_screen(table: str) -> bool:
    """Whether the rows of a table go into a table over all screens, which is always rebuilt."""
    return SCREENS.holds(table) or BENCHMARKS.holds(table)


def _link(file: Path, link: Path) -> None:
    try:
        os.link(file, link)
    except OSError:  # not on every file system
        shutil.copyfile(file, link)


def _entry(taken: Snapshot, key: Key, stamp: str) -> Entry:
    """The entry of a partition that has changed."""
    schema = taken.schema(key)
    kind = schema.field("features").type if "features" in schema.names else None
    dim = kind.list_size if kind is not None and pa.types.is_fixed_size_list(kind) else None
    return Entry(stamp, parquet.provenance_in(schema, taken._links[key][1]), dim)
