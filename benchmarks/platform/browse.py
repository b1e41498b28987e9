"""The page of `pcip browse` on a million simulated cells: its actions in a process of their own, and chromium."""

from __future__ import annotations

import json
import math
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import psutil
import yaml

from benchmarks.common.browser import CHROMIUM, chromium_page, draw_around
from benchmarks.common.harness import Row
from pcip_assets.web import HOST
from pcip_core.spec.loading import load_screen
from pcip_core.store import rows, schemas
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from pcip_core.store.vectors import feature_table

if TYPE_CHECKING:
    from playwright.sync_api import Page

DESCRIPTION = (
    "the page of `pcip browse` on a million cells: first picture, zoom, lasso, gallery, training, memory"
)
SECONDS = 300
LONG = True
SHARDS, CELLS, FEATURES = 250, 4000, 384
_PER_IMAGE = 100
_SET = "inpainting_conv4"
_SPEC = {
    "name": "million",
    "organism": "simulated",
    "channels": {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}},
    "files": {"pattern": "{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}"},
    "shards": {"by": "{plate}"},
    "segmentation": {"method": "whole"},
    "crops": {"window_px": None, "size_px": 64},
}
_REPEATS = 7
_STARTS, _STARTS_S = 3, 120
_TIMED = """() => {
    delete document.body.dataset.lassoed;
    let begin = null;
    addEventListener("pointerup", () => { begin = performance.now(); }, {capture: true, once: true});
    const shown = new MutationObserver(() => {
        if (document.body.dataset.selection === undefined) return;
        shown.disconnect();
        document.body.dataset.lassoed = performance.now() - begin;
    });
    shown.observe(document.body, {attributes: true, attributeFilter: ["data-selection"]});
}"""  # the time between the end of a lasso and the number of its cells, as the page has it
_SETTLED_MS = 1_500  # for the gallery and the next picture


def run() -> list[Row]:
    """Make the screen, time the actions of the page without a browser, and then in chromium."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        make_screen(data)
        return timings(data)


def timings(data: Path) -> list[Row]:
    """The rows of a screen that is made."""
    first, again = (measured("actions", data) for _ in range(2))
    until = again["start"] + again["map"] + again["picture"]
    spent = sum(again["spent"][name] for name in ("start", "map", "picture"))
    found = [
        Row("map of all cells, computed when it is opened first", first["map"], "s", n=1),
        Row("map of all cells, opened again", again["map"], "s", n=1),
        _row("from the start of the process to the first picture", [until], "s", most=3),
        Row("processor time of these", spent, "s", n=1),
        _row("picture after a zoom", again["zoom"], "ms"),
        _row("lasso around half of the cells, 200 corners", again["lasso"], "ms", most=200),
        Row("100 crops of 100 shards, first time", again["crops"], "ms", n=1),
        Row("filter in SQL", again["filter"], "s", n=1),
        Row("processor time of a lasso", statistics.median(again["lasso_spent"]), "ms", n=_REPEATS),
        _row("cells by similarity to one cell, first time", [again["similar"]], "s", most=3),
        _row("cells by similarity to another cell", again["similar_again"], "s", most=1),
        _row("training on 200 labels, and predictions of all cells", [again["train"]], "s", most=5),
        Row("processor time of the training", again["spent"]["train"], "s", n=1),
        Row("unlabelled cells ranked by uncertainty", again["rank"], "s", n=1),
        Row("a label given to 100 cells", first["label"], "ms", n=1),
        _row("peak memory of all of these", [max(first["memory"], again["memory"])], "MB", most=2048),
    ]
    return [*found, *_in_chromium(data)]


def make_screen(data: Path) -> None:
    """A screen of a million cells: random features in ten clusters, crops that take no room on the disk."""
    (data / "screens").mkdir(parents=True)
    spec = data / "screens" / "million.yaml"
    spec.write_text(yaml.safe_dump(_SPEC))
    screen, store = load_screen(spec), Store(data / "store")
    store.commit("million", {"screen": rows.screen_table(screen)})
    rng = np.random.default_rng(0)
    for number in range(SHARDS):
        _commit_cells(store, f"plate_{number:03d}", rng)
    publish(store, data / "feature_store.duckdb")
    centres = rng.normal(0, 2, (10, FEATURES)).astype(np.float32)
    for number in range(SHARDS):
        shard = f"plate_{number:03d}"
        cells = store.read("million", "cells", shards=[shard], columns=["cell_id", "image_id"])
        vectors = rng.standard_normal((CELLS, FEATURES), np.float32) + centres[rng.integers(0, 10, CELLS)]
        ids = {"cell_id": cells["cell_id"], "image_id": cells["image_id"]}
        ids["encoder_version"] = pl.repeat("million/1", CELLS, dtype=pl.String, eager=True)
        store.commit("million", {f"cell_features_{_SET}": feature_table(ids, vectors)}, shard=shard)


def _commit_cells(store: Store, shard: str, rng: np.random.Generator) -> None:
    """The cells, images and crops of one shard."""
    images = [f"{shard}_{well:02d}" for well in range(CELLS // _PER_IMAGE)]
    protein = [f"P{rng.integers(0, 2000):04d}" for _ in images]
    of_cell = pl.Series(images, dtype=pl.String).gather(np.arange(CELLS) // _PER_IMAGE)
    cells = schemas.CELLS.frame(
        {
            "cell_id": [f"{image}_1_{cell:04d}" for cell, image in enumerate(of_cell)],
            "image_id": of_cell,
            "field": ["1"] * CELLS,
            **{name: rng.uniform(0, 1000, CELLS) for name in ("y_px", "x_px", "area_px")},
            "crop_row": np.arange(CELLS),
            "intensity_min": np.zeros((CELLS, 2), np.float32),
            "intensity_max": np.ones((CELLS, 2), np.float32),
            "pixel_hash": [f"{shard}{cell:09d}" for cell in range(CELLS)],
            "shard": [shard] * CELLS,
        }
    )
    table = schemas.IMAGES.frame({"image_id": images, "protein": protein, "plate": [shard] * len(images)})
    with store.scratch("million") as folder:
        crops = folder / "crops.npy"
        np.lib.format.open_memmap(crops, "w+", np.uint8, (CELLS, 2, 64, 64)).flush()  # zeros without blocks
        store.commit("million", {"images": table}, shard=shard)
        store.commit("million", {"cells": cells}, shard=shard, arrays={"crops": crops})


def measured(what: str, data: Path) -> dict[str, Any]:
    """What a function of this module measures in a process of its own."""
    code = (
        "import time; start = time.perf_counter(); from benchmarks.platform import browse; "
        f"browse.{what}({str(data)!r}, start)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def actions(data: str, start: float) -> None:
    """Time the actions of the page, and print the results as JSON."""
    from pcip_assets.browse.actions import Actions
    from pcip_assets.browse.publishing import Publisher
    from pcip_core.browse.session import Session

    folder = Path(data)
    screen = load_screen(folder / "screens" / "million.yaml")
    published, cache = folder / "feature_store.duckdb", folder / "browse"
    session = Session(
        Store(folder / "store"), screen, published=published, cache=cache, user="u", code="c", labels="manual"
    )
    call = Actions(session, Publisher(lambda: None, lambda tables: None)).call
    found: dict[str, Any] = {"start": time.perf_counter() - start}
    spent = {"start": time.process_time()}
    key = f"cells.{_SET}.pca"
    limits: Any = None

    def timed(name: str, action: str, values: dict[str, Any], *, unit: float = 1) -> Any:
        begin, before = time.perf_counter(), time.process_time()
        result = call(action, values)
        if not isinstance(result, bytes):
            json.dumps(result, default=str)
        found[name], spent[name] = (time.perf_counter() - begin) * unit, time.process_time() - before
        return result

    limits = timed("map", "limits", {"map": key})["limits"]
    view = {"map": key, "width": 700, "height": 700}
    timed("picture", "picture", {**view, "limits": limits})
    x0, x1, y0, y1 = limits
    zoomed = {
        **view,
        "limits": [x0 + (x1 - x0) / 4, x1 - (x1 - x0) / 4, y0 + (y1 - y0) / 4, y1 - (y1 - y0) / 4],
    }
    found["zoom"] = [_times(timed, "_", "picture", zoomed) for _ in range(_REPEATS)]
    half = {"type": "poly", **_ring(limits)}
    lassos, lassos_spent = [], []
    for _ in range(_REPEATS):
        chosen = timed("_", "select", {"map": key, "region": half}, unit=1000)
        lassos.append(found["_"])
        lassos_spent.append(spent["_"] * 1000)
    found["lasso"], found["lasso_spent"], found["selected"] = lassos, lassos_spent, chosen["total"]
    shown = [cell["row"] for cell in chosen["cells"]]
    timed("crops", "crops", {"rows": shown}, unit=1000)
    timed("filter", "filter", {"condition": "area_px > 900 AND protein < 'P1000'"})
    timed("similar", "similar", {"row": 5, "feature_set": _SET})
    found["similar_again"] = [
        _times(timed, "_", "similar", {"row": row, "feature_set": _SET}) / 1000 for row in range(6, 9)
    ]
    timed("label", "label", {"rows": shown, "label": "a", "feature_set": _SET}, unit=1000)
    others = [cell["row"] for cell in call("filter", {"condition": ""})["cells"]]  # type: ignore[index]
    call("label", {"rows": others, "label": "b", "feature_set": _SET})
    timed("train", "train", {"feature_set": _SET})
    timed("rank", "rank", {})
    found["spent"] = spent
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


def _times(timed: Callable[..., Any], name: str, action: str, values: dict[str, Any]) -> float:
    """Milliseconds of one call."""
    begin = time.perf_counter()
    timed(name, action, values)
    return (time.perf_counter() - begin) * 1000


def _ring(limits: list[float]) -> dict[str, list[float]]:
    """A wavy polygon of 200 corners around the middle of a map."""
    x0, x1, y0, y1 = limits
    turns = [2 * math.pi * corner / 200 for corner in range(200)]
    radius = [0.26 * (1 + 0.1 * math.sin(12 * turn)) for turn in turns]
    return {
        "x": [
            (x0 + x1) / 2 + (x1 - x0) * each * math.cos(turn)
            for each, turn in zip(radius, turns, strict=True)
        ],
        "y": [
            (y0 + y1) / 2 + (y1 - y0) * each * math.sin(turn)
            for each, turn in zip(radius, turns, strict=True)
        ],
    }


def _in_chromium(data: Path) -> list[Row]:
    """The command `pcip browse`, with its page in a browser."""
    if CHROMIUM is None:
        return [Row("in chromium (there is none here)", None)]
    firsts, spent = [], []
    with chromium_page() as page:
        for _ in range(_STARTS):
            with _browsing(data) as (address, server):
                begin = time.perf_counter()
                page.goto(address)
                page.locator("body[data-ready=yes][data-pictures]").wait_for()
                firsts.append(time.perf_counter() - begin)
                spent.append(_spent(server))
                if len(firsts) == _STARTS:
                    spans, spent_on_lassos = _lassos(page, server)
                    peak = _peak_mb(server)
    return [
        _row("in chromium: from the address to the first picture", firsts, "s", most=3),
        _row("processor time of the server until then, its start included", spent, "s"),
        _row("in chromium: lasso, until the number of cells is shown", spans, "ms", most=200),
        _row("processor time of the server for a lasso, its picture and 100 crops", spent_on_lassos, "s"),
        _row("in chromium: peak memory of the server", [peak], "MB", most=2048),
    ]


def _lassos(page: Page, server: psutil.Process) -> tuple[list[float], list[float]]:
    """Milliseconds of each lasso in the page, and seconds of a processor that the server uses for what follows."""
    spans, spent = [], []
    for turn in range(_REPEATS):
        page.wait_for_timeout(_SETTLED_MS)
        page.evaluate("delete document.body.dataset.selection")
        draw_around(page, 0.4 + turn / 50)
        page.evaluate(_TIMED)
        before = _spent(server)
        page.mouse.up()
        page.locator("body[data-lassoed]").wait_for()
        spans.append(float(page.evaluate("document.body.dataset.lassoed")))
        page.wait_for_timeout(_SETTLED_MS)
        spent.append(_spent(server) - before)
    return spans, spent


@contextmanager
def _browsing(data: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of `pcip browse`, once it answers, and its process."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pcip_assets.cli", "browse", "million", "--port", str(port)]
    server = subprocess.Popen(command, env={**os.environ, "PCIP_DATA": str(data)}, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _STARTS_S
        while server.poll() is None and time.monotonic() < end:
            with suppress(ConnectionRefusedError), socket.create_connection((HOST, port)):
                break
            time.sleep(0.05)
        yield f"http://{HOST}:{port}", psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(_STARTS_S)


def _spent(server: psutil.Process) -> float:
    """Seconds of a processor that a process has used."""
    times = server.cpu_times()
    return float(times.user + times.system)


def _peak_mb(server: psutil.Process) -> float:
    """The most memory that a process has had, where the system tells it; otherwise what it has now."""
    status = Path(f"/proc/{server.pid}/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024
    return float(server.memory_info().rss / 2**20)


def _row(what: str, values: list[float], unit: str, *, most: float | None = None) -> Row:
    value = statistics.median(values)
    aim = None if most is None else f"< {most:g} {unit}"
    held = None if most is None else value < most
    return Row(what, value, unit, n=len(values), spread=(min(values), max(values)), aim=aim, held=held)
