"""Which files belong to a screen: those under its root.

The root itself may be a link, and a folder or file that is linked directly into the root belongs to it, so that a
screen can be assembled from several disks. A deeper link is followed if it leads to one of these places.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import polars as pl

from pcip_core.errors import ImageFileError, RootError, SpecError
from pcip_core.files import composed
from pcip_core.words import many

_SHOWN = 5
MAX_LINKS = 10_000  # to folders of the screen itself, each of which is read once more


class Tree:
    """The files under a root, without those that are excluded by name.

    Args:
        root: a folder, or a link to one.
        exclude: patterns. `*` is any text within a name, `**/` any folders. A pattern without a folder excludes
            the files of that name in all folders; one that ends with `/` excludes folders. Case is ignored.

    Attributes:
        excluded: the excluded files, and folders with a `/` at the end, as far as they have been listed.
        unread: folders whose files are not read, with a `/` at the end -> the reason.
        links: links to folders that are followed, with a `/` at the end -> the folder to which they lead.
        aliases: those of them that lead to a folder of the screen, whose files are thus listed twice.
        notes: further observations, for the user.
        refused: plate -> number of its files or images that `files.only` leaves out.
    """

    def __init__(self, root: Path, exclude: Iterable[str] = ()) -> None:
        self.root = root
        self.excluded: list[str] = []
        self.unread: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.aliases: list[str] = []
        self.notes: list[str] = []
        self.refused: Counter[str] = Counter()
        patterns = {kind: [p for p in exclude if p.endswith("/") == kind] for kind in (True, False)}
        self._exclude = {kind: "|".join(map(_expression, each)) for kind, each in patterns.items()}
        self._homes = [os.path.realpath(root)]
        self._broken: list[str] = []

    def files(self) -> list[str]:
        """The paths of all files, relative to the root and sorted; folders that are not read end with a `/`."""
        return sorted(self._kept([folder + name for folder, _, names in self._listed() for name in names]))

    def without_excluded(self, paths: Sequence[str]) -> list[str]:
        """Those of some files and folders, whose paths end with a `/`, that are not excluded by name; folders first."""
        folders = [path for path in paths if path.endswith("/")]
        return self._kept(folders, folders=True) + self._kept(
            [path for path in paths if not path.endswith("/")]
        )

    def walk(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield each folder under the root with the names of its subfolders and of its other entries.

        The path of a folder is relative to the root and ends with a `/`; that of the root is empty. A caller that
        clears the list of subfolders does not receive them. Folders that are not read are other entries, with a `/`
        at the end.

        Raises:
            RootError: the root cannot be listed.
        """
        for folder, folders, others in self._listed():
            kept = self._kept([folder + name for name in others]) if others else []
            yield folder, folders, [path[len(folder) :] for path in kept]

    def _kept(self, paths: list[str], *, folders: bool = False) -> list[str]:
        """The paths that are not excluded, as text; the others are added to `excluded`."""
        paths = [printable(path) for path in paths]
        exclude = self._exclude[folders]
        if not exclude or not paths:
            return paths
        try:
            names = pl.Series(map(composed, paths), dtype=pl.String)
            out = names.str.contains(f"(?i)^(?:{composed(exclude)})$")
        except pl.exceptions.PolarsError as error:
            raise SpecError(
                "files.exclude",
                found=f"patterns that are too long ({str(error)[:100]})",
                required="shorter patterns",
                remedy="Shorten them.",
            ) from error
        self.excluded += compress(paths, out)
        return list(compress(paths, ~out))

    def _listed(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """As `walk`, but only folders are excluded by name."""
        pending: list[tuple[str, tuple[str, ...]]] = [("", ())]
        while pending:
            folder, through = pending.pop()
            folders: list[str] = []
            links: list[str] = []
            others: list[str] = []
            try:
                with os.scandir(f"{self.root}/{folder}") as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.name)
                        elif entry.is_symlink() and Path(entry.path).is_dir():
                            links.append(entry.name)
                        else:
                            others.append(entry.name)
                            if entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110 (speed)
                                self._broken.append(f"{folder}{entry.name}")
            except OSError as error:
                if folder:
                    self.unread[printable(folder)] = f"a folder that must not be read ({error.strerror})"
                    yield "", [], [folder]
                    continue
                raise RootError(
                    self.root,
                    found=f"a folder that cannot be listed ({error.strerror})",
                    required="a folder that you may read",
                    remedy="Correct its permissions, or the root in the spec.",
                ) from error
            if folders or links:
                paths = [f"{folder}{name}/" for name in (*folders, *links)]
                wanted = set(self._kept(paths, folders=True))
                folders, links = (
                    [name for name in names if printable(f"{folder}{name}/") in wanted]
                    for names in (folders, links)
                )
            chains = dict.fromkeys(folders, through)
            for name in sorted(links):
                chain = self._followed(folder, name, through)
                if chain is None:
                    others.append(f"{name}/")
                else:
                    folders.append(name)
                    chains[name] = chain
            yield folder, folders, others
            pending += [(f"{folder}{name}/", chains[name]) for name in sorted(folders, reverse=True)]
        if self._broken:
            shown = ", ".join(printable(path) for path in sorted(self._broken)[:_SHOWN])
            self.notes.append(f"{many(len(self._broken), 'link', does='lead')} to nothing: {shown}")

    def _followed(self, folder: str, name: str, through: tuple[str, ...]) -> tuple[str, ...] | None:
        """The real folders on the way through a link: of each link, its own and its target; None if it is not followed.

        Args:
            folder: the folder that holds the link.
            name: the name of the link.
            through: these folders, of the links on the way to this one.
        """
        link, here = f"{folder}{name}/", os.path.realpath(f"{self.root}/{folder}")
        target = os.path.realpath(f"{self.root}/{folder}{name}")
        reason = None
        if is_within(here, target) or any(is_within(other, target) for other in through):
            self.notes.append(f"{printable(link)} is a link to a folder that holds it, and is not followed")
            return None
        if is_within(self._homes[0], target):
            reason = f"a link to {target}, which holds the root"
        elif not any(is_within(target, home) for home in self._homes):
            if folder:
                reason = f"a link out of the root, to {target}: link that folder directly into the root"
            else:
                self._homes.append(target)
        elif len(self.aliases) >= MAX_LINKS:
            reason = f"a link after {MAX_LINKS:,} others"
        else:
            self.aliases.append(printable(link))
        if reason is not None:
            self.unread[printable(link)] = reason
            return None
        self.links[printable(link)] = target
        return (*through, here, target)

    def resolved(self, path: str) -> str:
        """The path of a listed file without links to folders, to recognize a file that is listed twice."""
        end = path.rfind("/") + 1
        while end and path[:end] not in self.links:
            end = path.rfind("/", 0, end - 1) + 1
        return f"{self.links[path[:end]] if end else self._homes[0]}/{path[end:]}"


def _expression(pattern: str) -> str:
    """The regular expression of a pattern of excluded paths."""
    pieces = re.findall(r"\*\*/|\*|[^*]+", pattern)
    text = "".join({"**/": "(?:[^/]+/)*", "*": "[^/]*"}.get(piece) or re.escape(piece) for piece in pieces)
    return text if "/" in pattern.rstrip("/") else f"(?:[^/]+/)*{text}"


def is_within(path: str, folder: str) -> bool:
    """Whether a real path is that of a folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def require_inside(root: Path, path: Path) -> None:
    """Raise unless a path stays under the root, or under what is linked directly into it, after links are resolved.

    Raises:
        ImageFileError: the path leads out of the root.
    """
    real = os.path.realpath(path)
    if is_within(real, os.path.realpath(root)):
        return
    if path.is_relative_to(root) and any(is_within(real, home) for home in _linked(root)):
        return
    raise ImageFileError(
        path,
        found=f"a path that leads out of the root, to {real}",
        required=f"files under {root}",
        remedy="Copy the file there, link it (or its folder) directly into that folder, or choose a root that "
        "holds both.",
    )


def _linked(root: Path) -> Iterator[str]:
    """The places to which links directly in the root lead, except folders that hold the root."""
    real = os.path.realpath(root)
    try:
        with os.scandir(root) as entries:
            targets = [os.path.realpath(entry.path) for entry in entries if entry.is_symlink()]
    except OSError:
        return
    yield from (target for target in targets if not is_within(real, target))


def opened(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it is not a regular file; a named pipe or a device may never end.
    """
    if path.exists() and not path.is_file():
        raise OSError("not a regular file")
    return path.open("rb")


def printable(path: str) -> str:
    """A path as text; bytes of a name that are not UTF-8 are written as \\xff. Such a file is named, but not read."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def is_plain(path: object) -> bool:
    """Whether a path from metadata is relative and names nothing but files and folders below its own folder.

    >>> is_plain("A/1"), is_plain("../A/1"), is_plain("/A/1"), is_plain(1)
    (True, False, False, False)
    """
    if not isinstance(path, str) or not path or "\0" in path or "\\" in path:
        return False
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and pure.as_posix() == path
