"""Quick disks: no test here loses power."""

from __future__ import annotations

import pytest

from pcip_core.store import journal


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not brought to the disk in this process; processes that a test kills do."""
    monkeypatch.setattr(journal, "sync", lambda path: None)
