"""A store, and one that is filled and published. Quick disks: no test here loses power."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pcip_core.store import journal
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from tests.core.store import small


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not brought to the disk in this process; processes that a test kills do."""
    monkeypatch.setattr(journal, "sync", lambda path: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feature_store.duckdb"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One screen of two plates, published."""
    folder = tmp_path_factory.mktemp("template")
    small.fill(Store(folder / "store"), "scr")
    publish(Store(folder / "store"), folder / "feature_store.duckdb")
    return folder


@pytest.fixture
def filled(template: Path, store: Store, path: Path) -> Store:
    """A copy of the template."""
    shutil.copytree(template, path.parent, dirs_exist_ok=True)
    return store
