"""Servers that start together and stop together, with all processes that they started."""

import contextlib
import ctypes
import http.client
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import psutil

from pcip_core.errors import PcipError

_STOPPING_S = 1.8  # that servers and runs have to end by themselves
_CALLERS_STOPPING_S = 1.0  # that servers which call others have before
_DYING_S = 1.0  # that the system has to end what is killed
_POLL_S = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, the terminal is closed


class Servers:
    """The servers of one command. As a context manager, it stops them at its end.

    Each server is the leader of a process group, so that one signal reaches it and all that it started, also
    what its own child has left behind. Ctrl-C reaches this process alone, which then stops them all: first those
    that call another one. Dagster's daemon fails, and records it, if the code server ends during one of its calls.

    Args:
        folder: the working directory of the servers.
        environment: their environment variables.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._callers: set[str] = set()
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Servers":
        """Turn each signal that asks this process to end into a KeyboardInterrupt."""
        for number in _SIGNALS:  # a shell in the background ignores SIGINT by default
            self._handlers[number] = signal.getsignal(number)
            if number != signal.SIGHUP or self._handlers[number] != signal.SIG_IGN:  # as nohup does
                signal.signal(number, _interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all servers; a second Ctrl-C kills them at once."""
        try:
            click.echo("stopping (Ctrl-C again kills at once)", err=True)
            self._stop(self._callers, _CALLERS_STOPPING_S)
            self._stop(self._processes.keys(), _STOPPING_S)
        except KeyboardInterrupt:
            pass
        finally:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            self._signal(self._processes.keys(), signal.SIGKILL)
            for process in self._processes.values():
                process.wait()
            self._wait_for_end(self._processes.keys(), _DYING_S)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def start(self, name: str, command: Sequence[str], *, calls_others: bool = False) -> None:
        """Start a server.

        Args:
            name: what messages call it.
            command: program and arguments.
            calls_others: it calls other servers, which must not end before it.
        """
        if calls_others:
            self._callers.add(name)
        self._processes[name] = subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_prepare,
        )

    def wait(self, until: Callable[[], bool] | None = None, within_s: float = math.inf) -> bool:
        """Wait until a condition holds, and return whether it does; without a condition, for ever.

        Args:
            until: the condition, which is tried again and again.
            within_s: the longest wait in seconds.

        Raises:
            PcipError: a server has ended.
            KeyboardInterrupt: the user asks to stop.
        """
        end = time.monotonic() + within_s
        while until is None or not until():
            if time.monotonic() > end:
                return False
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise PcipError(
                        name,
                        found=f"it ended by itself (exit status {process.returncode})",
                        required="a server that runs until you stop it",
                        remedy="Its last messages are above; correct their cause and start again.",
                    )
            time.sleep(_POLL_S)
        return True

    def _stop(self, names: Collection[str], within_s: float) -> None:
        """Ask the processes of servers to end, and kill those that take longer than they may."""
        self._signal(names, signal.SIGTERM)
        self._wait_for_end(names, within_s)
        self._signal(names, signal.SIGKILL)

    def _wait_for_end(self, names: Collection[str], at_most_s: float) -> None:
        """Wait until no process of these servers runs."""
        end = time.monotonic() + at_most_s
        while self._any_runs(names) and time.monotonic() < end:
            time.sleep(_POLL_S)

    def _signal(self, names: Collection[str], number: signal.Signals) -> None:
        """Send a signal to all processes of servers."""
        for name in names:
            with contextlib.suppress(
                ProcessLookupError, PermissionError
            ):  # the latter on macOS: about to end
                os.killpg(self._processes[name].pid, number)

    def _any_runs(self, names: Collection[str]) -> bool:
        """Whether a process of these servers runs. One that has ended is in its group until its parent collects it."""
        groups = {self._processes[name].pid for name in names}
        for process in psutil.process_iter(["status"]):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) in groups:
                    return True
        return False


def answers(host: str, port: int) -> bool:
    """Whether a web server answers there within two seconds, with pages or with an error."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _prepare() -> None:
    """Have SIGTERM end this process, and have Linux send it when the parent is killed; other systems cannot.

    Where SIGINT is ignored, as in the background of a script, Dagster ignores SIGTERM too, and children inherit that.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
