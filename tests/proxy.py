"""nginx with the configuration of the page on teams, on free ports of 127.0.0.1, with a certificate of its own."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.conftest import REPOSITORY
from tests.postgres import free_ports

PAGE = REPOSITORY / "docs" / "how-to" / "share-with-a-team.md"
LISTENS = (8443, 8444, 9443, 9444)  # on the page
SERVED = {"dagster": 3000, "mlflow": 5000, "dagster_shown": 3001, "mlflow_shown": 5001}  # on the page
NAME, MEMBER, MEMBERS_PASSWORD = "lab.example", "ada", "of-the-member"
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_TRUSTING = ssl.create_default_context()
_TRUSTING.check_hostname, _TRUSTING.verify_mode = False, ssl.CERT_NONE


def configuration() -> str:
    """The file for nginx on the page."""
    (text,) = re.findall(r"^```text\n(map .*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(text)


@contextmanager
def running(
    folder: Path, served: Mapping[str, int]
) -> Iterator[tuple[dict[int, int], Callable[..., tuple[int, str]]]]:
    """nginx before the pages at these ports: the port of each `listen` of the page, and a function that calls it."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        pytest.skip("no nginx on this machine (Debian: apt-get install nginx)")
    text = configuration().replace("/etc/nginx/", f"{folder}/")
    ports = dict(zip(LISTENS, free_ports(len(LISTENS)), strict=True))
    for written, port in ports.items():
        text = text.replace(f"listen {written}", f"listen 127.0.0.1:{port}").replace(
            f"{NAME}:{written}", f"{NAME}:{port}"
        )
    for key, written in SERVED.items():
        text = text.replace(f"127.0.0.1:{written};", f"127.0.0.1:{served[key]};")
    _write_secrets(folder)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log {folder}/errors; daemon off; user root;\n"
        f"events {{}}\nhttp {{ access_log off;\n{temporary}{text}}}\n"
    )
    server = subprocess.Popen([nginx, "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "errors"])
    try:
        _wait_for(server, ports[8443])
        yield ports, call
    finally:
        server.terminate()
        server.wait(30)


def _write_secrets(folder: Path) -> None:
    """A certificate, and the file of passwords as the page makes it."""
    subject = ["-subj", f"/CN={NAME}", "-keyout", folder / "pcip.key", "-out", folder / "pcip.crt"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run(command, check=True, capture_output=True)
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", MEMBERS_PASSWORD], check=True, capture_output=True, text=True
    )
    for name in ("pcip.materialize", "pcip.look"):
        (folder / name).write_text(f"{MEMBER}:{hashed.stdout}")


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10).close()
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)


def call(
    port: int,
    method: str,
    path: str,
    *,
    password: str | None = MEMBERS_PASSWORD,
    body: object = None,
    host: str | None = None,
    origin: str | None = None,
) -> tuple[int, str]:
    """The status and the body of an answer, or where it leads."""
    headers = {"Host": host or f"{NAME}:{port}"}
    if password is not None:
        headers["Authorization"] = _basic(password)
    if body is not None:
        headers |= {"Content-Type": "application/json", "Origin": origin or f"https://{NAME}:{port}"}
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=_TRUSTING, timeout=120)
    connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    if response.status == 302:
        return 302, str(response.headers["Location"])
    return response.status, "" if response.status == 401 else text


def websocket_answers(port: int) -> bool:
    """Whether the socket by which Dagster's pages follow runs passes the proxy."""
    with connect(
        f"wss://{NAME}:{port}/graphql",
        sock=socket.create_connection(("127.0.0.1", port)),
        ssl=_TRUSTING,
        origin=f"https://{NAME}:{port}",  # type: ignore[arg-type]
        subprotocols=["graphql-ws"],  # type: ignore[list-item]
        additional_headers={"Authorization": _basic(MEMBERS_PASSWORD)},
        open_timeout=120,
    ) as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        return bool(json.loads(opened.recv(120))["type"] == "connection_ack")


def _basic(password: str) -> str:
    return "Basic " + b64encode(f"{MEMBER}:{password}".encode()).decode()
