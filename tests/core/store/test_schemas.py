"""The schemas: what a frame must be, what the published file holds, and `docs/tables.md`."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcip_core.errors import StoreError
from pcip_core.simulate.screen import TRUTH
from pcip_core.store import schemas
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish
from pcip_core.store.schemas import MACROS, MAIN, SCREEN, published_table, stored_table
from tests.core.store import small

ROOT = Path(__file__).resolve().parents[3]
SERVING = {
    *("published", "scales"),
    *("quarantine_fields", "quarantine_crops", "confusion_knn", "confusion_supervised"),
    *("exclusions_knn", "exclusions_supervised"),
}
CONTRACT = {
    "main.screens": "screen organism channels n_images n_cells simulated",
    "main.feature_sets": "screen feature_set method layer dim encoder_version precision mlflow_run_id dagster_run_id "
    "created_at",
    "main.benchmarks": "screen feature_set task classifier parameter label metric value n protocol",
    "scr.images": "image_id protein gene cell_line plate well n_fields n_cells localization",
    "scr.cells": "cell_id image_id field y_px x_px area_px shard",
    f"scr.cell_features_{small.SET}": "cell_id image_id features encoder_version",
    f"scr.protein_features_{small.SET}": "protein n_cells features",
    "scr.quarantine": "file stage reason found_at",
    "scr.truth_images": "image_id protein cell_line kind localization seed",
    "scr.truth_cells": "image_id cell_line field cell_number y_px x_px",
    "scr.clusters": "protein member solution node parent height size tree_node",
    "scr.enrichment": "solution node vocabulary term hits fold p q",
    "scr.localization_scores": "first second cell_id image_id group score place",
    "scr.variability": "protein cell_line n spread excess variability rank",
    "scr.variability_cells": "protein cell_line cell_id image_id place",
    "scr.labels_manual": "cell_id image_id pixel_hash label labelled_by labelled_at feature_set encoder_version code",
    "scr.predictions_manual": "cell_id image_id label probability uncertainty feature_set encoder_version code",
    "scr.map_proteins": "feature_set protein member label x y",
    "scr.map_cells": "feature_set cell_id image_id label x y",
    "scr.umap_cells": "feature_set cell_id image_id label x y",
    "scr.umap_proteins": "feature_set protein label x y",
}
"""What SQL of users relies on: columns may be added, not renamed and not taken away."""
LISTED = {
    **{"BOOLEAN": pa.bool_(), "BIGINT": pa.int64(), "INTEGER": pa.int32(), "DOUBLE": pa.float64()},
    **{"VARCHAR": pa.string(), "VARCHAR[]": pa.list_(pa.string()), "FLOAT[]": pa.list_(pa.float32())},
    **{"MAP(VARCHAR, VARCHAR)": pa.map_(pa.string(), pa.string()), "TIMESTAMP": pa.timestamp("us")},
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
    "FLOAT[n]": pa.list_(pa.float32(), small.DIM),
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path]:
    """A store with every table, and its published file."""
    folder = tmp_path_factory.mktemp("published")
    store, path = Store(folder / "store"), folder / "feature_store.duckdb"
    small.fill(store, "scr")
    publish(store, path)
    return store, path


# -- what a frame must be ------------------------------------------------------------------------------


def test_rows_and_columns_give_the_same_frame() -> None:
    rows = [{"image_id": "a", "held": True}, {"image_id": "b", "held": None}]
    frame = schemas.SUPERVISED_IMAGES.frame(rows)
    assert frame.schema == {"image_id": pl.String, "held": pl.Boolean, "encoder_version": pl.String}
    assert frame.rows() == [("a", True, None), ("b", None, None)]
    columns = {"held": np.array([True, False]), "image_id": pl.Series(["a", "b"])}
    assert schemas.SUPERVISED_IMAGES.frame(columns).rows() == [("a", True, None), ("b", False, None)]


@pytest.mark.parametrize("table", [*MAIN, *SCREEN], ids=lambda table: table.name)
def test_empty_tables_have_the_types_of_filled_ones(table: schemas.Table) -> None:
    assert table.empty().height == 0
    assert table.empty().schema == table.types
    assert table.checked(table.empty()).schema == table.types
    if "features" not in table.types:  # a vector is needed
        assert table.frame([dict.fromkeys(table.types)]).rows() == [(None,) * len(table.types)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"image_id": 3}],
            r"table supervised_images: .*column image_id.*Int64: 3; required: image_id String",
        ),
        ([{"held": "yes"}], r"column held.*String: \"yes\"; required: held Boolean"),
        ([{"image": "a"}], r"a column image; required: only image_id, held, encoder_version"),
        ({"image_id": ["a"], "held": []}, r"different lengths.*'image_id': 1, 'held': 0"),
        ({"held": pl.Series(["a"])}, r"column held of type String; required: held Boolean"),
        ({"held": np.zeros(2)}, r"column held of type Float64; required: held Boolean"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: object, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        schemas.SUPERVISED_IMAGES.frame(rows)  # type: ignore[arg-type]


def test_numbers_are_widened_where_no_value_is_lost_and_refused_where_one_may_be() -> None:
    frame = schemas.PROTEIN_SCORES.empty().clear(1)
    narrow = frame.with_columns(n=pl.lit(3, pl.UInt32), mean=pl.lit(0.5, pl.Float32), rank=pl.lit(None))
    found = schemas.PROTEIN_SCORES.checked(narrow)
    assert found.schema == schemas.PROTEIN_SCORES.types
    assert (found["n"].item(), found["mean"].item(), found["rank"].item()) == (3, 0.5, None)
    for lossy in (pl.lit(2**40, pl.UInt64), pl.lit(1.5), pl.lit("3")):
        with pytest.raises(StoreError, match=r"column n of type \w+; required: n Int64"):
            schemas.PROTEIN_SCORES.checked(frame.with_columns(n=lossy))
    with pytest.raises(StoreError, match=r"no column n, rank; required: n Int64, rank Int64"):
        schemas.PROTEIN_SCORES.checked(frame.drop("n", "rank"))
    terms = schemas.IMAGES.frame({"image_id": ["a"], "localization": pl.Series([[]])})
    assert terms.schema["localization"] == pl.List(pl.String)


def test_vectors_of_any_length_and_only_vectors() -> None:
    for n in (1, 7):
        values = np.ones((2, n), np.float32)
        found = schemas.CELL_FEATURES.frame({"cell_id": ["a", "b"], "features": values})
        assert found.schema["features"] == pl.Array(pl.Float32, n)
        assert np.shares_memory(found["features"].to_numpy(), values)
    for other in (np.ones((2, 3)), np.ones(2, np.float32), [[1.0], [2.0]]):
        with pytest.raises(StoreError, match="required: features Array\\(Float32, any length\\)"):
            schemas.CELL_FEATURES.frame({"cell_id": ["a", "b"], "features": other})


def test_images_keep_the_columns_of_the_users_table() -> None:
    frame = schemas.IMAGES.frame({"image_id": ["a"], "drug": ["x"], "dose": [0.5]})
    assert frame.columns == [*schemas.IMAGES.types, "drug", "dose"]
    assert schemas.IMAGES.checked(frame).equals(frame)


def test_a_commit_of_rows_that_do_not_fit_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    good = schemas.SUPERVISED_IMAGES.frame([{"image_id": "a", "held": True}])
    store.commit("scr", {"supervised_images": good})
    bad = good.with_columns(held=pl.lit("yes"))
    with pytest.raises(
        StoreError, match=r"supervised_images: found column held of type String; required: held Boolean"
    ):
        store.commit("scr", {"notes": pl.DataFrame({"a": [1]}), "supervised_images": bad})
    assert store.tables("scr") == ["supervised_images"]
    assert store.read("scr", "supervised_images").equals(good)


def test_each_stored_name_has_at_most_one_schema() -> None:
    names = {
        **{"benchmarks": "benchmarks", "benchmarks_held": "benchmarks", "screen": "screens"},
        **{"quarantine_crops": "quarantine", "confusion_knn": "confusion"},
        "cell_features_a_b": "cell_features_<feature_set>",
        **dict.fromkeys(("screens", "feature_sets", "published", "quarantine", "notes")),
    }
    for stored, wanted in names.items():
        found = [table.name for table in (*MAIN, *SCREEN) if table.holds(stored)]
        assert found == ([] if wanted is None else [wanted]), stored
        known = stored_table(stored)
        assert (known and known.name) == wanted


# -- what the published file holds ---------------------------------------------------------------------


def test_types_in_parquet_and_in_sql_are_those_of_the_schemas(published: tuple[Store, Path]) -> None:
    store, path = published
    for table in store.tables("scr"):
        known = stored_table(table)
        assert known is not None, f"{table} has no schema"
        (file, *_) = sorted((store.root / "scr" / table).rglob("part.parquet"))
        wanted = {name: LISTED[known.duckdb_types[name]] for name in known.types}
        found = pq.read_schema(file)
        assert dict(zip(found.names, found.types, strict=True)) == wanted, table
        where = f"main.{known.name}" if known.whole_store else f"scr.{table}"
        with connect(path) as con:
            shown = {row[0]: row[1] for row in con.execute(f"DESCRIBE {where}").fetchall()}
        assert shown == {
            name: kind.replace("[n]", f"[{small.DIM}]") for name, kind in known.duckdb_types.items()
        }, table


def test_the_contract_of_tables_columns_and_macros_is_kept(published: tuple[Store, Path]) -> None:
    with connect(published[1]) as con:
        for table, columns in CONTRACT.items():
            names = ", ".join(f'"{name}"' for name in columns.split())
            con.execute(f"SELECT {names} FROM {table}")
        assert con.execute("SELECT DISTINCT parts['field'] FROM scr.fields").fetchall() == [("1",)]
        ((cell,),) = con.execute("SELECT min(cell_id) FROM scr.cells").fetchall()
        nearest = con.execute("FROM scr.similar_cells(?, ?, 3)", [small.SET, cell])
        assert [column[0] for column in nearest.description] == ["cell_id", "image_id", "distance"]
        assert nearest.fetchall()[0][0] == cell
        nearest = con.execute("FROM scr.similar_proteins(?, 'P1', 2)", [small.SET])
        assert [column[0] for column in nearest.description] == ["protein", "n_cells", "distance"]
        assert nearest.fetchall()[0][0] == "P1"


def test_times_are_utc_with_and_without_a_zone(published: tuple[Store, Path]) -> None:
    with connect(published[1]) as con:
        ((made, of_shard),) = con.execute(
            "SELECT epoch(f.created_at), p.about FROM main.feature_sets f, main.published p "
            "WHERE p.tbl = 'cell_features_' || f.feature_set ORDER BY p.shard DESC LIMIT 1"
        ).fetchall()
    assert made == datetime.fromisoformat(json.loads(of_shard)["created_at"]).timestamp()


# -- the documents -------------------------------------------------------------------------------------


def test_the_page_is_what_the_module_prints() -> None:
    command = [sys.executable, "-m", "pcip_core.store.schemas"]
    printed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600
    ).stdout
    assert (ROOT / "docs" / "tables.md").read_text() == printed


def test_every_table_and_column_is_documented_and_commented(published: tuple[Store, Path]) -> None:
    with connect(published[1]) as con:
        rows = con.execute(
            "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
        tables = con.execute(
            "SELECT schema_name, table_name, comment FROM duckdb_tables() UNION ALL "
            "SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        macros = con.execute(
            "SELECT function_name, parameters, comment FROM duckdb_functions() WHERE schema_name = 'scr'"
        ).fetchall()
    page = (ROOT / "docs" / "tables.md").read_text()
    seen = set()
    for schema, table, comment in tables:
        if table not in SERVING:
            known = published_table(table, whole_store=schema == "main")
            assert known is not None, table
            assert comment == known.description
            assert f".{known.name}\n" in page
            seen.add(known.name)
    assert seen == {known.name for known in (*MAIN, *SCREEN)}  # and nothing is documented that is not there
    undocumented = []
    for schema, table, column, comment in rows:
        known = published_table(table, whole_store=schema == "main")
        if known is None:
            assert table in SERVING
        elif column not in known.columns or comment != known.columns[column][1]:
            undocumented.append((table, column))
    assert undocumented == []
    there = {
        (known.name, column)
        for schema, table, column, _ in rows
        if (known := published_table(table, whole_store=schema == "main"))
    }
    assert there == {(known.name, column) for known in (*MAIN, *SCREEN) for column in known.columns}
    assert sorted(f"{name}({', '.join(given)})" for name, given, _ in macros) == sorted(MACROS)
    for signature, meaning in MACROS.items():
        assert all(meaning in comment for name, _, comment in macros if signature.startswith(f"{name}("))


def test_the_simulators_truth_is_documented_column_by_column() -> None:
    for table, columns in TRUTH.items():
        known = published_table(table, whole_store=False)
        assert known is not None
        assert list(known.columns) == [*columns, "shard"]
