"""Download of a list of (url, path) into a root folder: found = fetched + already present + failed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal, TypeVar

from pcip_core.errors import FetchError
from pcip_core.fetch.manifest import Entry, Failure, Manifest
from pcip_core.fetch.pace import Pace, Policy
from pcip_core.fetch.transfer import GivenUpError, Transfer
from pcip_core.fetch.verify import fault
from pcip_core.locks import locked

_LOCK = ".pcip_fetch.lock"
_LONGEST_NAME = 240  # bytes; `.part.json` is appended


T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """One file to download.

    Args:
        url: its address.
        path: its path relative to the root, with `/` between folders.
        source: the address of the page that names it; None if the user does. A page cannot name local addresses.
    """

    url: str
    path: str
    source: str | None = None


@dataclass
class Summary:
    """The result of all tasks; `bytes` is the size of the fetched files."""

    fetched: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    bytes: int = 0

    @property
    def found(self) -> int:
        """The number of different files in the tasks."""
        return len(self.fetched) + len(self.there) + len(self.failed)

    def __str__(self) -> str:
        return (
            f"{self.found} found = {len(self.fetched)} fetched + {len(self.there)} already present "
            f"+ {len(self.failed)} failed"
        )


def download(
    tasks: Iterable[Task],
    root: Path,
    policy: Policy | None = None,
    *,
    progress: Callable[[str], None] = lambda path: None,
) -> Summary:
    """Download the files of all tasks into `root` and report the result of each.

    A file is already present if the manifest lists it with the same address and size. A file that exists but is not
    in the manifest (copied by hand, or renamed just before the process was killed) is verified: a valid file is
    added to the manifest, an invalid one is downloaded. An interrupted run leaves complete files and `.part`
    files, never a partial file under its final name.

    Args:
        tasks: the files; duplicates count once.
        root: created if it does not exist. Only one run at a time can use it.
        policy: rate, connections and timeouts; by default 2 requests per second over 4 connections.
        progress: called in the calling thread with the path of each finished task.

    Returns:
        The paths that were fetched, were already present, or failed, with the reasons.

    Raises:
        FetchError: a path would leave the root, two addresses have the same path, a limit of the policy is not
            positive, or another run uses the root.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     summary = download([Task("ftp://example.org/a.jpg", "a.jpg")], Path(folder))
    >>> str(summary), summary.failed[0].reason
    ('1 found = 0 fetched + 0 already present + 1 failed', 'not a web address (http:// or https://)')
    """
    policy = policy or Policy()
    _check_policy(policy)
    root.mkdir(parents=True, exist_ok=True)
    wanted = _unique(tasks, root)
    with _alone(root):
        return _download(wanted, root, policy, progress)


def _download(wanted: list[Task], root: Path, policy: Policy, progress: Callable[[str], None]) -> Summary:
    manifest, summary = Manifest(root), Summary()
    pace = Pace(policy.rate_per_s, policy.patience_s)
    transfer = Transfer(policy, pace)

    def settle(task: Task) -> tuple[Literal["fetched", "there"], int] | Failure:
        final = root / task.path
        if not task.url.lower().startswith(("http://", "https://")):
            return Failure(task.path, task.url, "not a web address (http:// or https://)")
        if not _fits(task.path):
            return Failure(task.path, task.url, "a name that is too long for a file")
        if task.path not in manifest.entries and final.is_file() and fault(final, final.name) is None:
            manifest.add(_entry(task, final))
            return "there", 0
        try:
            transfer.fetch(task.url, final, source=task.source)
        except GivenUpError as given_up:
            return Failure(task.path, task.url, str(given_up))
        except OSError as error:
            return Failure(task.path, task.url, f"cannot be written ({error})")
        entry = _entry(task, final)
        manifest.add(entry)
        return "fetched", entry.bytes

    pool = ThreadPoolExecutor(policy.connections, thread_name_prefix="fetch")
    try:
        running = {}
        for task in wanted:
            if _known(manifest, root, task):
                summary.there.append(task.path)
                progress(task.path)
            else:
                running[pool.submit(settle, task)] = task
        for future in _completed(running):
            task, outcome = running[future], future.result()
            if isinstance(outcome, Failure):
                summary.failed.append(outcome)
            else:
                (summary.fetched if outcome[0] == "fetched" else summary.there).append(task.path)
                summary.bytes += outcome[1]
            progress(task.path)
    finally:
        pace.close()
        pool.shutdown(wait=True, cancel_futures=True)
    return summary


def _completed(running: Iterable[Future[T]]) -> Iterator[Future[T]]:
    """Futures in the order of completion. The main thread wakes up twice per second, so that Ctrl-C reaches it."""
    pending = set(running)
    while pending:
        completed, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
        yield from completed


def _known(manifest: Manifest, root: Path, task: Task) -> bool:
    entry = manifest.entries.get(task.path) if _fits(task.path) else None
    path = root / task.path
    return (
        entry is not None and entry.url == task.url and path.is_file() and path.stat().st_size == entry.bytes
    )


def _fits(path: str) -> bool:
    """Whether a path and the names of its temporary files are short enough for common file systems."""
    parts = path.encode(errors="replace").split(b"/")
    return len(path) <= 2_000 and all(len(part) <= _LONGEST_NAME for part in parts)


def _entry(task: Task, final: Path) -> Entry:
    with final.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Entry(task.path, task.url, final.stat().st_size, digest.hexdigest(), now)


def _check_policy(policy: Policy) -> None:
    for name in ("rate_per_s", "connections", "attempts", "stall_s", "connect_s"):
        value = getattr(policy, name)
        if value <= 0:
            raise FetchError(
                name, found=str(value), required="more than 0", remedy="Omit it to use the default."
            )


def _unique(tasks: Iterable[Task], root: Path) -> list[Task]:
    """Remove duplicates, keeping the order."""
    by_path: dict[str, Task] = {}
    for task in tasks:
        check_path(task.path, root)
        other = by_path.setdefault(task.path, task)
        if other.url != task.url:
            raise FetchError(
                task.path,
                found=f"two addresses for it, {other.url} and {task.url}",
                required="one address per file",
                remedy="Give the two files different paths.",
            )
    return list(by_path.values())


def check_path(path: str, root: Path) -> None:
    """Refuse a path that leaves the root, by its text or through a symbolic link.

    Raises:
        FetchError: the path leaves the root or cannot be the name of a file.
    """
    pure = PurePosixPath(path)
    plain = bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and pure.as_posix() == path
    if plain and not set(path) & set("\\\0:") and (root / path).resolve().is_relative_to(root.resolve()):
        return
    raise FetchError(
        repr(path),
        found="a path that leaves the download folder or cannot be a file's name",
        required="a plain relative path such as gene/antibody/file.jpg",
        remedy="Check the source of the list of files.",
    )


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the lock of the root, which the kernel releases when the process ends for any reason."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(root / _LOCK, wait=False))
        except BlockingIOError as error:
            raise FetchError(
                root,
                found="another run that downloads into this folder",
                required="one run at a time",
                remedy="Wait for the other run, or stop it.",
            ) from error
        yield
