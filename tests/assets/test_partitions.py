"""The shards of a screen as partitions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy.exc import IntegrityError

from pcip_assets.partitions import register_shards
from pcip_core.spec.loading import load_screen
from tests.conftest import write_tiny_screen


def test_two_runs_register_the_shards_of_a_screen_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run registers one of them while this one does."""
    screen = load_screen(write_tiny_screen(tmp_path, plates=3, images=1))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        add = instance.add_dynamic_partitions

        def add_late(name: str, shards: Sequence[str]) -> Any:
            if len(shards) == 3:
                add(name, ["plate_2"])
                raise IntegrityError(
                    "INSERT", None, Exception("UNIQUE constraint failed")
                )  # as SQLite says it
            add(name, shards)

        monkeypatch.setattr(instance, "add_dynamic_partitions", add_late)
        assert register_shards(instance, screen) == ["plate_1", "plate_2", "plate_3"]
        assert sorted(instance.get_dynamic_partitions("tiny_shards")) == ["plate_1", "plate_2", "plate_3"]
