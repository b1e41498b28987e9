"""Specs to start from: the screens of the paper, small sets of real cells, and simulated screens.

They come with the package. A workspace has only the screens whose specs are in it: `pcip init --from NAME` copies a
template there.
"""

from __future__ import annotations

from pathlib import Path

TEMPLATES = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}
"""Name of a screen -> the file of its template."""
