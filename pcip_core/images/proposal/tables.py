"""Tables in a folder of images: one that lists the images, a platemap, a table of images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from pcip_core.errors import PcipError
from pcip_core.files import natural_key
from pcip_core.images.annotations import match_tables
from pcip_core.images.field import Field
from pcip_core.images.proposal.channels import Candidate
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import Images
from pcip_core.user_tables.matching import loose
from pcip_core.user_tables.table import our_name, read_table
from pcip_core.words import many

_MOST_TABLES, _MOST_BYTES, _DEPTH = 20, 200 << 20, 3
_FILE = re.compile(r"(?:image_)?(?:filename|url)_(?P<channel>.+)", re.IGNORECASE)
_OF_FILE = ("path", "filename", "file")
_ENOUGH = 0.5  # share of the images that a table must describe


@dataclass(frozen=True)
class Manifest:
    """A table that lists images: its path under the root, its channels, and the parts that its columns are."""

    path: str
    channels: list[Candidate]
    values: dict[str, list[str]]
    image_id: str
    protein: str | None = None


@dataclass(frozen=True)
class Described:
    """Tables that describe images.

    Attributes:
        images: the section `images` of a spec.
        notes: tables that are not used, and why.
    """

    images: Images
    notes: list[str]


def manifests_in(root: Path, tables: Sequence[str]) -> list[Manifest]:
    """The tables that list images, one per field or one per file."""
    return [each for path in _likely(root, tables) if (each := _manifest(root, path)) is not None]


def describing(
    screen: Screen, fields: Sequence[Field], tables: Sequence[str], values: dict[str, str]
) -> Described:
    """Choose a platemap and a table of images: those whose rows match images.

    Args:
        screen: the spec without tables.
        fields: its fields.
        tables: paths under the root.
        values: `images.values` of the spec.
    """
    root, notes = screen.folder(), []
    platemap = table = None
    key = "image_id"
    n_images = len({field.image_id for field in fields})
    for path in _likely(root, tables):
        if path == screen.files.table:
            continue
        try:
            columns = read_table(root / path)
        except PcipError as error:
            notes.append(f"{path} is not used: {error}")
            continue
        of_wells = _has_wells(columns) and platemap is None
        wanted = Images(values=values, platemap=path) if of_wells else None
        if wanted is None:
            column = _key(columns, {field.image_id for field in fields}) if table is None else None
            if column is None:
                notes.append(f"{path} is not used: none of its columns names wells or the images.")
                continue
            wanted = Images(values=values, table=path, key=column)
        try:
            matched = match_tables(replace(screen, images=wanted), fields).matchings[0].n_images
        except PcipError as error:
            notes.append(f"{path} is not used: {error}")
            continue
        if matched < _ENOUGH * n_images:
            notes.append(f"{path} is not used: it describes {matched} of {many(n_images, 'image')}.")
        elif of_wells:
            platemap = path
        else:
            table, key = path, wanted.key
    return Described(Images(values=values, platemap=platemap, table=table, key=key), notes)


def _likely(root: Path, tables: Sequence[str]) -> list[str]:
    """The first tables, near the root, that are not too large."""
    near = sorted(tables, key=lambda path: (path.count("/"), natural_key(path)))
    near = [path for path in near if path.count("/") < _DEPTH][:_MOST_TABLES]
    return [path for path in near if (root / path).stat().st_size <= _MOST_BYTES]


def _manifest(root: Path, path: str) -> Manifest | None:
    try:
        table = read_table(root / path)
    except PcipError:
        return None
    lower = {column.lower(): column for column in table.columns}
    named = [match["channel"] for column in table.columns if (match := _FILE.fullmatch(column))]
    of_file = next((lower[name] for name in _OF_FILE if name in lower), None)
    if named:
        channels = [Candidate(name, (), None, table.height) for name in dict.fromkeys(named)]
    elif "channel" in lower and of_file is not None:
        counts = table[lower["channel"]].value_counts().rows()
        channels = [
            Candidate(name, (), None, n) for name, n in sorted(counts, key=lambda row: natural_key(row[0]))
        ]
    else:
        return None
    columns = {our_name(name): table[name] for name in table.columns}
    values = {
        name: sorted(set(series.to_list()), key=natural_key)[:1000]
        for name, series in columns.items()
        if name in ("plate", "well", "field", "protein", "gene") or name.lower().startswith("metadata_")
    }
    identity: list[str] = [name for name in ("plate", "well") if name in values]
    protein = next(
        (name for name in values if name.lower() in ("protein", "metadata_protein", "gene", "metadata_gene")),
        None,
    )
    if "well" not in identity and protein:
        identity.append(protein)
    if not identity:
        identity = ["field"] if "field" in values else list(columns)[:1]
    image_id = "_".join(f"{{{name}}}" for name in identity)
    return Manifest(path, channels, values, image_id, f"{{{protein}}}" if protein else None)


def _has_wells(table: pl.DataFrame) -> bool:
    plain = {re.sub(r"[\W_]", "", name.lower()).removeprefix("metadata") for name in table.columns}
    return bool(plain & {"well", "wellid", "wellname", "wellposition"}) or {"row", "column"} <= plain


def _key(table: pl.DataFrame, ids: set[str]) -> str | None:
    """The column that holds most ids of images, if it holds enough of them once each."""
    best, most = None, _ENOUGH * len(ids)
    plain = set(map(loose, ids))
    for name in table.columns:
        values = [loose(text) for text in table[name].to_list()]
        count = len(plain.intersection(values))
        if count >= most and len(values) == len(set(values)):
            best, most = name, count + 1
    return best
