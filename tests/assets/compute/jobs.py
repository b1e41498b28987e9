"""What the tests of tasks let workers do; workers import this module."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from pcip_core.errors import SpecError


def call(folder: Path, item: str, tell: Any) -> str:
    """Do what the name of the item says, and leave a mark."""
    with (folder / item).open("a") as marks:
        marks.write(f"{os.getpid()}\n")
    tell(("info", f"{item} has begun"))
    begun = len((folder / item).read_text().splitlines())
    if item == "dies" or (item == "dies once" and begun == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "explained":
        raise SpecError("field_1.tif", found="40 px", required="64 px", remedy="Crop larger fields.")
    if item == "unexplained":
        raise KeyError("no such channel")
    if item == "endless":
        raise ValueError("x" * 1_000_000)
    while item == "stays":
        time.sleep(0.1)
    return item.upper()


def drive(address: str, folder: str) -> None:
    """In a process of its own: wait for a call that stays."""
    from functools import partial

    from pcip_assets.compute.cluster import connect
    from pcip_assets.compute.settings import Compute, Needs
    from pcip_assets.compute.tasks import Calls, results_of

    connect(Compute(engine="ray", address=address))
    calls = Calls("waiting", partial(call, Path(folder)), Needs(cpus=0.5), 3, hear=lambda *_: None)
    list(results_of(calls, ["stays"]))
