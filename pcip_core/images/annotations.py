"""Annotations of each image: protein, gene, cell line, plate, well, localization terms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcip_core.errors import SpecError
from pcip_core.images.field import Field
from pcip_core.images.layouts.grouping import filled, well_name
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.table import our_name, read_table, renamed

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
    >>> from pcip_core.spec.loading import load_screen
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
        values |= platemap.get(_place(screen, platemap, parts), {}) | table.get((image_id,), {})
        terms = [term.strip() for term in re.split(r"[;|]", values.pop("localization", None) or "")]
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


Key = tuple[str, ...]
Rows = dict[Key, dict[str, str | None]]


def read_platemap(screen: Screen) -> Rows:
    """Read the spec's platemap: (plate, well) -> its other columns. Without a plate column, plate is "".

    Columns have plain names or Cytomining's (`Metadata_Plate`, `Metadata_Well`, `well_position`, and
    `Metadata_<name>` for any other name). A1 and A01 are the same well.

    Raises:
        SpecError: the platemap does not exist or has no well column, a row has no well or no plate, or two rows of
            one well differ.
    """
    if screen.images.platemap is None:
        return {}
    path = screen.folder() / screen.images.platemap
    table = renamed(path, read_table(path), _plain_name)
    if "well" not in table.columns:
        raise SpecError(
            path,
            found=f"columns {', '.join(table.columns)}",
            required="a column of wells: well, well_position or Metadata_Well",
            remedy="Rename the column.",
        )
    keys = ("plate", "well") if "plate" in table.columns else ("well",)
    rows = _by_key(
        path, [row | {"well": well_name(row["well"])} for row in table.iter_rows(named=True)], keys
    )
    return rows if len(keys) == 2 else {("", *key): values for key, values in rows.items()}


def _plain_name(column: str) -> str:
    name = our_name(column)
    name = name[len("metadata_") :] if name.lower().startswith("metadata_") else name
    return name.lower() if name.lower() in (*COLUMNS, "localization") else name


def _by_key(path: Path, rows: Iterable[Mapping[str, str]], keys: Sequence[str]) -> Rows:
    """Index rows by the cells of the key columns: key -> other columns, None for empty cells.

    Raises:
        SpecError: a cell of a key column is empty, or two rows with the same keys differ.
    """
    by_key: Rows = {}
    incomplete: list[str] = []
    for row in rows:
        key = tuple(row[name] for name in keys)
        values = {name: text or None for name, text in row.items() if name not in keys}
        if not all(key):
            incomplete.append(", ".join(text for text in row.values() if text))
        elif by_key.setdefault(key, values) != values:
            raise SpecError(
                path,
                found=f"two rows for {' '.join(keys)} {' '.join(key)}: {_written(by_key[key])}; {_written(values)}",
                required="one row",
                remedy="Remove the wrong row (A1 and A01 are the same well).",
            )
    if incomplete:
        raise SpecError(
            path,
            found=f"{len(incomplete)} rows in which {' or '.join(keys)} is empty, the first with {incomplete[0]}",
            required=f"{' and '.join(keys)} in each row",
            remedy="Fill in each row. Merged cells of Excel have a value only in their first row.",
        )
    return by_key


def _written(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {text}" for name, text in values.items() if text) or "nothing else"


def _well(screen: Screen, parts: Mapping[str, str]) -> str:
    """The well of a field: the template of the spec, otherwise the part."""
    template = screen.images.values.get("well")
    return well_name(
        parts.get("well", "") if template is None else filled(template, parts, "images.values.well")
    )


def _place(screen: Screen, platemap: Rows, parts: Mapping[str, str]) -> Key:
    """The key of a field in the platemap. Rows without a plate apply to all plates."""
    key = (parts.get("plate", ""), _well(screen, parts))
    return key if key in platemap else ("", key[1])


def unlisted(screen: Screen, fields: Iterable[Field]) -> dict[str, list[str]]:
    """The spec's platemap and table, by file name -> ids of the images without a row in it."""
    platemap, table = read_platemap(screen), _table(screen)
    fields = list(fields)
    listed = {}
    if screen.images.platemap is not None:
        listed[screen.images.platemap] = {
            field.image_id: _place(screen, platemap, field.parts) in platemap for field in fields
        }
    if screen.images.table is not None:
        listed[screen.images.table] = {field.image_id: (field.image_id,) in table for field in fields}
    return {
        name: [image_id for image_id, has_row in images.items() if not has_row]
        for name, images in listed.items()
    }


def _table(screen: Screen) -> Rows:
    """Read the spec's table: (image id,) -> its other columns, None for empty cells."""
    if screen.images.table is None:
        return {}
    path, key = screen.folder() / screen.images.table, screen.images.key
    table = read_table(path)
    if key not in table.columns:
        raise SpecError(
            path,
            found=f"columns {', '.join(table.columns)}",
            required=f"a column {key!r} that holds the image ids",
            remedy="Name the right column as images.key in the spec.",
        )
    return _by_key(path, table.iter_rows(named=True), (key,))
