"""The authors' published scripts and network, run on a current Keras for comparison; needs a checkout of their code.

Their code is GPL-2.0 and not part of this repository. It was written for TensorFlow 1, so this module adapts what
has changed since: `tensorflow.contrib.keras` is Keras, and weights, which do not affect speed, are neither loaded nor
saved. `fit_generator` is `fit`, which reads from the same generator; with TensorFlow it reads ahead in a thread. The
script asks for 40 processes; the computation is the same, and two cores could not use them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import os
import re
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

AUTHORS = "PCIP_AUTHORS_CODE"
SCRIPT = Path("human_model", "eval_layer_all_cells.py")
TRAINING = Path("human_model", "train.py")
_COLOURS = ("blue", "red", "green")  # nucleus, microtubules, protein, in their files' names
_LAYERS = tuple(f"conv{number}_1" for number in range(1, 6))
_CELLS = 9  # through the script for each layer, of which the first is not counted
_BATCH, _CALLS = 32, 8
_SIDE = 128  # px of their crops, of which the training script makes 64
_WARM = 2  # steps of a training that are not counted


def authors_missing(script: Path) -> str | None:
    """Why their code cannot be run; None when it can."""
    code = os.environ.get(AUTHORS)
    if code is None or not (Path(code) / script).is_file():
        return f"needs a checkout of alexxijielu/paired_cell_inpainting named by {AUTHORS}"
    if importlib.util.find_spec("keras") is None:
        return "needs keras, with tensorflow or with KERAS_BACKEND=torch"
    return None


def alone(measure: Callable[..., None], *arguments: object) -> list[str]:
    """What one of the functions here prints in a process of its own, which leaves a GPU alone; the words of it."""
    code = f"import sys; from benchmarks.common import authors; authors.{measure.__name__}(*sys.argv[1:])"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise RuntimeError(f"the authors' code did not run through:\n{done.stderr}")
    return done.stdout.split()


def extracted(folder: str, threads: str) -> None:
    """In a process of its own: prints cells/s of their script with conv3, which it is published with, of the script
    run for all five layers one after the other, of their network in batches, and the backend.
    """
    pixels = np.load(Path(folder) / "pixels.npy")
    with _as_in_2018(SCRIPT, threads) as (script, keras), contextlib.redirect_stdout(io.StringIO()):
        seconds = {layer: _script(script, layer, Path(folder), pixels[:_CELLS], keras) for layer in _LAYERS}
        batches = _network(keras, pixels)
    print(1 / seconds["conv3_1"], 1 / sum(seconds.values()), batches, keras.backend.backend())


def trained(folder: str, threads: str, batch: str) -> None:
    """In a process of its own: prints pairs/s of their training script, the same without its loader, and the backend.

    Args:
        folder: with crops as of `write_crops`; of the script's steps the first two are not counted.
        threads: of the arithmetic.
        batch: pairs a step, in place of what their options say.
    """
    os.chdir(folder)
    speeds: list[float] = []
    with _as_in_2018(TRAINING, threads) as (script, keras), contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module("opts").__dict__.update(batch_size=int(batch), epochs=1)

        def fit_generator(model: Any, given: Iterator[Any], *, steps_per_epoch: int, **_workers: Any) -> None:
            again = itertools.repeat(next(given))
            speeds.extend(_pairs_per_s(keras, model, each, steps_per_epoch) for each in (given, again))

        with (
            mock.patch.object(keras.Model, "fit_generator", fit_generator, create=True),
            mock.patch.object(keras.Model, "save"),
        ):
            runpy.run_path(str(script), run_name="__main__")
    print(*speeds, keras.backend.backend())


def write_crops(folder: Path, pixels: np.ndarray, image: np.ndarray) -> None:
    """Crops as their scripts lay them: a folder an image, a float32 TIFF of 128 px a cell and channel.

    Args:
        folder: their working directory.
        pixels: (n, 3, 64, 64) uint8: nucleus, microtubules, protein.
        image: (n,) number of each cell's image.
    """
    from PIL import Image

    for number, (planes, each) in enumerate(zip(pixels, image, strict=True)):
        cells = folder / "toy_dataset" / f"protein_{each}"
        cells.mkdir(parents=True, exist_ok=True)
        for plane, colour in zip(planes, _COLOURS, strict=True):
            large = plane.repeat(_SIDE // len(plane), 0).repeat(_SIDE // len(plane), 1)
            Image.fromarray(large.astype(np.float32) / 255).save(cells / f"{number}_{colour}.tif")


@contextlib.contextmanager
def _as_in_2018(script: Path, threads: str) -> Iterator[tuple[Path, Any]]:
    """Their imports find what they look for, and scikit-image resizes as it did; the script's place, and Keras."""
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
        tensorflow.train = SimpleNamespace()  # type: ignore[attr-defined]
    contrib = ModuleType("tensorflow.contrib")
    contrib.keras = keras  # type: ignore[attr-defined]
    modules = {
        "tensorflow": tensorflow,
        "tensorflow.contrib": contrib,
        "tensorflow.contrib.keras": keras,
    }
    place = Path(os.environ[AUTHORS]).resolve() / script
    backend = os.environ.get("KERAS_BACKEND")
    given = property(lambda layer: layer.output)  # of an input layer, which has no `input` now
    transform = importlib.import_module("skimage.transform")

    def adam(learning_rate: float, beta1: float) -> Any:
        return keras.optimizers.Adam(learning_rate, beta_1=beta1)

    with (
        mock.patch.dict(sys.modules, modules),
        mock.patch.object(sys, "path", [str(place.parent), *sys.path]),
        mock.patch.object(keras.layers.InputLayer, "input", given),
        mock.patch.object(tensorflow.train, "AdamOptimizer", adam, create=True),
        mock.patch.object(transform, "resize", partial(transform.resize, anti_aliasing=False)),
    ):
        yield place, keras
    if backend is not None:
        os.environ["KERAS_BACKEND"] = backend  # the script sets it


def _pairs_per_s(keras: Any, model: Any, given: Iterator[Any], steps: int) -> float:
    """Of training a compiled model for some steps."""
    stamps: list[float] = []
    stamp = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: stamps.append(time.perf_counter())
    )
    sizes: list[int] = []

    def batches() -> Iterator[Any]:
        for inputs, truth in given:
            sizes.append(len(truth))
            yield tuple(inputs), truth  # a list of arrays would be read as one array

    model.fit(batches(), steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[stamp])
    return sizes[0] * (steps - _WARM) / (stamps[-1] - stamps[_WARM - 1])


def _script(script: Path, layer: str, folder: Path, pixels: np.ndarray, keras: Any) -> float:
    """Seconds a cell of the whole loop: files read, resized, rescaled, one layer, a line of text written.

    Their README has the user write the layer into the script.
    """
    from PIL import Image

    cells = folder / "toy_dataset" / "protein"
    cells.mkdir(parents=True, exist_ok=True)
    for number, planes in enumerate(pixels):
        for plane, colour in zip(planes, _COLOURS, strict=True):
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
    """Cells/s of all five layers, their maxima taken within the graph, which their script leaves to numpy.

    Of the fastest of several calls: TensorFlow takes one core for one call and two for another.
    """
    whole = importlib.import_module("pair_model").Pair_Model().create_model((64, 64, 3), (64, 64, 2))
    pooled = [keras.layers.GlobalMaxPooling2D()(whole.get_layer(layer).output) for layer in _LAYERS]
    model = keras.Model(inputs=whole.get_layer("x_in").input, outputs=pooled)
    x = pixels.transpose(0, 2, 3, 1).astype(np.float32) / 255
    model.predict(x[:_BATCH], batch_size=_BATCH, verbose=0)  # warm
    seconds = []
    for _ in range(_CALLS):
        start = time.perf_counter()
        model.predict(x, batch_size=_BATCH, verbose=0)
        seconds.append(time.perf_counter() - start)
    return len(x) / min(seconds)
