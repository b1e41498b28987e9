"""Files that are replaced whole, names sorted as people count, and names that a file can have."""

from __future__ import annotations

import functools
import glob
import hashlib
import os
import re
import socket
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pcip_core.errors import WriteError

_SHARED = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "gfs2",
    "gpfs",
    "lustre",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
}
_NUMBER = re.compile(r"([0-9]+)")


@contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """A temporary path to write to, which takes the file's place at the end: readers find the old file or the new.

    After an error the old file is still there, and the temporary one is removed. What processes of this machine left
    that were killed here is removed too.

    Args:
        path: the file; its folder is made when it is not there.
        sync: wait until the new file is on the disk.

    Raises:
        WriteError: the file cannot be written.
    """
    beginning = f".{path.name}.{_machine()}."
    temporary = path.with_name(f"{beginning}{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{glob.escape(beginning)}*.tmp"):
            if not _runs(left.name.removeprefix(beginning).removesuffix(".tmp")):
                left.unlink(missing_ok=True)
        try:
            yield temporary
            if sync:
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(where: object = None, *, inside: object = None) -> Iterator[None]:
    """State what the block could not write, and the remedy.

    Args:
        where: what it writes; by default, the file that the error names.
        inside: the folder of the file, for an error that names none.

    Raises:
        WriteError: an error of the block says that the disk is full, or that it must not be written.

    >>> with writing("table.csv"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    pcip_core.errors.WriteError: table.csv: found no space left on device; required: permission to write, and free \
space. Free some space, and run the same command again.
    """
    try:
        yield
    except Exception as error:
        explained = WriteError.of(error, where, inside=inside)
        if explained is None:
            raise
        raise explained from error


@functools.cache
def _machine() -> str:
    """A name of this machine, since it was switched on, and of the container in which numbers of processes count."""
    known = [socket.gethostname()]
    with suppress(OSError):  # not Linux
        known += [
            Path("/proc/sys/kernel/random/boot_id").read_text(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return hashlib.sha256(" ".join(known).encode()).hexdigest()[:8]


def _runs(number: str) -> bool:
    """Whether a process of this machine may have this number."""
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, OSError):  # not such a number, or a process of another user
        return True
    return True


def shared_by_machines(path: Path) -> str | None:
    """The kind of the file system of a path, if a server or other machines share it; None for a local disk.

    >>> shared_by_machines(Path("/proc"))
    """
    import psutil

    place = path.resolve()
    mounts = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    kind = next((mounts[folder] for folder in (place, *place.parents) if folder in mounts), "")
    return kind if kind in _SHARED or kind.startswith("fuse.") else None


def natural_key(text: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """A key that sorts numbers within text by their value; no two texts have the same.

    >>> sorted(["plate_10", "plate_2"], key=natural_key)
    ['plate_2', 'plate_10']
    """
    pieces: list[str | tuple[int, str]] = list(_NUMBER.split(text))  # text and number by turns
    digits = [number.lstrip("0") for number in _NUMBER.findall(text)]
    pieces[1::2] = [(len(number), number) for number in digits]  # int() refuses more than 4,300 digits
    return tuple(pieces), text


def composed(text: str) -> str:
    """A text in the composed form of Unicode (NFC): macOS writes é in names of files as two characters (NFD).

    >>> len("e\u0301"), len(composed("e\u0301"))
    (2, 1)
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def paths_in(folder: str) -> str:
    r"""A regular expression for the beginning of each path in a folder; its only group is what precedes the path.

    Replaced by that group, paths are relative to the folder, so that a text is the same after the folder was moved.
    Both `re` and polars understand it.

    >>> re.sub(paths_in("/a/work"), r"\1", "'/a/work/images/1.tif' and /b/a/work/1.tif")
    "'images/1.tif' and /b/a/work/1.tif"
    """
    return rf"(^|[^\w./-]){re.escape(folder)}/"


def file_name(name: str) -> str:
    """The name of a figure as the name of its file: what a file name cannot hold is an underscore.

    >>> file_name("enrichment_U-2 OS")
    'enrichment_U-2_OS'
    """
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", name)


def portable(path: str, folder: Path) -> str | list[str]:
    """A path so that it holds after a folder, or the folder around it, is moved or copied.

    A path in the folder is relative to it. One beside it is a list: relative first, then as it is.

    >>> portable("/lab/data/raw", Path("/lab/data")), portable("/lab/images", Path("/lab/data"))
    ('raw', ['../images', '/lab/images'])
    """
    if Path(path).is_relative_to(folder):
        return str(Path(path).relative_to(folder))
    if Path(path).is_relative_to(folder.parent):
        return [f"../{Path(path).relative_to(folder.parent)}", path]
    return path


def present(paths: str | list[str], folder: Path) -> str:
    """The first of the paths that `portable` gave that exists; otherwise the last of them."""
    places = [
        Path(os.path.normpath(folder / path)) for path in ([paths] if isinstance(paths, str) else paths)
    ]
    return str(next((place for place in places if place.exists()), places[-1]))
