"""Atomic replacement of several files: a journal lists all renames, and any process that finds a journal completes it.

New files are first written and synced under `<home>/.staging/<commit>`. The commit takes effect when the
journal is renamed into place: a process killed before that leaves the old state, one killed after it leaves the
new state. `<home>/.lock` is held while a journal is executed; the process that fills a staging folder holds a
lock on its file `owner`.

Commits are numbered in the order in which they begin, so that no clock decides which of two results is newer.
`<home>/.commits` holds the last number.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pcip_core.errors import StoreError
from pcip_core.locks import locked, refresh, sweep
from pcip_core.store import parquet


def replace(home: Path, renames: Mapping[Path, Path], *, emptied: Sequence[Path], staging: Path) -> None:
    """Move staged files to their final paths.

    Args:
        home: the common parent folder of all paths.
        renames: staged file -> final path, in the order of the moves.
        emptied: folders whose other arrays are removed, including arrays from concurrent commits.
        staging: the folder of the staged files, which is removed.
    """
    with alone(home):
        old = [file for folder in emptied for file in folder.glob("*.npy")]
        _carry_out(home, renames, old, staging)


def remove(home: Path, files: Sequence[Path]) -> None:
    """Remove files."""
    with alone(home):
        _carry_out(home, {}, files, None)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the lock, so that no commit takes effect within the block.

    Interrupted commits are first completed, and abandoned staging folders removed.
    """
    with locked(home / ".lock"):
        _finish(home)
        sweep((home / ".staging").glob("*"))
        yield


def next_number(home: Path, replaced: Sequence[Path] = ()) -> int:
    """The number of a commit that begins now: more than that of any commit before.

    The file holds the last number and its own inode. A file with another inode was restored from a backup or copied,
    so that partitions may have higher numbers than it knows; they are then looked up.

    Args:
        home: the folder of the screen.
        replaced: the partitions that the commit replaces. Their numbers are looked up in any case.
    """
    file = home / ".commits"
    with locked(file):
        inode = str(file.stat().st_ino)
        last, known_as = (*file.read_text().split(), "", "")[:2]
        numbers = [int(last)] if last.isdecimal() else []
        parts = replaced if numbers and known_as == inode else home.glob("*/**/part.parquet")
        number = max([*numbers, *map(_number_of, parts)], default=0) + 1
        file.write_text(f"{number} {inode}")
        sync(file)
    return number


def order(provenance: Mapping[str, Any]) -> tuple[int, str]:
    """Sort key of provenances by the order of their commits; commits of earlier versions, by their time, are first."""
    return provenance.get("commit_number", 0), provenance.get("created_at", "")


def settle(home: Path) -> None:
    """Finish a change that was interrupted after its journal was written.

    Raises:
        StoreError: the journal cannot be read.
    """
    refresh(home)
    if (home / ".journal").exists():
        with locked(home / ".lock"):
            _finish(home)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _carry_out(
    home: Path, renames: Mapping[Path, Path], removals: Sequence[Path], staging: Path | None
) -> None:
    def named(path: Path) -> str:
        return path.relative_to(home).as_posix()

    journal: dict[str, Any] = {
        "renames": [(named(staged), named(place)) for staged, place in renames.items()],
        "removals": [named(file) for file in removals],
        "staging": named(staging) if staging is not None else None,
    }
    beside = home / ".journal.tmp"
    beside.write_text(json.dumps(journal))
    sync(beside)
    beside.replace(home / ".journal")
    sync(home)
    _finish(home)


def _finish(home: Path) -> None:
    """Execute the journal, of which any step may have been done already. The caller holds the lock."""
    path = home / ".journal"
    try:
        journal = json.loads(path.read_text())
    except FileNotFoundError:
        return
    except ValueError as error:
        raise StoreError(
            path,
            found=f"a journal that cannot be read ({error})",
            required="a list of renames written by the store",
            remedy="Remove the file, and materialize with `force` the assets that were being written.",
        ) from error
    touched = set()
    for staged, place in journal["renames"]:
        folder = (home / place).parent
        folder.mkdir(parents=True, exist_ok=True)
        if (home / staged).exists():
            (home / staged).replace(home / place)
        touched |= {folder, folder.parent}
    for folder in touched:
        sync(folder)
    for file in journal["removals"]:
        (home / file).unlink(missing_ok=True)
    path.unlink()
    if journal["staging"] is not None:  # the change has taken effect; a later commit sweeps what is left
        shutil.rmtree(home / journal["staging"], ignore_errors=True)


def _number_of(part: Path) -> int:
    """The number of the commit that made a partition; 0 for a damaged one, which the next commit replaces."""
    try:
        return order(parquet.provenance_of(part))[0]
    except (FileNotFoundError, StoreError):
        return 0
