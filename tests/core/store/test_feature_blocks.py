"""Vectors that stream from a store say what the same vectors say in memory, by plain formulas over the whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pcip_core.analysis.compartments import compartment_scores
from pcip_core.analysis.similar import nearest
from pcip_core.analysis.variability import variability
from pcip_core.errors import EvaluationError, StoreError
from pcip_core.features import blocks as streamed
from pcip_core.features.blocks import blocks_of, columns_of, groups_of, rows_of, sums_of_groups
from pcip_core.features.correction import GroupScales, Whitening
from pcip_core.features.scaling import standardize
from pcip_core.store import feature_blocks as stored
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import feature_table, features_of

SHARDS = {"p1": 23, "p2": 0, "p3": 1, "p4": 40, "p10": 16}
N, D = sum(SHARDS.values()), 9
NEAR = {"rtol": 1e-10, "atol": 1e-10}  # float64 sums in another order


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (streamed, stored):
        monkeypatch.setattr(module, "ROWS", 7)


def vectors() -> np.ndarray:
    """A large mean with little spread about it among the columns, and one that is constant."""
    rng = np.random.default_rng(5)
    found = rng.normal(size=(N, D)).astype(np.float32) * 3
    found[:, 1] = 1e4 + rng.normal(size=N)
    found[:, 2] = 0.1
    return found


def images() -> np.ndarray:
    return np.array([f"i{row // 5 % 12:02d}" for row in range(N)])


@pytest.fixture
def features(tmp_path: Path) -> StoredFeatures:
    store = Store(tmp_path / "store")
    commit(store, vectors())
    return StoredFeatures(store, "scr", "f")


def commit(store: Store, values: np.ndarray) -> None:
    start = 0
    for shard, count in SHARDS.items():
        rows = slice(start, start + count)
        ids = {"cell_id": [f"c{row}" for row in range(N)[rows]], "image_id": images()[rows].tolist()}
        ids = {name: pl.Series(own, dtype=pl.String) for name, own in ids.items()}
        store.commit("scr", {"f": feature_table(ids, values[rows])}, shard=shard)
        start += count


def test_what_is_held_and_what_is_read(features: StoredFeatures) -> None:
    assert features.shape == (N, D) == (len(features), D)
    assert features.cell_id.to_list() == [f"c{row}" for row in range(N)]
    assert np.array_equal(np.array(features.images)[features.image], images())
    for _ in range(2):
        blocks = list(features.blocks())
        assert max(map(len, blocks)) == 7
        assert np.array_equal(np.concatenate(blocks), vectors())


def test_places_of_cells(features: StoredFeatures) -> None:
    wanted = ["c5", "nobody", f"c{N - 1}", "c0", "c5"]
    assert features.places(wanted).tolist() == [5, -1, N - 1, 0, 5]
    assert features.places(features.cell_id).tolist() == list(range(N))
    assert features.places([]).tolist() == []


def test_batches_are_what_read_gives(features: StoredFeatures) -> None:
    store = features._store
    for shards in (None, ["p4", "p1"], ["p2"]):
        parts = list(store.batches("scr", "f", shards=shards, rows=6))
        assert all(part.height <= 6 for part in parts)
        whole = store.read("scr", "f", shards=shards)
        assert sum(part.height for part in parts) == whole.height
        assert not parts or pl.concat(parts).equals(whole)
    assert next(store.batches("scr", "f", columns=["image_id"])).columns == ["image_id"]
    assert store.schema("scr", "f", shard="p2") == store.read("scr", "f").schema


def test_batches_of_shards_that_differ_in_kind(features: StoredFeatures) -> None:
    store = features._store
    table = feature_table({"cell_id": ["x"], "image_id": ["y"]}, np.ones((1, D + 1), np.float32))
    store.commit("scr", {"f": table}, shard="p4")
    with pytest.raises(StoreError, match="different types in shards p1 and p4") as whole:
        store.read("scr", "f")
    with pytest.raises(StoreError, match="different types in shards p1 and p4") as parts:
        list(store.batches("scr", "f"))
    assert parts.value.remedy == whole.value.remedy
    with pytest.raises(StoreError, match="no column ids"):
        next(store.batches("scr", "f", columns=["ids"]))
    with pytest.raises(StoreError, match="no such partition"):
        next(store.batches("scr", "g"))
    with pytest.raises(StoreError, match="no shard"):
        next(store.batches("scr", "f", shards=[]))


def test_a_shard_that_is_replaced_meanwhile(features: StoredFeatures) -> None:
    reading = features.blocks()
    next(reading)
    table = feature_table({"cell_id": ["other"], "image_id": ["i"]}, np.ones((1, D), np.float32))
    features._store.commit("scr", {"f": table}, shard="p3")
    with pytest.raises(StoreError, match="cells that changed during reading"):
        list(reading)
    features._store.remove("scr", "f", "p10")
    features._store.commit("scr", {"f": feature_table(ids_of("c23"), vectors()[23:24])}, shard="p3")
    with pytest.raises(StoreError, match="cells that changed during reading"):
        list(features.blocks())


def ids_of(*cells: str) -> dict[str, list[str]]:
    return {"cell_id": list(cells), "image_id": ["i"] * len(cells)}


@pytest.mark.parametrize("streams", [True, False])
def test_columns(features: StoredFeatures, *, streams: bool) -> None:
    values = vectors()
    found, wide = columns_of(features if streams else values), values.astype(np.float64)
    np.testing.assert_allclose(found.mean, wide.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.deviation, wide.std(0), rtol=1e-11)
    assert found.deviation[2] == 0
    np.testing.assert_allclose(found.standardized(values), standardize(values), **NEAR)


def test_columns_of_none_and_of_what_is_not_finite(features: StoredFeatures) -> None:
    assert columns_of(np.zeros((0, 3), np.float32)).deviation.tolist() == [0, 0, 0]
    bad = vectors()
    bad[60, 4] = np.nan
    commit(features._store, bad)
    told = "asked: found 1 cell with NaN or infinite features, in columns 4"
    with pytest.raises(EvaluationError, match=re.escape(told)):
        columns_of(features, "asked")


@pytest.mark.parametrize("streams", [True, False])
def test_rows_and_groups(features: StoredFeatures, *, streams: bool) -> None:
    values, asked = vectors(), features if streams else vectors()
    rows = np.array([70, 3, 3, 0, N - 1, 25])
    assert np.array_equal(rows_of(asked, rows), values[rows])
    assert rows_of(asked, np.array([], int)).shape == (0, D)
    group = np.random.default_rng(1).integers(-1, 6, N)
    group[group == 3] = 2  # an empty group
    found = list(groups_of(asked, group))
    assert len(found) == 6
    for number, own in enumerate(found):
        assert np.array_equal(own, values[group == number])
    assert list(groups_of(asked, np.full(N, -1))) == []
    sums, counts = sums_of_groups(asked, group, 7)
    for number in range(7):
        np.testing.assert_allclose(sums[number], values[group == number].sum(0, dtype=np.float64), rtol=1e-12)
        assert counts[number] == (group == number).sum()


def test_one_column(features: StoredFeatures) -> None:
    assert np.array_equal(features.column(3), vectors()[:, 3])


def test_the_file_of_groups_goes(features: StoredFeatures) -> None:
    reading = groups_of(features, np.zeros(N, int))
    assert np.array_equal(next(reading), vectors())
    reading.close()  # type: ignore[attr-defined]
    assert list(features._store.root.rglob("by_group")) == []


def test_scores_between_compartments(features: StoredFeatures) -> None:
    terms = {f"i{number:02d}": [["A"], ["B"], ["A", "B"], ["C"]][number % 4] for number in range(12)}
    given = columns_of(features)
    for columns in (None, given):
        found = compartment_scores(features, images(), terms, "A", "B", columns=columns)
        points, kinds = standardize(vectors()), np.array([" ".join(terms[name]) for name in images()])
        for row, (image, kind) in enumerate(zip(images(), kinds, strict=True)):
            if kind == "C":
                assert np.isnan(found.score[row])
                continue
            near, far = (
                points[(kinds == one) & ((images() != image) | (kind != one))].mean(0) for one in "AB"
            )
            apart = [np.linalg.norm(points[row] - mean) for mean in (near, far)]
            assert found.score[row] == pytest.approx(np.log(apart[0] / apart[1]), rel=1e-9)
            line = far - near
            assert found.place[row] == pytest.approx((points[row] - near) @ line / (line @ line), rel=1e-9)


def test_variability_and_the_nearest(features: StoredFeatures) -> None:
    protein = np.array([f"P{row // 9 % 8}" for row in range(N)])
    lines, light = np.where(np.arange(N) % 2, "x", "y"), np.random.default_rng(2).uniform(1, 2, N)
    frame = pl.DataFrame({"protein": protein, "cell_line": lines})
    streams, whole = (
        variability(each, frame, light, least_cells=3).table.to_dicts() for each in (features, vectors())
    )
    points = standardize(vectors())
    assert [row["protein"] for row in streams] == [row["protein"] for row in whole]
    for row, other in zip(streams, whole, strict=True):
        for name, value in other.items():
            assert row[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)
        own = points[(protein == row["protein"]) & (lines == row["cell_line"])]
        spread = np.log(((own - own.mean(0)) ** 2).sum() / (len(own) - 1))
        assert row["spread"] == pytest.approx(spread, rel=1e-9)
    for seeds in ([4], [4, 50, 51]):
        found = nearest(features, seeds, 6)
        distance = np.linalg.norm(points - points[seeds].mean(0), axis=1)
        rows = [row for row in distance.argsort() if row not in seeds][:6]
        assert found.rows.tolist() == rows
        np.testing.assert_allclose(found.distances, distance[rows], rtol=1e-9)


def plain_by_group(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    out = np.zeros(values.shape)
    for group in set(groups.tolist()):
        own = values[groups == group].astype(np.float64)
        varied = own.min(0) < own.max(0)
        out[groups == group] = np.where(varied, (own - own.mean(0)) / np.where(varied, own.std(0), 1), 0)
    return out


def plain_whitened(values: np.ndarray, controls: np.ndarray, most: float) -> np.ndarray:
    own = values[controls].astype(np.float64)
    kept = own.min(0) < own.max(0)
    centre, scale = own[:, kept].mean(0), own[:, kept].std(0, ddof=1)
    found, turned = np.linalg.eigh(np.corrcoef(own[:, kept].T))
    out = np.zeros(values.shape)
    out[:, kept] = (values[:, kept] - centre) / scale @ (turned / np.sqrt(found + most)) @ turned.T
    return out


def test_corrections_block_by_block(features: StoredFeatures) -> None:
    values, groups = vectors(), np.array([f"g{row % 5 + (row > 60)}" for row in range(N)])
    groups[11] = "alone"
    scales = GroupScales.of(features, groups)
    controls = np.arange(N) % 3 > 0
    whitening = Whitening.of(features, controls, regularization=0.02)
    for correct, plain in (
        (scales.corrected, plain_by_group(values, groups)),
        (lambda rows, _: whitening.corrected(rows), plain_whitened(values, controls, 0.02)),
    ):
        found = np.concatenate([correct(values[part], groups[part]) for part in (slice(30), slice(30, N))])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, plain, rtol=1e-6, atol=1e-6)  # float32
    assert scales.notes == {"groups": 7, "groups_of_one_cell": 1, "columns_constant_in_a_group": 1}


def test_memory_is_of_blocks(features: StoredFeatures, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reading asks for all vectors at once."""
    asked: list[int] = []

    def counted(call: Callable[[pl.DataFrame], np.ndarray]) -> Callable[[pl.DataFrame], np.ndarray]:
        def count(table: pl.DataFrame) -> np.ndarray:
            asked.append(table.height)
            return call(table)

        return count

    monkeypatch.setattr(stored, "features_of", counted(features_of))
    columns_of(features)
    rows_of(features, np.arange(N))
    assert sum(asked) == 2 * N
    assert max(asked) == 7
    assert len(list(blocks_of(vectors()))) == -(-N // 7)
