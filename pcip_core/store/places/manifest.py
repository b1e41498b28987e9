"""Manifests: which objects of a shard count, and which no longer do; and the names of objects.

A manifest is one small JSON object per shard, and one for the tables without shards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from pcip_core.errors import StoreError
from pcip_core.store.paths import NAME, shard_folder

_WHOLE, _ENDING = "whole", ".json"
_FILE = re.compile(r"[0-9a-f]{32}\.(parquet|npy)")
_OBJECT = re.compile(rf"({NAME.pattern}/){{2}}(shard=[^/]+/)?{_FILE.pattern}")
_REPLACED_FOR = timedelta(days=1)  # a reader may have looked at the manifest before
_ABANDONED_AFTER = timedelta(days=7)  # no commit takes that long


@dataclass(frozen=True)
class Manifest:
    """What counts in one shard.

    Attributes:
        tables: table -> its `file` and `provenance`.
        replaced: object that counted before -> when it was replaced, by the clock of the server; "" for when this
            manifest was put.
        version: what the next one replaces; None if there is no manifest yet.
        changed: when it was put, by the clock of the server.
    """

    tables: Mapping[str, Any] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    changed: datetime | None = None

    @classmethod
    def parsed(cls, content: bytes, version: str, changed: datetime) -> Manifest:
        """The manifest of an object.

        Raises:
            ValueError: it is damaged.
            NewerError: it has what this version of pcip does not know.
        """
        values = json.loads(content)
        try:
            if newer := set(values) - {"tables", "replaced"}:
                raise NewerError(", ".join(sorted(newer)))
            _check(values["tables"], values["replaced"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return cls(values["tables"], values["replaced"], version, changed)

    def next(self, screen: str, shard: str | None, tables: Mapping[str, Any]) -> bytes:
        """The content of the next manifest, with these tables."""
        gone = self.objects(screen, shard) - Manifest(tables).objects(screen, shard)
        replaced = self._times() | dict.fromkeys(sorted(gone), "")
        return json.dumps({"tables": dict(tables), "replaced": replaced}).encode()

    def objects(self, screen: str, shard: str | None) -> set[str]:
        """The names of all objects that count."""
        found = set()
        for table, entry in self.tables.items():
            found.add(object_name(screen, table, shard, entry["file"]))
            for array, file in entry["provenance"]["arrays"].items():
                found.add(object_name(screen, array, shard, file))
        return found

    def number(self, table: str) -> int:
        """The number of the commit that made a table; 0 without one."""
        return self.tables[table]["provenance"]["commit_number"] if table in self.tables else 0

    def has(self, commit: str) -> bool:
        """Whether a commit made one of the tables."""
        return any(entry["provenance"]["commit_id"] == commit for entry in self.tables.values())

    def is_unused(self, name: str, uploaded: datetime, now: datetime) -> bool:
        """Whether nobody can need an object any more that does not count.

        One that was replaced may be read for a day by those who read the manifest before. One that is in no manifest
        may belong to a commit that is not complete, for a week.
        """
        if since := self._times().get(name):
            return now - datetime.fromisoformat(since) > _REPLACED_FOR
        return now - uploaded > _ABANDONED_AFTER

    def _times(self) -> dict[str, str]:
        """When the objects were replaced. Those of long ago need not be remembered: they are as abandoned ones."""
        if self.changed is None:
            return {}
        since = {name: time or self.changed.isoformat() for name, time in self.replaced.items()}
        first = self.changed - _REPLACED_FOR - _ABANDONED_AFTER
        return {name: time for name, time in since.items() if datetime.fromisoformat(time) > first}


class NewerError(Exception):
    """A manifest that a newer version of pcip has put."""


def _check(tables: Mapping[str, Any], replaced: Mapping[str, str]) -> None:
    """Check what a manifest holds, of which paths of files are made.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is damaged.
    """
    for table, entry in tables.items():
        provenance = entry["provenance"]
        arrays = provenance["arrays"]
        for name in (table, *arrays):
            if not NAME.fullmatch(name):
                raise ValueError(f"the table or array {name[:60]!r}")
        for file in (entry["file"], *arrays.values()):
            if not _FILE.fullmatch(file):
                raise ValueError(f"the file {file[:60]!r}")
        if not isinstance(provenance["commit_number"], int) or not isinstance(provenance["commit_id"], str):
            raise ValueError(f"the commit of {table}")
    for name, time in replaced.items():
        if not _OBJECT.fullmatch(name) or (time and datetime.fromisoformat(time).tzinfo is None):
            raise ValueError(f"the replaced object {name[:60]!r}, {time[:60]!r}")


def object_name(screen: str, table: str, shard: str | None, file: str = "") -> str:
    """The name of the object of a file; of all files of a partition, what their names begin with."""
    return f"{screen}/{table}/{file}" if shard is None else f"{screen}/{table}/{_folder(shard)}/{file}"


def manifest_name(screen: str, shard: str | None = None) -> str:
    """The name of the manifest of a shard."""
    return f"{screen}/.manifests/{_WHOLE if shard is None else _folder(shard)}{_ENDING}"


def is_manifest(screen: str, name: str) -> bool:
    """Whether this is the name of a manifest of a screen. Other programs put other objects beside them."""
    try:
        return name == manifest_name(screen, shard_of_manifest(name))
    except StoreError:  # no name of a shard
        return False


def shard_of_manifest(name: str) -> str | None:
    """The shard of a manifest with this name."""
    file = name.rpartition("/")[2].removesuffix(_ENDING)
    return unquote(file.removeprefix("shard=").replace("~", "%")) if file.startswith("shard=") else None


def _folder(shard: str) -> str:
    """The folder of a shard. Some clients would quote a %, and others not."""
    shard_folder(shard)  # checks the name
    return "shard=" + quote(shard, safe="").replace("~", "%7E").replace("%", "~")
