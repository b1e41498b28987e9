"""Modified copies of screens, each run in its own workspace, for benchmarks that read the published tables.

The screens of the demo have three or four images per class, so a split by image leaves one to test on. Those of
`compared` have twelve, with one field each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml

from pcip_assets.cli.run import run_screen
from pcip_assets.cli.simulated import ensure_simulated
from pcip_assets.workspace import Workspace
from pcip_core.spec.screen import Screen
from pcip_core.spec.templates import TEMPLATES
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect

_LARGER = {"plates": 4, "proteins_per_class": 12, "fields_per_image": 1}
INPAINTING: dict[str, Any] = {"width": 0.25, "batch_size": 16, "learning_rate": 5e-4}
"""Settings of the encoder by which inpainting learns from small screens; all others are the paper's."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Compared:
    """A screen after `pcip run NAME --baselines`: its name, its store and the rows of main.benchmarks."""

    screen: str
    store: Store
    scores: Rows


@contextmanager
def compared(name: str, *, root: str | None = None, **baselines: object) -> Iterator[Compared]:
    """Run `pcip run NAME --baselines` in a new workspace, which is there until the end of the block.

    The encoder learns inpainting, as in the paper whose comparisons are repeated.

    Args:
        name: a screen; of a simulated one a larger copy is run.
        root: of a real one.
        baselines: changes to that section of its spec.
    """
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "data")
        encoder = {"recipe": "paper", **INPAINTING, "epochs": 16 if root is None else 40}
        changes = {"encoder": encoder, "baselines": baselines, "simulation": _LARGER if root is None else {}}
        run_changed(workspace, name, f"{name}_compared", changes, root=root, baselines=True)
        with connect(workspace.published) as con:
            scores = rows_of(con, "SELECT * FROM main.benchmarks")
        yield Compared(f"{name}_compared", Store(workspace.store), scores)


def run_changed(
    workspace: Workspace,
    name: str,
    called: str,
    changes: Mapping[str, Any],
    *,
    root: str | None = None,
    **jobs: bool,
) -> Screen:
    """Run a changed copy of a screen as a user would, `pcip run SPEC`.

    Args:
        workspace: where its data come to lie; the spec is written beside its folder.
        name: a template of a screen.
        called: the copy's name, as two screens of one name are refused.
        changes: key of the spec -> value; of a section, the keys in it that change.
        root: of a real screen.
        jobs: `baselines` or `analyses`, to run these too.

    Raises:
        RuntimeError: the run failed, with its error.
    """
    spec = yaml.safe_load((TEMPLATES[name]).read_text())
    for key, value in changes.items():
        if not isinstance(value, Mapping):
            spec[key] = value
        elif value:
            spec[key] = {**spec.get(key, {}), **value}
    spec["name"] = called
    if root is not None:
        spec["root"] = root
    path = workspace.data.parent / f"{called}.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))  # the order of channels counts
    screen = workspace.find(str(path))
    ensure_simulated(screen)
    outcome = run_screen(workspace, screen, **jobs)
    if not outcome.success:
        raise RuntimeError(outcome.error)
    return screen


def rows_of(con: duckdb.DuckDBPyConnection, query: str) -> Rows:
    """The rows of a query, each as a mapping of column to value."""
    found = con.execute(query)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
