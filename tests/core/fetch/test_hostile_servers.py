"""Servers that answer byte by byte, with impossible headers, or with redirects to other servers of this machine."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pcip_core.errors import FetchError
from pcip_core.fetch import verify
from pcip_core.fetch.addresses import refusal
from pcip_core.fetch.download import Summary, Task, download
from pcip_core.fetch.hpa_entry import read_entry
from pcip_core.fetch.pace import Policy
from tests.fake_atlas import jpg

QUICK = Policy(rate_per_s=500, connections=1, attempts=1, backoff_s=0.01, stall_s=0.4, connect_s=5)
OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[str]]]:
    """A server that calls `answer` with each connection; yields its address and the first lines of requests."""
    asked: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with closing(connection), suppress(OSError):
                    asked.append(connection.recv(4096).split(b"\r\n")[0].decode())
                    answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        listener.close()


def drip(start: bytes) -> Callable[[socket.socket], None]:
    """Send `start`, then one byte every 0.05 s, for at most 10 s."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)

    return answer


def fetched(folder: Path, answer: Callable[[socket.socket], None], policy: Policy = QUICK) -> Summary:
    """The summary of downloading one picture from such a server."""
    with answering(answer) as (url, _):
        return download([Task(f"{url}/a.jpg", "a.jpg")], folder, policy)


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        OK + b"Content-Length: 100000\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5;",
    ],
    ids=["status line", "header", "body", "length of a chunk"],
)
def test_a_dripping_server_is_left_after_the_stall_limit(tmp_path, monkeypatch, start):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    begin = time.monotonic()
    (failure,) = fetched(tmp_path, drip(start)).failed
    assert failure.reason.startswith("stalled: under 1 KiB in 0.4 s")
    assert time.monotonic() - begin < 8  # the server would go on for 10


def test_a_slow_server_that_keeps_to_the_limit_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    body = jpg(1, side=112)

    def answer(connection: socket.socket) -> None:
        connection.sendall(OK + f"Content-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), 2000):
            connection.sendall(body[start : start + 2000])
            time.sleep(0.3)

    policy = Policy(rate_per_s=500, connections=1, attempts=1, stall_s=1, connect_s=5)
    assert fetched(tmp_path, answer, policy).fetched == ["a.jpg"]
    assert len(body) > 6000


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: ²",
        "Content-Length: ٣",
        "Content-Length: " + "9" * 5000,
        "Content-Length: -1",
        'ETag: "\x07\x7f"\r\nContent-Length: 3',
        "Content-Range: bytes " + "9" * 5000 + "-1/2",
    ],
)
def test_a_number_that_is_none_in_a_header_fails_only_this_file(tmp_path, monkeypatch, header):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for status in (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 206 Partial\r\n"):
        summary = fetched(tmp_path, lambda to, s=status: to.sendall(s + header.encode() + b"\r\n\r\nabc"))
        assert (summary.found, len(summary.failed)) == (1, 1)
    assert not (tmp_path / "a.jpg").exists()


@pytest.mark.parametrize(
    "value", ["²", "٣٠", "9" * 5000, "Mon, 99 Foo 99999999999 99:99:99 +9999999999", "-5", "nan", "inf"]
)
def test_a_retry_after_that_is_no_number_fails_only_this_file(tmp_path, monkeypatch, value):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    answer = f"HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode()
    (failure,) = fetched(tmp_path, lambda to: to.sendall(answer)).failed
    assert failure.reason.startswith(("HTTP 503", "the server asks to wait"))


def test_a_redirect_to_another_server_of_this_machine_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    body = jpg(3)
    whole = OK + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    with answering(lambda to: to.sendall(whole)) as (other, asked):
        port = other.rpartition(":")[2]
        targets = [
            f"{other}/x.jpg",
            f"http://localhost:{port}/x.jpg",
            f"http://[::1]:{port}/",
            "file:///etc/hosts",
        ]
        targets += [
            f"http://127.1:{port}/x.jpg",
            f"http://2130706433:{port}/x.jpg",
            "http://[bad/",
            f"//{other[7:]}/",
        ]
        for target in targets:
            reply = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()
            (failure,) = fetched(tmp_path, lambda to, r=reply: to.sendall(r)).failed
            assert failure.reason.startswith("the redirect leads to"), target
        assert asked == []


def test_redirects_within_a_server_are_followed_five_times(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    body = jpg(3)
    whole = OK + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    left = 5

    def answer(connection: socket.socket) -> None:
        nonlocal left
        left -= 1
        reply = b"HTTP/1.1 302 Found\r\nLocation: /b.jpg\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(whole if left < 0 else reply)

    assert fetched(tmp_path, answer).fetched == ["a.jpg"]
    left = 6
    (failure,) = fetched(tmp_path / "again", answer).failed
    assert failure.reason == "more than 5 redirects"


def test_a_page_cannot_name_a_server_of_this_machine(tmp_path):
    with answering(lambda to: None) as (url, asked):
        task = Task(f"{url}/a.jpg", "a.jpg", source="https://www.proteinatlas.org/ENSG00000000001.xml")
        (failure,) = download([task], tmp_path, QUICK).failed
    assert failure.reason.startswith("the address on the page leads to")
    assert asked == []
    assert refusal("http://192.168.1.7/x", source="http://10.0.0.1/") is not None
    assert refusal("http://93.184.216.34/x", source="http://10.0.0.1/") is None


def test_a_name_that_is_too_long_for_a_file_fails_only_this_file(tmp_path):
    paths = ["x" * 300 + ".jpg", "é" * 130, "/".join(["deep"] * 600)]
    summary = download([Task("http://127.0.0.1:9/a.jpg", path) for path in paths], tmp_path, QUICK)
    assert {failure.reason for failure in summary.failed} == {"a name that is too long for a file"}
    assert summary.found == 3


def test_a_file_that_unpacks_to_more_than_the_limit_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "MAX_UNPACKED_BYTES", 1 << 20)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(2 << 20)))
    tifffile.imwrite(
        tmp_path / "b.tif", np.zeros((3, 1000, 1000), np.uint8), compression="zlib", photometric="minisblack"
    )
    (tmp_path / "c.tif.gz").write_bytes(gzip.compress((tmp_path / "b.tif").read_bytes() + bytes(2 << 20)))
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(2 << 20))
    (tmp_path / "e.xml").write_bytes(b"<a>" * 300)
    (tmp_path / "f.xml").write_text("<?xml version='1.0' encoding='utf-99'?><a/>")
    faults = {path.name: verify.fault(path, path.name) for path in tmp_path.iterdir()}
    assert {name: "damaged" in (fault or "") for name, fault in faults.items()} == dict.fromkeys(faults, True)
    assert len(faults) == 6


@pytest.mark.parametrize(
    "page",
    [
        "<?xml version='1.0' encoding='utf-99'?><a/>",
        "<a>" * 1000,
        "<a><identifier id='" + "E" * 5000 + "'/></a>",
        "<!DOCTYPE a [<!ENTITY b 'bbbbbbbbbb'>" + "<!ENTITY c '" + "&b;" * 9 + "'>]><a>&c;</a>",
    ],
    ids=["encoding", "depth", "long id", "entities"],
)
def test_a_hostile_page_is_no_page(tmp_path, page):
    path = tmp_path / "page.xml"
    path.write_text(page)
    with pytest.raises(FetchError):
        read_entry(path)
