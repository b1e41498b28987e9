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
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urljoin

import requests
import urllib3

from pcip_core.fetch.addresses import refusal
from pcip_core.fetch.connections import Watch, new_session
from pcip_core.fetch.pace import USER_AGENT, ClosedError, Pace, Policy
from pcip_core.fetch.verify import fault

_CHUNK = 64 << 10
_REDIRECTED = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 5
_NUMBER = re.compile(r"[0-9]{1,18}")  # int() also accepts digits of other scripts, and takes long for many
_VALIDATOR = re.compile(r"[\x21-\x7e ]{1,1000}")  # what may be sent back in a header
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

    def fetch(self, url: str, final: Path, *, source: str | None = None) -> None:
        """Download `url` to `final`, which then holds the complete verified file or is unchanged.

        Args:
            url: the address.
            final: the file.
            source: the address of the page that names `url`; None if the user does.

        Raises:
            GivenUpError: the file cannot be downloaded; the reason is that of the last attempt.
        """
        part = final.with_name(final.name + ".part")
        if source is not None and (reason := refusal(url, source=source)) is not None:
            raise GivenUpError(f"the address on the page {reason}")
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
        with Watch(self._policy.stall_s) as watch:
            try:
                with closing(self._answer(url, headers, watch)) as response:
                    self._receive(response, url, part, have, version, watch)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                if watch.stalled:
                    raise _RetryError(f"stalled: under 1 KiB in {self._policy.stall_s:g} s") from error
                raise _RetryError(_transport_reason(error, self._policy)) from error

    def _answer(self, url: str, headers: dict[str, str], watch: Watch) -> requests.Response:
        """Request an address and follow its redirects; the body is not read."""
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._session().get(
                url,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(self._policy.connect_s, self._policy.stall_s),
            )
            watch.restart()
            if response.status_code not in _REDIRECTED or "Location" not in response.headers:
                return response
            response.close()
            try:
                target = urljoin(url, response.headers["Location"])
            except ValueError:
                target = response.headers["Location"]
            if (reason := refusal(target, source=url)) is not None:
                raise GivenUpError(f"the redirect {reason}")
            url = target
        raise GivenUpError(f"more than {_MAX_REDIRECTS} redirects")

    def _receive(
        self,
        response: requests.Response,
        url: str,
        part: Path,
        have: int,
        version: _Version | None,
        watch: Watch,
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
        size = self._write(response, part, have, watch)
        if watch.stalled:
            raise _RetryError(f"stalled: under 1 KiB in {self._policy.stall_s:g} s")
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

    def _write(self, response: requests.Response, part: Path, have: int, watch: Watch) -> int:
        """Append the body to the first `have` bytes and return the new size."""
        size = have
        with part.open("ab" if have else "wb") as stream:
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                stream.write(chunk)
                size += len(chunk)
                watch.receive(len(chunk))
                if size > self._policy.max_bytes:
                    raise GivenUpError(f"more than {self._policy.max_bytes:,} bytes")
                if self._pace.closed:
                    raise GivenUpError("stopped")
            stream.flush()
            os.fsync(stream.fileno())
        return size

    def _session(self) -> requests.Session:
        """The session of this thread, with one persistent connection per host."""
        if not hasattr(self._local, "session"):
            self._local.session = new_session()
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
    tag, date = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
    validator = date if not tag or tag.startswith("W/") else tag
    return validator if _VALIDATOR.fullmatch(validator) else None


def _length(response: requests.Response, have: int) -> int | None:
    """The length of the complete file, if the server states it."""
    if response.status_code == 206:
        content_range = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes [0-9]+-[0-9]+/([0-9]{1,18})", content_range)
        if match:
            return int(match[1])
    length = response.headers.get("Content-Length", "")
    if not _NUMBER.fullmatch(length):
        return None
    return int(length) + (have if response.status_code == 206 else 0)


def _range_start(response: requests.Response) -> int | None:
    match = re.match(r"bytes ([0-9]{1,18})-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _retry_after(value: str | None) -> float:
    """Seconds to wait according to a `Retry-After` header, a number or a date; 0 without a header."""
    if not value:
        return 0.0
    if _NUMBER.fullmatch(value.strip()):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
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
