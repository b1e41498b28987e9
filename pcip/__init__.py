"""The results of a workspace in Python: tables as polars frames, vectors and crops as numpy arrays.

    import pcip

    screen = pcip.open("my_workspace").screen("simulated_human")
    screen.images, screen.cells             # one row per image, per cell
    screen.features("agreement_conv5").to_numpy()
    screen.crops(screen.cells["cell_id"][:9]).pixels
    screen.neighbours("SIMP005", n=10)

Nothing is written, and a run may go on meanwhile. Columns are those of SQL (docs/tables.md). All errors that a user can
cause are a `PcipError`.
"""

from pcip.crops import Crops
from pcip.features import Features
from pcip.screen import Screen
from pcip.workspace import Workspace, open
from pcip_core.errors import PcipError

__all__ = ["Crops", "Features", "PcipError", "Screen", "Workspace", "open"]
