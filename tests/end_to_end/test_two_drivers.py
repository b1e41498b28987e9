"""Two machines add different plates to one screen at once, with one store and one MLflow, each with its own Dagster.

Each machine is a workspace with its own cache; both run on this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pcip_assets.workspace import Workspace
from pcip_core.store.partitions import Store
from pcip_core.store.places import place
from pcip_core.store.publish import answer
from tests import postgres
from tests.conftest import write_tiny_screen
from tests.core.store.places.s3_server import BUCKET, S3Server, make_bucket
from tests.results import tables_of

WITHIN_S = 900.0
LATER = ("plate_2", "plate_3")
BY_SHARD = ("fields", "crops", "cell_features", "control_features")


@dataclass
class Lab:
    """A screen whose first plate is there, and machines that process it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "screen").mkdir(parents=True)
        self.spec = write_tiny_screen(self.folder / "screen", name="tiny", plates=3)
        for plate in LATER:
            shutil.move(self.folder / "screen" / "images" / plate, self.folder / plate)

    def add_plates(self) -> None:
        for plate in LATER:
            shutil.move(self.folder / plate, self.folder / "screen" / "images" / plate)

    def machine(self, name: str, files: dict[str, str] | None = None) -> Workspace:
        """A new workspace, with these files."""
        data = self.folder / name / "data"
        data.mkdir(parents=True)
        for file, text in (files or {}).items():
            (data / file).write_text(text)
        return Workspace(data)

    def start(self, machine: Workspace, *words: str) -> subprocess.Popen[str]:
        """Start `pcip run` on a machine."""
        here = {"PCIP_DATA": str(machine.data), "PCIP_CACHE": str(machine.data.parent / "cache")}
        return subprocess.Popen(
            [sys.executable, "-m", "pcip_assets.cli", "run", str(self.spec), *words],
            env={**os.environ, **here, **self.environment},
            cwd=machine.data.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, machine: Workspace) -> str:
        """`pcip run` of all plates; what it printed."""
        return ended(self.start(machine))


def ended(run: subprocess.Popen[str]) -> str:
    output = run.communicate(timeout=WITHIN_S)[0]
    assert run.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """The tables of one machine that does all of it."""
    lab = Lab(tmp_path_factory.mktemp("alone"))
    alone = lab.machine("alone")
    lab.run(alone)
    lab.add_plates()
    lab.run(alone)
    return tables_of(Store(alone.store), "tiny")


@dataclass(frozen=True)
class Shared:
    """What both machines name: their store, their MLflow, and what PostgreSQL then knows."""

    lab: Lab
    machines: tuple[Workspace, Workspace]
    server: postgres.Postgres
    mlflow: str


@pytest.fixture(params=["folder", "bucket"])
def shared(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shared]:
    lab, place_of_store = Lab(tmp_path / "lab"), tmp_path / "lab" / "shared"
    with ExitStack() as stack:
        server = stack.enter_context(postgres.running())
        lab.environment["PGPASSFILE"] = str(server.passwords)
        database, artifacts = server.create(), str(tmp_path / "artifacts")
        if request.param == "bucket":
            bucket = stack.enter_context(S3Server())
            make_bucket(bucket)
            lab.environment |= bucket.settings
            lab.environment["MLFLOW_S3_ENDPOINT_URL"] = bucket.settings["AWS_ENDPOINT_URL"]
            artifacts = f"s3://{BUCKET}/mlflow"
            place._bucket.cache_clear()  # of another test's server
            for name, value in {**bucket.settings, "PCIP_CACHE": str(tmp_path / "cache")}.items():
                monkeypatch.setenv(name, value)
        files = {"servers.yaml": f"mlflow: {server.url(database)}\nartifacts: {artifacts}\n"}
        if request.param == "bucket":
            files["store"] = f"s3://{BUCKET}/lab\n"
        machines = lab.machine("first", files), lab.machine("second", files)
        if request.param == "folder":
            place_of_store.mkdir()
            for machine in machines:
                (machine.data / "store").symlink_to(place_of_store)
        yield Shared(lab, machines, server, database)


def test_two_machines_add_different_plates_at_once(shared: Shared, expected: dict[str, pl.DataFrame]) -> None:
    first, second = shared.machines
    shared.lab.run(first)
    shared.lab.add_plates()
    runs = [
        shared.lab.start(machine, "--shards", plate)
        for machine, plate in zip(shared.machines, LATER, strict=True)
    ]
    for run in runs:
        ended(run)
    store = Store(first.store)
    commits = by_shard(store)
    assert {shard for _, shard in commits} == {"plate_1", *LATER}
    shared.lab.run(second)
    assert by_shard(store) == commits, "nothing of the other is made again"
    mine = tables_of(store, "tiny")
    assert sorted(mine) == sorted(expected)
    for table, rows in expected.items():
        here = ["spec"] if table == "screen" else []  # which names the folder of the images
        assert_frame_equal(mine[table].drop(here), rows.drop(here))
    query = "SELECT name, version FROM model_versions"
    assert shared.server.sql(query, shared.mlflow) == ["tiny|1"], "one encoder for both"
    cells = "SELECT shard, count(*) FROM tiny.cell_features_inpainting_conv3 GROUP BY shard ORDER BY shard"
    published = answer(second.published, cells)
    assert published["shard"].to_list() == ["plate_1", *LATER]
    with dg.DagsterInstance.from_config(str(second.dagster_home)) as instance:
        for noun in BY_SHARD:
            shards = instance.get_materialized_partitions(dg.AssetKey(["tiny", noun]))
            assert shards == {"plate_1", *LATER}, "its Dagster knows the plates of both"


def by_shard(store: Store) -> dict[tuple[str, str], str]:
    """(table, shard) -> the commit that made it."""
    return {
        (table, str(shard)): (store.provenance("tiny", table, shard) or {})["commit_id"]
        for table in store.tables("tiny")
        for shard in store.shards("tiny", table)
        if shard is not None
    }
