"""A screen by the engine `ray`: the tables of a local run, its log, and other code on a worker."""

from __future__ import annotations

import shutil

import polars as pl
import pytest
import yaml

from pcip_assets.compute import interface
from pcip_assets.workspace import Workspace
from tests.assets.conftest import Finished

MADE_BY_SHARD = ("fields", "cells", "cell_features_inpainting_conv1", "cell_features_untrained_conv1")


def on_cluster(workspace: Workspace, address: str) -> None:
    values = {"engine": "ray", "address": address, "cpus": 1, "attempts": 2}
    (workspace.data / "compute.yaml").write_text(yaml.safe_dump(values))


def tables(screen: Finished) -> dict[str, pl.DataFrame]:
    store, name = screen.store, screen.screen.name
    return {table: store.read(name, table) for table in store.tables(name) if store.shards(name, table)}


def test_a_screen_by_ray_has_the_tables_of_a_local_run(
    cluster: str, finished: Finished, own: Finished
) -> None:
    former, commits = tables(finished), own.commits()
    for folder in (own.workspace.store / "tiny").glob("*/shard=*"):
        shutil.rmtree(folder)
    on_cluster(own.workspace, cluster)
    outcome = own.again()
    assert outcome.success, outcome.error
    made = tables(own)
    assert set(MADE_BY_SHARD) < set(made)
    assert made.keys() == former.keys()
    assert [name for name in made if not made[name].equals(former[name])] == []
    assert all(own.commits()[name, "plate_2"] != commits[name, "plate_2"] for name in MADE_BY_SHARD)
    logs = [log.user_message for log in own.dagster.all_logs(outcome.run_id)]
    for shard in ("plate_1", "plate_2"):
        assert any(f"tiny/cell_features {shard} (" in text and " rows in " in text for text in logs)
    again = own.again()
    assert again.success, again.error
    logs = [log.user_message for log in own.dagster.all_logs(again.run_id)]
    assert "tiny/crops: 2 of 2 shards up to date" in logs


def test_an_error_of_a_shard_reaches_the_run_with_its_remedy(cluster: str, own: Finished) -> None:
    on_cluster(own.workspace, cluster)
    (array,) = (own.workspace.store / "tiny" / "crops" / "shard=plate_2").glob("*.npy")
    array.unlink()
    shutil.rmtree(own.workspace.store / "tiny" / "cell_features_inpainting_conv1")
    outcome = own.again()
    assert not outcome.success
    assert "tiny/cell_features plate_2: tiny.crops shard plate_2: found no array file" in str(outcome.error)
    assert own.store.shards("tiny", "cell_features_inpainting_conv1") == ["plate_1"]


def test_other_code_on_a_worker_is_an_error(
    cluster: str, own: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cluster(own.workspace, cluster)
    monkeypatch.setattr("pcip_assets.assets.skeleton.code_version", lambda *_, **__: "of the run")
    outcome = own.again()
    assert not outcome.success
    assert "code of tiny/fields with the version " in str(outcome.error)
    assert (
        "required: the version of the process that started the run, of the run. Install the same pcip"
        in str(outcome.error)
    )


def test_a_shard_has_the_cpus_of_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert interface.cpus() == 64
    monkeypatch.setenv(interface.CPUS, "4")
    assert interface.cpus() == 4
