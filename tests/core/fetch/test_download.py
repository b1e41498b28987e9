"""Downloads from a server that fails, stalls, truncates and sends wrong data; the counts always add up."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pcip_core.errors import FetchError
from pcip_core.fetch.download import Task, download
from pcip_core.fetch.manifest import read_manifest
from pcip_core.fetch.pace import Policy
from tests.fake_atlas import FakeAtlas, jpg, png, serving, tif, tif_gz

# Client and server are threads of one process: on a loaded machine one may hear nothing of the other for seconds.
QUICK = Policy(rate_per_s=500, connections=4, attempts=3, backoff_s=0.02, stall_s=60, connect_s=60)
IMPATIENT = replace(QUICK, stall_s=1)  # for servers that stall


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAtlas]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as fake:
        yield fake


def _offer(server: FakeAtlas, n: int = 1, *, side: int = 24) -> list[Task]:
    for number in range(n):
        server.files[f"/{number}.jpg"] = jpg(number, side=side)
    return [Task(f"{server.url}/{number}.jpg", f"gene/{number}.jpg") for number in range(n)]


def _left_over(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*.part*"))


def test_every_kind_of_file_is_complete_and_recorded(server, tmp_path):
    kinds = {
        "a.jpg": jpg(1),
        "b.png": png(2),
        "c.tif.gz": tif_gz(3),
        "d.tif": tif(4),
        "e.xml": b"<a><b/></a>",
    }
    server.files |= {f"/{name}": body for name, body in kinds.items()}
    seen: list[str] = []
    tasks = [Task(f"{server.url}/{name}", f"x/{name}") for name in kinds]
    summary = download([*tasks, tasks[0]], tmp_path, QUICK, progress=seen.append)
    assert str(summary) == "5 found = 5 fetched + 0 already present + 0 failed"
    assert sorted(seen) == sorted(f"x/{name}" for name in kinds)
    entries = {entry.path: entry for entry in read_manifest(tmp_path)}
    for name, body in kinds.items():
        entry = entries[f"x/{name}"]
        assert (tmp_path / "x" / name).read_bytes() == body
        assert (entry.url, entry.bytes) == (f"{server.url}/{name}", len(body))
        assert entry.sha256 == hashlib.sha256(body).hexdigest()
        assert entry.fetched_at.endswith("+00:00")
    assert all("pcip" in agent for *_, agent in server.log)
    assert _left_over(tmp_path) == []


@pytest.mark.parametrize("mood", ["500", "503", "429:0", "cut", "stall", "drip", "html"])
def test_a_temporary_fault_is_retried(server, tmp_path, mood):
    (task,) = _offer(server)
    server.moods["/0.jpg"] = [mood]
    summary = download([task], tmp_path, IMPATIENT if mood in ("stall", "drip") else QUICK)
    assert summary.fetched == [task.path]
    assert (tmp_path / task.path).read_bytes() == server.files["/0.jpg"]
    assert len(server.log) == 2


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("500", "HTTP 500"),
        ("cut", "truncated"),
        ("stall", "stalled"),
        ("html", "a web page"),
        ("404", "HTTP 404"),
    ],
)
def test_a_permanent_fault_is_reported_and_the_next_run_tries_again(server, tmp_path, mood, reason):
    tasks = _offer(server, 3)
    server.moods["/1.jpg"] = [mood] * (1 if mood == "404" else QUICK.attempts)
    summary = download(tasks, tmp_path, IMPATIENT if mood == "stall" else QUICK)
    assert (summary.found, len(summary.fetched), len(summary.there)) == (3, 2, 0)
    assert [(failure.path, reason in failure.reason) for failure in summary.failed] == [("gene/1.jpg", True)]
    assert not (tmp_path / "gene/1.jpg").exists()
    asked = len(server.log)
    again = download(tasks, tmp_path, QUICK)
    assert str(again) == "3 found = 1 fetched + 2 already present + 0 failed"
    assert [path for _, path, *_ in server.log[asked:]] == ["/1.jpg"]
    assert (tmp_path / "gene/1.jpg").read_bytes() == server.files["/1.jpg"]


@pytest.mark.parametrize("body", [jpg(5)[:-60], jpg(5)[:-1], b"", tif(1), b"\xff\xd8\xff garbage \xff\xd9"])
def test_an_invalid_image_never_gets_the_final_name(server, tmp_path, body):
    server.files["/0.jpg"] = body
    summary = download([Task(f"{server.url}/0.jpg", "0.jpg")], tmp_path, QUICK)
    assert len(summary.failed) == 1
    assert not (tmp_path / "0.jpg").exists()
    assert _left_over(tmp_path) == []


@pytest.mark.parametrize("name", ["a.tif.gz", "a.tif", "a.png", "a.xml", "a.zip"])
def test_a_truncated_file_of_any_kind_is_refused(server, tmp_path, name):
    whole = {
        "a.tif.gz": tif_gz(1),
        "a.tif": tif(1),
        "a.png": png(1),
        "a.xml": b"<a><b/></a>",
        "a.zip": b"PK" * 9,
    }
    server.files[f"/{name}"] = whole[name][:-5]
    summary = download([Task(f"{server.url}/{name}", name)], tmp_path, replace(QUICK, attempts=1))
    assert "damaged" in summary.failed[0].reason


def test_a_partial_file_is_resumed_by_range_in_the_same_run_and_in_the_next(server, tmp_path):
    tasks = _offer(server, 1, side=200)
    body = server.files["/0.jpg"]
    server.moods["/0.jpg"] = ["cut", "cut"]
    summary = download(tasks, tmp_path, replace(QUICK, attempts=2))
    assert len(summary.failed) == 1
    assert _left_over(tmp_path) == ["0.jpg.part", "0.jpg.part.json"]
    part = (tmp_path / "gene/0.jpg.part").read_bytes()
    assert body.startswith(part)
    assert len(part) > len(body) // 2
    download(tasks, tmp_path, QUICK)
    assert (tmp_path / "gene/0.jpg").read_bytes() == body
    assert server.asked("/0.jpg") == [None, f"bytes={len(body) // 2}-", f"bytes={len(part)}-"]
    assert _left_over(tmp_path) == []


def test_a_server_without_ranges_sends_the_whole_file_again(server, tmp_path):
    (task,) = _offer(server)
    server.moods["/0.jpg"] = ["cut", "norange"]
    assert download([task], tmp_path, QUICK).fetched == [task.path]
    assert (tmp_path / task.path).read_bytes() == server.files["/0.jpg"]


@pytest.mark.parametrize("validators", [True, False])
def test_two_versions_of_a_file_are_never_joined(server, tmp_path, validators):
    (task,) = _offer(server)
    server.validators = validators
    server.moods["/0.jpg"] = ["cut"]
    download([task], tmp_path, replace(QUICK, attempts=1))
    assert "0.jpg.part" in _left_over(tmp_path)
    server.files["/0.jpg"] = jpg(99, side=32)
    assert download([task], tmp_path, QUICK).fetched == [task.path]
    assert (tmp_path / task.path).read_bytes() == server.files["/0.jpg"]


def test_the_server_sees_the_limits_on_requests_and_connections(server, tmp_path):
    """Without spacing, three connections would bring 60 requests per second.

    A request is logged some time after its moment, three at most at once. So of a window's requests three may be
    late ones, and the fourth request of all starts after the first one was logged.
    """
    server.delay_s = 0.05
    tasks = _offer(server, 30)
    download(tasks, tmp_path, replace(QUICK, rate_per_s=20, connections=3))
    times = [when for when, *_ in server.log]
    assert len(times) == 30
    assert times[-1] - times[0] >= (30 - 4) / 20
    assert max(sum(start <= when < start + 0.5 for when in times) for start in times) <= 3 + 11
    assert server.most_at_once <= 3
    assert server.most_connections <= 3


def test_retry_after_holds_every_connection(server, tmp_path):
    tasks = _offer(server, 20)
    server.delay_s = 0.05
    server.moods["/0.jpg"] = ["503:1"]
    download(tasks, tmp_path, replace(QUICK, connections=2, rate_per_s=500))
    times = [when for when, *_ in server.log]
    assert len(times) == 21
    asked = next(when for when, path, *_ in server.log if path == "/0.jpg")
    assert sum(when < asked + 1 for when in times) <= 10  # without holding: all but the second of /0.jpg


def test_a_server_that_asks_for_too_long_a_wait_ends_the_run_and_the_rest_counts_as_failed(server, tmp_path):
    tasks = _offer(server, 20)
    server.moods["/0.jpg"] = ["503:3600"]
    start = time.monotonic()
    summary = download(tasks, tmp_path, replace(QUICK, connections=1))
    assert time.monotonic() - start < 600
    assert summary.found == 20
    assert len(server.log) == 1
    assert {failure.reason for failure in summary.failed} == {"the server asks to wait 3600 s"}


def test_a_killed_run_leaves_complete_files_and_parts_and_the_next_run_resumes(server, tmp_path):
    tasks = _offer(server, 6, side=200)
    server.moods["/3.jpg"] = ["stall"]
    code = (
        "import sys, json; from pathlib import Path; from pcip_core.fetch.download import Task, download;"
        "from pcip_core.fetch.pace import Policy;"
        "download([Task(*task) for task in json.loads(sys.argv[1])], Path(sys.argv[2]),"
        " Policy(rate_per_s=500, connections=1, stall_s=600))"
    )
    arguments = json.dumps([[task.url, task.path] for task in tasks])
    with subprocess.Popen([sys.executable, "-c", code, arguments, str(tmp_path)]) as process:
        part = tmp_path / "gene/3.jpg.part"
        until = time.monotonic() + 110
        while not (server.asked("/3.jpg") and part.is_file()):
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert sorted(path.name for path in (tmp_path / "gene").glob("*.jpg")) == ["0.jpg", "1.jpg", "2.jpg"]
    manifest = tmp_path / "downloads.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-20])  # its last line is incomplete too
    summary = download(tasks, tmp_path, QUICK)
    assert str(summary) == "6 found = 3 fetched + 3 already present + 0 failed"
    assert server.asked("/3.jpg")[0] is None
    assert [len(server.asked(f"/{number}.jpg")) for number in range(6)] == [1, 1, 1, 2, 1, 1]
    assert {entry.path for entry in read_manifest(tmp_path)} == {task.path for task in tasks}
    for number, task in enumerate(tasks):
        assert (tmp_path / task.path).read_bytes() == server.files[f"/{number}.jpg"]


def test_files_copied_by_hand_are_used_if_valid_and_otherwise_replaced(server, tmp_path):
    good, bad = _offer(server, 2)
    (tmp_path / "gene").mkdir()
    (tmp_path / good.path).write_bytes(server.files["/0.jpg"])
    (tmp_path / bad.path).write_bytes(server.files["/1.jpg"][:100])
    summary = download([good, bad], tmp_path, QUICK)
    assert (summary.there, summary.fetched) == ([good.path], [bad.path])
    assert {entry.path for entry in read_manifest(tmp_path)} == {good.path, bad.path}


@pytest.mark.parametrize(
    "path", ["../a.jpg", "/a.jpg", "a/../../b.jpg", "a//b.jpg", "", "a\\b.jpg", "a\0b", "c:a"]
)
def test_a_path_that_leaves_the_root_is_refused(tmp_path, path):
    with pytest.raises(FetchError, match="leaves the download folder") as caught:
        download([Task("http://127.0.0.1:9/a.jpg", path)], tmp_path / "root", QUICK)
    assert caught.value.where == repr(path)


def test_a_symbolic_link_out_of_the_root_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "root/gene").symlink_to(tmp_path / "outside")
    with pytest.raises(FetchError, match="leaves the download folder"):
        download([Task("http://127.0.0.1:9/a.jpg", "gene/a.jpg")], tmp_path / "root", QUICK)


def test_a_refused_connection_another_scheme_and_two_addresses_for_a_path(server, tmp_path):
    (task,) = _offer(server)
    odd = [Task("http://127.0.0.1:9/a.jpg", "a.jpg"), Task("file:///etc/hostname", "b.jpg"), task]
    summary = download(odd, tmp_path, QUICK)
    reasons = {failure.path: failure.reason for failure in summary.failed}
    assert "connection refused" in reasons["a.jpg"]
    assert "not a web address" in reasons["b.jpg"]
    assert summary.fetched == [task.path]
    with pytest.raises(FetchError, match="two addresses"):
        download([task, replace(task, url=task.url + "?x")], tmp_path, QUICK)


def test_a_file_that_is_announced_as_too_large_is_refused(server, tmp_path):
    (task,) = _offer(server, side=200)
    summary = download([task], tmp_path, replace(QUICK, max_bytes=500))
    assert "more than 500" in summary.failed[0].reason


def test_only_one_run_at_a_time_can_use_a_folder(server, tmp_path):
    (task,) = _offer(server)

    def second(path: str) -> None:
        with pytest.raises(FetchError, match="another run"):
            download([task], tmp_path, QUICK)

    assert download([task], tmp_path, QUICK, progress=second).fetched == [task.path]


@pytest.mark.parametrize("seed", range(3))
def test_with_random_faults_the_counts_add_up_and_the_files_are_complete(server, tmp_path, seed):
    rng = random.Random(seed)
    tasks = _offer(server, 40, side=40)
    moods = ["", "", "500", "503", "cut", "html", "norange", "404", "429"]
    for number in range(40):
        server.moods[f"/{number}.jpg"] = rng.choices(moods, k=rng.randint(0, 6))
    for _ in range(8):
        summary = download(tasks, tmp_path, replace(QUICK, attempts=2, backoff_s=0.005))
        assert summary.found == 40
        paths = summary.fetched + summary.there + [failure.path for failure in summary.failed]
        assert sorted(paths) == sorted(task.path for task in tasks)
        here = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg")}
        assert here == {*summary.fetched, *summary.there}
        if not summary.failed:
            break
    assert not summary.failed
    for number, task in enumerate(tasks):
        assert (tmp_path / task.path).read_bytes() == server.files[f"/{number}.jpg"]
    assert _left_over(tmp_path) == []
