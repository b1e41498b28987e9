"""HTTP connections that end when their server sends too little, in headers and in bodies.

A time limit of `requests` applies to each read, so a server that sends one byte from time to time is never too slow.
`Watch` measures what arrives in total, and cuts the connection of its thread.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_LEAST_BYTES = 1 << 10
_current = threading.local()


class Watch:
    """Cut the connection of this thread when less than 1 KiB arrives in `stall_s` seconds.

    The headers of a response must arrive within one such period. `stalled` tells whether the connection was cut.
    """

    def __init__(self, stall_s: float) -> None:
        self.stalled = False
        self._stall_s, self._since, self._received = stall_s, time.monotonic(), 0
        self._line: socket.socket | None = None
        self._ended, self._thread = threading.Event(), threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        _current.watch = self
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        _current.watch = None

    def use(self, line: socket.socket | None) -> None:
        """Watch this connection from now on."""
        self._line = line
        self.restart()

    def restart(self) -> None:
        """Begin a new period."""
        self._since, self._received = time.monotonic(), 0

    def receive(self, count: int) -> None:
        """Count bytes of the body."""
        self._received += count
        if self._received >= _LEAST_BYTES:
            self.restart()

    def _run(self) -> None:
        while not self._ended.wait(min(1.0, self._stall_s / 4)):
            if time.monotonic() - self._since > self._stall_s and self._line is not None:
                self.stalled = True
                try:
                    self._line.shutdown(socket.SHUT_RDWR)
                except OSError:  # the connection is closed already
                    return


class _Watched:
    """A connection that announces itself to the watch of its thread; `line` is a second handle of its socket."""

    line: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        opened: socket.socket = super()._new_conn()  # type: ignore[misc]
        self._release()
        self.line = opened.dup()
        self._announce()
        return opened

    def request(self, *arguments: Any, **options: Any) -> None:
        self._announce()
        super().request(*arguments, **options)  # type: ignore[misc]

    def close(self) -> None:
        super().close()  # type: ignore[misc]
        self._release()

    def _announce(self) -> None:
        if (watch := getattr(_current, "watch", None)) is not None:
            watch.use(self.line)

    def _release(self) -> None:
        if self.line is not None:
            self.line.close()
            self.line = None


class _Http(_Watched, HTTPConnection):
    pass


class _Https(_Watched, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Leave redirects to the caller: requests would read the whole body of a redirect into memory."""


def new_session() -> requests.Session:
    """A session of watched connections, which follows no redirects."""
    session = _Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session
