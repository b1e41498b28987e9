"""A list of (url, path) becomes files under a root: found = fetched + there already + failed, always."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from pcip_core.errors import FetchError
from pcip_core.fetch.manifest import Entry, Failure, Manifest
from pcip_core.fetch.pace import Pace, Policy
from pcip_core.fetch.transfer import GivenUpError, Transfer
from pcip_core.fetch.verify import fault
from pcip_core.locks import locked

_LOCK = ".pcip_fetch.lock"


@dataclass(frozen=True)
class Task:
    """One file to have: its address, and its path under the root with `/` between folders."""

    url: str
    path: str


@dataclass
class Summary:
    """What became of the tasks; `bytes` counts the files that were fetched."""

    fetched: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    bytes: int = 0

    @property
    def found(self) -> int:
        """The number of different files that were asked for."""
        return len(self.fetched) + len(self.there) + len(self.failed)

    def __str__(self) -> str:
        return (
            f"{self.found} found = {len(self.fetched)} fetched + {len(self.there)} there already "
            f"+ {len(self.failed)} failed"
        )


def download(
    tasks: Iterable[Task],
    root: Path,
    policy: Policy | None = None,
    *,
    progress: Callable[[str], None] = lambda path: None,
) -> Summary:
    """Bring every task's file under `root`, and say of each what became of it.

    A file that the manifest knows from the same address with the same size is there already. One that is
    there but unknown (copied by hand, or renamed just before a kill) is verified and taken into the manifest
    when it is good, and fetched when not. A run that is interrupted leaves whole files and `.part` files,
    never half a file under its final name.

    Args:
        tasks: duplicates count once.
        root: made when it is not there; one run at a time works in it.
        policy: rate, connections, patience; by default 2 requests a second over 4 connections.
        progress: called in this thread with each path that is settled.

    Raises:
        FetchError: a path would leave the root, two addresses share a path, the limits make no sense, or
            another run is at work in the root.
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
        if task.path not in manifest.entries and final.is_file() and fault(final, final.name) is None:
            manifest.add(_entry(task, final))
            return "there", 0
        try:
            transfer.fetch(task.url, final)
        except GivenUpError as given_up:
            return Failure(task.path, task.url, str(given_up))
        except OSError as error:
            return Failure(task.path, task.url, f"cannot be written here ({error})")
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
        for future in as_completed(running):
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


def _known(manifest: Manifest, root: Path, task: Task) -> bool:
    entry = manifest.entries.get(task.path)
    path = root / task.path
    return (
        entry is not None and entry.url == task.url and path.is_file() and path.stat().st_size == entry.bytes
    )


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
                name, found=str(value), required="more than 0", remedy="Leave it out to take the default."
            )


def _unique(tasks: Iterable[Task], root: Path) -> list[Task]:
    """Each path once, in order."""
    by_path: dict[str, Task] = {}
    for task in tasks:
        check_path(task.path, root)
        other = by_path.setdefault(task.path, task)
        if other.url != task.url:
            raise FetchError(
                task.path,
                found=f"two addresses for it, {other.url} and {task.url}",
                required="one address a file",
                remedy="Give the two files different paths.",
            )
    return list(by_path.values())


def check_path(path: str, root: Path) -> None:
    """Refuse a path that would lie outside the root, by its text or through a link on the disk.

    Raises:
        FetchError: it does.
    """
    pure = PurePosixPath(path)
    plain = bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and pure.as_posix() == path
    if plain and not set(path) & set("\\\0:") and (root / path).resolve().is_relative_to(root.resolve()):
        return
    raise FetchError(
        repr(path),
        found="a path that leaves the download folder or cannot be a file's name",
        required="a plain relative path such as gene/antibody/file.jpg",
        remedy="Look at where the list of files came from.",
    )


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the root's lock; it goes with the process, however that ends."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(root / _LOCK, wait=False))
        except BlockingIOError as error:
            raise FetchError(
                root,
                found="another run that is fetching into this folder",
                required="one at a time",
                remedy="Wait for it, or stop it.",
            ) from error
        yield
