"""What is known of each image besides its pixels: protein, gene, cell line, localization terms."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass

from pcip_core.errors import SpecError
from pcip_core.images.layout import Field
from pcip_core.screen import Screen

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
    """One record an image of `fields`, from the spec's templates and table (the table wins).

    Without a protein of its own, an image is its own protein.

    Raises:
        SpecError: the table is not there or lacks its key column.
    """
    table = _table(screen)
    by_image: dict[str, list[Field]] = {}
    for one in fields:
        by_image.setdefault(one.image_id, []).append(one)
    records = []
    for image_id, members in by_image.items():
        parts = members[0].parts
        values: dict[str, str | None] = {name: parts.get(name) for name in COLUMNS}
        values |= {name: text.format(**parts) for name, text in screen.images.values.items()}
        values |= table.get(image_id, {})
        terms = values.pop("localization", None) or ""
        values["protein"] = values["protein"] or image_id
        records.append(
            ImageRecord(
                image_id,
                members[0].shard,
                len({one.number for one in members}),
                [term.strip() for term in terms.split(";") if term.strip()],
                values,
            )
        )
    return records


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
