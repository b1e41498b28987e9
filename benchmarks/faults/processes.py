"""Commands of pcip as processes with limits, forked from one that has imported everything: each starts at once."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from benchmarks.faults.kill_points import Changes, KillPoint
from pcip_assets.workspace import REPOSITORY

LIMIT_S = 300.0  # for one run of a small screen, on a machine that does much else
IDLE_S, IDLE_CPU_S = 10.0, 0.05  # a process that does this little for this long hangs
MEMORY_MB = 1536.0
_POLL_S = 0.05
TRACEBACK = "Traceback (most recent call last)"
DONE, REFUSED, UNCLEAR, TRACED, KILLED = "done", "refused", "unclear", "traceback", "killed"
HUNG, TOO_LARGE = "hung", "over memory"

_LIBC = ctypes.CDLL(None)  # loaded here, because a child that was forked beside threads must not
_FORKSERVER = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Ending:
    """How a process ended.

    Attributes:
        kind: `done`, `refused` (with a message that states a remedy), `unclear` (a message without), `traceback`,
            `killed` (by the trial), `hung` or `over memory`.
        output: what it printed.
        note: where it was killed, or its counts of changes.
        seconds, peak_mb: wall time, and the largest resident memory.
    """

    kind: str
    output: str
    note: str
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Place:
    """A folder with a workspace and all else that one trial writes."""

    folder: Path

    @property
    def data(self) -> Path:
        """The workspace, PCIP_DATA."""
        return self.folder / "data"

    @property
    def scratch(self) -> Path:
        """Temporary files of its processes, TMPDIR."""
        return self.folder / "tmp"


def prepare() -> None:
    """Have the process imported from which all others are forked; takes about ten seconds on an idle core."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("PCIP_DATA")
        os.environ["PCIP_DATA"] = (
            folder  # the code location is imported, and lists the screens of a workspace
        )
        _FORKSERVER.set_forkserver_preload(["benchmarks.faults.preloaded"])
        assert call(os.getpid) is not None
        if before is None:
            del os.environ["PCIP_DATA"]
        else:
            os.environ["PCIP_DATA"] = before


class Command:
    """One command of pcip in its own process group."""

    def __init__(
        self,
        place: Place,
        arguments: Sequence[str],
        *,
        point: KillPoint | None = None,
        count: bool = False,
        file_limit_kb: int | None = None,
    ) -> None:
        """Start it.

        Args:
            place: its workspace.
            arguments: what follows `pcip`.
            point: where it kills itself.
            count: count its changes instead.
            file_limit_kb: the largest file that it may write.
        """
        self._prepare(place)
        watched = Changes(place.data, place.scratch, self._note, point) if point or count else None
        self.process: BaseProcess | _Popen = _FORKSERVER.Process(
            target=_carry_out, args=(list(arguments), _variables(place), self._output, watched, file_limit_kb)
        )
        self.process.start()

    def _prepare(self, place: Place) -> None:
        place.scratch.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.folder, prefix="output_")
        os.close(handle)
        self._output, self._note = Path(name), Path(f"{name}.note")
        self._started = time.monotonic()

    def wait(self, limit_s: float = LIMIT_S, *, may_idle: bool = False) -> Ending:
        """Wait for its end; after the limits it is killed.

        Args:
            limit_s: wall time.
            may_idle: it may wait for others for longer than IDLE_S.
        """
        kind, peak = _watch(self.process, limit_s, may_idle=may_idle)
        self.kill()
        output = self._output.read_text(errors="replace")
        note = self._note.read_text() if self._note.exists() else ""
        for file in (self._output, self._note):
            file.unlink(missing_ok=True)
        kind = kind or _kind_of(self.process.exitcode, output)
        return Ending(kind, output, note, time.monotonic() - self._started, peak)

    def kill(self) -> None:
        """kill -9 to the process and to all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()  # before it has its own group
        self.process.join()


class Program(Command):
    """One command of pcip in a new Python, as users start it, with some more variables in its environment."""

    def __init__(
        self,
        place: Place,
        arguments: Sequence[str],
        *,
        module: str = "pcip_assets.cli",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._prepare(place)
        with self._output.open("wb") as output:
            self.process = _Popen(
                [sys.executable, "-m", module, *arguments],
                env={**os.environ, **_variables(place), **(environment or {})},
                stdout=output,
                stderr=output,
                cwd=REPOSITORY,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )


def _end_with_parent() -> None:
    """Have Linux end this process when the trial is killed."""
    if sys.platform == "linux":
        _LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class _Popen(subprocess.Popen[bytes]):
    """A Popen with the methods of a process of multiprocessing."""

    def is_alive(self) -> bool:
        return self.poll() is None

    def join(self, timeout: float | None = None) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout)

    @property
    def exitcode(self) -> int | None:
        return self.returncode


def _variables(place: Place) -> dict[str, str]:
    return {"PCIP_DATA": str(place.data), "TMPDIR": str(place.scratch)}


def run_pcip(place: Place, *arguments: object, **options: Any) -> Ending:
    """Carry out one command of pcip to its end."""
    return Command(place, [str(argument) for argument in arguments], **options).wait()


def call(function: Callable[..., Any], *arguments: Any, limit_s: float = LIMIT_S) -> Any:
    """The result of a function in its own process.

    Raises:
        RuntimeError: it raised an exception, was killed, or exceeded the limits; with its traceback.
    """
    ours, theirs = _FORKSERVER.Pipe(duplex=False)
    process = _FORKSERVER.Process(target=_answer, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    end = time.monotonic() + limit_s
    try:
        while not ours.poll(_POLL_S):
            if time.monotonic() > end or not process.is_alive():
                raise RuntimeError(f"{function.__name__}: no answer within {limit_s:g} s")
        is_result, value = ours.recv()
    except EOFError as error:
        raise RuntimeError(f"{function.__name__}: ended without an answer") from error
    finally:
        process.kill()
        process.join()
    if not is_result:
        raise RuntimeError(value)
    return value


def start(function: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """A function in a process that the caller ends."""
    process = _FORKSERVER.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def pipe() -> tuple[Connection, Connection]:
    """The end to receive from, and the end to send to."""
    return _FORKSERVER.Pipe(duplex=False)


def _answer(connection: Connection, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    try:
        connection.send((True, function(*arguments)))
    except BaseException:
        connection.send((False, traceback.format_exc()))


def _carry_out(
    arguments: list[str],
    variables: Mapping[str, str],
    output: Path,
    changes: Changes | None,
    file_limit_kb: int | None,
) -> None:
    """The child: print to a file, and carry out the command as the installed script does."""
    from pcip_assets import tracking
    from pcip_assets.cli.main import main

    os.setsid()
    log = os.open(output, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.update(variables)
    tempfile.tempdir = None  # the parent has looked it up
    tracking.SYSTEM_METRICS_EVERY_S = 0.2  # trainings here last a second
    sys.argv = ["pcip", *arguments]
    if changes is not None:
        changes.watch()
    if file_limit_kb is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit_kb * 1024,) * 2)
    try:
        main()
    finally:
        if changes is not None and changes.point is None:
            changes.write_counts()


def _watch(process: BaseProcess | _Popen, limit_s: float, *, may_idle: bool) -> tuple[str | None, float]:
    """Wait for the end of a process; return the limit that it exceeded, and its peak in MB."""
    begin = active = time.monotonic()
    cpu, peak = 0.0, 0.0
    while process.is_alive():
        process.join(_POLL_S)
        now = time.monotonic()
        with contextlib.suppress(psutil.Error):
            alive = psutil.Process(process.pid)
            peak = max(peak, alive.memory_info().rss / 2**20)
            used = sum(sum(each.cpu_times()[:2]) for each in (alive, *alive.children(recursive=True)))
            if abs(used - cpu) > IDLE_CPU_S:
                cpu, active = used, now
        if peak > MEMORY_MB:
            return TOO_LARGE, peak
        if now - begin > limit_s or (now - active > IDLE_S and not may_idle):
            return HUNG, peak
    return None, peak


def _kind_of(exitcode: int | None, output: str) -> str:
    if exitcode == -signal.SIGKILL:
        return KILLED
    if TRACEBACK in output or (exitcode is not None and exitcode < 0):
        return TRACED
    if exitcode == 0:
        return DONE
    return REFUSED if "; required: " in output else UNCLEAR
