"""Crops as OME-Zarr (NGFF 0.5): one picture per image, in which each cell is a tile, with a label image of the cells.

    <folder>/<shard>/<image>_f1.ome.zarr      a picture of at most 1,024 cells, and its labels/cells
    <folder>/cells.csv                        one row per cell: its picture, its label, and the columns of the cell
    <folder>/images.csv                       one row per image
    <folder>/<screen>_crops.yaml              a spec that reads the crops back
    <folder>/provenance.json

A viewer shows the cells of an image side by side. There are few files, as an image of its own for each crop would need
three, and no axis of NGFF stands for cells.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import polars as pl
import yaml

from pcip_core.exports.cells import ROWS, channels_of, chosen_images, nothing_to_export, provenance
from pcip_core.exports.target import MARK, new_target
from pcip_core.store.partitions import Store

_MOST_ACROSS = 32  # tiles of a row of a picture, which has as many rows
_PROTEINS = ("00FF00", "FFFF00", "FF00FF")
_STRUCTURES = ("0000FF", "FF0000", "FFFFFF", "00FFFF")
_SAFE = " ()[]+-,=@"  # in names of files, besides letters, digits and _.-~
_LONGEST = 160  # characters of a quoted name, which an ending follows; a file system permits 255
_VERSION = "0.5"


def write_crops(
    store: Store, screen: str, path: Path, *, where: str | None = None, overwrite: bool = False
) -> int:
    """Write the crops of a screen.

    Args:
        store, screen: what to export.
        path: the folder.
        where: only cells of the images that meet an SQL condition over the columns of `images`.
        overwrite: replace an earlier export.

    Returns:
        The number of cells.

    Raises:
        PcipError: the condition is wrong, no cell is left, or the folder exists or cannot be written.
    """
    images, _ = chosen_images(store, screen, where)
    channels = channels_of(store, screen)
    origin = provenance(store, screen)
    chosen_ids = set(images["image_id"].to_list())
    across = _across(store, screen, chosen_ids)
    n = 0
    with new_target(path, overwrite=overwrite, folder=True) as temporary:
        temporary.mkdir()
        (temporary / MARK).touch()
        written: list[str] = []
        with (temporary / "cells.csv").open("wb") as table:
            for shard in store.shards(screen, "cells"):
                for image, cells, crops in _images(store, screen, shard, chosen_ids):
                    folder = temporary / _name(shard)
                    rows = _write_image(folder, image, crops, across, channels, origin)
                    labelled = cells.with_columns(rows).select(*rows.columns, pl.exclude(*rows.columns))
                    table.write(labelled.write_csv(include_header=not n).encode())
                    written.append(image)
                    n += len(crops)
        if not n:
            raise nothing_to_export(screen, where, "cells")
        chosen = images.filter(pl.col("image_id").cast(pl.String).is_in(written))
        names = chosen["image_id"].cast(pl.String).map_elements(_name, return_dtype=pl.String)
        chosen.with_columns(names).write_csv(temporary / "images.csv")
        spec = _spec(origin, channels, crops.shape[-1], chosen.columns)
        (temporary / f"{screen}_crops.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
        (temporary / "provenance.json").write_text(json.dumps(origin, indent=1) + "\n")
    return n


def _images(
    store: Store, screen: str, shard: str, chosen: set[str]
) -> Iterator[tuple[str, pl.DataFrame, np.ndarray]]:
    """The images of a shard: id, rows of `cells` without lists, and crops (n, C, S, S)."""
    cells, crops = store.read_with_array(screen, "cells", "crops", shard)
    flat = cells.drop("crop_row", "pixel_hash", "intensity_min", "intensity_max", strict=False)
    runs = cells["image_id"].rle().struct.unnest()
    start = 0
    for length, image in runs.select("len", "value").iter_rows():
        rows = slice(start, start + length)
        start += length
        if image in chosen:
            yield image, flat[rows], np.asarray(crops[rows])


def _across(store: Store, screen: str, chosen: set[str]) -> int:
    """Tiles of a row, so that the largest image has one picture, if that is not too large, and all have one size."""
    counts: Counter[str] = Counter()
    for batch in store.batches(screen, "cells", columns=["image_id"], rows=ROWS):
        counts.update(dict(batch["image_id"].value_counts().iter_rows()))
    largest = max((count for image, count in counts.items() if image in chosen), default=0)
    return min(_MOST_ACROSS, math.isqrt(max(largest - 1, 0)) + 1)


def _write_image(
    folder: Path,
    image: str,
    crops: np.ndarray,
    across: int,
    channels: Mapping[str, str],
    origin: Mapping[str, str],
) -> pl.DataFrame:
    """Write the pictures of an image; return, for each cell, its picture and its label."""
    most = across**2
    parts: list[pl.DataFrame] = []
    for start in range(0, len(crops), most):
        part = crops[start : start + most]
        name = f"{_name(image)}_f{start // most + 1}.ome.zarr"
        pixels, labels = _tiled(part, across)
        _write_picture(folder / name, pixels, labels, channels, origin)
        labelled = {"picture": [f"{folder.name}/{name}"] * len(part), "label": range(1, len(part) + 1)}
        parts.append(pl.DataFrame(labelled))
    return pl.concat(parts)


def _tiled(crops: np.ndarray, across: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops as the tiles of one picture, (C, H, W), and the label image, (H, W) int32; tiles that are left are 0.

    The centre of mass of a label is the centre of its tile, as `corner` of `pcip_core.crops.cut` rounds it, so that a
    window of the size of a tile is the crop.

    >>> crops = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((3, 1, 2, 2), np.uint8)
    >>> pixels, labels = _tiled(crops, 2)
    >>> pixels[0].tolist(), labels.tolist()
    ([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 0, 0], [2, 2, 0, 0]], [[0, 0, 0, 0], [0, 1, 0, 2], [0, 0, 0, 0], [0, 3, 0, 0]])
    """
    n, channels, side, _ = crops.shape
    tiles = np.zeros((across**2, channels, side, side), crops.dtype)
    tiles[:n] = crops
    numbers = np.zeros((across**2, 1, side, side), np.int32)
    first = 1 - side % 2  # an even tile has its centre between pixels
    numbers[:n, 0, first:, first:] = np.arange(1, n + 1)[:, None, None]
    pixels, labels = (
        each.reshape(across, across, -1, side, side).transpose(2, 0, 3, 1, 4)
        .reshape(-1, across * side, across * side) for each in (tiles, numbers)
    )  # fmt: skip
    return pixels, labels[0]


def _write_picture(
    path: Path,
    pixels: np.ndarray,
    labels: np.ndarray,
    channels: Mapping[str, str],
    origin: Mapping[str, str],
) -> None:
    import zarr

    short = {name: text for name, text in origin.items() if name != "spec"}
    um = _pixel_um(origin)
    ome = {"version": _VERSION, "multiscales": _multiscales(path.name, "cyx", um), "omero": _omero(channels)}
    group = zarr.create_group(path, zarr_format=3, attributes={"ome": ome, "pcip": short})
    _array(group, pixels, "cyx")
    listed = {"ome": {"version": _VERSION, "labels": ["cells"]}}
    label_image = {"version": _VERSION, "colors": [], "source": {"image": "../../"}}
    of_labels = {
        "version": _VERSION,
        "multiscales": _multiscales("cells", "yx", um),
        "image-label": label_image,
    }
    cells = group.create_group("labels", attributes=listed).create_group(
        "cells", attributes={"ome": of_labels}
    )
    _array(cells, labels, "yx")


def _array(group: Any, values: np.ndarray, axes: str) -> None:
    chunks = (1,) * (values.ndim - 2) + values.shape[-2:]
    array = group.create_array(
        "0", shape=values.shape, chunks=chunks, dtype=values.dtype, dimension_names=list(axes)
    )
    array[:] = values


def _pixel_um(origin: Mapping[str, str]) -> float | None:
    """The side of a pixel of the crops in µm; None if the spec does not tell."""
    spec = yaml.safe_load(origin["spec"])
    um, window = spec.get("pixel_um"), spec["crops"].get("window_px")
    return um * window / spec["crops"]["size_px"] if um and window else None


def _multiscales(name: str, axes: str, um: float | None) -> list[dict[str, Any]]:
    kinds = [
        {"name": axis, "type": "channel"}
        if axis == "c"
        else {"name": axis, "type": "space", **({"unit": "micrometer"} if um else {})}
        for axis in axes
    ]
    scale = [{"type": "scale", "scale": [1.0 if axis == "c" else um or 1.0 for axis in axes]}]
    return [{"name": name, "axes": kinds, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]


def _omero(channels: Mapping[str, str]) -> dict[str, Any]:
    """How viewers show the channels."""
    colours = channel_colours(channels)
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    return {
        "channels": [
            {
                "label": name,
                "color": colours[name],
                "active": True,
                "window": window,
            }
            for name in channels
        ]
    }


def channel_colours(channels: Mapping[str, str]) -> dict[str, str]:
    """Channel -> colour in hexadecimal: proteins in green first, structures in blue first.

    Args:
        channels: channel -> role.

    >>> channel_colours({"nucleus": "structural", "protein": "protein", "tubulin": "structural"})
    {'nucleus': '0000FF', 'protein': '00FF00', 'tubulin': 'FF0000'}
    """
    colours = {"protein": iter(_PROTEINS * len(channels)), "structural": iter(_STRUCTURES * len(channels))}
    return {name: next(colours.get(role, colours["structural"])) for name, role in channels.items()}


def _name(text: str) -> str:
    """The name of an image or a shard in names of files: special characters are quoted, long names shortened.

    >>> _name("a/b"), _name(".."), len(_name("蛋白質" * 99))
    ('a%2Fb', '%2E.', 169)
    """
    name = quote(text, _SAFE)
    if name.startswith("."):  # a hidden file, or the folder above
        name = f"%2E{name[1:]}"
    if len(name) > _LONGEST:
        digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
        name = f"{name[:_LONGEST]}~{digest}"
    return name


def _spec(
    origin: Mapping[str, str], channels: Mapping[str, str], side: int, columns: list[str]
) -> dict[str, Any]:
    """A spec that reads the crops back."""
    former = yaml.safe_load(origin["spec"])
    named = "cells" if "cells" not in channels else "cell_labels"
    roles = {name: {"role": role} for name, role in channels.items()}
    um = _pixel_um(origin)
    return {
        "name": f"{origin['screen']}_crops",
        "description": f"Crops of {origin['screen']} ({origin['images']} images), exported by {origin['program']} on "
        f"{origin['exported_at']}.",
        "organism": origin["organism"],
        "root": ".",
        **({"pixel_um": um} if um else {}),
        "channels": roles | {named: {"role": "labels", "named": "labels/cells"}},
        "files": {
            "layout": "ome_zarr",
            "pattern": "{folder}/{image}_f{field:d}.ome.zarr",
            "image_id": "{image}",
            "exclude": ["cells.csv", "provenance.json", f"{origin['screen']}_crops.yaml", MARK],
        },
        "images": {"table": "images.csv"},
        "shards": {"by": "{folder}"},
        "segmentation": {"method": "labels", "options": {"channel": named}},
        "crops": {"window_px": side, "size_px": side, "min_cells": former["crops"]["min_cells"]},
        "encoder": {"stages": former["encoder"]["stages"]},
    }
