"""`pcip_core.models` and `pcip_core.training` import torch, numpy and safetensors alone, and then train."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

# Only what pcip_core itself imports is refused: torch may bring packages of its own. `__import__` also hears of
# modules that are loaded already, which import hooks do not.
REFUSING = """
import builtins, sys
THIRD_PARTY = {"torch", "numpy", "safetensors"}
OURS = ("models", "training", "spec.training", "spec.bounds", "crops.pixels", "crops.shapes")
OURS += ("errors", "locks", "files", "words")
OURS = tuple(f"pcip_core.{name}" for name in OURS)
OURS += ("benchmarks.common.harness", "benchmarks.common.authors", "benchmarks.speed.training")
original = builtins.__import__

def refusing(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if importer.partition(".")[0] in ("pcip_core", "benchmarks"):
        package = name.partition(".")[0]
        ours = any(name == module or name.startswith(f"{module}.") for module in OURS) or name == "benchmarks.speed"
        if package not in sys.stdlib_module_names | THIRD_PARTY and not ours:
            raise ModuleNotFoundError(f"{importer} imports {name}")
    return original(name, globals, locals, fromlist, level)

builtins.__import__ = refusing
"""

ALL_MODULES = """
import importlib, pkgutil
for name in ("models", "training"):
    package = importlib.import_module(f"pcip_core.{name}")
    for module in pkgutil.walk_packages(package.__path__, f"pcip_core.{name}."):
        print(importlib.import_module(module.name).__name__)
"""

TRAINING = """
import tempfile
from pathlib import Path
import numpy as np
from pcip_core.models.files import load_encoder, save_encoder
from pcip_core.models.inference import extract_features
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
pixels = np.random.default_rng(0).integers(0, 256, (8, 2, 8, 8), np.uint8)
network = NetworkConfig(("dna", "protein"), ("dna",), ("protein",), size_px=8, width=0.03)
config = TrainingConfig(epochs=1, batch_size=4, device="cpu", precision="float32")
with tempfile.TemporaryDirectory() as folder:
    cells = CellSet(pixels, np.repeat([0, 1], 4), network.channels)
    save_encoder(train(cells, network, config, checkpoints=Path(folder)).network, Path(folder))
    features = extract_features(load_encoder(Path(folder)), pixels)
print(*(features[f"conv{n}"].shape for n in range(1, 6)))
print(all(np.isfinite(values).all() for values in features.values()))
"""


def printed(code: str) -> list[str]:
    """The lines that a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_module_imports() -> None:
    files = {
        path.relative_to(REPOSITORY).with_suffix("")
        for package in ("models", "training")
        for path in (REPOSITORY / "pcip_core" / package).rglob("*.py")
        if path.stem != "__init__"
    }
    assert {".".join(path.parts) for path in files} <= set(printed(REFUSING + ALL_MODULES))


def test_a_network_trains_and_describes_cells() -> None:
    shapes, finite = printed(REFUSING + TRAINING)
    assert shapes == "(8, 3) (8, 8) (8, 12) (8, 12) (8, 8)"
    assert finite == "True"


def test_another_package_is_refused() -> None:
    code = (
        REFUSING
        + "\ntry:\n    import pcip_core.evaluation.scores\nexcept ImportError as error:\n    print(error)"
    )
    assert printed(code) == ["pcip_core.evaluation.scores imports polars"]
