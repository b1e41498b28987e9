"""SQL conditions that users write, each evaluated in a process of its own with limits of time and memory.

DuckDB's own limits do not bound a condition: functions such as `repeat` allocate outside of its memory limit and
cannot be interrupted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import duckdb
import pyarrow as pa

from pcip_core.errors import SpecError
from pcip_core.spec.bounds import shown
from pcip_core.store.sql import NO_EXTENSIONS

LONGEST_S = 10.0
_DUCKDB_MEMORY = "256MB"
_MOST_BYTES = 3 << 29  # of address space; DuckDB and pyarrow take half of it themselves
_CONDITION = b"condition"  # its key in the metadata of the images
_EVALUATE = "from pcip_core.store.conditions import evaluate; evaluate()"


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
    try:
        done = subprocess.run(
            [sys.executable, "-c", _EVALUATE],
            input=stream.getvalue().to_pybytes(),
            capture_output=True,
            timeout=LONGEST_S,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            check=False,
        )
    except subprocess.TimeoutExpired:
        answer = {"problem": f"more than {LONGEST_S:.0f} s"}
    else:
        ended = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or "more than 1.5 GB"
        answer = json.loads(done.stdout) if done.returncode == 0 else {"problem": ended}
    if "problem" in answer:
        raise SpecError(
            where,
            found=f"{shown(condition)} ({answer['problem']})",
            required=f"a condition in SQL over the columns of images: {', '.join(images.column_names)}",
            remedy="Correct the condition; write terms in single quotes: 'Vesicles' IN localization.",
        )
    return set(answer["image_ids"])


def evaluate() -> None:
    """Read the images and the condition from standard input, and write the answer as JSON."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    except (ImportError, ValueError, OSError):
        pass  # Windows and macOS have no such limit
    images = pa.ipc.open_stream(sys.stdin.buffer).read_all()
    config: dict[str, Any] = {
        **NO_EXTENSIONS,
        "enable_external_access": "false",
        "memory_limit": _DUCKDB_MEMORY,
        "threads": 1,
        "temp_directory": "",
    }
    answer: dict[str, Any]
    try:
        with duckdb.connect(":memory:", config=config) as con:
            con.register("images", images)
            condition = images.schema.metadata[_CONDITION].decode()
            rows = con.table("images").filter(condition).select("image_id").fetchall()
            answer = {"image_ids": [str(name) for (name,) in rows]}
    except (duckdb.Error, RuntimeError, MemoryError) as error:
        answer = {"problem": (str(error).splitlines() or [type(error).__name__])[0]}
    json.dump(answer, sys.stdout)
