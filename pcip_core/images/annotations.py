"""Annotations of each image: protein, gene, cell line, plate, well, localization terms.

`match_tables` matches the platemap and the table of a spec to the images; `describe_images` describes each image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pcip_core.errors import SpecError
from pcip_core.images.field import Field
from pcip_core.images.layouts.grouping import filled, filled_well
from pcip_core.spec.bounds import meant
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.matching import (
    Matching,
    Row,
    Rows,
    bare,
    loose,
    match,
    rows_by_key,
    shown,
    stripped,
)
from pcip_core.user_tables.table import our_name, read_table, renamed
from pcip_core.user_tables.wells import IN_TEXT, row_and_column, well_name, well_of
from pcip_core.user_tables.wide import long_form
from pcip_core.words import many

COLUMNS = ("protein", "gene", "cell_line", "plate", "well")
_KNOWN = {name.replace("_", ""): name for name in (*COLUMNS, "localization")}
_OTHER_WORDS = {  # without spaces and signs
    **dict.fromkeys(("genename", "genesymbol"), "gene"),
    **dict.fromkeys(("localisation", "subcellularlocalization", "subcellularlocalisation"), "localization"),
    "proteinname": "protein",
}
_WELLS = ("wellid", "wellname", "wellposition", "wellnumber", "destinationwell")  # without spaces and signs
_PLATES = ("plateid", "platename", "platebarcode", "barcode", "assayplate", "assayplatebarcode", "assayplatename",
           "destinationplate", "destinationplatename", "destinationplatebarcode")  # fmt: skip
_OF_PLACES = ("plate", "well", "localization")  # columns that are matched, or lists
_LONGEST_ID = 1000  # characters of an id in which a well is looked for


@dataclass(frozen=True)
class ImageRecord:
    """One image. `values` holds the columns of `COLUMNS` and all other columns of the user's tables."""

    image_id: str
    shard: str
    n_fields: int
    localization: list[str]
    values: dict[str, str | None]


@dataclass(frozen=True)
class ImageTables:
    """The tables of a spec that describe images, matched to the images of a screen.

    Args:
        rows: the platemap and the table, as far as the spec names them; later ones take precedence.
        matchings: what matches of each.
    """

    rows: list[Rows]
    matchings: list[Matching]

    def row(self, image_id: str) -> Row:
        """What the tables say of an image."""
        row: Row = {}
        for rows, matching in zip(self.rows, self.matchings, strict=True):
            if image_id in matching.row_of:
                row |= _filled_in(rows.values[matching.row_of[image_id]], row)
        return row

    def disagreements(self, fields: Iterable[Field]) -> list[str]:
        """Images of which the names of their files and the tables, or two tables, give different values, in words.

        What `images.values` gives is a default and disagrees with nothing.
        """
        sources = ["the names of files", *(matching.table for matching in self.matchings)]
        differ: dict[tuple[str, str], list[str]] = {}
        images = {field.image_id: field for field in fields}
        for image_id, field in images.items() if self.rows else ():
            given: list[Row] = [{name: field.parts.get(name) for name in COLUMNS}]
            for rows, matching in zip(self.rows, self.matchings, strict=True):
                given.append(rows.values[matching.row_of[image_id]] if image_id in matching.row_of else {})
            last: dict[str, tuple[str, str]] = {}  # column -> the latest value, and its source
            for source, row in zip(sources, given, strict=True):
                for name, text in row.items():
                    if not text or name in _OF_PLACES:
                        continue
                    before, other = last.setdefault(name, (text, source))
                    if before.casefold().split() != text.casefold().split():
                        shown_as = f"{image_id} ({name} {before} and {text})"
                        differ.setdefault((other, source), []).append(shown_as)
                    last[name] = text, source
        return [
            f"{first} and {second} disagree about {many(len(texts), 'value')} of images, and {second} is used: "
            f"{shown(texts)}"
            for (first, second), texts in differ.items()
        ]


def _filled_in(row: Row, before: Row) -> Row:
    """A row without its empty cells where another source has a value."""
    return {name: text for name, text in row.items() if text or not before.get(name)}


def _named(screen: Screen, parts: Mapping[str, str]) -> Row:
    """What the names of files and `images.values` say of an image."""
    values: Row = {name: parts.get(name) for name in COLUMNS}
    for name, text in screen.images.values.items():
        values[name] = filled(text, parts, f"images.values.{name}")
    return values


def match_tables(screen: Screen, fields: Iterable[Field]) -> ImageTables:
    """Read the spec's platemap and table, and match their rows to the images of these fields.

    Raises:
        SpecError: a table does not exist, lacks its key column, or has two rows for one image that differ.
    """
    images = screen.images
    rows: list[Rows] = []
    matchings: list[Matching] = []
    fields = list(fields) if images.platemap or images.table else []
    if images.platemap is not None:
        path = screen.folder() / images.platemap
        platemap, with_plate = _platemap(path, _plates(screen, fields))
        places: dict[str, tuple[str, ...]] = {}
        further: dict[str, set[tuple[str, ...]]] = {}
        for field in fields:
            place = _place(screen, field.parts, with_plate=with_plate)
            if places.setdefault(field.image_id, place) != place:
                further.setdefault(field.image_id, set()).add(place)
        if with_plate and places and not any(plate for plate, _ in places.values()):
            raise _no_plates(path, platemap)
        rows.append(platemap)
        matchings.append(
            match(
                images.platemap,
                "platemap",
                platemap.keys,
                places,
                further=further,
                values=platemap.values,
                repeated=platemap.repeated,
            )
        )
    if images.table is not None:
        table = _table(screen, screen.folder() / images.table, fields)
        ids = {field.image_id: (field.image_id,) for field in fields}
        rows.append(table)
        matchings.append(match(images.table, "table", table.keys, ids, repeated=table.repeated))
    return ImageTables(rows, matchings)


def describe_images(
    screen: Screen, fields: Iterable[Field], tables: ImageTables | None = None
) -> list[ImageRecord]:
    """Describe each image by the spec's templates, platemap and table; later sources take precedence.

    An image without a protein gets its gene as its protein, and without a gene its image id.

    Args:
        screen: the spec; its section `images` is used.
        fields: the fields of the images to describe, from `scan`.
        tables: from `match_tables` for all fields of the screen; by default for these fields.

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
    fields = list(fields)
    tables = tables or match_tables(screen, fields)
    by_image: dict[str, list[Field]] = {}
    for field in fields:
        by_image.setdefault(field.image_id, []).append(field)
    records = []
    for image_id, members in by_image.items():
        values = _named(screen, members[0].parts)
        values |= _filled_in(tables.row(image_id), values)
        terms = [term.strip() for term in re.split("[;|]", values.pop("localization", None) or "")]
        values["protein"] = values["protein"] or values["gene"] or image_id
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


def without_protein(records: Iterable[ImageRecord]) -> list[str]:
    """Ids of the images that count as proteins of their own because nothing names their protein; others have one."""
    unnamed = {record.image_id: record.values["protein"] == record.image_id for record in records}
    return (
        [] if all(unnamed.values()) else [image_id for image_id, is_unnamed in unnamed.items() if is_unnamed]
    )


def read_platemap(screen: Screen, fields: Iterable[Field]) -> list[tuple[str, str]]:
    """The plate and the well of each row of the spec's platemap. Without a column of plates, the plate is "".

    Args:
        screen: the spec.
        fields: of all images, whose plates a column may name.

    Raises:
        SpecError: see `match_tables`.
    """
    if screen.images.platemap is None:
        return []
    rows, _ = _platemap(screen.folder() / screen.images.platemap, _plates(screen, fields))
    return [(key[0] if len(key) == 2 else "", well_name(key[-1])) for key in rows.values]


def _plates(screen: Screen, fields: Iterable[Field]) -> set[str]:
    """The plates of fields, as they are compared."""
    return {loose(plate) for field in fields if (plate := _described(screen, field.parts, "plate"))}


def _platemap(path: Path, plates: set[str]) -> tuple[Rows, bool]:
    """Read the spec's platemap: (plate, well) or (well,) -> its other columns; and whether it names plates.

    Columns have plain names or Cytomining's (`Metadata_Plate`, `Metadata_Well`, `well_position`, and
    `Metadata_<name>` for any other name). The well may be written as a row and a column apart. Without a column
    `plate`, one of `_PLATES` is it if it names one of these plates.

    Raises:
        SpecError: the platemap does not exist or has no well column, a row has no well or no plate, or two rows of
            one well differ.
    """
    table = long_form(path, read_table(path))
    table = renamed(
        path, table, _known_names({name: _plain_name(name) for name in table.columns}).__getitem__
    )
    if "well" not in table.columns:
        alike = [name for name in table.columns if re.sub(r"[\W_]", "", name.lower()) in _WELLS]
        table = table.rename({alike[0]: "well"}) if alike else table
    if "plate" not in table.columns:
        alike = [name for name in table.columns if re.sub(r"[\W_]", "", name.lower()) in _PLATES]
        named = [name for name in alike if not plates.isdisjoint(map(loose, table[name].unique()))]
        table = table.rename({named[0]: "plate"}) if named else table
    rows = table.to_dicts()
    apart = row_and_column(table.columns)
    if "well" not in table.columns and apart is not None:
        row, column = apart
        rows = [{"well": well_of(cells[row], cells[column]), **cells} for cells in rows]
    elif "well" not in table.columns:
        raise SpecError(
            path,
            found=f"columns {', '.join(table.columns)}",
            required="a column of wells (well, well_position or Metadata_Well), or the columns row and column",
            remedy="Rename the column of wells to `well`.",
        )
    with_plate = "plate" in table.columns
    if with_plate:
        return rows_by_key(path, rows, ("plate", "well"), (stripped, well_name)), True
    advice = " If the rows are of several plates, call the column of plates `plate`."
    return rows_by_key(path, rows, ("well",), (well_name,), advice=advice), False


def _no_plates(path: Path, platemap: Rows) -> SpecError:
    plates = list(dict.fromkeys(plate for plate, _ in platemap.values))
    return SpecError(
        path,
        found=f"a column of plates ({shown(plates)}), and files whose plate is not known",
        required="the plate of each field, or a platemap without plates, which is for all of them",
        remedy="Call the part of the files that is the plate {plate} in files.pattern; or write it into the spec, "
        f"images.values: {{plate: {plates[0]!r}}}; or remove the column.",
    )


def _plain_name(column: str) -> str:
    name = our_name(column)
    return name[len("metadata_") :] if name.lower().startswith("metadata_") else name


def _known_names(names: Mapping[str, str]) -> dict[str, str]:
    """Column of a table -> the column of images that its name means, in any letter case and with any separator.

    Another word for a column is understood if no column has the name itself. Other names stay.

    Args:
        names: the columns, with the names that they go by.

    >>> _known_names({name: name for name in ("Cell line", "CellLine", "Gene symbol", "Dose (uM)")})
    {'Cell line': 'cell_line', 'CellLine': 'cell_line', 'Gene symbol': 'gene', 'Dose (uM)': 'Dose (uM)'}
    >>> _known_names({name: name for name in ("Gene symbol", "gene")})
    {'Gene symbol': 'Gene symbol', 'gene': 'gene'}
    """
    letters = {column: re.sub(r"[\s_.-]+", "", name).lower() for column, name in names.items()}
    known = {column: _KNOWN.get(letters[column], name) for column, name in names.items()}
    for column, text in letters.items():
        if (other := _OTHER_WORDS.get(text)) is not None and other not in known.values():
            known[column] = other
    return known


def _place(screen: Screen, parts: Mapping[str, str], *, with_plate: bool) -> tuple[str, ...]:
    """The key of a field in the platemap."""
    well = _described(screen, parts, "well")
    if not well and (apart := row_and_column(parts)) is not None:
        row, column = apart
        well = well_of(parts[row], parts[column])
    return (_described(screen, parts, "plate"), well) if with_plate else (well,)


def _described(screen: Screen, parts: Mapping[str, str], name: str) -> str:
    """The plate or well of a field: the template of the spec, otherwise the part; empty without either."""
    template = screen.images.values.get(name)
    if template is None:
        return parts.get(name, "")
    fill = filled_well if name == "well" else filled
    return fill(template, parts, f"images.values.{name}")


def _table(screen: Screen, path: Path, fields: Iterable[Field]) -> Rows:
    """Read the spec's table: (image id,) -> its other columns, None for empty cells."""
    key = screen.images.key
    table = read_table(path)
    if key not in table.columns:
        raise SpecError(
            path,
            found=f"columns {', '.join(table.columns)}",
            required=f"a column {key!r}{meant(key, table.columns)} that holds the image ids",
            remedy="Name the right column as images.key in the spec; if the rows name wells, name the table as "
            "images.platemap.",
        )
    known = _known_names({name: name for name in table.columns if name != key}) | {key: key}
    table = renamed(path, table, known.__getitem__)
    return rows_by_key(path, table.to_dicts(), (key,), (_normalizer(screen, fields),))


def _normalizer(screen: Screen, fields: Iterable[Field]) -> Callable[[str], str]:
    """A function that gives the id of an image for all writings of the well in it, with or without `.tif` and the like.

    An id and a key that differ in the ending of a file are the same only if no other id has the same name without it.
    """
    template, normal, ids = screen.files.image_id, {}, set()
    for field in fields:
        parts = field.parts
        ids.add(field.image_id)
        if "well" in parts and field.image_id not in normal:
            parts = parts | {"well": well_name(parts["well"])}
            normal[field.image_id] = filled(template, parts, "files.image_id")
    known = set(normal.values())
    without: dict[str, set[str]] = {}
    for image_id in ids:
        without.setdefault(bare(image_id), set()).add(image_id)
    single = {name: min(of_name) for name, of_name in without.items() if len(of_name) == 1}

    def normalized(text: str) -> str:
        text = stripped(text)
        if text not in ids:
            text = single.get(bare(text), text)
        if text in normal:
            return normal[text]
        for name in dict.fromkeys((text, bare(text))):
            for well in IN_TEXT.finditer(name, 0, _LONGEST_ID):
                candidate = name[: well.start()] + well_name(well[0]) + name[well.end() :]
                if candidate in known or candidate in single:
                    return single.get(candidate, candidate)
        return text

    return normalized
