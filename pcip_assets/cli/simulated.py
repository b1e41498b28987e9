"""The raw images of simulated screens, which commands write before they read them."""

import sys

from tqdm import tqdm

from pcip_core.simulate import simulate_screen
from pcip_core.spec.screen import Screen

WORKERS = 2


def ensure_simulated(screen: Screen) -> None:
    """Write the images of a simulated screen under its root, unless they exist."""
    if screen.simulation is None:
        return
    with tqdm(desc=f"  simulating {screen.name}", unit="field", disable=not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        simulate_screen(screen.simulation, screen.folder_to_make(), progress=progress, workers=WORKERS)
