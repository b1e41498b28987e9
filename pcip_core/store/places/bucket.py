"""A store in a bucket of an object store (S3): no lock and no renaming, only puts on a condition.

    <prefix>/<screen>/<table>/shard=<shard>/<commit>.parquet    the tables and arrays of a shard, never changed
    <prefix>/<screen>/<array>/shard=<shard>/<commit>.npy
    <prefix>/<screen>/.manifests/shard=<shard>.json             which of them count (whole.json: tables without shards)
    <prefix>/<screen>/.commits                                  the number of the last commit

A commit uploads its files under names of their own. Then it replaces the manifest of the shard, provided that nobody
has replaced it meanwhile; otherwise it reads the manifest again. So readers see the old or the new commit, and writers
of one shard lose nothing. What a killed writer uploaded is in no manifest. The server's clock alone decides when that,
and what was replaced, is removed.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pcip_core.errors import StoreError
from pcip_core.store import parquet
from pcip_core.store.paths import NAME, Part, checked_name
from pcip_core.store.places.cache import Cache
from pcip_core.store.places.manifest import (
    Manifest,
    NewerError,
    is_manifest,
    manifest_name,
    object_name,
    shard_of_manifest,
)
from pcip_core.store.places.objects import Objects, pause

_LONGEST_COMMIT_S = 24 * 3600.0  # far less than the time after which uploaded files may be removed
_ATTEMPTS = 200  # at a manifest that other commits replace
_CONNECTIONS = 16

Change = Callable[[Manifest], Mapping[str, Any]]
"""The present manifest -> the tables of the next one."""


class _ChangedError(Exception):
    """Another commit has replaced what was to be replaced."""


class Bucket:
    """The files of a store in an object store. The public methods are those of `place.Place`."""

    def __init__(self, url: str, *, cache: Cache | None = None) -> None:
        self.url, self._objects, self._cache = url, Objects(url), cache or Cache.of(url)
        self._known: dict[str, Manifest] = {}  # name -> as it was read last

    # -- contents ------------------------------------------------------------------------------------

    def screens(self) -> list[str]:
        """See `Place`."""
        return sorted(
            name for name in self._objects.folders() if NAME.fullmatch(name) and self._versions(name)
        )

    def tables(self, screen: str) -> list[str]:
        """See `Place`."""
        return sorted({table for manifest in self._manifests(screen).values() for table in manifest.tables})

    def shards(self, screen: str, table: str) -> list[str | None]:
        """See `Place`."""
        manifests = self._manifests(screen)
        return [shard for shard, manifest in manifests.items() if checked_name(table) in manifest.tables]

    def provenance(self, screen: str, table: str, shard: str | None) -> dict[str, Any] | None:
        """See `Place`."""
        entry = self._manifest(screen, shard).tables.get(checked_name(table))
        return None if entry is None else entry["provenance"]

    def has(self, screen: str, table: str, shard: str | None) -> bool:
        """See `Place`."""
        return checked_name(table) in self._manifest(screen, shard).tables

    def file(self, screen: str, table: str, shard: str | None) -> Path:
        """See `Place`."""
        entry = self._manifest(screen, shard).tables.get(checked_name(table))
        if entry is None:
            raise FileNotFoundError(self.named(screen, table, shard))
        return self._fetched(object_name(screen, table, shard, entry["file"]))

    def array(self, screen: str, array: str, shard: str, name: str) -> Path:
        """See `Place`."""
        return self._fetched(object_name(screen, array, shard, name))

    def named(self, screen: str, table: str, shard: str | None) -> str:
        """See `Place`."""
        return f"{self.url}/{object_name(screen, table, shard, '*.parquet')}"

    @contextmanager
    def frozen(self, screen: str) -> Iterator[dict[tuple[str, str | None], Part]]:
        """See `Place`. Files never change, so that manifests that are the same before and after are of one moment."""
        for attempt in range(_ATTEMPTS):
            manifests = self._manifests(screen)
            before = {manifest_name(screen, shard): each.version for shard, each in manifests.items()}
            if before == self._versions(screen):
                break
            pause(attempt)
        else:
            raise self._crowded(screen, None)
        yield {
            (table, shard): Part(object_name(screen, table, shard, entry["file"]), entry["file"])
            for shard, manifest in manifests.items()
            for table, entry in manifest.tables.items()
        }

    def hold(self, file: str, link: str) -> Callable[[], Path]:
        """See `Place`. The file is fetched when it is read."""
        return partial(self._fetched, file)

    # -- changes -------------------------------------------------------------------------------------

    def commit(
        self,
        screen: str,
        shard: str | None,
        tables: Mapping[str, pl.DataFrame],
        arrays: Mapping[str, np.ndarray | Path],
        provenance: Mapping[str, Any],
    ) -> str:
        """See `Place`."""
        return self._commit(screen, shard, tables, arrays, provenance, lambda now: None)

    def update(
        self, screen: str, table: str, make: Callable[[], pl.DataFrame], provenance: Mapping[str, Any]
    ) -> str:
        """See `Place`."""
        for attempt in range(_ATTEMPTS):
            before = self._manifest(screen, None).number(table)

            def require_same(now: Manifest, before: int = before) -> None:
                if now.number(table) != before:
                    raise _ChangedError

            try:
                return self._commit(screen, None, {table: make()}, {}, provenance, require_same)
            except _ChangedError:
                pause(attempt)
        raise self._crowded(screen, None)

    def remove(self, screen: str, table: str, shard: str | None) -> None:
        """See `Place`."""
        self._replace(
            screen, shard, lambda now: {name: now.tables[name] for name in now.tables if name != table}
        )

    @contextmanager
    def scratch(self, screen: str) -> Iterator[Path]:
        """See `Place`."""
        checked_name(screen)
        with self._cache.scratch() as folder:
            yield folder

    def _commit(
        self,
        screen: str,
        shard: str | None,
        tables: Mapping[str, pl.DataFrame],
        arrays: Mapping[str, np.ndarray | Path],
        provenance: Mapping[str, Any],
        require: Callable[[Manifest], None],
    ) -> str:
        """Commit, if `require` accepts the manifest that is replaced."""
        commit, begun = uuid.uuid4().hex, time.monotonic()
        number = self._next_number(screen, self._manifest(screen, shard))
        described = parquet.described(provenance, commit, number, arrays)
        kept = json.loads(json.dumps(described, default=str))
        files = {
            f"{name}.npy": object_name(screen, checked_name(name), shard, f"{commit}.npy") for name in arrays
        }
        files |= {
            f"{name}.parquet": object_name(screen, checked_name(name), shard, f"{commit}.parquet")
            for name in tables
        }

        def tables_of(now: Manifest) -> dict[str, Any]:
            if not now.has(commit):
                require(now)
                self._require_in_time(screen, shard, begun)
            ours = {name: {"file": f"{commit}.parquet", "provenance": kept} for name in tables}
            return {**now.tables, **{name: ours[name] for name in ours if now.number(name) < number}}

        with self.scratch(screen) as folder:
            parquet.stage(folder, tables, arrays, described)
            for file, name in files.items():
                self._objects.upload(name, folder / file)
            self._replace(screen, shard, tables_of)
            for file, name in files.items():
                with suppress(OSError):  # the commit has taken effect; the file is fetched when it is read
                    self._cache.add(name, folder / file)
        with suppress(StoreError):  # the commit has taken effect; only space is lost, until the next one
            self._sweep(screen, shard, set(files.values()))
        return commit

    def _replace(self, screen: str, shard: str | None, tables_of: Change) -> None:
        """Replace a manifest, whatever others do meanwhile. Nothing is put if its tables stay the same.

        An attempt may take effect although its answer is lost: then the tables are already as they should be.
        """
        for attempt in range(_ATTEMPTS):
            now = self._manifest(screen, shard)
            tables = tables_of(now)
            if tables == now.tables:
                return
            name, content = manifest_name(screen, shard), now.next(screen, shard, tables)
            try:
                if self._objects.replace(name, content, now.version):
                    return
            except StoreError:
                now = self._manifest(screen, shard)
                if tables_of(now) == now.tables:
                    return
                raise
            pause(attempt)
        raise self._crowded(screen, shard)

    def _next_number(self, screen: str, manifest: Manifest) -> int:
        """The number of a commit that begins now: more than that of any commit before."""
        name = f"{screen}/.commits"
        for attempt in range(_ATTEMPTS):
            try:
                content, listed = self._objects.read(name)
                last, version, known = int(content), listed.version, [manifest]
            except ValueError as error:
                raise StoreError(
                    f"{name} in {self.url}",
                    found=repr(content[:60])[1:],
                    required="the number of the last commit",
                    remedy="Remove the object, and run the same command again, which puts it.",
                ) from error
            except FileNotFoundError:
                last, version, known = 0, None, list(self._manifests(screen).values())
            number = 1 + max([last, *(each.number(table) for each in known for table in each.tables)])
            if self._objects.replace(name, str(number).encode(), version):
                return number
            pause(attempt)
        raise self._crowded(screen, None)

    def _sweep(self, screen: str, shard: str | None, uploaded: set[str]) -> None:
        """Remove what nobody needs any more, where a commit has put its files. Now is when the server got them."""
        manifest = self._manifest(screen, shard)
        folders = {name.rpartition("/")[0] + "/" for name in {*uploaded, *manifest.replaced}}
        present = [
            each for folder in sorted(folders) for each in self._objects.list(folder)
            if each.name.rpartition("/")[0] + "/" == folder
        ]  # fmt: skip
        counting = manifest.objects(screen, shard)
        if not (ours := [each.changed for each in present if each.name in uploaded]):
            return  # another commit has replaced this one long ago
        now = max(ours)
        for each in present:
            kept = each.name in counting | uploaded
            if not kept and manifest.is_unused(each.name, each.changed, now):
                self._objects.delete(each.name)

    # -- objects -------------------------------------------------------------------------------------

    def _manifest(self, screen: str, shard: str | None) -> Manifest:
        """The manifest of a shard as it is now; an empty one if there is none."""
        name = manifest_name(checked_name(screen), shard)
        try:
            content, listed = self._objects.read(name)
            self._known[name] = Manifest.parsed(content, listed.version, listed.changed)
        except FileNotFoundError:
            return Manifest()
        except ValueError as error:
            raise StoreError(
                f"{name} in {self.url}",
                found=f"a manifest that cannot be read ({error})",
                required="a list of files written by the store",
                remedy="Remove the object, and materialize the assets of this shard with `force`.",
            ) from error
        except NewerError as error:
            raise StoreError(
                f"{name} in {self.url}",
                found=f"a manifest of a newer version of pcip, which has {error}",
                required="tables and replaced files alone",
                remedy="Install the version of pcip that the other machines have.",
            ) from error
        return self._known[name]

    def _versions(self, screen: str) -> dict[str, str]:
        """Name -> version of each manifest of a screen."""
        listed = self._objects.list(manifest_name(checked_name(screen)).rpartition("/")[0] + "/")
        return {each.name: each.version for each in listed if is_manifest(screen, each.name)}

    def _manifests(self, screen: str) -> dict[str | None, Manifest]:
        """Shard -> manifest, of all shards of a screen; only those that have changed are fetched."""
        versions = self._versions(screen)
        known = self._known
        changed = [name for name in versions if name not in known or known[name].version != versions[name]]
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            list(threads.map(lambda name: self._manifest(screen, shard_of_manifest(name)), changed))
        return {shard_of_manifest(name): known[name] for name in versions if name in known}

    def _fetched(self, name: str) -> Path:
        """A file of this machine with the content of an object.

        Raises:
            FileNotFoundError: there is no such object.
        """
        return self._cache.get(name, partial(self._objects.download, name))

    def _require_in_time(self, screen: str, shard: str | None, begun: float) -> None:
        """Require that the files of a commit cannot have been removed as abandoned."""
        if time.monotonic() - begun > _LONGEST_COMMIT_S:
            raise StoreError(
                f"{manifest_name(screen, shard)} in {self.url}",
                found="a commit that took longer than a day, whose files may be removed",
                required="a faster connection, or smaller shards",
                remedy="Run it again.",
            )

    def _crowded(self, screen: str, shard: str | None) -> StoreError:
        return StoreError(
            f"{manifest_name(screen, shard)} in {self.url}",
            found=f"commits by others at each of {_ATTEMPTS} attempts",
            required="fewer that write at the same time",
            remedy="Run again when fewer runs write this screen.",
        )
