"""The authors' published script and network, run beside ours on today's Keras; a checkout of theirs is needed.

Their code is GPL-2.0 and no part of this repository. It was written for TensorFlow 1; what has moved since is put
in its place here: `tensorflow.contrib.keras` is Keras, and weights, which do not matter to speed, are not loaded.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import runpy
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np

AUTHORS = "PCIP_AUTHORS_CODE"
SCRIPT = Path("human_model", "eval_layer_all_cells.py")
_LAYERS = tuple(f"conv{number}_1" for number in range(1, 6))
_CELLS = 9  # through the script for each layer, of which the first is not counted
_BATCH = 32


def authors_missing(script: Path) -> str | None:
    """Why their code cannot be run; None when it can."""
    code = os.environ.get(AUTHORS)
    if code is None or not (Path(code) / script).is_file():
        return f"needs a checkout of alexxijielu/paired_cell_inpainting named by {AUTHORS}"
    if importlib.util.find_spec("keras") is None:
        return "needs keras, with tensorflow or with KERAS_BACKEND=torch"
    return None


def measured_alone(folder: str, threads: str) -> None:
    """In a process of its own: prints cells/s of their script with conv3, which it is published with, of the script
    run for all five layers one after the other, of their network in batches, and the backend.
    """
    if importlib.util.find_spec("tensorflow") is None:
        os.environ["KERAS_BACKEND"] = "torch"
    keras = importlib.import_module("keras")
    if keras.backend.backend() == "tensorflow":
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.threading.set_intra_op_parallelism_threads(int(threads))
    else:
        importlib.import_module("torch").set_num_threads(int(threads))
        tensorflow = ModuleType("tensorflow")
        tensorflow.keras = keras  # type: ignore[attr-defined]
    pixels = np.load(Path(folder) / "pixels.npy")
    code = Path(os.environ[AUTHORS]).resolve() / SCRIPT.parent
    with _as_in_2018(keras, tensorflow, code), contextlib.redirect_stdout(io.StringIO()):
        seconds = {
            layer: _script(code / SCRIPT.name, layer, Path(folder), pixels[:_CELLS], keras)
            for layer in _LAYERS
        }
        batches = _network(keras, pixels)
    print(1 / seconds["conv3_1"], 1 / sum(seconds.values()), batches, keras.backend.backend())


@contextlib.contextmanager
def _as_in_2018(keras: Any, tensorflow: Any, code: Path) -> Any:
    """Their imports find what they look for."""
    contrib = ModuleType("tensorflow.contrib")
    contrib.keras = keras  # type: ignore[attr-defined]
    modules = {
        "tensorflow": tensorflow,
        "tensorflow.contrib": contrib,
        "tensorflow.contrib.keras": keras,
    }
    backend = os.environ.get("KERAS_BACKEND")
    given = property(lambda layer: layer.output)  # of an input layer, which has no `input` now
    with (
        mock.patch.dict(sys.modules, modules),
        mock.patch.object(sys, "path", [str(code), *sys.path]),
        mock.patch.object(keras.layers.InputLayer, "input", given),
    ):
        yield
    if backend is not None:
        os.environ["KERAS_BACKEND"] = backend  # the script sets it


def _script(script: Path, layer: str, folder: Path, pixels: np.ndarray, keras: Any) -> float:
    """Seconds a cell of the whole loop: files read, resized, rescaled, one layer, a line of text written.

    Their README has the user write the layer into the script.
    """
    from PIL import Image

    cells = folder / "toy_dataset" / "protein"
    cells.mkdir(parents=True, exist_ok=True)
    for number, planes in enumerate(pixels):
        for plane, colour in zip(planes, ("blue", "red", "green"), strict=True):
            Image.fromarray(plane).save(cells / f"{number}_{colour}.tif")
    stamps: list[float] = []
    predict = keras.Model.predict

    def stamped(self: Any, *arguments: Any, **options: Any) -> Any:
        out = predict(self, *arguments, **options)
        stamps.append(time.perf_counter())
        return out

    asked, found = re.subn(r'target_layer = "\w+"', f'target_layer = "{layer}"', script.read_text())
    assert found == 1, script
    edited = folder / script.name
    edited.write_text(asked)
    before = Path.cwd()
    os.chdir(folder)
    try:
        with (
            mock.patch.object(keras.Model, "predict", stamped),
            mock.patch.object(keras.Model, "load_weights", return_value=None),
        ):
            runpy.run_path(str(edited), run_name="__main__")
    finally:
        os.chdir(before)
    return (stamps[-1] - stamps[0]) / (len(stamps) - 1)


def _network(keras: Any, pixels: np.ndarray) -> float:
    """Cells/s of all five layers, their maxima taken within the graph, which their script leaves to numpy."""
    whole = importlib.import_module("pair_model").Pair_Model().create_model((64, 64, 3), (64, 64, 2))
    pooled = [keras.layers.GlobalMaxPooling2D()(whole.get_layer(layer).output) for layer in _LAYERS]
    model = keras.Model(inputs=whole.get_layer("x_in").input, outputs=pooled)
    x = pixels.transpose(0, 2, 3, 1).astype(np.float32) / 255
    model.predict(x[:_BATCH], batch_size=_BATCH, verbose=0)  # warm
    start = time.perf_counter()
    model.predict(x, batch_size=_BATCH, verbose=0)
    return len(x) / (time.perf_counter() - start)
