"""The store beside table formats: bytes, and seconds per commit and read. It prints the table of decision 0063.

The packages are not those of pcip, so give them an environment of their own:

    pip install pcip deltalake pyiceberg sqlalchemy pylance duckdb==1.5.5 duckdb-extension-ducklake==1.5.5
    python -m benchmarks.common.table_formats
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pcip_core.store.places.folder import Folder

SHARDS, CELLS, WIDTH = 6, 2_000, 384
_CROP = (2, 64, 64)


class Format(Protocol):
    """One store of a table `cells`, a table `features` and crops, by shard."""

    def commit(self, shard: str, tables: dict[str, pa.Table], crops: np.ndarray) -> None:
        """Replace a shard."""

    def features(self, shard: str) -> Any:
        """The rows of a shard."""

    def crops(self, shard: str) -> np.ndarray:
        """The crops of a shard."""


class OfPcip:
    """The store of pcip in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = Folder(folder)

    def commit(self, shard: str, tables: dict[str, pa.Table], crops: np.ndarray) -> None:
        """See `Format`."""
        frames = {name: pl.DataFrame(table) for name, table in tables.items()}
        self._folder.commit("screen", shard, frames, {"crops": crops}, {})

    def features(self, shard: str) -> Any:
        """See `Format`."""
        return pq.read_table(self._folder.file("screen", "features", shard))

    def crops(self, shard: str) -> np.ndarray:
        """See `Format`."""
        provenance = self._folder.provenance("screen", "cells", shard) or {}
        return np.load(
            self._folder.array("screen", "crops", shard, provenance["arrays"]["crops"]), mmap_mode="r"
        )


class OfDuckLake:
    """DuckLake with its catalog in a DuckDB file; one transaction for all tables."""

    def __init__(self, folder: Path) -> None:
        self._con = duckdb.connect()
        spec = importlib.util.find_spec("duckdb_extension_ducklake")
        (extension,) = Path(str(spec and spec.origin)).parent.glob("extensions/*/*.duckdb_extension")
        self._con.execute(f"LOAD '{extension}'")
        self._con.execute(f"ATTACH 'ducklake:{folder}/catalog' AS lake (DATA_PATH '{folder}/data')")
        self._con.execute("USE lake")
        self._made = False

    def commit(self, shard: str, tables: dict[str, pa.Table], crops: np.ndarray) -> None:
        """See `Format`."""
        self._con.execute("BEGIN")
        for name, table in {**tables, "crops": _binary(crops)}.items():
            self._con.register("new", _lists(_of_shard(table, shard)))
            if not self._made:
                self._con.execute(f"CREATE TABLE {name} AS FROM new LIMIT 0")
                self._con.execute(f"ALTER TABLE {name} SET PARTITIONED BY (shard)")
            self._con.execute(f"DELETE FROM {name} WHERE shard = '{shard}'")
            self._con.execute(f"INSERT INTO {name} FROM new")
        self._con.execute("COMMIT")
        self._made = True

    def features(self, shard: str) -> Any:
        """See `Format`."""
        return self._con.sql(f"FROM features WHERE shard = '{shard}'").to_arrow_table()

    def crops(self, shard: str) -> np.ndarray:
        """See `Format`."""
        return _pixels(self._con.sql(f"SELECT crop FROM crops WHERE shard = '{shard}'").to_arrow_table())


class OfDelta:
    """Delta by delta-rs; one transaction per table."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def commit(self, shard: str, tables: dict[str, pa.Table], crops: np.ndarray) -> None:
        """See `Format`."""
        from deltalake import write_deltalake

        for name, table in {"crops": _binary(crops), **tables}.items():
            path = self._folder / name
            old = {"mode": "overwrite", "predicate": f"shard = '{shard}'"} if path.is_dir() else {}
            write_deltalake(str(path), _of_shard(table, shard), partition_by=["shard"], **old)

    def _rows(self, name: str, shard: str) -> pa.Table:
        from deltalake import DeltaTable

        return DeltaTable(str(self._folder / name)).to_pyarrow_table(partitions=[("shard", "=", shard)])

    def features(self, shard: str) -> Any:
        """See `Format`."""
        return self._rows("features", shard)

    def crops(self, shard: str) -> np.ndarray:
        """See `Format`."""
        return _pixels(self._rows("crops", shard))


class OfIceberg:
    """Iceberg by pyiceberg, with its catalog in SQLite; one transaction per table."""

    def __init__(self, folder: Path) -> None:
        from pyiceberg.catalog.sql import SqlCatalog

        uri = f"sqlite:///{folder}/catalog.db"
        self._catalog = SqlCatalog("pcip", uri=uri, warehouse=f"file://{folder}")
        self._catalog.create_namespace("screen")

    def commit(self, shard: str, tables: dict[str, pa.Table], crops: np.ndarray) -> None:
        """See `Format`."""
        from pyiceberg.expressions import EqualTo

        for name, table in {"crops": _binary(crops), **tables}.items():
            rows = _lists(_of_shard(table, shard))
            if not self._catalog.table_exists(f"screen.{name}"):
                with self._catalog.create_table(f"screen.{name}", schema=rows.schema).update_spec() as spec:
                    spec.add_identity("shard")
            self._catalog.load_table(f"screen.{name}").overwrite(rows, EqualTo("shard", shard))

    def _rows(self, name: str, shard: str) -> pa.Table:
        from pyiceberg.expressions import EqualTo

        return self._catalog.load_table(f"screen.{name}").scan(EqualTo("shard", shard)).to_arrow()

    def features(self, shard: str) -> Any:
        """See `Format`."""
        return self._rows("features", shard)

    def crops(self, shard: str) -> np.ndarray:
        """See `Format`."""
        return _pixels(self._rows("crops", shard))


class OfLance:
    """Lance; a replaced shard is a deletion and an addition, two versions per table."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def commit(self, shard: str, tables: dict[str, pa.Table], crops: np.ndarray) -> None:
        """See `Format`."""
        import lance

        flat = pa.FixedSizeListArray.from_arrays(pa.array(crops.reshape(-1)), int(np.prod(_CROP)))
        for name, table in {"crops": pa.table({"crop": flat}), **tables}.items():
            path = self._folder / f"{name}.lance"
            if path.is_dir():
                lance.dataset(str(path)).delete(f"shard = '{shard}'")
            lance.write_dataset(
                _of_shard(table, shard), str(path), mode="append" if path.is_dir() else "create"
            )

    def _rows(self, name: str, shard: str) -> pa.Table:
        import lance

        return lance.dataset(str(self._folder / f"{name}.lance")).to_table(filter=f"shard = '{shard}'")

    def features(self, shard: str) -> Any:
        """See `Format`."""
        return self._rows("features", shard)

    def crops(self, shard: str) -> np.ndarray:
        """See `Format`."""
        return self._rows("crops", shard)["crop"].combine_chunks().flatten().to_numpy().reshape(-1, *_CROP)


FORMATS: dict[str, Callable[[Path], Format]] = {
    "pcip's store": OfPcip,
    "DuckLake": OfDuckLake,
    "Delta": OfDelta,
    "Iceberg": OfIceberg,
    "Lance": OfLance,
}


def main() -> None:
    """Print one row per format."""
    warnings.simplefilter("ignore")
    print("| format | MB | files | commit, s | replace, s | read a shard, ms | three crops, ms | MB after |")
    print("|---|---|---|---|---|---|---|---|")
    for name, make in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {name} | " + " | ".join(_measured(make(Path(folder)), Path(folder))) + " |", flush=True)


def _measured(store: Format, folder: Path) -> list[str]:
    """The figures of one format: medians over the shards, or of five reads."""
    seconds: list[list[float]] = []
    sizes = []
    for version in range(2):
        times = []
        for shard in range(SHARDS):
            tables, crops = _rows(shard, version)
            start = time.perf_counter()
            store.commit(f"p{shard}", tables, crops)
            times.append(time.perf_counter() - start)
        seconds.append(times[1:])  # the first one makes the tables
        files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        sizes.append((sum(files) / 1e6, len(files)))
    assert len(store.features("p3")) == CELLS
    drawn = [5, 900, 1500]
    assert np.array_equal(store.crops("p3")[drawn], _rows(3, 1)[1][drawn])
    reads = [_time(lambda: store.features("p3")), _time(lambda: np.array(store.crops("p3")[drawn]))]
    return [
        f"{sizes[0][0]:.0f}",
        f"{sizes[0][1]}",
        *(f"{statistics.median(times):.2f}" for times in seconds),
        *(f"{1000 * read:.1f}" for read in reads),
        f"{sizes[1][0]:.0f}",
    ]


def _time(read: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        read()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _rows(shard: int, version: int) -> tuple[dict[str, pa.Table], np.ndarray]:
    """Random rows and crops of a shard."""
    rng = np.random.default_rng([shard, version])
    ids = pa.array([f"p{shard}_{row:06d}" for row in range(CELLS)])
    vectors = pa.array(rng.standard_normal(CELLS * WIDTH).astype(np.float32))
    tables = {
        "cells": pa.table({"cell_id": ids, "x": rng.random(CELLS), "y": rng.random(CELLS)}),
        "features": pa.table({"cell_id": ids, "features": pa.FixedSizeListArray.from_arrays(vectors, WIDTH)}),
    }
    return tables, rng.integers(0, 256, (CELLS, *_CROP), dtype=np.uint8)


def _of_shard(table: pa.Table, shard: str) -> pa.Table:
    return table.append_column("shard", pa.array([shard] * len(table)))


def _lists(table: pa.Table) -> pa.Table:
    """The table for formats without vectors of a fixed length."""
    plain = pa.list_(pa.float32())
    fields = [
        pa.field(each.name, plain if pa.types.is_fixed_size_list(each.type) else each.type)
        for each in table.schema
    ]
    return table.cast(pa.schema(fields))


def _binary(crops: np.ndarray) -> pa.Table:
    return pa.table({"crop": pa.array([crop.tobytes() for crop in crops], pa.binary())})


def _pixels(table: pa.Table) -> np.ndarray:
    return np.stack([np.frombuffer(crop.as_buffer(), np.uint8).reshape(_CROP) for crop in table["crop"]])


if __name__ == "__main__":
    main()
