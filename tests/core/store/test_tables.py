"""`docs/tables.md` is what the module prints, and tells of everything that a published store holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pcip_core.simulate.screen import TRUTH
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish
from pcip_core.store.tables import MACROS, MAIN, SCREEN, doc_of
from tests.core.store import small

ROOT = Path(__file__).resolve().parents[3]
SERVING = {
    "published",
    *("quarantine_fields", "quarantine_crops", "confusion_knn", "confusion_supervised"),
    *("exclusions_knn", "exclusions_supervised"),
}


def test_the_page_is_what_the_module_prints() -> None:
    command = [sys.executable, "-m", "pcip_core.store.tables"]
    printed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600
    ).stdout
    assert (ROOT / "docs" / "tables.md").read_text() == printed


def test_every_table_and_column_is_documented_and_commented(tmp_path: Path) -> None:
    store, path = Store(tmp_path / "store"), tmp_path / "feature_store.duckdb"
    small.fill(store, "scr")
    publish(store, path)
    with connect(path) as con:
        rows = con.execute(
            "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
        tables = con.execute(
            "SELECT schema_name, table_name, comment FROM duckdb_tables() UNION ALL "
            "SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        macros = con.execute(
            "SELECT function_name, parameters FROM duckdb_functions() WHERE schema_name = 'scr'"
        ).fetchall()
    page = (ROOT / "docs" / "tables.md").read_text()
    seen = set()
    for schema, table, comment in tables:
        if table not in SERVING:
            doc = doc_of(table, whole_store=schema == "main")
            assert doc is not None, table
            assert comment == doc.about
            assert f".{doc.name}\n" in page
            seen.add(doc.name)
    assert seen == {doc.name for doc in (*MAIN, *SCREEN)}  # and nothing is documented that is not there
    undocumented = []
    for schema, table, column, comment in rows:
        doc = doc_of(table, whole_store=schema == "main")
        if doc is None:
            assert table in SERVING
        elif comment is None or comment != doc.columns.get(column):
            undocumented.append((table, column))
    assert undocumented == []
    there = {
        (doc.name, column)
        for schema, table, column, _ in rows
        if (doc := doc_of(table, whole_store=schema == "main"))
    }
    assert there == {(doc.name, column) for doc in (*MAIN, *SCREEN) for column in doc.columns}
    assert sorted(f"{name}({', '.join(given)})" for name, given in macros) == sorted(MACROS)


def test_the_simulators_truth_is_documented_column_by_column() -> None:
    for table, columns in TRUTH.items():
        doc = doc_of(table, whole_store=False)
        assert doc is not None
        assert list(doc.columns) == [*columns, "shard"]
