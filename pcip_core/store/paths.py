"""Names of screens, tables and shards, their folders and files, and the asset that writes each table."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from pcip_core.errors import StoreError
from pcip_core.locks import refresh
from pcip_core.spec.training import TASKS

NAME = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST_NAME = 255  # limit for file names on common file systems
_TASK = "|".join(TASKS)
_LEARNED = rf"({_TASK})(_({_TASK}))*_conv\d"  # sets of the encoder, see `EncoderConfig.method`
_WRITERS = (
    tuple(  # pattern of tables -> the asset that writes them, and the option of `pcip run` that includes it
        (re.compile(tables), asset, option)
        for option, writers in {
            "": {
                "screen|fields|field_quality|illumination|images|truth_.*|quarantine_fields": "fields",
                "cells|crops|quarantine_crops": "crops",
                rf"cell_features_{_LEARNED}": "cell_features",
                r"cell_features_(untrained_conv\d|intensity)": "control_features",
                rf"protein_features_({_LEARNED}|untrained_conv\d|intensity)": "protein_features",
                "benchmarks|(confusion|exclusions)_knn": "knn_benchmark",
                "mismatch": "mismatch",
                "(labels|predictions)_.*": r"\g<0>",  # of the page of `pcip browse`
            },
            " --baselines": {
                "cell_features_.*_(by_plate|by_cell_line|whitened)": "corrected_features",
                "cell_features_(autoencoder|supervised|vgg16)_.*": r"\1_features",
                "cell_features_(classic|designed|cellprofiler)": "designed_features",
                "cell_features_(.*)": r"\1_features",  # section `features` of the spec
                "protein_features_.*": "yardstick_protein_features",
                "(?:benchmarks|confusion|exclusions)_(yardstick|classifier)s": r"\1_benchmark",
                "(?:benchmarks|confusion|exclusions)_(supervised|pairwise|retrieval)": r"\1_benchmark",
                "supervised_images": "supervised_benchmark",
                "umap_.*": "umap",
            },
            " --analyses": {
                "clusters|cluster_trees": "clusters",
                "localization_scores|protein_scores": "localization_scores",
                "variability|variability_cells": "variability",
                "map_.*": "maps",
                "(enrichment|phenotypes|units)": r"\1",
            },
        }.items()
        for tables, asset in writers.items()
    )
)


_BY_USERS = re.compile("(labels|predictions)_")


def checked_name(name: str) -> str:
    """Check the name of a screen or a table: an identifier in lower case."""
    if not NAME.fullmatch(name):
        raise StoreError(
            repr(name),
            found="an invalid name of a table or screen",
            required="lower-case letters, digits and _, a letter first",
            remedy="Rename it.",
        )
    return name


def shard_folder(shard: str) -> str:
    """The name of a shard's folder within the folder of the table; special characters are quoted."""
    name = f"shard={quote(shard, safe=' ')}"
    if not shard or len(name) > _LONGEST_NAME:
        raise StoreError(
            f"shard {shard!r}",
            found=f"a name that makes {len(name)} characters as a folder" if shard else "an empty name",
            required=f"a name, of {_LONGEST_NAME} characters or fewer",
            remedy="Change `shards.by` in the spec.",
        )
    return name


def shard_of(folder: str) -> str | None:
    """The shard of the folder with this name; None for the folder of a table without shards."""
    return unquote(folder.removeprefix("shard=")) if folder.startswith("shard=") else None


def asset_of(table: str) -> tuple[str, str] | None:
    """The asset that writes a table or array, and the option of `pcip run` that includes it; None for an unknown table.

    >>> asset_of("quarantine_crops"), asset_of("cell_features_vgg16_protein_block1"), asset_of("notes")
    (('crops', ''), ('vgg16_features', ' --baselines'), None)
    """
    for pattern, asset, option in _WRITERS:
        if match := pattern.fullmatch(table):
            return match.expand(asset), option
    return None


def how_to_make(screen: str, table: str, shard: str | None = None) -> str:
    """What makes a partition of a table again, as the end of a remedy.

    >>> how_to_make("yeast", "images", "plate_1")
    'Run `pcip run yeast`, or materialize yeast/fields, shard plate_1.'
    >>> how_to_make("yeast", "labels_manual")
    'Restore it from a backup, or label and train again: `pcip browse yeast`.'
    """
    if _BY_USERS.match(table):
        return f"Restore it from a backup, or label and train again: `pcip browse {screen}`."
    known = asset_of(table)
    name = f"{screen}/{known[0]}" if known else f"the asset that writes {table}"
    of_shard = f", shard {shard}" if shard else ""
    return f"Run `pcip run {screen}{known[1] if known else ''}`, or materialize {name}{of_shard}."


class Part(NamedTuple):
    """The file of a partition, and a stamp that changes whenever the file is replaced or touched."""

    file: str
    stamp: str


def partitions_in(folder: Path) -> Iterator[tuple[str | None, Part]]:
    """Shard (None: the whole table) and file of each partition in the folder of a table.

    Publishing asks for the files of all tables, so there is one system call and no `Path` for each.
    """
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        shard = shard_of(name)
        if shard is not None or name == "part.parquet":
            file = f"{folder}/{name}" if shard is None else f"{folder}/{name}/part.parquet"
            refresh(os.path.dirname(file))  # noqa: PTH120
            try:
                status = os.stat(file)  # noqa: PTH116
            except FileNotFoundError:  # a folder of arrays
                continue
            stamp = f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"
            yield shard, Part(file, stamp)
