"""Annotations of each image: protein, gene, cell line, plate, well, localization terms."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass

from pcip_core.errors import SpecError
from pcip_core.images.field import Field
from pcip_core.images.layouts.grouping import filled, well_name
from pcip_core.images.tables import our_name, read_table
from pcip_core.spec.screen import Screen

COLUMNS = ("protein", "gene", "cell_line", "plate", "well")


@dataclass(frozen=True)
class ImageRecord:
    """One image. `values` holds the columns of `COLUMNS` and all other columns of the user's tables."""

    image_id: str
    shard: str
    n_fields: int
    localization: list[str]
    values: dict[str, str | None]


def describe_images(screen: Screen, fields: Iterable[Field]) -> list[ImageRecord]:
    """Describe each image by the spec's templates, platemap and table; later sources take precedence.

    An image without a protein gets its image id as its protein.

    Args:
        screen: the spec; its section `images` is used.
        fields: the fields of the images to describe, from `scan`.

    Returns:
        One record per image, in the order of the fields.

    Raises:
        SpecError: a table does not exist or lacks its key column, or a template names an unknown part.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from pcip_core.images.layout import scan
    >>> from pcip_core.spec.screen import load_screen
    >>> spec = '''
    ... name: example
    ... organism: yeast
    ... root: .
    ... files: {pattern: "{protein}_{field}_{channel}.tif", image_id: "{protein}"}
    ... channels: {cytosol: {role: structural}, protein: {role: protein}}
    ... images: {values: {cell_line: "wild type"}}
    ... shards: {buckets: 1}
    ... segmentation: {method: whole}
    ... crops: {window_px: null}
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "example.yaml").write_text(spec)
    ...     for name in ("AAC1_1_cytosol.tif", "AAC1_1_protein.tif"):
    ...         (Path(folder) / name).touch()
    ...     screen = load_screen(Path(folder) / "example.yaml")
    ...     records = describe_images(screen, scan(screen).fields)
    >>> records[0].image_id, records[0].values["protein"], records[0].values["cell_line"]
    ('AAC1', 'AAC1', 'wild type')
    """
    table, platemap = _table(screen), read_platemap(screen)
    by_image: dict[str, list[Field]] = {}
    for field in fields:
        by_image.setdefault(field.image_id, []).append(field)
    records = []
    for image_id, members in by_image.items():
        parts = members[0].parts
        values: dict[str, str | None] = {name: parts.get(name) for name in COLUMNS}
        for name, text in screen.images.values.items():
            values[name] = filled(text, parts, f"images.values.{name}")
        values |= platemap.get(_place(platemap, parts), {}) | table.get(image_id, {})
        terms = [term.strip() for term in (values.pop("localization", None) or "").split(";")]
        values["protein"] = values["protein"] or image_id
        records.append(
            ImageRecord(
                image_id,
                members[0].shard,
                len({field.number for field in members}),
                list(dict.fromkeys(screen.images.terms.get(term, term) for term in terms if term)),
                values,
            )
        )
    return records


Platemap = dict[tuple[str, str], dict[str, str | None]]


def read_platemap(screen: Screen) -> Platemap:
    """Read the spec's platemap: (plate, well) -> its other columns. Without a plate column, plate is "".

    Columns have plain names or Cytomining's (`Metadata_Plate`, `Metadata_Well`, `well_position`, and
    `Metadata_<name>` for any other name). A1 and A01 are the same well.

    Raises:
        SpecError: the platemap does not exist or has no well column.
    """
    if screen.images.platemap is None:
        return {}
    path = screen.folder() / screen.images.platemap
    platemap: Platemap = {}
    for row in read_table(path):
        values = {_plain_name(name): text or None for name, text in row.items()}
        if "well" not in values:
            raise SpecError(
                path,
                found=f"columns {', '.join(row)}",
                required="a column of wells: well, well_position or Metadata_Well",
                remedy="Rename the column.",
            )
        key = (values.pop("plate", None) or "", well_name(values.pop("well") or ""))
        platemap[key] = values
    return platemap


def _plain_name(column: str) -> str:
    name = our_name(column)
    name = name[len("metadata_") :] if name.lower().startswith("metadata_") else name
    return name.lower() if name.lower() in (*COLUMNS, "localization") else name


def _place(platemap: Platemap, parts: dict[str, str]) -> tuple[str, str]:
    """The key of a field in the platemap. Rows without a plate apply to all plates."""
    well = well_name(parts.get("well", ""))
    key = (parts.get("plate", ""), well)
    return key if key in platemap else ("", well)


def off_platemap(screen: Screen, fields: Iterable[Field]) -> list[str]:
    """Ids of the images without a row in the platemap; empty if the spec names no platemap."""
    platemap = read_platemap(screen)
    ids = {field.image_id: _place(platemap, field.parts) in platemap for field in fields}
    return [image_id for image_id, listed in ids.items() if not listed] if platemap else []


def _table(screen: Screen) -> dict[str, dict[str, str | None]]:
    """Read the spec's CSV table: image id -> its other columns, None for empty cells."""
    if screen.images.table is None:
        return {}
    path, key = screen.folder() / screen.images.table, screen.images.key
    if not path.is_file():
        raise SpecError(
            path, found="no such file", required="the table named by images.table", remedy="Correct the spec."
        )
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if key not in (reader.fieldnames or []):
            raise SpecError(
                path,
                found=f"columns {', '.join(reader.fieldnames or [])}",
                required=f"a column {key!r} that holds the image ids",
                remedy="Name the right column as images.key in the spec.",
            )
        return {row[key]: {name: row[name] or None for name in row if name and name != key} for row in reader}
