"""What is known of each image besides its pixels: protein, gene, cell line, localization terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcip_core.errors import SpecError
from pcip_core.images.field import Field
from pcip_core.images.layouts.grouping import filled, well_name
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.table import our_name, read_table

COLUMNS = ("protein", "gene", "cell_line", "plate", "well")


@dataclass(frozen=True)
class ImageRecord:
    """One image: `values` holds the columns of `COLUMNS` and any further ones of the user's table."""

    image_id: str
    shard: str
    n_fields: int
    localization: list[str]
    values: dict[str, str | None]


def describe_images(screen: Screen, fields: Iterable[Field]) -> list[ImageRecord]:
    """One record an image of `fields`, from the spec's templates, platemap and table (later ones win).

    Without a protein of its own, an image is its own protein.

    Raises:
        SpecError: a table is not there or lacks its key column, or a template names an unknown part.
    """
    table, platemap = _table(screen), read_platemap(screen)
    by_image: dict[str, list[Field]] = {}
    for one in fields:
        by_image.setdefault(one.image_id, []).append(one)
    records = []
    for image_id, members in by_image.items():
        parts = members[0].parts
        values: dict[str, str | None] = {name: parts.get(name) for name in COLUMNS}
        for name, text in screen.images.values.items():
            values[name] = filled(text, parts, f"images.values.{name}")
        values |= platemap.get(_place(screen, platemap, parts), {}) | table.get((image_id,), {})
        terms = [term.strip() for term in (values.pop("localization", None) or "").split(";")]
        values["protein"] = values["protein"] or image_id
        records.append(
            ImageRecord(
                image_id,
                members[0].shard,
                len({one.number for one in members}),
                list(dict.fromkeys(screen.images.terms.get(term, term) for term in terms if term)),
                values,
            )
        )
    return records


Key = tuple[str, ...]
Rows = dict[Key, dict[str, str | None]]


def read_platemap(screen: Screen) -> Rows:
    """(plate, well) -> the other columns of the spec's platemap; plate "" where it has no column of plates.

    Columns are named as Cytomining does (`Metadata_Plate`, `Metadata_Well`, `well_position`, and any
    `Metadata_<name>` for name) or plainly; A1 and A01 are one well.

    Raises:
        SpecError: it is not there or has no column of wells, a row has no well or no plate, or two rows of one well
            differ.
    """
    if screen.images.platemap is None:
        return {}
    path = screen.folder() / screen.images.platemap
    table = read_table(path)
    table = table.rename({name: _plain_name(name) for name in table.columns}, strict=False)
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
    """The cells of the key columns -> the other columns of the row; empty cells are None.

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
                remedy="Remove the wrong row (A1 and A01 are one well).",
            )
    if incomplete:
        raise SpecError(
            path,
            found=f"{len(incomplete)} rows in which {' or '.join(keys)} is empty, the first with {incomplete[0]}",
            required=f"{' and '.join(keys)} in each row",
            remedy="Fill in each row; cells that were merged in Excel have their value in the first row alone.",
        )
    return by_key


def _written(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {text}" for name, text in values.items() if text) or "nothing else"


def _well(screen: Screen, parts: Mapping[str, str]) -> str:
    """The well of a field: the spec's own template for it, or the part."""
    template = screen.images.values.get("well")
    return well_name(
        parts.get("well", "") if template is None else filled(template, parts, "images.values.well")
    )


def _place(screen: Screen, platemap: Rows, parts: Mapping[str, str]) -> Key:
    """The platemap's key for a field; one without plates is for all plates."""
    key = (parts.get("plate", ""), _well(screen, parts))
    return key if key in platemap else ("", key[1])


def unlisted(screen: Screen, fields: Iterable[Field]) -> dict[str, list[str]]:
    """The spec's platemap and table -> ids of the images that it has no row for."""
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
        name: [image_id for image_id, there in images.items() if not there] for name, images in listed.items()
    }


def _table(screen: Screen) -> Rows:
    """(image id,) -> the other columns of the spec's table; empty cells are None."""
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
