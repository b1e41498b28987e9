"""Two machines add plates to one screen in a folder that they share. Start it on both at the same time:

    python -m benchmarks.faults.shared_folder FOLDER NAME OTHER_NAME [PLATES]

`FOLDER` is on the shared file system (NFS, Lustre), and each machine gives its own name first. Both write the same
shard as well, read and publish all the time, and look at the end whether everything of both is there.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish

_SCREEN, _BOTH = "shared_screen", "both"
_PLATES, _PATIENCE_S = 20, 900  # plates of each; waiting for the other


def main(folder: Path, me: str, other: str, plates: int = _PLATES) -> bool:
    """Add the plates of one machine, and report. Returns whether nothing was torn, lost or late."""
    store, problems, started = Store(folder), Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as here:
        published = Path(here) / "feature_store.duckdb"
        for number in range(plates):
            _commit(store, number, f"{me}_{number}")
            _commit(store, number, _BOTH)
            _check(store, problems)
            publish(store, published)
        seconds = time.monotonic() - started
        _commit(store, 0, f"{me}_done")
        while not store.has(_SCREEN, "notes", f"{other}_done"):
            if time.monotonic() - started > _PATIENCE_S:
                sys.exit(f"{other} did not end within {_PATIENCE_S} s")
            time.sleep(0.2)
        wanted = {f"{name}_{number}" for name in (me, other) for number in range(plates)}
        problems["plates late"] = len(wanted - set(store.shards(_SCREEN, "notes")))
        _check(store, problems)
        publish(store, published)
        with connect(published) as con:
            rows = con.execute(f"SELECT DISTINCT shard FROM {_SCREEN}.notes").fetchall()
        problems["plates not published"] = len(wanted - {shard for (shard,) in rows})
    left = len(list((folder / _SCREEN / ".staging").iterdir()))
    found = {**dict.fromkeys(("partitions torn", "plates late", "plates not published"), 0), **problems}
    print(f"{me}: {plates} plates and as many versions of a common shard in {seconds:.1f} s; ", end="")
    print("; ".join(f"{what}: {count}" for what, count in found.items()), end="")
    print(f"; temporary folders left: {left}", flush=True)
    return not any(found.values())


def _commit(store: Store, version: int, shard: str) -> None:
    """One version of a shard: every row and pixel is the version, and the number of rows follows from it."""
    rows = 1 + version % 7
    tables = {"notes": pl.DataFrame({"v": [version] * rows}), "others": pl.DataFrame({"v": [version]})}
    store.commit(_SCREEN, tables, shard=shard, arrays={"crops": np.full((rows, 32, 32), version, np.int64)})


def _check(store: Store, problems: Counter[str]) -> None:
    """Read all partitions."""
    for shard in store.shards(_SCREEN, "notes"):
        notes, crops = store.read_with_array(_SCREEN, "notes", "crops", shard)
        versions = {*notes["v"].to_list(), *np.unique(crops).tolist()}
        torn = len(versions) != 1 or notes.height != 1 + max(versions) % 7 or len(crops) != notes.height
        problems["partitions torn"] += torn


if __name__ == "__main__":
    sys.exit(0 if main(Path(sys.argv[1]), *sys.argv[2:4], *map(int, sys.argv[4:])) else 1)
