"""Filters of cells: one condition in SQL over the published file, which is only read."""

from __future__ import annotations

from pathlib import Path

import duckdb
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
