"""The published file against numpy and against the partitions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from pcip_core.analysis import similar
from pcip_core.errors import SpecError
from pcip_core.spec.loading import load_screen
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish
from pcip_core.store.vectors import feature_table, features_of
from tests.conftest import write_spec
from tests.core.store import small
from tests.core.store.small import ask

DESIGN_QUERIES = (
    "SELECT i.protein, count(*) AS cells FROM simulated_yeast.cells c JOIN simulated_yeast.images i "
    "USING (image_id) GROUP BY ALL ORDER BY cells DESC",
    "SELECT feature_set, value FROM main.benchmarks WHERE screen = 'simulated_human' "
    "AND metric = 'balanced_accuracy' AND parameter = 'k=11' AND label IS NULL "
    "AND protocol = 'leave_image_out' ORDER BY value DESC",
    "SELECT * FROM simulated_human.similar_cells('inpainting_conv4', "
    "(SELECT min(cell_id) FROM simulated_human.cells), 10)",
)


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


def test_macros_give_what_like_gives_after_any_change_of_the_shards(filled: Store, path: Path) -> None:
    """The same order and the same distances, with and without the name of the feature set, in unequal columns."""
    name = f"cell_features_{small.SET}"
    for shards in (["plate_1"], ["plate_2"], []):
        for shard in shards:
            cells = filled.read("scr", name, shards=[shard])
            vectors = features_of(cells) * np.geomspace(1e-3, 1e3, small.DIM, dtype=np.float32)
            vectors[:, 3] = 0.1  # constant, once all shards have it
            columns = cells.select("cell_id", "image_id", "encoder_version").to_dict()
            about = filled.provenance("scr", name, shard) or {}
            filled.commit("scr", {name: feature_table(columns, vectors)}, shard=shard, provenance=about)
        if not shards:
            filled.remove("scr", name, "plate_2")
        publish(filled, path)
        table = filled.read("scr", name)
        ids = table["cell_id"].to_list()
        expected = similar.nearest(features_of(table), [4], 9)
        wanted = [
            (ids[row], pytest.approx(d, rel=1e-6))
            for row, d in zip(expected.rows, expected.distances, strict=True)
        ]
        for call, values in (("(?, ?, 9)", [small.SET, ids[4]]), ("(?, 9)", [ids[4]])):
            itself, *others = ask(path, f"SELECT cell_id, distance FROM scr.like_cells{call}", *values)
            assert (itself, others) == ((ids[4], 0.0), wanted)


def test_the_format_is_one_that_duckdb_1_reads_and_a_newer_one_is_replaced(filled: Store, path: Path) -> None:
    """That DuckDB 1.5 opens it, and answers as here, was tried; it cannot be installed beside DuckDB 2."""
    version = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal"
    assert ask(path, version) == [("v1.5.0+",)]
    commits = "SELECT screen, tbl, shard, commit_id FROM main.published ORDER BY ALL"
    content = ask(path, commits)
    newer = path.with_name("newer.duckdb")
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{path}' AS old (READ_ONLY)")
        con.execute(f"ATTACH '{newer}' AS newer")
        con.execute("CREATE TABLE newer.published AS FROM old.main.published")
    newer.replace(path)
    assert ask(path, version) != [("v1.5.0+",)]
    assert publish(filled, path).rebuilt
    assert ask(path, version) == [("v1.5.0+",)]
    assert ask(path, commits) == content


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
    with pytest.raises(duckdb.Error, match=r"no cell_id nobody in scr\.cell_features_inpainting_conv4"):
        ask(path, "FROM scr.like_cells(?, 'nobody', 3)", small.SET)
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
                ("FROM scr.like_cells(?, ?, 3)", (small.SET, value)),
                ("FROM scr.like_proteins(?, 3)", (value,)),
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
