"""Many empty files: the time and memory to list them, match them with a platemap, and check them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from itertools import count, product
from pathlib import Path

from benchmarks.common.harness import Row

SIZES = (50_000, 300_000)
_SECONDS, _MIB = 10.0, 500.0  # aims for the smaller size
_GROWTH = 100.0  # bytes per file beyond the table, an aim
_WELLS = [f"{row}{column:02d}" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]
_FIELDS, _CHANNELS = range(1, 5), ("dna", "protein")
_SPEC = """
name: many_files
organism: Homo sapiens
root: images
channels: {dna: {role: structural}, protein: {role: protein}}
files: {pattern: "{plate}/{well}_f{field:d}_{channel}.tif", image_id: "{plate}_{well}"}
images: {platemap: wells.csv}
shards: {by: "{plate}"}
segmentation: {method: otsu, options: {channel: dna}}
crops: {window_px: 64}
"""
_MEASURE = """
import contextlib, gc, io, json, resource, sys, time
from pathlib import Path
from pcip_assets.cli.check import print_check
from pcip_core.images.annotations import describe_images
from pcip_core.images.layout import scan
from pcip_core.spec.loading import load_screen

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

def look(screen):
    layout = scan(screen)
    return layout, describe_images(screen, layout.fields)

screen = load_screen(Path(sys.argv[1]))
warm = load_screen(Path(sys.argv[1]), root=sys.argv[2])
look(warm)
with contextlib.redirect_stdout(io.StringIO()):
    print_check(warm)
begin = resident()
start = time.perf_counter()
layout, records = look(screen)
listed = time.perf_counter() - start
gc.collect()
held = resident() - begin
fields, images = len(layout.fields), sum(record.values["protein"] != record.image_id for record in records)
del layout, records
start = time.perf_counter()
out = io.StringIO()
with contextlib.redirect_stdout(out):
    print_check(screen)
checked = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"fields": fields, "images": images, "listed": listed, "checked": checked, "held": held,
                  "peak": peak, "beyond": peak - begin - held, "lines": len(out.getvalue().splitlines())}))
"""


def listing() -> list[Row]:
    """The rows of both sizes, each measured in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="pcip_listing_") as folder:
        root, warm = Path(folder) / "images", Path(folder) / "warm"
        _written(warm, 100)  # the first scan imports libraries
        spec = Path(folder) / "many_files.yaml"
        spec.write_text(_SPEC)
        small, large = ((_written(root, size), _measured(spec, warm)) for size in SIZES)
        (n_small, of_small), (n_large, of_large) = small, large
    growth = (of_large["beyond"] - of_small["beyond"]) / (n_large - n_small)
    mib = 1 << 20
    rows = []
    for n, of in ((n_small, of_small), (n_large, of_large)):
        aims = n == n_small
        rows += [
            Row(f"{n:,} files listed and matched with a platemap of {of['images']:,} images", of["listed"], "s"),
            Row(f"{n:,} files listed, matched and checked ({of['lines']} lines printed)", of["checked"], "s",
                aim=f"< {_SECONDS:g} s" if aims else None, held=of["checked"] < _SECONDS if aims else None),
            Row(f"{n:,} files: peak memory of the process", of["peak"] / mib, "MiB",
                aim=f"< {_MIB:g} MiB" if aims else None, held=of["peak"] / mib < _MIB if aims else None),
            Row(f"{n:,} files: memory of the fields and images", of["held"] / n, "bytes/file"),
        ]  # fmt: skip
    return [
        *rows,
        Row(f"memory per file beyond that, from {n_small:,} to {n_large:,} files", growth, "bytes/file",
            aim=f"< {_GROWTH:g} bytes/file", held=growth < _GROWTH),
    ]  # fmt: skip


def _written(root: Path, files: int) -> int:
    """Make empty files until there are so many, plate after plate, with a platemap; return their number.

    Within a folder they are links to one empty file, which takes a tenth of the time.
    """
    names = [f"{well}_f{field}_{channel}.tif" for well, field, channel in product(_WELLS, _FIELDS, _CHANNELS)]
    made = 0
    for plate in count(1):
        folder = root / f"plate_{plate:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        present = {path.name for path in folder.iterdir()}
        chosen = names[: files - made]
        made += len(chosen)
        (folder / names[0]).touch()
        for name in chosen[1:]:
            if name not in present:
                (folder / name).hardlink_to(folder / names[0])
        if made >= files:
            break
    rows = (f"{well},P{number}" for number, well in enumerate(_WELLS))
    (root / "wells.csv").write_text("well,protein\n" + "\n".join(rows) + "\n")
    return made


def _measured(spec: Path, warm: Path) -> dict[str, float]:
    command = [sys.executable, "-c", _MEASURE, str(spec), str(warm)]
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return measured
