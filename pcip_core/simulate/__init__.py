"""Simulated screens with known truth. All their files state that they are simulated."""

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
    """Write a simulated screen; see `pcip_core.simulate.screen.write_screen` for the files.

    Args:
        simulation: the parameters.
        folder: replaced if it holds another simulation.
        progress: called with the number of fields done and the total number of fields.
        workers: number of processes; the images do not depend on it.

    Raises:
        SpecError: the parameters are invalid, or the folder holds files that are no simulation.

    >>> import tempfile
    >>> small = Simulation(
    ...     "yeast",
    ...     plates=1,
    ...     proteins_per_class=1,
    ...     fields_per_image=1,
    ...     mixed_proteins=0,
    ...     variable_proteins=0,
    ...     field_size_px=96,
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     simulate_screen(small, Path(folder) / "screen")
    ...     images = sorted((Path(folder) / "screen" / "plate_1").glob("*.tif"))
    >>> len(images), images[0].name
    (20, 'A01_f1_cytosol.tif')
    """
    from pcip_core.simulate.screen import write_screen  # reading a spec then needs neither numpy nor scipy

    write_screen(simulation, folder, progress=progress, workers=workers)
