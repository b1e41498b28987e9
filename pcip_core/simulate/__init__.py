"""Simulated screens with known truth. Everything they write says that it is simulated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pcip_core.spec.simulation import Simulation


def simulate_screen(
    simulation: Simulation,
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Write a simulated screen; see `pcip_core.simulate.screen.write_screen`."""
    from pcip_core.simulate.screen import write_screen  # numpy and scipy are not needed to read a spec

    write_screen(simulation, folder, progress=progress, workers=workers)
