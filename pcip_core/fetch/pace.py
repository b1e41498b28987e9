"""How hard a server is asked: the limits of one run, and the clock that all its connections share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Event, Lock

USER_AGENT = "pcip/0.1 (paired cell inpainting; rate-limited research download)"


@dataclass(frozen=True)
class Policy:
    """The limits of one run.

    Args:
        rate_per_s: requests a second over all connections, retries included.
        connections: connections open at one time.
        attempts: tries a file; what has arrived is kept between them.
        backoff_s: wait before the second try; doubled for each further one, between half and one and a
            half times that at random, so that many clients do not come back at one moment.
        max_backoff_s: longest such wait.
        patience_s: longest wait that a server may ask for (`Retry-After`); asked for more, the run ends.
        connect_s: limit for making a connection.
        stall_s: a connection that brings less than 1 KiB in this time is given up.
        max_bytes: a larger file is refused.
    """

    rate_per_s: float = 2.0
    connections: int = 4
    attempts: int = 5
    backoff_s: float = 1.0
    max_backoff_s: float = 60.0
    patience_s: float = 600.0
    connect_s: float = 10.0
    stall_s: float = 30.0
    max_bytes: int = 1 << 30


class ClosedError(Exception):
    """No further request may be made in this run; the message says why."""


class Pace:
    """Gives each request its moment: 1 / rate seconds apart, and none while the server wants to rest."""

    def __init__(self, rate_per_s: float, patience_s: float) -> None:
        self._interval_s, self._patience_s = 1.0 / rate_per_s, patience_s
        self._next, self._lock, self._closed = 0.0, Lock(), Event()
        self._reason = "stopped"

    def wait(self) -> None:
        """Return when the next request may start.

        Raises:
            ClosedError: the run was stopped, or the server asks for more patience than there is.
        """
        while not self._closed.is_set():
            with self._lock:
                now = time.monotonic()
                left = self._next - now
                if left <= 0:
                    self._next = now + self._interval_s
                    return
            self._closed.wait(left)
        raise ClosedError(self._reason)

    def hold(self, seconds: float) -> None:
        """Let no connection start a request for so long; longer than the patience closes the run."""
        if seconds > self._patience_s:
            self.close(f"the server asks to come back in {seconds:.0f} s")
            return
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Wait before a further try; cut short when the run is closed."""
        self._closed.wait(seconds)

    def close(self, reason: str = "stopped") -> None:
        """Let no further request start."""
        if not self._closed.is_set():
            self._reason = reason
            self._closed.set()

    @property
    def closed(self) -> bool:
        """Whether no further request may start."""
        return self._closed.is_set()
