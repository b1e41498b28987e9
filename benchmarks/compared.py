"""Simulated screens that are large enough to compare feature sets on, run as a user would; for two benchmarks.

The screens of the demo have three or four images a class, of which a split by image leaves one to test with.
These have twelve, with one field each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pcip_assets.running import run_screen
from pcip_assets.simulated import ensure_simulated
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.store.publish import connect

_LARGER = {"plates": 4, "proteins_per_class": 12, "fields_per_image": 1}
Rows = list[dict[str, Any]]


@contextmanager
def compared(name: str, *, root: str | None = None, **yardsticks: object) -> Iterator[Rows]:
    """The rows of main.benchmarks after `pcip run NAME --yardsticks` in a workspace of its own.

    Args:
        name: a screen; of a simulated one a larger copy is run.
        root: of a real one.
        yardsticks: changes to that section of its spec.
    """
    spec = yaml.safe_load((REPOSITORY / "data" / "screens" / f"{name}.yaml").read_text())
    spec["name"] = f"{name}_compared"  # two screens of one name are refused
    spec["yardsticks"] = {**spec.get("yardsticks", {}), **yardsticks}
    if "simulation" in spec:
        spec["simulation"] |= _LARGER
    if root is not None:
        spec["root"] = root
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{spec['name']}.yaml"
        path.write_text(yaml.safe_dump(spec))
        workspace = Workspace(Path(folder) / "data")
        screen = workspace.find(str(path))
        ensure_simulated(screen)
        outcome = run_screen(workspace, screen, yardsticks=True)
        if not outcome.success:
            raise RuntimeError(outcome.error)
        with connect(workspace.published) as con:
            found = con.execute("SELECT * FROM main.benchmarks")
            names = [column[0] for column in found.description or []]
            yield [dict(zip(names, row, strict=True)) for row in found.fetchall()]
