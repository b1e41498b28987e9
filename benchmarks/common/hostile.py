"""Hostile and damaged images, OME-Zarr plates, HDF5 archives and Harmony indices, and what pcip makes of them.

`attempt(kind, seed, folder)` writes one case beside intact data, scans the folder, and hashes and reads every field.
The first seeds are made by hand (`hand_made`); all later ones damage intact files by bit flips, cuts, holes, extreme
numbers and replaced values of JSON. A seed always gives the same files.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.common import hostile_exports, hostile_files, hostile_zarr
from benchmarks.common.hostile_files import SECRET, Files, Link
from pcip_core.errors import ImageFileError, PcipError
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash, read_field
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen

_CHANNELS: dict[str, Any] = {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}}
_NUMBERED: dict[str, Any] = {
    "nucleus": {"role": "structural", "plane": 0},
    "protein": {"role": "protein", "plane": 1},
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of hostile data.

    Attributes:
        intact: (name, random numbers) -> the files of one plate, by path relative to its folder.
        fields: the number of fields of this plate.
        hand_made: name -> function that changes these files.
        files, channels: sections of the spec.
    """

    intact: Callable[[str, random.Random], Files]
    fields: int
    hand_made: Mapping[str, Callable[[Files], object]]
    files: Mapping[str, Any]
    channels: Mapping[str, Any] = dataclasses.field(default_factory=lambda: _CHANNELS)


KINDS: Mapping[str, Kind] = {
    "images": Kind(
        hostile_files.pictures,
        2,
        hostile_files.PICTURES,
        {"pattern": "{plate}/{well}_{channel}.*", "image_id": "{plate}_{well}"},
    ),
    "ome_tiff": Kind(
        hostile_files.ome_tiffs,
        2,
        hostile_files.OME_TIFFS,
        {"layout": "ome_tiff", "pattern": "{plate}/{well}.ome.tif", "image_id": "{plate}_{well}"},
        _NUMBERED,
    ),
    "zarr": Kind(
        hostile_zarr.plates,
        2,
        hostile_zarr.PLATES,
        {"layout": "ome_zarr", "image_id": "{plate}_{well}"},
        _NUMBERED,
    ),
    "hdf5": Kind(
        hostile_exports.archives,
        3,
        hostile_exports.ARCHIVES,
        {"layout": "hdf5", "pattern": "{plate}/Chong_{set}_set.hdf5", "image_id": "{plate}_{set}_{row}"},
        _NUMBERED,
    ),
    "xml": Kind(
        hostile_exports.harmony_plates,
        2,
        hostile_exports.INDICES,
        {"layout": "opera", "image_id": "{plate}_{well}"},
        {"nucleus": {"role": "structural", "named": "ch1"}, "protein": {"role": "protein", "named": "ch2"}},
    ),
}
"""Kind -> how it is made and described."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What pcip made of one case.

    Attributes:
        case: kind, seed, and what was done to the files.
        result: `read` (all fields), `refused` (some fields, with reasons), `stopped` (the whole scan, with a reason),
            `lost` (an intact field was not read) or `leaked` (pixels from outside the root were read).
        detail: the first reason.
    """

    case: str
    result: str
    detail: str = ""


def hand_made(kind: str) -> list[str]:
    """Names of the cases made by hand, in the order of their seeds."""
    return list(KINDS[kind].hand_made)


def attempt(kind: str, seed: int, folder: Path) -> Outcome:
    """Write one case, and read it as a screen.

    Args:
        kind: a key of KINDS.
        seed: the number of the case.
        folder: an empty folder, or one of an earlier attempt, whose contents are replaced.

    Raises:
        Exception: any exception other than a PcipError is a fault of pcip.
    """
    case, screen = write_case(kind, seed, folder)
    try:
        layout = scan(screen)
    except PcipError as error:
        return Outcome(case, "stopped", str(error))
    reasons: list[str] = []
    read: Counter[str] = Counter()
    for field in layout.fields:
        content_hash(screen, field)
        try:
            planes = read_field(screen, field)
        except ImageFileError as error:
            reasons.append(str(error))
            continue
        if any((plane == SECRET).any() for plane in planes.values()):
            return Outcome(case, "leaked", field.field_id)
        read[field.parts["plate"]] += 1
    if read["intact"] != KINDS[kind].fields:
        return Outcome(case, "lost", "; ".join(reasons)[:500])
    return Outcome(case, "refused" if reasons else "read", reasons[0] if reasons else "")


def write_case(kind: str, seed: int, folder: Path) -> tuple[str, Screen]:
    """Write the root (the plates `intact` and `spoilt`), a folder outside the root, and the spec of one case."""
    root, made = folder / "root", KINDS[kind]
    rng = random.Random(f"{kind} {seed}")
    if (folder / kind).is_file():  # only the spoilt plate differs from case to case
        shutil.rmtree(root / "spoilt")
    else:
        shutil.rmtree(folder, ignore_errors=True)
        _write(root / "intact", made.intact("intact", random.Random(0)))
        _write(folder / "outside", hostile_files.outside())
        (folder / kind).touch()
    files = made.intact("spoilt", rng)
    names = list(made.hand_made)
    if seed < len(names):
        name = names[seed]
        made.hand_made[name](files)
    else:
        name = hostile_files.damage(files, rng)
    _write(root / "spoilt", files)
    return f"{kind} {seed}: {name}", _screen(kind, root)


@functools.lru_cache(maxsize=16)
def _screen(kind: str, root: Path) -> Screen:
    spec = {
        "name": "hostile",
        "organism": "none",
        "root": str(root),
        "channels": KINDS[kind].channels,
        "files": KINDS[kind].files,
        "shards": {"by": "{plate}"},
        "segmentation": {"method": "whole"},
        "crops": {"window_px": None},
    }
    path = root.parent / "hostile.yaml"
    path.write_text(yaml.safe_dump(spec))
    return load_screen(path)


def _write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = Path(os.fsdecode(os.fsencode(str(folder)) + b"/" + name.encode(errors="surrogateescape")))
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            path.symlink_to(content.target)
        elif content is None:
            os.mkfifo(path)
        else:
            path.write_bytes(content)
