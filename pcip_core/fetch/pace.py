"""Rate limits: the limits of one run, and the clock that all its connections share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Event, Lock

USER_AGENT = "pcip/0.1 (paired cell inpainting; rate-limited research download)"


@dataclass(frozen=True)
class Policy:
    """The limits of one run.

    Args:
        rate_per_s: requests per second over all connections, including retries.
        connections: number of simultaneous connections.
        attempts: attempts per file; the bytes already received are kept between attempts.
        backoff_s: wait before the second attempt, s. It doubles for each further attempt and is multiplied by a
            random factor between 0.5 and 1.5, so that clients do not return at the same time.
        max_backoff_s: longest such wait, s.
        patience_s: longest wait that a server may request (`Retry-After`), s; a longer one ends the run.
        connect_s: time limit for opening a connection, s.
        stall_s: a connection that delivers less than 1 KiB in this time is closed, s.
        max_bytes: larger files are refused.
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
    """No further request may be made in this run. The message gives the reason."""


class Pace:
    """Schedules requests: 1 / rate seconds apart, and none while the server has asked clients to wait."""

    def __init__(self, rate_per_s: float, patience_s: float) -> None:
        self._interval_s, self._patience_s = 1.0 / rate_per_s, patience_s
        self._next, self._lock, self._closed = 0.0, Lock(), Event()
        self._reason = "stopped"

    def wait(self) -> None:
        """Return when the next request may start.

        Raises:
            ClosedError: the run was stopped, or the server asks for a wait longer than `patience_s`.
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
        """Let no connection start a request for this time. A time longer than `patience_s` ends the run."""
        if seconds > self._patience_s:
            self.close(f"the server asks to wait {seconds:.0f} s")
            return
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Wait before another attempt, but no longer than the run lasts."""
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
