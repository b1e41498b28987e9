"""Which files belong to a screen: those under its root.

The root itself may be a link, and a folder or file that is linked directly into the root belongs to it, so that a
screen can be assembled from several disks. A deeper link is followed to a file within the root, never to a folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pcip_core.errors import ImageFileError, RootError


def walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder under the root with the names of its subfolders and of its other entries.

    A caller that clears the list of subfolders does not receive them. A folder that cannot be listed, and a link to a
    folder that is not followed, count as other entries, with a `/` at the end.

    Raises:
        RootError: the root cannot be listed.
    """
    real, pending = os.path.realpath(root), [root]
    while pending:
        folder = pending.pop()
        folders: list[str] = []
        others: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    linked = folder == root and entry.is_symlink() and _is_apart(entry.path, real)
                    if linked or entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    else:
                        is_folder = entry.is_symlink() and os.path.isdir(entry.path)  # noqa: PTH112  (False for a loop)
                        others.append(f"{entry.name}/" if is_folder else entry.name)
        except OSError as error:
            if folder == root:
                raise RootError(
                    root,
                    found=f"a folder that cannot be listed ({error.strerror})",
                    required="a folder that you may read",
                    remedy="Correct its permissions, or the root in the spec.",
                ) from error
            yield folder.parent, [], [f"{folder.name}/"]
            continue
        yield folder, folders, others
        pending += [folder / name for name in sorted(folders, reverse=True)]


def _is_apart(link: str, root: str) -> bool:
    """Whether a link leads to a folder that neither holds the root nor lies in it."""
    target = os.path.realpath(link)
    return Path(target).is_dir() and os.path.commonpath([target, root]) not in (target, root)


def require_inside(root: Path, path: Path) -> None:
    """Raise unless a path stays under the root after all links are resolved.

    Raises:
        ImageFileError: the path leads out of the root.
    """
    real = Path(os.path.realpath(path))
    homes = [root]
    if (
        path.is_relative_to(root)
        and (parts := path.relative_to(root).parts)
        and (root / parts[0]).is_symlink()
    ):
        homes.append(root / parts[0])
    if not any(real.is_relative_to(os.path.realpath(home)) for home in homes):
        raise ImageFileError(
            path,
            found=f"a path that leads out of the root, to {real}",
            required=f"files under {root}",
            remedy="Copy the file there, link it (or its folder) directly into that folder, or choose a root that "
            "holds both.",
        )


def opened(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it is not a regular file; a named pipe or a device may never end.
    """
    if path.exists() and not path.is_file():
        raise OSError("not a regular file")
    return path.open("rb")


def printable(path: Path | str) -> str:
    """A path as text with `/` between folders; bytes of a name that are not UTF-8 become U+FFFD."""
    text = path.as_posix() if isinstance(path, Path) else path
    return text.encode(errors="surrogateescape").decode(errors="replace")


def is_plain(path: object) -> bool:
    """Whether a path from metadata is relative and names nothing but files and folders below its own folder.

    >>> is_plain("A/1"), is_plain("../A/1"), is_plain("/A/1"), is_plain(1)
    (True, False, False, False)
    """
    if not isinstance(path, str) or not path or "\0" in path or "\\" in path:
        return False
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and pure.as_posix() == path
