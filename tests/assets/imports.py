"""What a Python process imports, and what is too slow to import for a help text or for Dagster's code location."""

from __future__ import annotations

import subprocess
import sys

from pcip_assets.workspace import REPOSITORY

HEAVY = {
    *("torch", "sklearn", "scipy", "skimage", "pandas", "matplotlib", "umap", "numba", "mlflow", "bokeh"),
    *("mahotas", "cp_measure", "imagecodecs", "zarr", "h5py"),
}


def imported_packages(code: str) -> set[str]:
    """Top-level packages that a process imports."""
    process = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c"),
            f"import sys; {code}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(process.stdout.splitlines()[-1].split())
