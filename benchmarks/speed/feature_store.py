"""Speed of the feature store: writing, means by protein, nearest cells, one image; and whether readers wait."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import psutil

from benchmarks.common.feature_tables import COLUMNS, FEATURE_SET, SCREEN, SHARDS, TABLE, Written
from benchmarks.common.harness import Row
from pcip_core.store.feature_blocks import mean_by_protein
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish
from pcip_core.store.vectors import features_of

DESCRIPTION = (
    "N x 384 features in 32 shards: writing, publishing, means, ten nearest cells; pandas, TSV, plain DuckDB"
)
SECONDS = 285
SIZES, PAPER = (50_000, 100_000, 200_000, 400_000), 1_165_713  # cells; the paper's yeast screen
PEERS_AT, TSV_CELLS = 200_000, 20_000
_REPEATS = 5
_PAPER_DISK, _PAPER_MEMORY = 12e9, 8e9  # bytes that the largest size needs
_CELL = "plate_1_0000007"
_WRITE, _MEAN, _COLD, _TOP = "at least 100 MB/s", "< 10 s", "< 3 s", "< 1 s"
_LIMITS = {
    "": None,
    " with DuckDB's default limit of memory": "80%",
}  # of an open file; by default, that of pcip


def run() -> list[Row]:
    """Sizes one after the other, each in a folder of its own; the peers at one of them."""
    rows: list[Row] = []
    for size in (*SIZES, PAPER):
        with tempfile.TemporaryDirectory() as folder:
            if size == PAPER and not _room(Path(folder)):
                rows.append(
                    Row(f"{size:,} cells: not run, for want of 12 GB of disk or 8 GB of memory", None)
                )
                continue
            screen = Written(Path(folder), size)
            rows += measured(screen, judged=size == PAPER)
            if size == PEERS_AT:
                rows += [*_beside(screen), *_waiting(screen)]
    return rows


def _room(folder: Path) -> bool:
    free = psutil.virtual_memory().available
    return shutil.disk_usage(folder).free > _PAPER_DISK and free > _PAPER_MEMORY


# -- our store ----------------------------------------------------------------------------------------


def measured(screen: Written, *, judged: bool) -> Iterator[Row]:
    """Rows of one size; each is against the aim at the largest size only."""
    about = f"{screen.size:,} x {COLUMNS} by {screen.shards} shards (random)"
    speed = screen.megabytes / sum(screen.commits)
    on_disk = sum(path.stat().st_size for path in screen.store.root.rglob("*.parquet")) / 1e6
    yield Row(
        f"write of {about}, checked and synced", speed, "MB/s of vectors", n=screen.shards,
        spread=_of_shards(screen), aim=_WRITE if judged else None, held=speed >= 100 if judged else None,
        against="size on disk over that of the vectors", against_value=on_disk / screen.megabytes,
    )  # fmt: skip
    yield Row(f"first publication of {about}", screen.publishing, "s", n=1)
    few = 1 if screen.size == PAPER else 3
    cold = "the files dropped from memory"
    for what, measure, repeats, aim, most in (
        ("mean by protein, as the asset makes it from Parquet", _mean_by_asset, few, _MEAN, 10.0),
        ("mean by protein, SQL on the published file", _mean_by_sql, few, None, None),
        (f"ten most similar cells, from Parquet by SQL, {cold}", _similar_parquet, _REPEATS, None, None),
        (
            "the vectors of the Parquet files unpacked, which that includes, by SQL",
            _unpacked,
            _REPEATS,
            None,
            None,
        ),
        (f"ten most similar cells, published, opened anew, {cold}", _similar_published, _REPEATS, _COLD, 3.0),
        (
            "ten most similar cells, published, opened anew and closed",
            _similar_published,
            _REPEATS,
            None,
            None,
        ),
        ("all cells of one image, published, opened anew", _one_image, _REPEATS, None, None),
    ):
        seconds = []
        for _ in range(repeats):
            if cold in what:
                _forget(screen)
            seconds.append(_seconds(partial(measure, screen)))
        middle, judge = statistics.median(seconds), judged and most is not None
        yield Row(
            f"{what}: {about}", middle, "s", n=repeats, spread=(min(seconds), max(seconds)),
            aim=aim if judge else None, held=middle < (most or 0) if judge else None,
        )  # fmt: skip
    yield from _while_open(screen, about, judged=judged)


def _while_open(screen: Written, about: str, *, judged: bool) -> Iterator[Row]:
    """What is left of the most similar cells without closing the file, and without opening it."""
    for memory, limit in _LIMITS.items():
        answered, again = [], []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            with connect(screen.published) as con:
                if limit is not None:
                    con.execute(f"SET memory_limit = '{limit}'")
                _similar(con)
                answered.append(time.perf_counter() - start)
                again.append(_seconds(partial(_similar, con)))
        for what, seconds, judge in (
            ("opened anew, until the answer is there", answered, judged and limit is None),
            ("asked again", again, False),
        ):
            middle = statistics.median(seconds)
            yield Row(
                f"ten most similar cells, published, {what}{memory}: {about}", middle, "s", n=_REPEATS,
                spread=(min(seconds), max(seconds)), aim=_TOP if judge else None,
                held=middle < 1 if judge else None,
            )  # fmt: skip


def _of_shards(screen: Written) -> tuple[float, float]:
    speeds = [screen.megabytes / screen.shards / seconds for seconds in screen.commits]
    return min(speeds), max(speeds)


def _forget(screen: Written) -> None:
    """Ask the system to drop the files from memory."""
    for path in (screen.published, *screen.store.root.rglob("*.parquet")):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _mean_by_asset(screen: Written) -> pl.DataFrame:
    return mean_by_protein(screen.store, SCREEN, FEATURE_SET)


def _mean_by_sql(screen: Written) -> object:
    means = ", ".join(f"avg(features[{column}])" for column in range(1, COLUMNS + 1))
    sql = f"SELECT protein, {means} FROM {SCREEN}.{TABLE} JOIN {SCREEN}.images USING (image_id) GROUP BY 1"
    with connect(screen.published) as con:
        return con.sql(sql).pl()


def _similar_published(screen: Written) -> list[tuple[object, ...]]:
    with connect(screen.published) as con:
        return _similar(con)


def _similar(con: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return con.execute(f"FROM {SCREEN}.similar_cells('{FEATURE_SET}', '{_CELL}', 10)").fetchall()


def _similar_parquet(screen: Written) -> list[tuple[object, ...]]:
    with duckdb.connect() as con:
        return con.execute(_nearest(screen.parquet)).fetchall()


def _unpacked(screen: Written) -> list[tuple[object, ...]]:
    with duckdb.connect() as con:
        return con.execute(f"SELECT count(features[1]) FROM {screen.parquet}").fetchall()


def _nearest(source: str) -> str:
    vector = f"features::FLOAT[{COLUMNS}]"
    wanted = f"(SELECT {vector} FROM {source} WHERE cell_id = '{_CELL}')"
    return (
        f"SELECT cell_id, image_id, array_distance({vector}, {wanted}) AS distance FROM {source} "
        "ORDER BY distance, cell_id LIMIT 10"
    )


def _one_image(screen: Written) -> list[tuple[object, ...]]:
    with connect(screen.published) as con:
        sql = f"SELECT cell_id, features FROM {SCREEN}.{TABLE} WHERE image_id = 'plate_1_00003'"
        return con.execute(sql).fetchall()


# -- others -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peer:
    """Another way to keep the same cells, `cells` of them: seconds of writing, and its questions."""

    name: str
    cells: int
    writing: float
    mean: Callable[[], object]
    similar: Callable[[], list[str]]
    image: Callable[[], object]


def _beside(screen: Written) -> Iterator[Row]:
    """The same questions to others, by cell where they hold fewer; ours and theirs in turns."""
    expected = [str(row[0]) for row in _similar_published(screen)]
    for make in (_pandas, _native, _tsv):
        peer = make(screen)
        if peer.cells == screen.size:
            assert peer.similar() == expected, peer.name
        share = screen.size / peer.cells
        yield _ratio(
            f"write of {screen.size:,} x {COLUMNS}", [sum(screen.commits)], [peer.writing * share], peer
        )
        for what, ours, theirs in (
            ("mean by protein", lambda: _mean_by_asset(screen), peer.mean),
            ("ten most similar cells", lambda: _similar_published(screen), peer.similar),
            ("all cells of one image", lambda: _one_image(screen), peer.image),
        ):  # fmt: skip
            pairs = [(_seconds(ours), _seconds(theirs) * share) for _ in range(3)]
            yield _ratio(f"{what}, {screen.size:,} x {COLUMNS}", *map(list, zip(*pairs, strict=True)), peer)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _ratio(what: str, ours: list[float], theirs: list[float], peer: Peer) -> Row:
    """`ratio` is how many times as long the other takes."""
    value, against = statistics.median(ours), statistics.median(theirs)
    fewer = "" if peer.cells == PEERS_AT else f", by cell from {peer.cells:,} cells"
    return Row(what, value, "s", against=f"{peer.name}{fewer}", against_value=against, ratio=against / value,
               n=len(ours), spread=(min(ours), max(ours)))  # fmt: skip


def _frame(screen: Written, cells: int) -> pd.DataFrame:
    """Ids, protein and a column a feature, of the first cells."""
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
    row = int(np.flatnonzero(frame["cell_id"] == _CELL)[0])
    distance = np.sqrt(np.square(values - values[row]).sum(1))
    return frame["cell_id"].iloc[distance.argsort(kind="stable")[:10]].tolist()


def _mean_in(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=["cell_id", "image_id"]).groupby("protein").mean()


def _pandas(screen: Written) -> Peer:
    frame, file = _frame(screen, screen.size), screen.folder / "pandas.parquet"
    writing = _seconds(lambda: frame.to_parquet(file))
    return Peer(
        "pandas on Parquet, a column a feature",
        screen.size,
        writing,
        lambda: _mean_in(pd.read_parquet(file)),
        lambda: _nearest_in(pd.read_parquet(file)),
        lambda: pd.read_parquet(file, filters=[("image_id", "==", "plate_1_00003")]),
    )


def _tsv(screen: Written) -> Peer:
    """A line a cell, as the authors' script writes a layer; read with the names that it lacks."""
    frame, file = _frame(screen, TSV_CELLS), screen.folder / "layer.tsv"

    def write() -> None:
        frame.to_csv(file, sep="\t", index=False)

    def read() -> pd.DataFrame:
        return pd.read_csv(file, sep="\t", dtype=dict.fromkeys(frame.columns[3:], np.float32))

    return Peer(
        "one tab-separated file",
        TSV_CELLS,
        _seconds(write),
        lambda: _mean_in(read()),
        lambda: _nearest_in(read()),
        lambda: read().query("image_id == 'plate_1_00003'"),
    )


def _native(screen: Written) -> Peer:
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
        _seconds(write),
        lambda: ask(f"SELECT protein, {means} FROM cells JOIN images USING (image_id) GROUP BY 1"),
        lambda: [str(row[0]) for row in ask(_nearest("cells"))],
        lambda: ask("SELECT cell_id, features FROM cells WHERE image_id = 'plate_1_00003'"),
    )


# -- who waits ----------------------------------------------------------------------------------------


def _waiting(screen: Written, publications: int = 5) -> Iterator[Row]:
    """Questions one after the other, with another process publishing a changed shard, and without."""
    alone = [_seconds(lambda: _similar_published(screen)) for _ in range(20)]
    during: list[float] = []
    lasted: list[float] = []
    for _ in range(publications):
        code = (
            "import sys; from benchmarks.speed import feature_store; feature_store.publish_one(*sys.argv[1:])"
        )
        command = [sys.executable, "-c", code, str(screen.folder), str(screen.size), str(screen.shards)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdout.readline()  # ready
            writer.stdin.write("go\n")
            writer.stdin.flush()
            start = time.perf_counter()
            while writer.poll() is None:
                during.append(_seconds(lambda: _similar_published(screen)))
            lasted.append(time.perf_counter() - start)
    longest, shortest_wait = max(during), min(lasted)
    yield Row(
        f"longest of {len(during)} questions while another process publishes, {screen.size:,} x {COLUMNS}",
        longest, "s", against=f"longest of {len(alone)} with no writer", against_value=max(alone),
        ratio=longest / max(alone), n=len(during), spread=(min(during), longest),
        aim=f"no reader waits for a writer: shorter than a publication ({shortest_wait:.1f} s)",
        held=longest < shortest_wait and len(during) > publications,
    )  # fmt: skip
    yield Row(
        "median of the same", statistics.median(during), "s", against="with no writer (the two share the cores)",
        against_value=statistics.median(alone), ratio=statistics.median(during) / statistics.median(alone),
        n=len(during),
    )  # fmt: skip
    yield Row(
        "publishing one changed shard of 32", statistics.median(lasted), "s", n=publications,
        spread=(min(lasted), max(lasted)),
    )  # fmt: skip


def publish_one(folder: str, size: str, shards: str) -> None:
    """In a process of its own: a shard is written anew; when told so, it is published."""
    screen = Written.__new__(Written)
    screen.folder, screen.size, screen.shards = Path(folder), int(size), int(shards)
    screen.store, screen.published = Store(screen.folder / "store"), screen.folder / "feature_store.duckdb"
    screen.commit(0)
    print("ready", flush=True)
    sys.stdin.readline()
    publish(screen.store, screen.published)
