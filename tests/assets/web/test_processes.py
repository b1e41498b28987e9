"""Servers leave nothing behind, however they are stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from pcip_assets.web import processes
from pcip_assets.web.processes import Servers, answers
from pcip_core.errors import PcipError

WILLING = ["sh", "-c", "sleep 1000 & echo $! > started; wait"]
STUBBORN = ["sh", "-c", "trap '' TERM; sleep 1000 & echo $! > started; sleep 1000"]


@pytest.fixture
def servers(tmp_path: Path) -> Servers:
    return Servers(tmp_path, os.environ)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("_STOPPING_S", "_CALLERS_STOPPING_S"):
        monkeypatch.setattr(processes, limit, 600)  # a test that waits for it never ends


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert [child for child in psutil.Process().children(recursive=True) if "sleep" in child.name()] == []


def running(folder: Path) -> bool:
    """Whether the process that the server started runs."""
    pid = int((folder / "started").read_text())
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def require_end(folder: Path) -> None:
    """Wait for the process to end: on a busy machine, even what is killed takes a moment."""
    end = time.monotonic() + 60
    while running(folder):
        assert time.monotonic() < end
        time.sleep(0.02)


def interrupt_after(seconds: float, number: signal.Signals = signal.SIGINT) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), number)).start()


def serve(servers: Servers, command: Sequence[str], folder: Path, then: Callable[[], None]) -> None:
    """Start a server that starts another process, do something else, and wait as `pcip ui` does."""
    with servers:
        servers.start("the first", command)
        servers.wait(until=(folder / "started").exists)
        then()
        servers.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_server_and_what_it_started(
    servers: Servers, tmp_path: Path, number: signal.Signals
) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # under nohup, SIGHUP would be ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            serve(servers, WILLING, tmp_path, lambda: interrupt_after(0.1, number))
        require_end(tmp_path)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_what_does_not_end_in_time_is_killed(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_STOPPING_S", 0.3)
    with pytest.raises(KeyboardInterrupt):
        serve(servers, STUBBORN, tmp_path, lambda: interrupt_after(0.1))
    require_end(tmp_path)


def test_servers_end_before_those_that_they_call(servers: Servers, tmp_path: Path) -> None:
    caller = (
        "trap 'sleep 0.3; kill -0 $(cat started) && touch answered; exit' TERM; touch ready; "
        "while :; do sleep 0.05; done"
    )
    with servers:
        servers.start("the called", ["sh", "-c", "echo $$ > started; exec sleep 1000"])
        servers.start("the caller", ["sh", "-c", caller], calls_others=True)
        servers.wait(until=(tmp_path / "started").exists)
        servers.wait(until=(tmp_path / "ready").exists)
    assert (tmp_path / "answered").is_file()
    require_end(tmp_path)


def test_a_second_interrupt_kills_at_once(servers: Servers, tmp_path: Path) -> None:
    def interrupt_twice() -> None:
        interrupt_after(0.1)
        interrupt_after(0.4)

    with pytest.raises(KeyboardInterrupt):
        serve(servers, STUBBORN, tmp_path, interrupt_twice)
    require_end(tmp_path)


def test_a_server_that_ends_is_an_error_and_stops_the_others(servers: Servers, tmp_path: Path) -> None:
    with pytest.raises(PcipError, match=r"the second: found it ended by itself \(exit status 3\)"):
        serve(servers, WILLING, tmp_path, lambda: servers.start("the second", ["sh", "-c", "exit 3"]))
    require_end(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_servers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal\n"
        "from pcip_assets.web.processes import Servers\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"  # as Dagster does where SIGINT is ignored
        "servers = Servers(pathlib.Path(), os.environ)\n"
        "servers.start('it', ['sh', '-c', 'echo $$ > started; exec sleep 1000']); servers.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    while not (tmp_path / "started").is_file() or not (tmp_path / "started").read_text():
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    require_end(tmp_path)


def test_waiting_has_a_limit(servers: Servers) -> None:
    with servers:
        servers.start("the first", ["sleep", "1000"])
        assert not servers.wait(until=lambda: False, within_s=0.05)
        assert servers.wait(until=lambda: True)


def test_a_port_answers_once_a_web_server_does() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        assert not answers("127.0.0.1", port)
        listening.listen()

        def reply() -> None:
            other, _ = listening.accept()
            with other:
                other.recv(1000)
                other.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=reply)
        thread.start()
        assert answers("127.0.0.1", port)
        thread.join()
