"""The objects of an object store, through obstore: reads, puts on a condition, and errors that say what to do."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pcip_core.errors import MissingPackageError, StoreError

_TRANSFERS = 3  # attempts; the client repeats each request by itself, but not those of several parts
_PIECE = 2**20  # bytes
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")  # those that obstore reads
_ENDPOINT = re.compile(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?", re.ASCII)
_NO_BUCKET = "NoSuchBucket"
_ANSWER = re.compile(r"<Code>(.*?)</Code>|<Message>(.*?)</Message>", re.DOTALL)  # in the XML of a server
_OF_AMAZON = "169.254.169.254"  # where a machine of Amazon's finds keys


class Listed(NamedTuple):
    """An object without its content; `changed` is by the clock of the server."""

    name: str
    version: str
    changed: datetime


class Objects:
    """The objects under a URL, such as `s3://bucket/prefix`. All methods raise StoreError if the server fails."""

    def __init__(self, url: str) -> None:
        try:
            from obstore.store import from_url
        except ImportError as error:
            raise MissingPackageError(
                url,
                found="no package obstore",
                required="obstore, for a store in an object store",
                remedy="Install it: pip install 'pcip[s3]'",
            ) from error
        self.url = url
        own = any(each.startswith("http://") for each in _endpoints())  # a server within the laboratory
        with self._stated():
            self._store: Any = from_url(
                url, client_options={"timeout": "120s", "connect_timeout": "10s", "allow_http": own}
            )

    def folders(self) -> list[str]:
        """The first parts of the names of all objects."""
        with self._stated():
            return [path.rstrip("/") for path in self._store.list_with_delimiter()["common_prefixes"]]

    def list(self, beginning: str) -> list[Listed]:
        """The objects in a folder, whose name ends with /, and in its folders."""
        with self._stated():
            pages = self._store.list(beginning)
            return [
                Listed(each["path"], each["e_tag"], each["last_modified"]) for page in pages for each in page
            ]

    def read(self, name: str) -> tuple[bytes, Listed]:
        """The content of an object.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._stated():
            got = self._store.get(name)
            return bytes(got.bytes()), Listed(name, got.meta["e_tag"], got.meta["last_modified"])

    def replace(self, name: str, content: bytes, version: str | None) -> bool:
        """Put an object if the present one has this version, or if there is none; False if it is not so.

        It is not so either if the present one has been removed.
        After an interruption it may be put although this returns False or raises StoreError.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._stated():
            try:
                self._store.put(name, content, mode="create" if version is None else {"e_tag": version})
            except (AlreadyExistsError, PreconditionError):
                return False
            except FileNotFoundError as error:  # what Amazon's server answers where there is none any more
                if version is None or _NO_BUCKET in str(error):
                    raise
                return False
            return True

    def upload(self, name: str, file: Path) -> None:
        """Put an object that has the content of a file, under a name of its own."""
        self._repeated(lambda: self._store.put(name, file))

    def delete(self, name: str) -> None:
        """Remove an object, if it exists."""
        with self._stated():
            self._store.delete(name)

    def download(self, name: str, to: Path) -> None:
        """Write the content of an object to a file.

        Raises:
            FileNotFoundError: there is no such object.
        """

        def write() -> None:
            with to.open("wb") as file:
                for piece in self._store.get(name).stream(min_chunk_size=_PIECE):
                    file.write(piece)

        self._repeated(write)

    def _repeated(self, transfer: Callable[[], object]) -> None:
        """Transfer a file, again from the beginning if the connection breaks."""
        from obstore.exceptions import BaseError

        with self._stated():
            for attempt in range(_TRANSFERS):
                try:
                    transfer()
                    return
                except BaseError:
                    if attempt == _TRANSFERS - 1:
                        raise
                pause(attempt)

    @contextmanager
    def _stated(self) -> Iterator[None]:
        """State what the object store did not do, and the remedy."""
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            if _NO_BUCKET not in str(error):
                raise
            raise self._failure(error) from error
        except BaseError as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> StoreError:
        text = str(error)
        answer = ": ".join(dict.fromkeys(code or message for code, message in _ANSWER.findall(text)))
        reason = answer or text.splitlines()[0]
        keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        if _OF_AMAZON in text:
            reason = f"neither {keys}, nor keys of a machine of Amazon's"
        return StoreError(
            self.url,
            found=f"an object store that does not do as asked ({reason[:300]})",
            required="one that answers, with permission to read, write, list and delete",
            remedy=f"Check the URL, AWS_ENDPOINT_URL, {keys}, and run the same command again.",
        )


def _endpoints() -> list[str]:
    """The addresses of servers of your own in the environment; obstore ends the process at one that is none.

    Raises:
        StoreError: one is none.
    """
    found = {name: os.environ[name] for name in _ENDPOINTS if os.environ.get(name)}
    for name, value in found.items():
        if not (_ENDPOINT.fullmatch(value) and _has_valid_port(value)):
            raise StoreError(
                name,
                found="no address" if "@" in value else repr(value[:100]),  # it may hold a password
                required="the address of an S3 server, such as https://s3.lab.example:9000",
                remedy="Correct it, or leave it out for Amazon's server.",
            )
    return [*found.values()]


def _has_valid_port(address: str) -> bool:
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False


def pause(attempt: int) -> None:
    """Wait before another attempt, for longer the more there were."""
    time.sleep(random.uniform(0, min(2.0, 0.02 * 2**attempt)))
