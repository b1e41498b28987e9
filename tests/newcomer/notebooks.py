"""The notebooks, executed in a copy of a workspace with the small demo; the results are left in `build/notebooks`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient

REPOSITORY = Path(__file__).resolve().parents[2]
EXECUTED = REPOSITORY / "build" / "notebooks"
_SECONDS = 900  # for one cell: a limit to what hangs, not an aim


def execute(notebook: Path, workspace: Path) -> None:
    """Execute a notebook in a workspace, as Jupyter does, and write it with its results.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    start = time.monotonic()
    book = nbformat.read(notebook, as_version=4)
    NotebookClient(
        book,
        kernel_name="python3",
        timeout=_SECONDS,
        startup_timeout=_SECONDS,
        coalesce_streams=True,
        resources={"metadata": {"path": str(workspace)}},
    ).execute()
    nbformat.write(book, EXECUTED / notebook.name)
    print(f"{notebook.name}: {time.monotonic() - start:.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Execute all notebooks, or those that are named."""
    parser = argparse.ArgumentParser(prog="make notebooks", description=__doc__)
    parser.add_argument(
        "--workspace", type=Path, help="a workspace with the small demo; otherwise it is made"
    )
    parser.add_argument("names", nargs="*", help="only these notebooks, by their names without .ipynb")
    options = parser.parse_args(arguments)
    os.environ["PATH"] = (
        f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the command `pcip` of this Python
    )
    EXECUTED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pcip_notebooks_") as temporary:
        workspace = Path(temporary) / "workspace"
        if options.workspace:
            shutil.copytree(options.workspace, workspace)
        else:
            workspace.mkdir()
            subprocess.run(["pcip", "demo", "--small"], cwd=workspace, check=True)
        for notebook in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
            if not options.names or notebook.stem in options.names:
                execute(notebook, workspace)


if __name__ == "__main__":
    main()
