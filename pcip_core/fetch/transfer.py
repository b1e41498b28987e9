"""Download of one file over HTTP, with retries, resumption and verification, before it gets its final name.

The received bytes of `a.jpg` are in `a.jpg.part`. `a.jpg.part.json` records their version (ETag or Last-Modified,
and length), so that a resumed download never joins two versions.
"""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests
import urllib3

from pcip_core.fetch.pace import USER_AGENT, ClosedError, Pace, Policy
from pcip_core.fetch.verify import fault

_CHUNK = 64 << 10
_STALLED_BYTES = 1 << 10
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
_BUSY = {429, 503}


class GivenUpError(Exception):
    """A file cannot be downloaded in this run. The message gives the reason."""


class _RetryError(Exception):
    """This attempt failed, but another may succeed after at least `wait_s`."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        self.reason, self.wait_s = reason, wait_s
        super().__init__(reason)


@dataclass(frozen=True)
class _Version:
    """The version of the file whose start is in a `.part` file."""

    url: str
    validator: str | None
    total: int | None


class Transfer:
    """Downloads files from any number of threads; each thread has its own connection."""

    def __init__(self, policy: Policy, pace: Pace) -> None:
        self._policy, self._pace, self._local = policy, pace, threading.local()

    def fetch(self, url: str, final: Path) -> None:
        """Download `url` to `final`, which then holds the complete verified file or is unchanged.

        Raises:
            GivenUpError: the file cannot be downloaded; the reason is that of the last attempt.
        """
        part = final.with_name(final.name + ".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        reason = "no attempt was allowed"
        for attempt in range(self._policy.attempts):
            try:
                self._pace.wait()
                self._once(url, part)
                damage = fault(part, final.name)
                if damage is None:
                    part.replace(final)
                    _version_file(part).unlink(missing_ok=True)
                    return
                _discard(part)
                raise _RetryError(damage)
            except ClosedError as closed:
                raise GivenUpError(str(closed)) from closed
            except _RetryError as again:
                reason = again.reason
                if attempt + 1 < self._policy.attempts:
                    self._pace.sleep(max(again.wait_s, self._backoff(attempt)))
        raise GivenUpError(f"{reason} ({self._policy.attempts} attempts)")

    def _backoff(self, attempt: int) -> float:
        wait = min(self._policy.backoff_s * 2**attempt, self._policy.max_backoff_s)
        return wait * random.uniform(0.5, 1.5)

    def _once(self, url: str, part: Path) -> None:
        """Make one attempt. If it succeeds, `part` has the length that the server announced."""
        have, version = _resumable(part, url)
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if version is not None and version.validator:
                headers["If-Range"] = version.validator
        try:
            response = self._session().get(
                url, headers=headers, stream=True, timeout=(self._policy.connect_s, self._policy.stall_s)
            )
            with closing(response):
                self._receive(response, url, part, have, version)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _RetryError(_transport_reason(error, self._policy)) from error

    def _receive(
        self, response: requests.Response, url: str, part: Path, have: int, version: _Version | None
    ) -> None:
        self._refuse_errors(response, part)
        total = _length(response, have)
        if response.status_code == 206:
            if _range_start(response) != have or (version and version.total not in (None, total)):
                _discard(part)
                raise _RetryError("the file has changed on the server since its first part was received")
        else:  # the complete file, even if a range was requested
            have = 0
            _remember(part, _Version(url, _validator(response), total))
        if (total or 0) > self._policy.max_bytes:
            raise GivenUpError(f"the server announces {total:,} bytes, more than {self._policy.max_bytes:,}")
        size = self._write(response, part, have)
        if total is not None and size != total:
            raise _RetryError(f"truncated: {size:,} of {total:,} bytes")

    def _refuse_errors(self, response: requests.Response, part: Path) -> None:
        status = response.status_code
        if status in (200, 206):
            return
        if status == 416:
            _discard(part)
            raise _RetryError("the server does not have this range of the file")
        if status not in _RETRIED:
            raise GivenUpError(f"HTTP {status} {response.reason}")
        wait_s = _retry_after(response.headers.get("Retry-After"))
        if status in _BUSY and wait_s:
            self._pace.hold(wait_s)
        raise _RetryError(f"HTTP {status} {response.reason}", wait_s)

    def _write(self, response: requests.Response, part: Path, have: int) -> int:
        """Append the body to the first `have` bytes and return the new size."""
        size, since, received = have, time.monotonic(), 0
        with part.open("ab" if have else "wb") as stream:
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                stream.write(chunk)
                size, received = size + len(chunk), received + len(chunk)
                if size > self._policy.max_bytes:
                    raise GivenUpError(f"more than {self._policy.max_bytes:,} bytes")
                if self._pace.closed:
                    raise GivenUpError("stopped")
                if time.monotonic() - since > self._policy.stall_s:
                    if received < _STALLED_BYTES:
                        raise _RetryError(f"stalled: {received} bytes in {self._policy.stall_s:g} s")
                    since, received = time.monotonic(), 0
            stream.flush()
            os.fsync(stream.fileno())
        return size

    def _session(self) -> requests.Session:
        """The session of this thread, with one persistent connection per host."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.max_redirects = 5
        session: requests.Session = self._local.session
        return session


def _resumable(part: Path, url: str) -> tuple[int, _Version | None]:
    """Return the number of bytes that can be resumed and their version; 0 if their version is unknown."""
    try:
        version = _Version(**json.loads(_version_file(part).read_text(encoding="utf-8")))
        have = part.stat().st_size
    except (OSError, ValueError, TypeError):
        return 0, None
    if version.url != url or (version.total is not None and have >= version.total):
        return 0, None
    if version.validator is None and version.total is None:
        return 0, None
    return have, version


def _remember(part: Path, version: _Version) -> None:
    part.unlink(missing_ok=True)  # first, so that the bytes and their version never disagree
    _version_file(part).write_text(json.dumps(asdict(version)), encoding="utf-8")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _validator(response: requests.Response) -> str | None:
    """The validator for `If-Range`: a strong ETag, otherwise the date of the last change."""
    tag = response.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    return response.headers.get("Last-Modified")


def _length(response: requests.Response, have: int) -> int | None:
    """The length of the complete file, if the server states it."""
    if response.status_code == 206:
        match = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if match:
            return int(match[1])
    length = response.headers.get("Content-Length", "")
    if not length.isdigit():
        return None
    return int(length) + (have if response.status_code == 206 else 0)


def _range_start(response: requests.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _retry_after(value: str | None) -> float:
    """Seconds to wait according to a `Retry-After` header, a number or a date; 0 without a header."""
    if not value:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _transport_reason(error: Exception, policy: Policy) -> str:
    """Describe a transport error."""
    text = f"{type(error).__name__} {error}"
    if "IncompleteRead" in text:
        return "truncated: the connection ended before the end of the file"
    if "ReadTimeout" in text or "Read timed out" in text:
        return f"stalled: no data for {policy.stall_s:g} s"
    if "ConnectTimeout" in text:
        return f"no connection within {policy.connect_s:g} s"
    if "Connection refused" in text:
        return "connection refused"
    if "NameResolution" in text:
        return "the name of the server cannot be resolved"
    return f"{type(error).__name__}: {str(error)[:200]}"
