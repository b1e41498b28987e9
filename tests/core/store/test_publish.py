"""The published file against numpy and against the partitions, while others read, publish and die."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from pcip_core.errors import SpecError, StoreError
from pcip_core.locks import locked
from pcip_core.spec.screen import load_screen
from pcip_core.store import publish as publishing
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish
from pcip_core.store.vectors import features_of
from tests.conftest import write_spec
from tests.core.store import small
from tests.core.store.writers import FORKSERVER, publish_once

DESIGN_QUERIES = (
    "SELECT i.protein, count(*) AS cells FROM simulated_yeast.cells c JOIN simulated_yeast.images i "
    "USING (image_id) GROUP BY ALL ORDER BY cells DESC",
    "SELECT feature_set, value FROM main.benchmarks WHERE screen = 'simulated_human' "
    "AND metric = 'balanced_accuracy' AND parameter = 'k=11' AND label IS NULL "
    "AND protocol = 'leave_image_out' ORDER BY value DESC",
    "SELECT * FROM simulated_human.similar_cells('inpainting_conv4', "
    "(SELECT min(cell_id) FROM simulated_human.cells), 10)",
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feature_store.duckdb"


@pytest.fixture(scope="module")
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


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Which partitions publishing has read the rows of."""
    seen: Counter = Counter()
    real = publishing._rows

    def counted(store: Store, screen: str, table: str, shard: str) -> pl.DataFrame:
        seen[(screen, table, shard)] += 1
        return real(store, screen, table, shard)

    monkeypatch.setattr(publishing, "_rows", counted)
    return seen


def ask(path: Path, sql: str, *values: object) -> list[tuple]:
    with connect(path) as con:
        return con.execute(sql, list(values)).fetchall()


def shards_of(path: Path, table: str = "scr.cells") -> dict[str, int]:
    return dict(ask(path, f"SELECT shard, count(*) FROM {table} GROUP BY shard ORDER BY shard"))


# -- what it holds -------------------------------------------------------------------------------------


def test_from_nothing(store: Store, path: Path) -> None:
    assert publish(store, path).rebuilt
    assert ask(path, "FROM main.screens") == []
    assert ask(path, "FROM main.feature_sets") == []
    assert not publish(store, path).changed


def test_equal_to_the_partitions(filled: Store, path: Path) -> None:
    for table in ("cells", "fields", "truth_images", f"cell_features_{small.SET}"):
        truth = filled.read("scr", table)
        with connect(path) as con:
            names = ", ".join(truth.columns)
            found = con.sql(f"SELECT {names} FROM scr.{table}").pl()
        assert sorted(map(str, found.to_dicts())) == sorted(map(str, truth.to_dicts()))
    per_image = small.CELLS
    assert ask(path, "SELECT DISTINCT n_cells, n_fields FROM scr.images") == [(per_image, 1)]
    assert ask(path, "SELECT label, predicted, n FROM scr.confusion ORDER BY ALL") == sorted(small.PAIRS)
    assert ask(path, "SELECT reason, n FROM scr.exclusions") == [("columns_constant", 3)] * 2  # two tables
    assert ask(path, "SELECT stage, count(*) FROM scr.quarantine GROUP BY ALL ORDER BY ALL") == [
        ("crops", 2),
        ("fields", 2),
    ]
    n = 2 * small.IMAGES
    assert ask(path, "SELECT screen, n_images, n_cells, simulated, channels FROM main.screens") == [
        ("scr", n, n * per_image, True, ["nucleus:structural", "protein:protein"])
    ]


def test_vectors_have_a_fixed_size(filled: Store, path: Path) -> None:
    for table in (f"cell_features_{small.SET}", f"protein_features_{small.SET}"):
        assert ask(path, f"SELECT DISTINCT typeof(features) FROM scr.{table}") == [(f"FLOAT[{small.DIM}]",)]


def test_where_a_feature_set_comes_from(filled: Store, path: Path) -> None:
    ((created,),) = ask(path, "SELECT created_at::TEXT FROM main.feature_sets")
    assert created.startswith("2026-01-01")
    columns = (
        "screen, feature_set, method, layer, dim, n_cells, encoder_version, mlflow_run_id, dagster_run_id"
    )
    assert ask(path, f"SELECT {columns} FROM main.feature_sets") == [
        ("scr", small.SET, "inpainting", "conv4", small.DIM, 30, "scr/1", "run", "d")
    ]


@pytest.mark.parametrize(
    ("feature_set", "method", "layer"),
    [
        ("vgg16_protein_block4_conv1", "vgg16_protein", "block4_conv1"),
        ("untrained_conv3", "untrained", "conv3"),
        ("intensity", "intensity", None),
    ],
)
def test_method_and_layer_of_a_feature_set(
    store: Store, path: Path, feature_set: str, method: str, layer: str | None
) -> None:
    small.commit_plate(store, "scr", "p")
    small.commit_features(store, "scr", "p", feature_set=feature_set)
    publish(store, path)
    found = ask(path, "SELECT method, layer FROM main.feature_sets WHERE feature_set = ?", feature_set)
    assert found == [(method, layer)]


def test_the_queries_of_the_contract(store: Store, path: Path) -> None:
    small.fill(store, "simulated_yeast", "simulated_human")
    publish(store, path)
    counts, scores, similar = (ask(path, query) for query in DESIGN_QUERIES)
    images = store.read("simulated_yeast", "images")
    protein_of = dict(zip(images["image_id"].to_list(), images["protein"].to_list(), strict=True))
    cells = store.read("simulated_yeast", "cells")["image_id"].to_list()
    assert dict(counts) == Counter(protein_of[image] for image in cells)
    assert scores == [(small.SET, pytest.approx(0.811)), ("intensity", pytest.approx(0.411))]
    table = store.read("simulated_human", f"cell_features_{small.SET}")
    wanted = nearest(table, min(table["cell_id"].to_list()), 10)
    assert [(row[0], row[2]) for row in similar] == wanted


def nearest(table: pl.DataFrame, cell_id: str, n: int, key: str = "cell_id") -> list[tuple]:
    """The n nearest rows by numpy, in float64."""
    ids, vectors = table[key].to_list(), features_of(table).astype(float)
    distances = np.sqrt(((vectors - vectors[ids.index(cell_id)]) ** 2).sum(1))
    order = sorted(range(len(ids)), key=lambda row: (distances[row], ids[row]))[:n]
    return [(ids[row], pytest.approx(distances[row], abs=1e-5)) for row in order]


def test_similar_cells_and_proteins(filled: Store, path: Path) -> None:
    table = filled.read("scr", f"cell_features_{small.SET}")
    image_of = dict(zip(table["cell_id"].to_list(), table["image_id"].to_list(), strict=True))
    for cell_id in table["cell_id"].to_list()[::7]:
        found = ask(
            path, "SELECT cell_id, image_id, distance FROM scr.similar_cells(?, ?, 6)", small.SET, cell_id
        )
        assert [(row[0], row[2]) for row in found] == nearest(table, cell_id, 6)
        assert found[0] == (cell_id, image_of[cell_id], 0.0)
        assert all(image_of[cell] == image for cell, image, _ in found)
    proteins, means, counts = small.protein_means(filled, "scr", small.SET)
    found = ask(path, "FROM scr.similar_proteins(?, 'P1', 99)", small.SET)
    distances = np.linalg.norm(means - means[1], axis=1)
    order = np.argsort(distances)
    assert [row[0] for row in found] == [proteins[row] for row in order]
    assert [row[1] for row in found] == [counts[row] for row in order]
    assert [row[2] for row in found] == pytest.approx(distances[order].tolist(), abs=1e-5)


def test_vectors_are_stored_as_they_are(filled: Store, path: Path) -> None:
    """At a size at which DuckDB would compress them, when loaded whole and when replaced."""
    for seed in (1, 2):
        small.commit_features(filled, "scr", "plate_1", dim=2_000, seed=seed)
        small.commit_features(filled, "scr", "plate_2", dim=2_000, seed=seed)
        publish(filled, path)
        kinds = ask(
            path,
            "SELECT DISTINCT compression FROM pragma_storage_info(?) WHERE segment_type = 'FLOAT'",
            f"scr.cell_features_{small.SET}",
        )
        assert kinds == [("Uncompressed",)]


def test_the_wanted_vector_is_looked_up_once(filled: Store, path: Path) -> None:
    """Not beside the distance, which would copy it for each of the cells: that takes half as long again."""
    cell_id = min(filled.read("scr", "cells")["cell_id"].to_list())
    with connect(path) as con:
        con.execute("SET explain_output = 'optimized_only'")
        sql = "EXPLAIN (FORMAT json) FROM scr.similar_cells(?, ?, 3)"
        ((_, plan),) = con.execute(sql, [small.SET, cell_id]).fetchall()
    nodes, lookups = json.loads(plan), []
    while nodes:
        node = nodes.pop()
        nodes += node["children"]
        if "COALESCE" in str(node["extra_info"].get("Expressions")):
            lookups.append(node["extra_info"]["Estimated Cardinality"])
    assert lookups == ["1"]


def test_unknown_cells_and_feature_sets_are_named(filled: Store, path: Path) -> None:
    with pytest.raises(duckdb.Error, match=r"no cell_id nobody in scr\.cell_features_inpainting_conv4"):
        ask(path, "FROM scr.similar_cells(?, 'nobody', 3)", small.SET)
    with pytest.raises(duckdb.Error, match=r"no protein P9 in scr\.protein_features_inpainting_conv4"):
        ask(path, "FROM scr.similar_proteins(?, 'P9', 3)", small.SET)
    with pytest.raises(
        duckdb.Error, match=r"cell_features_vgg does not exist!\nDid you mean \"cell_features_inpainting"
    ):
        ask(path, "FROM scr.similar_cells('vgg', 'nobody', 3)")


def test_values_that_look_like_sql_are_values(filled: Store, path: Path) -> None:
    dangerous = ("x'; DROP TABLE scr.cells; --", "' OR '1'='1", 'x"; --', "x) UNION SELECT 1")
    with connect(path) as con:
        for value in (*dangerous, "", "../../etc", "x.y", "\0", "%"):
            for sql, values in (
                ("FROM scr.similar_cells(?, ?, 3)", (small.SET, value)),
                ("FROM scr.similar_cells(?, ?, 3)", (value, "nobody")),
                ("FROM scr.similar_proteins(?, ?, 3)", (value, value)),
            ):
                with pytest.raises(duckdb.Error):
                    con.execute(sql, values)
        assert con.execute("SELECT count(*) FROM scr.cells").fetchall() == [(30,)]


def test_a_value_with_quotes_is_found(store: Store, path: Path) -> None:
    plate = 'it\'s "plate" 1; --'
    small.fill(store, "scr")
    small.commit_plate(store, "scr", plate)
    publish(store, path)
    ((cell_id,),) = ask(path, "SELECT min(cell_id) FROM scr.cells WHERE shard = ?", plate)
    assert cell_id.startswith(plate)
    assert ask(path, "SELECT cell_id FROM scr.similar_cells(?, ?, 1)", small.SET, cell_id) == [(cell_id,)]


def test_screens_and_tables_named_like_words_of_sql(store: Store, path: Path) -> None:
    names = ("select", "order", "memory", "published")
    for name in names:
        small.fill(store, name)
        store.commit(name, {name: pl.DataFrame({"group": [1], "of us": ["x"]})}, shard="plate_1")
    publish(store, path)
    for name in names:
        small.commit_features(store, name, "plate_2", seed=1)
    publish(store, path)
    for name in names:
        ((cell_id,),) = ask(path, f'SELECT max(cell_id) FROM "{name}".cells')
        sql = f'SELECT cell_id, distance FROM "{name}".similar_cells(?, ?, 4)'
        wanted = nearest(store.read(name, f"cell_features_{small.SET}"), cell_id, 4)
        assert ask(path, sql, small.SET, cell_id) == wanted
        assert len(ask(path, f'FROM "{name}".quarantine')) == 4
        assert ask(path, f'SELECT "group", "of us", shard FROM "{name}"."{name}"') == [(1, "x", "plate_1")]


def test_a_screen_cannot_be_named_as_the_file(tmp_path: Path) -> None:
    """`feature_store.cells` would be the catalog or the schema: DuckDB refuses to choose."""
    with pytest.raises(SpecError, match="name 'feature_store'"):
        load_screen(write_spec(tmp_path, name="feature_store"))


# -- bringing it up to date -----------------------------------------------------------------------------


def test_only_changed_partitions_are_read(filled: Store, path: Path, reads: Counter) -> None:
    before = path.stat().st_ino
    assert not publish(filled, path).changed
    assert path.stat().st_ino == before
    assert not reads
    small.commit_features(filled, "scr", "plate_2", seed=1)
    result = publish(filled, path)
    assert (result.loaded, result.dropped, result.stale, result.rebuilt) == (1, 0, [], False)
    assert reads == {("scr", f"cell_features_{small.SET}", "plate_2"): 1}
    reads.clear()
    small.commit_plate(filled, "scr", "plate_10")
    assert publish(filled, path).loaded == 8
    assert {shard for _, _, shard in reads} == {"plate_10"}
    assert max(reads.values()) == 1
    assert shards_of(path) == {"plate_1": 15, "plate_10": 15, "plate_2": 15}


def test_incremental_equals_from_nothing(filled: Store, path: Path, tmp_path: Path) -> None:
    small.commit_plate(filled, "scr", "plate_3")
    publish(filled, path)
    small.commit_features(filled, "scr", "plate_1", seed=5)
    filled.remove("scr", "cells", "plate_2")
    filled.remove("scr", f"cell_features_{small.SET}", "plate_2")
    small.commit_whole(filled, "scr")
    publish(filled, path)
    publish(filled, tmp_path / "fresh.duckdb")
    assert whole_of(path) == whole_of(tmp_path / "fresh.duckdb")


def whole_of(path: Path) -> dict[str, object]:
    """Every table, view and comment of a published file; stamps of files are those of one moment."""
    with connect(path) as con:
        names = con.execute(
            "SELECT schema_name, table_name, comment FROM duckdb_tables() UNION ALL "
            "SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        found: dict[str, object] = {}
        for schema, table, comment in names:
            chosen = "* EXCLUDE (stamp)" if table == "published" else "*"
            result = con.execute(f'SELECT {chosen} FROM "{schema}"."{table}"')
            columns = sorted((name, str(kind)) for name, kind, *_ in result.description)
            rows = result.fetchall()
            order = [name for name, *_ in result.description]
            found[f"{schema}.{table}"] = (
                comment,
                columns,
                sorted(str(sorted(zip(order, map(str, row), strict=True))) for row in rows),
            )
    return found


def test_partitions_that_are_as_they_were_are_not_opened(
    filled: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.commit_features(filled, "scr", "plate_1", seed=3)
    publish(filled, path)  # the first that sees the files where they are now
    opened = []
    real = Store.provenance

    def provenance(self: Store, screen: str, table: str, shard: str | None = None) -> dict | None:
        opened.append((table, shard))
        return real(self, screen, table, shard)

    monkeypatch.setattr(Store, "provenance", provenance)
    assert not publish(filled, path).changed
    assert opened == []
    small.commit_features(filled, "scr", "plate_2", seed=4)
    assert publish(filled, path).loaded == 1
    assert opened == [(f"cell_features_{small.SET}", "plate_2")]


def test_a_removed_partition_goes(filled: Store, path: Path) -> None:
    for table in filled.tables("scr"):
        filled.remove("scr", table, "plate_1")
    assert publish(filled, path).dropped == 8
    for table in ("cells", "images", "fields", "quarantine", f"cell_features_{small.SET}"):
        assert list(shards_of(path, f"scr.{table}")) == ["plate_2"]
    assert ask(path, "SELECT n_images, n_cells FROM main.screens") == [(3, 15)]


def test_tables_and_screens_that_are_gone(filled: Store, path: Path) -> None:
    small.fill(filled, "other")
    publish(filled, path)
    for shard in ("plate_1", "plate_2"):
        for table in ("quarantine_fields", "quarantine_crops", f"cell_features_{small.SET}"):
            filled.remove("scr", table, shard)
    publish(filled, path)
    with pytest.raises(duckdb.CatalogException):
        ask(path, "FROM scr.quarantine")
    assert ask(path, "SELECT screen FROM main.feature_sets") == [("other",)]
    for table in filled.tables("scr"):
        for shard in filled.shards("scr", table) or [None]:
            filled.remove("scr", table, shard)
    assert publish(filled, path).dropped > 0
    assert ask(path, "SELECT DISTINCT schema_name FROM duckdb_tables() ORDER BY 1") == [("main",), ("other",)]
    assert ask(path, "SELECT screen FROM main.screens") == [("other",)]


def test_another_dimension(filled: Store, path: Path) -> None:
    """Until all shards are made again, the newest vectors are there and the others are named."""
    table = f"cell_features_{small.SET}"
    small.commit_features(filled, "scr", "plate_1", dim=12)
    result = publish(filled, path)
    assert result.stale == [f"scr.{table} plate_2"]
    assert f"left out until made again: scr.{table} plate_2" in str(result)
    assert shards_of(path, f"scr.{table}") == {"plate_1": 15}
    assert ask(path, "SELECT dim, n_cells FROM main.feature_sets") == [(12, 15)]
    small.commit_features(filled, "scr", "plate_2", dim=12)
    assert publish(filled, path).stale == []
    assert shards_of(path, f"scr.{table}") == {"plate_1": 15, "plate_2": 15}
    assert ask(path, f"SELECT DISTINCT typeof(features) FROM scr.{table}") == [("FLOAT[12]",)]


def test_vectors_that_were_left_out_come_back_when_the_newer_ones_go(filled: Store, path: Path) -> None:
    table = f"cell_features_{small.SET}"
    small.commit_features(filled, "scr", "plate_1", dim=12)
    publish(filled, path)
    filled.remove("scr", table, "plate_1")
    publish(filled, path)
    assert shards_of(path, f"scr.{table}") == {"plate_2": 15}
    assert ask(path, "SELECT dim FROM main.feature_sets") == [(small.DIM,)]


def test_a_whole_table_is_replaced_whole_also_when_its_rows_name_shards(filled: Store, path: Path) -> None:
    for count in (4, 3):
        filled.commit("scr", {"umap": pl.DataFrame({"shard": ["plate_1"] * count, "x": [0.0] * count})})
        publish(filled, path)
        assert ask(path, "SELECT shard, count(*) FROM scr.umap GROUP BY ALL") == [("plate_1", count)]
    assert "shard" not in str(ask(path, f"DESCRIBE scr.protein_features_{small.SET}"))


def test_a_new_column_and_another_type(filled: Store, path: Path) -> None:
    filled.commit("scr", {"notes": pl.DataFrame({"a": [1]})}, shard="p1")
    filled.commit("scr", {"notes": pl.DataFrame({"a": [2]})}, shard="p2")
    publish(filled, path)
    filled.commit("scr", {"notes": pl.DataFrame({"a": [2.5], "b": ["x"]})}, shard="p2")
    publish(filled, path)
    assert ask(path, "SELECT a, b, shard FROM scr.notes ORDER BY a") == [(1.0, None, "p1"), (2.5, "x", "p2")]


def test_the_count_of_cells_is_ours_whatever_the_users_table_says(filled: Store, path: Path) -> None:
    images = filled.read("scr", "images", shards=["plate_1"])
    claimed = images.with_columns(n_cells=pl.lit("many"))
    filled.commit("scr", {"images": claimed}, shard="plate_1")
    assert publish(filled, path).loaded == 1
    assert ask(path, "SELECT DISTINCT n_cells FROM scr.images") == [(small.CELLS,)]


def test_the_file_does_not_grow_with_each_publish(store: Store, path: Path) -> None:
    small.commit_plate(store, "scr", "plate_2", dim=2_000)
    small.commit_plate(store, "scr", "plate_1", dim=2_000)
    sizes = []
    for seed in range(6):
        small.commit_features(store, "scr", "plate_1", dim=2_000, seed=seed)
        publish(store, path)
        sizes.append(path.stat().st_size)
    assert sizes[-1] <= 1.5 * sizes[3]


# -- damage ---------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_opened_is_made_again(filled: Store, path: Path) -> None:
    before = whole_of(path)
    whole = path.read_bytes()
    with duckdb.connect(str(path.with_name("foreign.duckdb"))) as con:
        con.execute("CREATE TABLE mine AS SELECT 1 AS a")
    foreign = path.with_name("foreign.duckdb").read_bytes()
    for content in (b"", b"garbage" * 1000, whole[:5000], whole[:100] + b"x" * 9000 + whole[9100:], foreign):
        path.write_bytes(content)
        assert publish(filled, path).rebuilt
        assert whole_of(path) == before


def test_damage_behind_a_readable_bookkeeping_is_found_when_it_matters(
    filled: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = publishing._update_screen, iter((True, False))

    def damaged(*args: object) -> None:
        if next(calls):
            raise duckdb.IOException("Corrupt database file: computed checksum does not match")
        real(*args)

    monkeypatch.setattr(publishing, "_update_screen", damaged)
    small.commit_features(filled, "scr", "plate_1", seed=3)
    result = publish(filled, path)
    assert result.rebuilt
    assert shards_of(path, f"scr.cell_features_{small.SET}") == {"plate_1": 15, "plate_2": 15}


def test_what_cannot_be_opened_is_said(path: Path) -> None:
    with pytest.raises(StoreError, match=r"feature_store\.duckdb: found no such file.*Run a screen first"):
        connect(path)
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match=r"cannot open .*Run any screen"):
        connect(path)


def test_a_damaged_partition_leaves_the_published_file_as_it_was(filled: Store, path: Path) -> None:
    before = path.read_bytes()
    small.commit_features(filled, "scr", "plate_1", seed=3)
    next((filled.root / "scr" / "cells").rglob("part.parquet")).write_bytes(b"garbage")
    with pytest.raises(
        StoreError, match=r"cells/shard=plate_.*part\.parquet: found a file that cannot be read"
    ):
        publish(filled, path)
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*.tmp*"))


def test_the_log_of_somebody_who_wrote_to_the_file_does_not_harm_the_next(filled: Store, path: Path) -> None:
    """A shell that was opened for writing and killed leaves a log that fits no other file."""
    shell = """
import duckdb, os, sys
con = duckdb.connect(sys.argv[1])
con.execute("CREATE TABLE mine (a INT)")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", shell, str(path)], check=False, timeout=600)
    log = path.with_name(path.name + ".wal")
    assert log.is_file()
    small.commit_features(filled, "scr", "plate_1", seed=3)
    publish(filled, path)
    assert not log.exists()
    assert ask(path, "SELECT count(*) FROM scr.cells") == [(30,)]


# -- others at work ---------------------------------------------------------------------------------------


@pytest.fixture
def reader(filled: Store, path: Path) -> Iterator[subprocess.Popen]:
    """Another process that has the published file open, and counts plates each time it is asked."""
    script = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
for how in sys.stdin:
    if how == "reopen\\n":
        con.close()
        con = duckdb.connect(sys.argv[1], read_only=True)
    print(con.execute("SELECT count(DISTINCT shard), count(*), count(features) FROM scr.cells JOIN "
                      "scr.cell_features_inpainting_conv4 USING (cell_id, shard)").fetchone(), flush=True)
"""
    arguments = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def told(reader: subprocess.Popen, how: str = "again") -> str:
    reader.stdin.write(how + "\n")
    reader.stdin.flush()
    return reader.stdout.readline().strip()


def test_an_open_reader_does_not_stop_a_publish_nor_a_publish_the_reader(
    filled: Store, path: Path, reader: subprocess.Popen
) -> None:
    assert told(reader) == "(2, 30, 30)"
    for plate in ("plate_3", "plate_4"):
        small.commit_plate(filled, "scr", plate)
        assert not publish(filled, path).rebuilt
        assert told(reader) == "(2, 30, 30)"
    assert told(reader, "reopen") == "(4, 60, 60)"


def test_a_reader_in_the_same_process_does_not_mislead_a_publish(filled: Store, path: Path) -> None:
    """DuckDB would give it the file that the reader has open, not the one that is published now."""
    plain = duckdb.connect(str(path), read_only=True)  # and with other settings than ours
    small.commit_plate(filled, "scr", "plate_3")
    assert not publish(filled, path).rebuilt
    for table in filled.tables("scr"):
        filled.remove("scr", table, "plate_3")
    assert publish(filled, path).dropped == 8
    assert plain.execute("SELECT count(*) FROM scr.cells").fetchone() == (30,)
    plain.close()
    assert shards_of(path) == {"plate_1": 15, "plate_2": 15}


def test_publishers_queue(filled: Store, path: Path) -> None:
    small.commit_plate(filled, "scr", "plate_3")
    publishers = [FORKSERVER.Process(target=publish_once, args=(filled.root, path)) for _ in range(2)]
    with locked(path.with_suffix(".lock")):
        for process in publishers:
            process.start()
        time.sleep(1.0)
        assert all(process.is_alive() for process in publishers)
        assert shards_of(path) == {"plate_1": 15, "plate_2": 15}
    for process in publishers:
        process.join(600)
        assert process.exitcode == 0
    assert list(shards_of(path)) == ["plate_1", "plate_2", "plate_3"]


def test_a_publisher_that_is_killed_leaves_the_old_file(filled: Store, path: Path) -> None:
    """Killed at earlier and earlier moments of the writing: the last as soon as its unfinished file is there.

    That is tried again where the publisher was quicker than this process, and had finished its file.
    """
    for number in range(40):
        if number > 8 and list(path.parent.glob(".*.tmp*")):
            break
        for file in path.parent.glob(".*.tmp*"):
            file.unlink()
        small.commit_features(filled, "scr", "plate_1", seed=100 + number)
        process = FORKSERVER.Process(target=publish_once, args=(filled.root, path))
        process.start()
        while process.is_alive() and not list(path.parent.glob(".*.tmp*")):
            time.sleep(0.001)
        time.sleep(0.01 * max(8 - number, 0))
        process.kill()
        process.join()
        wanted = features_of(filled.read("scr", f"cell_features_{small.SET}", shards=["plate_1"]))
        found = np.array([row for (row,) in ask(path, f"SELECT features FROM scr.cell_features_{small.SET} "
                                                "WHERE shard = 'plate_1' ORDER BY cell_id")])  # fmt: skip
        assert found.shape == wanted.shape
        if process.exitcode == 0:
            assert np.array_equal(found.astype(np.float32), wanted)
    assert list(path.parent.glob(".*.tmp*"))
    publish(filled, path)
    assert not list(path.parent.glob(".*.tmp*"))
    fresh = path.with_name("fresh.duckdb")
    publish(filled, fresh)
    assert whole_of(path) == whole_of(fresh)


def test_nothing_is_left_beside_the_file(filled: Store, path: Path) -> None:
    kept = {"feature_store.duckdb", "feature_store.lock", "store"}
    assert {file.name for file in path.parent.iterdir()} == kept
    assert re.fullmatch(r"\d+ partitions in, 0 out", str(publish(filled, path.with_name("second.duckdb"))))
