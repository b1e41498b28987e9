"""A screen on a Ray cluster, its store in a bucket and its records on PostgreSQL: the results of one machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pcip_core.store.partitions import Store
from pcip_core.store.places import place
from pcip_core.store.publish import answer
from tests import postgres
from tests.conftest import write_tiny_screen
from tests.core.store.places.s3_server import BUCKET, S3Server, make_bucket
from tests.results import tables_of

WITHIN_S = 900.0


def run(folder: Path, spec: Path, **environment: str) -> str:
    """`pcip run` in a workspace; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pcip_assets.cli", "run", str(spec)],
        env={**os.environ, "PCIP_DATA": str(folder / "data"), **environment},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_cluster_with_a_bucket_and_servers_has_the_results_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, team = tmp_path / "alone", tmp_path / "team"
    for folder in (alone, team):
        (folder / "data").mkdir(parents=True)
    (tmp_path / "screen").mkdir()
    spec = write_tiny_screen(tmp_path / "screen", name="tiny", plates=2)
    run(alone, spec)
    with postgres.running() as server, S3Server() as bucket:
        make_bucket(bucket)
        databases = {name: server.create() for name in ("dagster", "mlflow")}
        files = {
            "servers.yaml": "".join(
                f"{name}: {server.url(database)}\n" for name, database in databases.items()
            ),
            "compute.yaml": "engine: ray\naddress: local\ncpus: 1\n",
            "store": f"s3://{BUCKET}/lab\n",
        }
        for name, text in files.items():
            (team / "data" / name).write_text(text)
        settings = {**bucket.settings, "PCIP_CACHE": str(tmp_path / "cache")}
        run(team, spec, PGPASSFILE=str(server.passwords), **settings)

        place._bucket.cache_clear()  # of another test's server
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        mine = tables_of(Store(team / "data" / "store"), "tiny")
        query = 'SELECT count(DISTINCT partition) FROM event_logs WHERE asset_key = \'["tiny", "crops"]\''
        assert server.sql(query, databases["dagster"]) == ["2"]
        query = "SELECT name, version FROM registered_model_aliases WHERE alias = 'champion'"
        assert server.sql(query, databases["mlflow"]) == ["tiny|1"]
    expected = tables_of(Store(alone / "data" / "store"), "tiny")
    assert sorted(mine) == sorted(expected)
    for table, rows in expected.items():
        assert_frame_equal(mine[table], rows)
    assert {*team.rglob("*.parquet")} | {*team.rglob("*.db")} == set()
    published = [
        answer(folder / "data" / "feature_store.duckdb", "FROM main.screens") for folder in (team, alone)
    ]
    assert_frame_equal(*(rows.drop("root", strict=False).select(pl.col("screen")) for rows in published))
