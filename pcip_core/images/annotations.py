"""What is known of each image besides its pixels: protein, gene, cell line, localization terms."""

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
        values |= platemap.get(_place(platemap, parts), {}) | table.get(image_id, {})
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


Platemap = dict[tuple[str, str], dict[str, str | None]]


def read_platemap(screen: Screen) -> Platemap:
    """(plate, well) -> the other columns of the spec's platemap; plate "" where it has no column of plates.

    Columns are named as Cytomining does (`Metadata_Plate`, `Metadata_Well`, `well_position`, and any
    `Metadata_<name>` for name) or plainly; A1 and A01 are one well.

    Raises:
        SpecError: it is not there or has no column of wells.
    """
    if screen.images.platemap is None:
        return {}
    path = screen.folder() / screen.images.platemap
    found: Platemap = {}
    for row in read_table(path):
        ours = {_plain_name(name): text or None for name, text in row.items()}
        if "well" not in ours:
            raise SpecError(
                path,
                found=f"columns {', '.join(row)}",
                required="a column of wells: well, well_position or Metadata_Well",
                remedy="Rename the column.",
            )
        key = (ours.pop("plate", None) or "", well_name(ours.pop("well") or ""))
        found[key] = ours
    return found


def _plain_name(column: str) -> str:
    name = our_name(column)
    name = name[len("metadata_") :] if name.lower().startswith("metadata_") else name
    return name.lower() if name.lower() in (*COLUMNS, "localization") else name


def _place(platemap: Platemap, parts: dict[str, str]) -> tuple[str, str]:
    """The platemap's key for a field; one without plates is for all plates."""
    well = well_name(parts.get("well", ""))
    key = (parts.get("plate", ""), well)
    return key if key in platemap else ("", well)


def off_platemap(screen: Screen, fields: Iterable[Field]) -> list[str]:
    """Ids of the images that the platemap has no row for; none when there is no platemap."""
    platemap = read_platemap(screen)
    ids = {one.image_id: _place(platemap, one.parts) in platemap for one in fields}
    return [image_id for image_id, there in ids.items() if not there] if platemap else []


def _table(screen: Screen) -> dict[str, dict[str, str | None]]:
    """image id -> the other columns of the spec's CSV table; empty cells are None."""
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
