"""Other ways to keep the features of cells: pandas on Parquet, a text file, a plain table of DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
import polars as pl

from benchmarks.common.feature_screen import CELL, COLUMNS, SHARDS, Written, nearest, seconds_of
from pcip_core.store.vectors import features_of

TEXT_CELLS = 20_000


@dataclass(frozen=True)
class Peer:
    """Another way to keep the same cells, `cells` of them: seconds of writing, and its questions."""

    name: str
    cells: int
    writing: float
    mean: Callable[[], object]
    similar: Callable[[], list[str]]
    image: Callable[[], object]


def _frame(screen: Written, cells: int) -> pd.DataFrame:
    """Ids, protein and one column per feature, of the first cells."""
    rows, images = (pl.concat(tables) for tables in zip(*map(screen.rows, range(SHARDS)), strict=True))
    rows = rows.slice(0, cells)
    frame = pd.DataFrame(features_of(rows), columns=[f"f{column}" for column in range(COLUMNS)])
    frame.insert(0, "cell_id", rows["cell_id"].to_list())
    frame.insert(1, "image_id", rows["image_id"].to_list())
    protein_of = dict(zip(*(images[name].to_list() for name in ("image_id", "protein")), strict=True))
    frame.insert(2, "protein", frame["image_id"].map(protein_of))
    return frame


def _nearest_in(frame: pd.DataFrame) -> list[str]:
    values = frame.iloc[:, 3:].to_numpy()
    row = int(np.flatnonzero(frame["cell_id"] == CELL)[0])
    distance = np.sqrt(np.square(values - values[row]).sum(1))
    return frame["cell_id"].iloc[distance.argsort(kind="stable")[:10]].tolist()


def _mean_in(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=["cell_id", "image_id"]).groupby("protein").mean()


def in_pandas(screen: Written) -> Peer:
    """A column per feature in one Parquet file."""
    frame, file = _frame(screen, screen.size), screen.folder / "pandas.parquet"
    writing = seconds_of(lambda: frame.to_parquet(file))
    return Peer(
        "pandas on Parquet, a column a feature",
        screen.size,
        writing,
        lambda: _mean_in(pd.read_parquet(file)),
        lambda: _nearest_in(pd.read_parquet(file)),
        lambda: pd.read_parquet(file, filters=[("image_id", "==", "plate_1_00003")]),
    )


def in_text(screen: Written) -> Peer:
    """One line per cell, as the authors' script writes a layer; read with the names that it lacks."""
    frame, file = _frame(screen, TEXT_CELLS), screen.folder / "layer.tsv"

    def write() -> None:
        frame.to_csv(file, sep="\t", index=False)

    def read() -> pd.DataFrame:
        return pd.read_csv(file, sep="\t", dtype=dict.fromkeys(frame.columns[3:], np.float32))

    return Peer(
        "one tab-separated file",
        TEXT_CELLS,
        seconds_of(write),
        lambda: _mean_in(read()),
        lambda: _nearest_in(read()),
        lambda: read().query("image_id == 'plate_1_00003'"),
    )


def in_duckdb(screen: Written) -> Peer:
    """A table of a DuckDB file that is written in place."""
    file, tables = screen.folder / "native.duckdb", [screen.rows(shard) for shard in range(SHARDS)]

    def write() -> None:
        with duckdb.connect(str(file)) as con:
            for number, (features, images) in enumerate(tables):
                for name, arriving in (("cells", features), ("images", images)):
                    con.register("arriving", arriving)
                    verb = f"INSERT INTO {name}" if number else f"CREATE TABLE {name} AS"
                    con.execute(f"{verb} SELECT * FROM arriving")

    def ask(sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(file), read_only=True) as con:
            return con.execute(sql).fetchall()

    means = ", ".join(f"avg(features[{column}])" for column in range(1, COLUMNS + 1))
    return Peer(
        "a table of DuckDB, written in place",
        screen.size,
        seconds_of(write),
        lambda: ask(f"SELECT protein, {means} FROM cells JOIN images USING (image_id) GROUP BY 1"),
        lambda: [str(row[0]) for row in ask(nearest("cells"))],
        lambda: ask("SELECT cell_id, features FROM cells WHERE image_id = 'plate_1_00003'"),
    )
