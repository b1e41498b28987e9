"""Files of partitions."""

from __future__ import annotations

import gc
import io
from pathlib import Path

import polars as pl

from pcip_core.store.parquet import opened, write


def test_a_partition_is_read_without_a_python_file(tmp_path: Path) -> None:
    """A thread of Arrow that holds one when Python ends aborts the process."""
    path = tmp_path / "part.parquet"
    write(path, pl.DataFrame({"a": [1, 2]}), {})
    with path.open("rb"):
        assert python_files(path) == 1  # so the count sees what it looks for
    with opened(path) as part:
        assert part.read(columns=["a"]).num_rows == 2
        assert python_files(path) == 0


def python_files(path: Path) -> int:
    """How many Python files of this path are open."""
    files = [each for each in gc.get_objects() if type(each) is io.BufferedReader and not each.closed]
    return sum(file.name == str(path) or file.name == path for file in files)
