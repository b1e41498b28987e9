"""Calls on a cluster: results, messages, errors, lost workers, and their end with the process of the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from pcip_assets.compute.cluster import connect, require_room
from pcip_assets.compute.settings import Compute, Needs
from pcip_assets.compute.tasks import Calls, results_of
from pcip_assets.workspace import REPOSITORY
from pcip_core.errors import ComputeError, SpecError
from tests.assets.compute.jobs import call


def calls(folder: Path, heard: list[Any], *, gpus: float = 0) -> Calls:
    return Calls(
        "tiny/fields", partial(call, folder), Needs(cpus=1, gpus=gpus), 3, lambda *told: heard.append(told)
    )


def begun(folder: Path, item: str) -> int:
    return len((folder / item).read_text().splitlines())


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 240
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_failed_call_stops_no_other_and_is_named(cluster: str, tmp_path: Path) -> None:
    heard: list[Any] = []
    ended = {}
    items = ["plate_1", "dies", "explained", "unexplained", "dies once", "plate_2"]
    results = results_of(calls(tmp_path, heard), items)
    with pytest.raises((SpecError, ComputeError)) as caught:
        ended.update((item, result.value) for item, result in results)
    assert ended == {"plate_1": "PLATE_1", "plate_2": "PLATE_2", "dies once": "DIES ONCE"}
    assert {item: begun(tmp_path, item) for item in items} == {
        **dict.fromkeys(items, 1), "dies": 3, "dies once": 2
    }  # fmt: skip
    text = "\n".join([str(caught.value), *caught.value.__notes__])
    assert "tiny/fields explained: field_1.tif: found 40 px; required: 64 px. Crop larger fields." in text
    assert "tiny/fields unexplained: found KeyError: 'no such channel'" in text
    assert "tiny/fields dies: found a worker lost in each of 3 attempts (WorkerCrashedError" in text
    assert ("plate_1", ("info", "plate_1 has begun")) in heard
    warnings = [item for item, (level, _) in heard if level == "warning"]
    assert sorted(warnings) == ["dies", "dies", "dies once"]


def test_an_error_of_the_user_keeps_its_class(cluster: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^tiny/fields explained: field_1.tif: found 40 px"):
        list(results_of(calls(tmp_path, []), ["explained"]))


def test_an_endless_message_is_cut(cluster: str, tmp_path: Path) -> None:
    with pytest.raises(ComputeError, match="tiny/fields endless: found ValueError: xxx") as caught:
        list(results_of(calls(tmp_path, []), ["endless"]))
    (note,) = caught.value.__notes__
    assert "Traceback" in note
    assert len(str(caught.value)) < 2_000
    assert len(note) < 25_000


def test_messages_arrive_while_a_call_runs_and_leaving_the_loop_ends_it(cluster: str, tmp_path: Path) -> None:
    class LeaveError(Exception):
        pass

    def hear(item: str, message: Any) -> None:
        raise LeaveError(message[1])

    waiting = Calls("tiny/fields", partial(call, tmp_path), Needs(cpus=1), 3, hear)
    with pytest.raises(LeaveError, match="stays has begun"):
        list(results_of(waiting, ["stays"]))
    (pid,) = map(int, (tmp_path / "stays").read_text().split())
    wait_until(lambda: not psutil.pid_exists(pid))


def test_calls_end_with_a_process_that_is_terminated_or_killed(cluster: str, tmp_path: Path) -> None:
    drivers = {}
    for number in (signal.SIGTERM, signal.SIGKILL):
        folder = tmp_path / number.name
        folder.mkdir()
        code = f"from tests.assets.compute.jobs import drive; drive({cluster!r}, {str(folder)!r})"
        drivers[number] = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, env=dict(os.environ))
    for number, driver in drivers.items():
        marks = tmp_path / number.name / "stays"
        wait_until(lambda marks=marks: marks.is_file() and marks.read_text().endswith("\n"))
        (pid,) = map(int, marks.read_text().split())
        driver.send_signal(number)
        driver.wait(120)
        wait_until(lambda pid=pid: not psutil.pid_exists(pid))


def test_what_no_node_can_hold_is_refused(cluster: str, tmp_path: Path) -> None:
    with pytest.raises(
        ComputeError, match=r"tiny/fields on the Ray cluster: found .* required: 1 x 1 CPUs, 7 GPUs"
    ):
        list(results_of(calls(tmp_path, [], gpus=7), ["plate_1"]))
    with pytest.raises(ComputeError, match=r"required: 4000 x 1 CPUs"):
        require_room("training", Needs(cpus=1), 4000)
    require_room("training", Needs(cpus=0.001), 2)


REFUSED = """
import os, pytest, socketserver, sys, threading
from pcip_assets.compute import cluster
from pcip_core.errors import ComputeError
from pcip_assets.compute.settings import Compute
cluster._ANSWERS_WITHIN_S = 2.0

class Answers(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(10)
        self.request.sendall(self.server.answer)
        self.request.recv(1000 if self.server.answer else 1)
        threading.Event().wait(0 if self.server.answer else 5)

def refused(address, *expected):
    with pytest.raises(ComputeError, match="found no cluster that answers") as caught:
        cluster.connect(Compute(engine="ray", address=address))
    assert f"address: {address} (data/compute.yaml)" in str(caught.value), caught.value
    assert "ray start --head" in str(caught.value)
    assert all(each in str(caught.value) for each in expected), caught.value

refused("127.0.0.1:1", "refused")
os.environ["RAY_ADDRESS"] = "127.0.0.1:1"
refused("auto", "refused")
os.environ["RAY_ADDRESS"] = "ray://127.0.0.1:1"
refused("auto", "HOST:PORT")
for answer, expected in ((b"HTTP/1.1 400 Bad Request", "another server"), (b"", "timed out")):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads, server.answer = True, answer
        threading.Thread(target=server.serve_forever, daemon=True).start()
        refused(f"127.0.0.1:{server.server_address[1]}", expected)
        server.shutdown()
"""


def test_an_address_where_no_cluster_answers_is_refused_at_once() -> None:
    command = [sys.executable, "-c", REFUSED]  # Ray itself would try for minutes
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr


def test_a_cluster_of_pcip_listens_on_the_loopback_alone(cluster: str) -> None:
    listening = [
        connection.laddr.ip
        for process in psutil.Process().children(recursive=True)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) > 3
    assert {address.removeprefix("::ffff:") for address in listening} <= {"127.0.0.1", "::1"}


def test_a_process_connects_once(cluster: str) -> None:
    assert connect(Compute(engine="ray", address=cluster)).is_initialized()
