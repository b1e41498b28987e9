"""Filters of cells: one condition in SQL over the published file, which is only read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from pcip_core.errors import EvaluationError
from pcip_core.store import conditions
from pcip_core.store.conditions import cell_ids_where, cells_where
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish
from tests.core.store import small


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    store = Store(folder / "store")
    small.commit_plate(store, "scr", "plate_1")
    publish(store, folder / "feature_store.duckdb")
    return folder / "feature_store.duckdb"


def test_columns_of_both_tables_and_subqueries(published: Path) -> None:
    condition = (
        "area_px >= 3 AND well = 'A01' AND cell_id IN (SELECT cell_id FROM cell_features_inpainting_conv4)"
    )
    with connect(published) as con:
        con.execute("USE scr")
        wanted = con.execute(
            "SELECT cell_id FROM cells JOIN (SELECT image_id, well FROM images) USING (image_id) "
            f"WHERE {condition}"
        ).fetchall()
    found = cell_ids_where(published, "scr", condition)
    assert sorted(found) == sorted(cell for (cell,) in wanted)
    assert len(found) > 0


def test_a_refused_condition_is_named_with_the_tables(published: Path) -> None:
    with pytest.raises(
        EvaluationError, match=r"filter: found .*nonsense.*one condition in SQL over .*scr\.cells"
    ):
        cell_ids_where(published, "scr", "nonsense = 1")


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "area_px > 1; DROP TABLE cells",
        "true) UNION SELECT 'x' FROM cells WHERE (true",
        "(DELETE FROM cells) > 0",
        "cell_id IN (SELECT content FROM read_text('/etc/hostname'))",
        "cell_id IN (SELECT content FROM '/etc/hostname')",
        "getenv('HOME') = 'x'",
        "cell_id IN (SELECT file FROM glob('/etc/*'))",
        "cell_id IN (SELECT column0 FROM read_csv('/etc/passwd'))",
        "cell_id IN (SELECT x FROM query('COPY cells TO ''/tmp/x.csv'' '))",
        "1; COPY cells TO '/tmp/x.csv'",
        "1; ATTACH '/tmp/x.db'",
        "1; PRAGMA enable_external_access",
        "1; SET enable_external_access = true",
        "1; INSTALL httpfs",
        "area_px > 1 -- ) \n; DELETE FROM cells",
        "(COPY cells TO '/tmp/x.csv') IS NULL",
    ],
)
def test_what_is_no_condition_is_refused_and_changes_nothing(published: Path, condition: str) -> None:
    before = published.read_bytes()
    with pytest.raises(duckdb.Error):
        cells_where(str(published), "scr", condition)
    assert published.read_bytes() == before


def test_a_filter_has_a_limit_of_time(published: Path, monkeypatch) -> None:
    monkeypatch.setattr(conditions, "LONGEST_CELLS_S", 1.0)
    with pytest.raises(EvaluationError, match="more than 1 s"):
        cell_ids_where(published, "scr", "(SELECT count(*) FROM range(1000000000000)) > 0")


def test_what_else_is_written_to_standard_output_does_not_damage_the_answer(published: Path) -> None:
    """DuckDB draws a progress bar there after two seconds."""
    code = (
        "import os; from pcip_core.store import conditions as c; limit = c._limit_memory; "
        "c._limit_memory = lambda: (limit(), os.write(1, b'27 %')); c.evaluate_cells()"
    )
    asked = {"published": str(published), "screen": "scr", "condition": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(asked).encode(), capture_output=True, check=True
    )
    assert pa.ipc.open_stream(done.stdout).read_all().num_rows == 15
    assert done.stderr.endswith(b"27 %")
