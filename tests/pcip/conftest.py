"""A tiny workspace with results, as `pcip run` leaves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcip_core.store import journal
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from tests.core.store import small


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a workspace with one screen, `tiny`, of two plates; look, do not touch."""
    folder = tmp_path_factory.mktemp("workspace")
    store = Store(folder / "data" / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "sync", lambda path: None)
        small.fill(store, "tiny")
    publish(store, folder / "data" / "feature_store.duckdb")
    return folder
