"""What the errors of images advise is done here, and then every field can be read and cut."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from pcip_core.crops.shard import cut_field
from pcip_core.errors import PcipError
from pcip_core.images.illumination.correction import estimated_beforehand
from pcip_core.images.layout import scan
from tests.core.images.refused import (
    OME,
    badly_headed,
    both,
    colour,
    imagexpress,
    in_another_file,
    inverted,
    lit,
    lossy,
    mask_stack,
    ome,
    one_file_for_both,
    opera,
    palette_png,
    palette_tiff,
    scenes,
    stacks,
    two_planes_in_npy,
    two_runs,
    types,
    uneven_stacks,
    write,
)
from tests.core.images.writers import screen_of

BY_NAME = {"pattern": "{well}_{field}_{channel}.*", "image_id": "{well}"}
BY_CHANNEL = {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}}
IN_ONE_FILE = {"pattern": "{well}_{field}.*", "image_id": "{well}"}
WITH_MASK = {**BY_CHANNEL, "mask": {"role": "labels"}}
CUT_AT_LABELS = {"method": "labels", "options": {"channel": "mask"}}
WINDOW = {"window_px": 8, "size_px": 16, "min_cells": 2}


@dataclass(frozen=True)
class Case:
    """A refusal, and what its remedy says.

    Attributes:
        write: makes the files under the root.
        says: part of the remedy, a regular expression; its groups are passed to `mend`.
        mend: changes sections of the spec, or files, as the remedy says.
        spec: sections of the spec.
    """

    write: Callable[[Path], None]
    says: str
    mend: Callable[..., dict[str, Any] | None]
    spec: dict[str, Any] = field(default_factory=dict)


def with_channel(name: str, **changes: Any) -> Callable[..., dict[str, Any]]:
    """A spec in which a channel has other keys; a value of None removes the key."""

    def mend(root: Path, spec: dict[str, Any]) -> dict[str, Any]:
        keys = {key: value for key, value in (spec["channels"][name] | changes).items() if value is not None}
        return {"channels": {**spec["channels"], name: keys}}

    return mend


def with_files(line: str = "", **changes: Any) -> Callable[..., dict[str, Any]]:
    """A spec in which `files` has other keys: those of a line of the remedy, and further ones."""

    def mend(root: Path, spec: dict[str, Any], *lines: str) -> dict[str, Any]:
        given = yaml.safe_load(lines[0]) if lines else {}
        without = {key: value for key, value in spec["files"].items() if key != line}
        return {"files": {**without, **given, **changes}}

    return mend


def as_files(change: Callable[[Path], None]) -> Callable[..., None]:
    """Files are changed, and the spec is not."""
    return lambda root, _, *__: change(root)


def planes_apart(root: Path) -> None:
    for number, name in enumerate(("nucleus", "protein")):
        np.save(root / f"A01_1_{name}.npy", np.load(root / "A01_1.npy")[number])
    (root / "A01_1.npy").unlink()


def as_png(root: Path) -> None:
    (root / "A01_1_mask.jpg").unlink()
    Image.fromarray(np.load(root.parent / "numbers.npy").astype(np.uint8)).save(root / "A01_1_mask.png")


def in_one_file(root: Path) -> None:
    planes = [tifffile.imread(root / f"A01_1_{name}.ome.tif") for name in ("nucleus", "protein")]
    for path in root.glob("*.tif"):
        path.unlink()
    metadata = {"axes": "CYX", "Channel": {"Name": ["nucleus", "protein"]}}
    write(root, "A01.ome.tif", np.stack(planes), ome=True, metadata=metadata)


def with_names(root: Path) -> None:
    text = (root / "list.csv").read_text()
    (root / "list.csv").write_text(text.replace("file_dna,file_gfp", "FileName_nucleus,FileName_protein"))


def with_frames(root: Path) -> None:
    header = "well,field,FileName_nucleus,FileName_protein,Frame_nucleus,Frame_protein"
    (root / "list.csv").write_text(f"{header}\nA01,1,A01.tif,A01.tif,0,1\n")


def grey(root: Path) -> None:
    write(root, "A01_1_protein.tif", 2)


NAMED = {"nucleus": {"role": "structural", "named": "DAPI"}, "protein": {"role": "protein", "named": "GPF"}}
PLANES = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 1}}
WAVES = {"nucleus": {"role": "structural", "named": "DAPI"}, "protein": {"role": "protein", "named": "w2"}}
MASK_AS_IMAGE = {**BY_CHANNEL, "mask": {"role": "structural"}}
MANIFEST = {"layout": "manifest", "table": "list.csv", "image_id": "{well}"}
RUNS = {"pattern": "run{run}/{well}_{field}_{channel}.*", "image_id": "{well}"}
AT_LABELS = {"channels": WITH_MASK, "segmentation": CUT_AT_LABELS}
OPERA = {"layout": "opera", "image_id": "{well}"}
BY_NUMBER = {
    "nucleus": {"role": "structural", "named": "ch1"},
    "protein": {"role": "protein", "named": "ch2"},
}
MISNAMED = {"nucleus": {"role": "structural"}, "protein": {"role": "protein", "named": "gfp"}}
EXPORT = {"layout": "imagexpress", "image_id": "{plate}_{well}"}

CASES = {
    "colour picture": Case(
        colour, r"Set channels.\*.plane to the colour", with_channel("protein", plane="green")
    ),
    "palette of a PNG": Case(
        palette_png,
        r"give its channel `role: labels`",
        with_channel("mask", role="labels"),
        {"channels": MASK_AS_IMAGE},
    ),
    "palette of a TIFF": Case(
        palette_tiff,
        r"give the channel `role: labels`",
        with_channel("mask", role="labels"),
        {"channels": MASK_AS_IMAGE},
    ),
    "inverted grey levels": Case(inverted, "Export the raw grey levels", as_files(grey)),
    "misspelt channel of a file": Case(
        ome,
        r"Correct channels.\*.named",
        with_channel("protein", named="GFP"),
        {"channels": NAMED, "files": OME},
    ),
    "channel of a file by number": Case(
        ome,
        r"or set channels.\*.plane to the number \(from 0\)",
        with_channel("protein", named=None, plane=1),
        {"channels": NAMED, "files": OME},
    ),
    "several images in a file": Case(
        scenes,
        "Set `(layout: ome_tiff)` in files of the spec",
        with_files("pattern", pattern="{well}_{_}.ome.tif"),
        {"channels": PLANES, "files": IN_ONE_FILE},
    ),
    "stack of a label image": Case(mask_stack, r"or `(only: \{z: 1\})`", with_files(), AT_LABELS),
    "projection of a label image": Case(
        mask_stack,
        r"Use `(only: \{z: 1\})` in files",
        with_files("project"),
        AT_LABELS | {"files": {**BY_NAME, "project": {"z": "max"}}},
    ),
    "plane beyond a stack": Case(
        stacks,
        "Correct files.only. The numbers of planes within a file start at 1.",
        with_files(only={"z": 1}),
        {"files": {**BY_NAME, "only": {"z": 4}}},
    ),
    "planes of channels in focus": Case(
        uneven_stacks,
        r"Use `(project: \{z: max\})` in files of the spec",
        with_files(),
        {"files": {**BY_NAME, "project": {"z": "sharpest"}}},
    ),
    "two planes in one npy": Case(
        two_planes_in_npy,
        "Save each plane as a file of its own with numpy.save",
        lambda root, _: planes_apart(root) or {"channels": BY_CHANNEL, "files": BY_NAME},
        {"channels": PLANES, "files": IN_ONE_FILE},
    ),
    "metadata in a companion file": Case(
        in_another_file,
        "Save all planes of the image in one OME-TIFF",
        as_files(in_one_file),
        {"files": {"layout": "ome_tiff", "pattern": "{well}.ome.tif", "image_id": "{well}"}},
    ),
    "planes with a companion file": Case(
        in_another_file,
        "files of one plane each are read by layout pattern",
        lambda *_: {"files": BY_NAME},
        {
            "files": {
                "layout": "ome_tiff",
                "pattern": "{well}_{field}_{name}.ome.tif",
                "image_id": "{well}_{name}",
            }
        },
    ),
    "two files of a plane, an image of each": Case(
        two_runs,
        "Name the part that differs in files.image_id",
        with_files(image_id="{run}_{well}"),
        {"files": RUNS},
    ),
    "two files of a plane, one of them": Case(
        two_runs, r"or select one value of it: `(only: \{run: 1\})`", with_files(), {"files": RUNS}
    ),
    "a value that no file has": Case(
        two_runs,
        "Correct files.only",
        with_files(only={"run": "2"}),
        {"files": {**RUNS, "only": {"run": "3"}}},
    ),
    "pixel types that differ on purpose": Case(
        types,
        "give the `dtype` of each in the spec",
        lambda *_: {
            "channels": {
                "nucleus": {"role": "structural", "dtype": "uint16"},
                "protein": {"role": "protein", "dtype": "uint8"},
            }
        },
    ),
    "a wrong name of a channel": Case(
        both,
        r"or correct channels.\*.named",
        with_channel("protein", named="protein"),
        {"channels": MISNAMED},
    ),
    "channels of an export": Case(
        imagexpress,
        r"Set channels.\*.named in the spec to one of these names",
        with_channel("nucleus", named="w1"),
        {"channels": WAVES, "files": EXPORT},
    ),
    "columns of a list": Case(
        badly_headed,
        "Rename the columns",
        as_files(with_names),
        {"files": MANIFEST},
    ),
    "one file for both channels of a row": Case(
        one_file_for_both,
        "add the columns Frame_nucleus and Frame_protein with the numbers of the planes, from 0",
        as_files(with_frames),
        {"files": MANIFEST},
    ),
    "a window that is too large": Case(
        both,
        r"Set crops.window_px to fit the images",
        lambda *_: {"crops": WINDOW},
        {"crops": {"window_px": 30}},
    ),
    "a window over the field": Case(
        both,
        r"or (crops.edge: pad), which fills",
        lambda *_: {"crops": {"window_px": 30, "edge": "pad"}},
        {"crops": {"window_px": 30}},
    ),
    "a label image stored with loss": Case(
        lossy, "Export the label image again as TIFF or PNG, not as JPEG", as_files(as_png), AT_LABELS
    ),
    "an offset above all pixels": Case(
        lit,
        "Correct illumination.offset",
        lambda *_: {"illumination": {"method": "images", "images": "flat_{channel}.tif", "offset": 10}},
        {"illumination": {"method": "images", "images": "flat_{channel}.tif", "offset": 65535}},
    ),
    "profiles without an index": Case(
        opera,
        "or set illumination.method in the spec to estimated or none",
        lambda *_: {"illumination": {"method": "none"}},
        {"illumination": {"method": "harmony"}, "files": OPERA, "channels": BY_NUMBER},
    ),
    "profiles to be estimated": Case(
        opera,
        "or set illumination.method in the spec to estimated or none",
        lambda *_: {"illumination": {"method": "estimated"}},
        {"illumination": {"method": "harmony"}, "files": OPERA, "channels": BY_NUMBER},
    ),
}


def cut_all(root: Path, spec: dict[str, Any]) -> int:
    """Number of fields, all of which can be read, corrected, segmented and cut."""
    screen = screen_of(root, spec["files"], **{key: value for key, value in spec.items() if key != "files"})
    fields = scan(screen).fields
    for member in estimated_beforehand(screen, fields, fields)[0]:
        cut_field(screen, member)
    return len(fields)


@pytest.mark.parametrize("name", CASES)
def test_what_a_refusal_advises_gives_fields_that_can_be_used(tmp_path, name):
    case, root = CASES[name], tmp_path / "images"
    root.mkdir()
    case.write(root)
    spec: dict[str, Any] = {
        "files": BY_NAME,
        "channels": BY_CHANNEL,
        "shards": {"buckets": 1},
        "crops": WINDOW,
    } | case.spec
    with pytest.raises(PcipError) as caught:
        cut_all(root, spec)
    advice = re.search(case.says, caught.value.remedy)
    assert advice is not None, str(caught.value)
    changed = case.mend(root, spec, *advice.groups())
    assert cut_all(root, spec | (changed or {})) >= 1
