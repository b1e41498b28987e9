"""SQL conditions that users write, each evaluated in a process of its own with limits of time and memory.

DuckDB's own limits do not bound a condition: functions such as `repeat` allocate outside of its memory limit and
cannot be interrupted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import duckdb
import pyarrow as pa

from pcip_core.errors import EvaluationError, SpecError
from pcip_core.spec.bounds import shown
from pcip_core.store.sql import NO_EXTENSIONS, quoted

if TYPE_CHECKING:  # each process of `_evaluated` would import it
    import polars as pl

LONGEST_S = 10.0  # of a condition on images
LONGEST_CELLS_S = 30.0  # of one on cells, of which there may be millions
_DUCKDB_MEMORY = "256MB"
_MOST_BYTES = 3 << 29  # of address space; DuckDB and pyarrow take half of it themselves
_CONDITION, _PROBLEM = b"condition", b"problem"  # keys in the metadata of tables
_LIMITS: dict[str, Any] = {
    **NO_EXTENSIONS,
    "enable_external_access": "false",
    "memory_limit": _DUCKDB_MEMORY,
    "threads": 1,
    "temp_directory": "",
}


def image_ids_where(images: pa.Table, condition: str, where: str) -> set[str]:
    """The ids of the images that meet a condition.

    Args:
        images: the columns that the condition may name, among them `image_id`.
        condition: an SQL expression: `'Vesicles' IN localization`. It cannot read other tables or files.
        where: location of the condition, for errors.

    Raises:
        SpecError: it is no condition over these columns, or it takes more than 10 s or 1.5 GB.
    """
    images = images.replace_schema_metadata({_CONDITION: condition})
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, images.schema) as writer:
        writer.write_table(images)
    answer = _evaluated("evaluate", stream.getvalue().to_pybytes(), LONGEST_S)
    if isinstance(answer, str):
        raise SpecError(
            where,
            found=f"{shown(condition)} ({answer})",
            required=f"a condition in SQL over the columns of images: {', '.join(images.column_names)}",
            remedy="Correct the condition; write terms in single quotes: 'Vesicles' IN localization.",
        )
    return set(answer.to_pylist())


def cell_ids_where(published: Path, screen: str, condition: str) -> pl.Series:
    """The ids of the cells that meet a condition, by the published file.

    Args:
        published: the published file, which is opened read-only.
        screen: name of the screen.
        condition: an SQL expression over the columns of its tables cells and images, which may have subqueries over
            published tables. It cannot read other files.

    Raises:
        EvaluationError: it is not one expression over these, or it takes more than 30 s or 1.5 GB.
    """
    asked = {"published": str(published), "screen": screen, "condition": condition}
    answer = _evaluated("evaluate_cells", json.dumps(asked).encode(), LONGEST_CELLS_S)
    if isinstance(answer, str):
        raise EvaluationError(
            "filter",
            found=f"{shown(condition)} ({answer})",
            required=f"one condition in SQL over the columns of {screen}.cells and {screen}.images",
            remedy="Correct the condition; write texts in single quotes: gene = 'NOP1' AND area_px > 500.",
        )
    from pcip_core.store.parquet import frame_of

    return frame_of(pa.table({"cell_id": answer}))["cell_id"]


def _evaluated(function: str, given: bytes, longest_s: float) -> pa.ChunkedArray | str:
    """The ids that a function of this module writes in a process of its own, or why there are none."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"from pcip_core.store import conditions; conditions.{function}()"],
            input=given,
            capture_output=True,
            timeout=longest_s,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"more than {longest_s:.0f} s"
    if done.returncode != 0:
        return done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or "more than 1.5 GB"
    answer = pa.ipc.open_stream(done.stdout).read_all()
    problem = (answer.schema.metadata or {}).get(_PROBLEM)
    return answer["id"] if problem is None else problem.decode(errors="replace")


def evaluate() -> None:
    """Read the images and the condition from standard input, and write the ids."""
    answers = _answers()
    _limit_memory()
    images = pa.ipc.open_stream(sys.stdin.buffer).read_all()
    condition = images.schema.metadata[_CONDITION].decode()

    def ids() -> pa.Table:
        with duckdb.connect(":memory:", config=_LIMITS) as con:
            con.register("images", images)
            return con.table("images").filter(condition).select("image_id AS id").to_arrow_table()

    _write(ids, answers)


def evaluate_cells() -> None:
    """Read the published file, the screen and the condition from standard input, and write the ids."""
    answers = _answers()
    _limit_memory()
    asked = json.load(sys.stdin)
    _write(lambda: cells_where(**asked), answers)


def cells_where(published: str, screen: str, condition: str) -> pa.Table:
    """The cells that meet a condition, as `cell_ids_where`, in this process and without its limits: a column `id`.

    Raises:
        duckdb.Error: it is no condition over these tables.
    """
    with duckdb.connect(published, read_only=True, config=_LIMITS) as con:
        con.execute(f"USE {quoted(screen)}")  # for subqueries
        of_cells, of_images = (con.table(name).columns for name in ("cells", "images"))
        more = [f"i.{quoted(name)}" for name in of_images if name not in of_cells]
        joined = con.sql(f"SELECT c.*, {', '.join(more)} FROM cells c JOIN images i USING (image_id)")
        return joined.filter(condition).select("cell_id AS id").to_arrow_table()


def _answers() -> BinaryIO:
    """Standard output, for the answer alone: whatever else writes to it goes to standard error from now on.

    DuckDB draws a progress bar on it after two seconds, because Python was started without a file.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    except (ImportError, ValueError, OSError):
        pass  # Windows and macOS have no such limit


def _write(ids: Callable[[], pa.Table], answers: BinaryIO) -> None:
    """Write ids, or the problem that prevents them."""
    try:
        answer = ids()
    except (duckdb.Error, RuntimeError, MemoryError) as error:
        problem = (str(error).splitlines() or [type(error).__name__])[0]
        answer = pa.table({"id": pa.array([], pa.string())}).replace_schema_metadata({_PROBLEM: problem})
    with answers, pa.ipc.new_stream(answers, answer.schema) as writer:
        writer.write_table(answer)
