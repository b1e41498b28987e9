r"""Paths that tables have from another machine: `Z:\screens\P1\images`, `\\server\share`, `file:///data/a.tif`."""

from __future__ import annotations

import functools
import logging
import os
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pcip_core.errors import RootError

_DRIVE = re.compile(r"[A-Za-z]:(/|$)")


class Paths:
    """Paths of files under a root, as tables write them.

    A path is relative to the root, or absolute. Both kinds of separators are read. Of the folder of an absolute path
    that does not exist here, the longest tail that is a folder under the root is taken: of `Z:\\screens\\P1\\images`,
    `screens/P1/images`, otherwise `P1/images`, otherwise `images`.

    Args:
        root: of the screen.
        table: for errors.
    """

    def __init__(self, root: Path, table: Path) -> None:
        self._root, self._table = root, table
        self._folders: dict[str, str] = {}  # as the table writes them -> relative to the root

    def relative(self, folder: str, file: str) -> str:
        """The path of a file, relative to the root.

        Raises:
            RootError: the folder is one of another machine, and no tail of it lies under the root.
        """
        path = posixpath.join(folder, file)
        if "\\" in path and not os.path.isfile(self._root / path):  # noqa: PTH113, as Path.is_file raises for a name that is too long
            folder, file = folder.replace("\\", "/"), file.replace("\\", "/")
            path = file if _DRIVE.match(file) else posixpath.join(folder, file)
        return self._here(path)

    def of_url(self, url: str) -> str:
        """The path of a `file:` URL, relative to the root.

        Raises:
            RootError: the URL is of another kind, or its folder is one of another machine.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = urlsplit("")
        if _DRIVE.match(url.replace("\\", "/")) or (not parts.scheme and parts.path):
            return self.relative("", url)
        if parts.scheme != "file":
            raise RootError(
                self._table,
                found=f"the URL {url}",
                required="files on this machine: file: URLs, or columns FileName_ and PathName_",
                remedy="Download the files under the root, and write their paths into a column FileName_.",
            )
        host = f"//{parts.netloc}" if parts.netloc not in ("", "localhost") else ""
        path = host + unquote(parts.path).replace("\\", "/")
        return self._here(path.removeprefix("/") if _DRIVE.match(path.removeprefix("/")) else path)

    def _here(self, path: str) -> str:
        folder, slash, name = path.rpartition("/")
        folder = folder or slash
        if folder not in self._folders:
            self._folders[folder] = self._folder(folder, name)
        return posixpath.join(self._folders[folder], name)

    def _folder(self, folder: str, name: str) -> str:
        """A folder of the table, relative to the root if it lies there."""
        drive = _DRIVE.match(folder) is not None and not os.path.isdir(self._root / folder)  # noqa: PTH112
        if not folder or not (drive or folder.startswith("/")):
            return _plain(folder)
        windows = drive or folder.startswith("//")
        for root in (self._root, self._root.resolve()):
            if not windows and Path(folder).is_relative_to(root):
                return _plain(Path(folder).relative_to(root).as_posix())
        if not windows and os.path.isdir(folder):  # noqa: PTH112
            return folder  # it lies outside of the root, which is refused when the file is read
        pieces = [
            piece for piece in posixpath.normpath(folder).split("/") if piece and not piece.endswith(":")
        ]
        for start in range(len(pieces)):
            tail = "/".join(pieces[start:])
            if os.path.isdir(self._root / tail):  # noqa: PTH112
                _announce(str(self._table), folder, tail)
                return tail
        if os.path.isfile(self._root / name):  # noqa: PTH113
            _announce(str(self._table), folder, "the root")
            return ""
        kind = "a Windows path" if windows else "a folder of another machine"
        raise RootError(
            self._table,
            found=f"files in {folder}, {kind}: no end of it is a folder under the root {self._root}",
            required="folders relative to the root, or of another machine with an end that is a folder under the root",
            remedy=f"Copy the folder {pieces[-1] if pieces else folder} under the root, or write its path relative to "
            "the root into the column of paths (PathName_ in a LoadData table).",
        )


def _plain(folder: str) -> str:
    folder = posixpath.normpath(folder)
    return "" if folder == "." else folder


@functools.cache
def _announce(table: str, folder: str, tail: str) -> None:
    """Log which folder is taken for one of another machine, once per process."""
    logging.getLogger(__name__).warning("%s: %s does not exist here; %s is read", table, folder, tail)
