"""A store in an object store: an S3 server of moto for all tests of this folder, and an empty bucket for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pcip_core.store.partitions import Store
from pcip_core.store.places import place
from tests.core.store.places.s3_server import BUCKET, Faults, S3Server, make_bucket


@pytest.fixture(scope="session")
def running() -> Iterator[S3Server]:
    """The server."""
    with S3Server() as server:
        yield server


@pytest.fixture
def server(running: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3Server:
    """The server with an empty bucket and no faults; the environment names it."""
    running.faults = Faults()
    make_bucket(running)
    place._bucket.cache_clear()
    for name, value in {**running.settings, "PCIP_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    return running


@pytest.fixture
def store(server: S3Server) -> Store:
    """An empty store in the bucket."""
    return Store(f"s3://{BUCKET}/some/prefix")
