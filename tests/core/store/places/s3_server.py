"""An S3 server on 127.0.0.1 with faults: moto behind a layer that delays, refuses and cuts requests.

Puts of one server are done one after the other, as moto compares the version and then stores the object.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any

from moto.backends import get_backend
from moto.server import DomainDispatcherApplication, create_backend_app
from obstore.store import S3Store
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "bucket"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@dataclass
class Faults:
    """What happens to requests, each with a probability. `cut` is the share of the body that arrives before the cut."""

    refuse: float = 0.0  # 503 before the request is done
    forget: float = 0.0  # done, and the connection is cut before the answer
    cut: float = 0.0  # the connection is cut amid the request, which is not done
    slow: float = 0.0  # by 50 ms
    only: str = ""  # requests whose path contains this
    method: str = "PUT GET DELETE HEAD"
    done: list[str] = field(default_factory=list)
    random: random.Random = field(default_factory=lambda: random.Random(1))


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class S3Server:
    """The server; `faults` may be changed while it runs."""

    def __init__(self) -> None:
        self._app, self._puts = (
            DomainDispatcherApplication(create_backend_app),
            threading.Lock(),
        )
        self.faults = Faults()
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a client."""
        url = f"http://127.0.0.1:{self._server.port}"
        return {**KEYS, "AWS_ENDPOINT_URL": url}

    def __enter__(self) -> S3Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path, faults = environ["REQUEST_METHOD"], environ["PATH_INFO"], self.faults
        if method not in faults.method or faults.only not in path:
            return self._do(environ, start)
        draw = faults.random.random
        if draw() < faults.slow:
            time.sleep(0.05)
        if draw() < faults.refuse:
            faults.done.append(f"refused {method}")
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("503 Slow Down", [("Content-Length", "0")])
            return []
        if draw() < faults.cut:
            faults.done.append(f"cut {method}")
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            return _cut(environ)
        answer = self._do(environ, start)
        if draw() < faults.forget:
            faults.done.append(f"forgot {method}")
            return _cut(environ)
        return answer

    def _do(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._puts:
            return list(self._app(environ, start))


def _cut(environ: dict[str, Any]) -> Iterable[bytes]:
    """Cut the connection without an answer."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return []


def raw() -> S3Store:
    """The bucket of the environment, without the store."""
    return S3Store(BUCKET, client_options={"allow_http": "true"})


def objects() -> list[str]:
    """The names of all objects, as the server lists them."""
    return sorted(each["path"].removeprefix("some/prefix/") for page in raw().list() for each in page)


def backdate(name: str, age: timedelta) -> None:
    """Let the server believe that it got an object earlier."""
    (buckets,) = (each["aws"].buckets for each in get_backend("s3").values())
    buckets[BUCKET].keys[f"some/prefix/{name}"].last_modified -= age


def make_bucket(server: S3Server) -> None:
    """Make the bucket of the tests anew, without objects."""
    import urllib.request

    url = server.settings["AWS_ENDPOINT_URL"]
    for path, method in (("/moto-api/reset", "POST"), (f"/{BUCKET}", "PUT")):
        with urllib.request.urlopen(urllib.request.Request(url + path, method=method)):
            pass
