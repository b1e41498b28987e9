"""Localization terms from the tables that atlases and yeast screens publish, in one form, joined to images.

`read_localization` makes any of them a list of `Located`; `annotate` gives the terms to a screen's images and
counts what did not match.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pcip_core.errors import SpecError
from pcip_core.images.annotations import ImageRecord, describe_images
from pcip_core.images.field import Field
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.table import read_table

IDS = ("ensembl", "orf", "uniprot", "gene")  # in the order in which they are trusted
RELIABILITIES = ("Enhanced", "Supported", "Approved", "Uncertain")
_SEPARATORS = re.compile(r"[;,|]|<br\s*/?>")
_ATLAS_TERMS = (
    *("Main location", "Additional location"),
    *("Subcellular main location", "Subcellular additional location"),
)
_HEADERS = {
    "ensembl": ("ensembl", "ensembl id", "ensembl gene id"),
    "orf": ("orf", "yorf", "orf name", "systematic name", "systematic", "locus"),
    "uniprot": ("uniprot", "uniprot id", "uniprotkb", "accession"),
    "gene": ("gene", "gene name", "genename", "name", "standard name", "symbol", "protein"),
    "localization": (
        *("localization", "localisation", "localization summary", "localization terms", "gfp localization"),
        *("location", "locations", "terms", "term", "compartment", "compartments", "subcellular location"),
    ),
}


@dataclass(frozen=True)
class Located:
    """One protein of a table: its ids, empty where the table has none, and its terms in the table's words."""

    gene: str = ""
    ensembl: str = ""
    orf: str = ""
    uniprot: str = ""
    localization: tuple[str, ...] = ()


@dataclass(frozen=True)
class Annotated:
    """Images with terms, and the count of what did not match.

    Args:
        records: all images, in their order.
        matched: images whose protein the table has; those that had terms of their own keep them.
        unmatched: ids of images whose protein it has not.
        ambiguous: ids of images whose name several proteins of the table carry; they get no terms.
        unused: proteins of the table that no image shows.
    """

    records: list[ImageRecord]
    matched: int
    unmatched: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    unused: int = 0

    def __str__(self) -> str:
        return (
            f"{len(self.records)} images = {self.matched} matched + {len(self.unmatched)} unmatched + "
            f"{len(self.ambiguous)} ambiguous; {self.unused} proteins of the table have no image"
        )


def read_localization(
    path: Path, *, reliabilities: Sequence[str] = RELIABILITIES, main_only: bool = False
) -> list[Located]:
    """Read a table of localization terms, one entry a protein (rows of one protein are joined).

    Known by their headers: the Human Protein Atlas' `subcellular_location.tsv` and `proteinatlas.tsv`; any
    other table must have a column of ids (gene, ORF, Ensembl, UniProt) and one of terms, separated by
    `;`, `,`, `|` or `<br>`.

    Args:
        path: may be gzipped, or alone in a zip.
        reliabilities: of the atlas' `subcellular_location.tsv`, only rows (before the table had `Main
            location`: only columns) with these words.
        main_only: of the atlas' tables, leave additional locations out.

    Raises:
        SpecError: no column of ids or of terms is recognised.
    """
    table = read_table(path)
    header, rows = set(table.columns), table.to_dicts()
    if {"Gene", "Gene name"} <= header:
        located = [_of_atlas(row, "Gene", "Gene name", reliabilities, main_only=main_only) for row in rows]
    elif {"Gene", "Ensembl"} <= header and any("ubcellular" in name for name in header):
        located = [_of_atlas(row, "Ensembl", "Gene", reliabilities, main_only=main_only) for row in rows]
    else:
        columns = _columns(path, table.columns)
        located = [
            Located(
                **{name: row[column] for name, column in columns.items() if name != "localization"},
                localization=_terms([row[columns["localization"]]]),
            )
            for row in rows
        ]
    return _joined(one for one in located if one.gene or one.ensembl or one.orf or one.uniprot)


def _of_atlas(
    row: Mapping[str, str], id_column: str, name_column: str, reliabilities: Sequence[str], *, main_only: bool
) -> Located:
    columns: Sequence[str] = [name for name in _ATLAS_TERMS if name in row]
    if not columns:
        columns = ["Subcellular location"] if "Subcellular location" in row else reliabilities
    elif main_only:
        columns = [name for name in columns if "dditional" not in name]
    trusted = row.get("Reliability", "") in ("", *reliabilities)
    texts = [row.get(name, "") for name in columns] if trusted else []
    return Located(
        gene=row[name_column],
        ensembl=row[id_column],
        uniprot=row.get("Uniprot", ""),
        localization=_terms(texts),
    )


def _columns(path: Path, header: list[str]) -> dict[str, str]:
    """What each column holds, by its name."""
    found: dict[str, str] = {}
    for what, names in _HEADERS.items():
        for name in names:
            match = next((one for one in header if one.lower() == name and one not in found.values()), None)
            if match is not None:
                found[what] = match
                break
    if "localization" not in found or len(found) < 2:
        raise SpecError(
            path,
            found=f"columns {', '.join(header) or 'none'}",
            required="a column of terms (localization, location, terms, ...) and one of ids (gene, ORF, "
            "Ensembl, UniProt)",
            remedy="Rename the columns.",
        )
    return found


def _terms(texts: Iterable[str]) -> tuple[str, ...]:
    pieces = [piece.strip() for text in texts for piece in _SEPARATORS.split(text)]
    return tuple(dict.fromkeys(piece for piece in pieces if piece))


def _joined(located: Iterable[Located]) -> list[Located]:
    """Rows of one protein as one, their terms in order."""
    by_ids: dict[tuple[str, ...], Located] = {}
    for one in located:
        key = tuple(getattr(one, name).upper() for name in IDS)
        known = by_ids.get(key)
        if known is not None:
            one = replace(known, localization=tuple(dict.fromkeys(known.localization + one.localization)))
        by_ids[key] = one
    return list(by_ids.values())


def annotated_images(screen: Screen, fields: Iterable[Field]) -> Annotated:
    """`describe_images`, with the terms and ids of the spec's table `images.annotations` where it names one.

    Raises:
        SpecError: what `describe_images` and `read_localization` raise.
    """
    records = describe_images(screen, fields)
    if screen.images.annotations is None:
        return Annotated(records, 0)
    joined = annotate(records, read_localization(screen.folder() / screen.images.annotations))
    terms = screen.images.terms
    renamed = [
        replace(one, localization=list(dict.fromkeys(terms.get(term, term) for term in one.localization)))
        for one in joined.records
    ]
    return replace(joined, records=renamed)


def annotate(
    records: Iterable[ImageRecord], table: Sequence[Located], *, overwrite: bool = False
) -> Annotated:
    """Give each image the terms and ids of its protein.

    An image is looked up by its columns `ensembl`, `orf`, `uniprot` and `gene`, then by `protein`, which may
    be any of these; letter case does not matter. Terms that it has already (per image, from the atlas' pages)
    stay unless `overwrite`; ids are filled in where they are missing.
    """
    index = _index(table)
    out: list[ImageRecord] = []
    unmatched: list[str] = []
    ambiguous: list[str] = []
    used: set[int] = set()
    for record in records:
        hits = _look_up(record, index)
        if len(hits) == 1:
            (number,) = hits
            used.add(number)
            out.append(_with(record, table[number], overwrite=overwrite))
            continue
        (ambiguous if hits else unmatched).append(record.image_id)
        out.append(record)
    matched = len(out) - len(unmatched) - len(ambiguous)
    return Annotated(out, matched, unmatched, ambiguous, len(table) - len(used))


def _index(table: Sequence[Located]) -> dict[tuple[str, str], set[int]]:
    """(kind of id, id in capitals) -> the entries that carry it."""
    index: dict[tuple[str, str], set[int]] = defaultdict(set)
    for number, one in enumerate(table):
        for name in IDS:
            for value in getattr(one, name).upper().replace(",", ";").split(";"):
                if value.strip():
                    index[name, value.strip()].add(number)
    return index


def _look_up(record: ImageRecord, index: Mapping[tuple[str, str], set[int]]) -> set[int]:
    """The entries of the first id by which any is found."""
    tries = [(name, record.values.get(name)) for name in IDS]
    tries += [(name, record.values.get("protein")) for name in IDS]
    for name, value in tries:
        hits = {
            hit for piece in (value or "").upper().split(";") for hit in index.get((name, piece.strip()), ())
        }
        if hits:
            return hits
    return set()


def _with(record: ImageRecord, one: Located, *, overwrite: bool) -> ImageRecord:
    terms = list(one.localization) if overwrite or not record.localization else record.localization
    ids = {name: getattr(one, name) for name in IDS if getattr(one, name) and not record.values.get(name)}
    return replace(record, localization=terms, values={**record.values, **ids})
