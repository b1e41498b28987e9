"""One Ray cluster on the loopback, for all tests of a process that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pcip_assets.compute.cluster import connect
from pcip_assets.compute.settings import Compute


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a cluster to which this process is connected."""
    ray = connect(Compute(engine="ray", address="local"))
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
