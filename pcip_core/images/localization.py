"""Localization terms from the published tables of atlases and yeast screens, joined to images.

`read_localization` reads any of these tables into a list of `Located`. `annotate` assigns the terms to the
images of a screen and counts images and proteins without a match.
"""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pcip_core.errors import SpecError
from pcip_core.images.annotations import (
    ImageRecord,
    ImageTables,
    describe_images,
    match_tables,
    without_protein,
)
from pcip_core.images.field import Field
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.matching import Matching, shown
from pcip_core.user_tables.table import read_table
from pcip_core.words import many, share, verb

IDS = ("ensembl", "orf", "uniprot", "gene")  # in order of precedence
RELIABILITIES = ("Enhanced", "Supported", "Approved", "Uncertain")
_ABSENT = ("nan", "na", "n/a", "<na>", "none", "null")  # proteins that may be missing values
NO_COMPARTMENTS = ("ambiguous", "below threshold")
"""Terms of the published yeast tables that name no compartment."""

_SIGNS = re.compile(r"\s|(?<=[^\W\d_])[_-](?=\d)")  # HSP 90, HSP-90
_SEPARATORS = re.compile(r"[;,|]|<br\s*/?>")
_OF_BREKER = re.compile(r"[;,|:]")
_ATLAS_TERMS = (
    *("Main location", "Additional location"),
    *("Subcellular main location", "Subcellular additional location"),
)
_HEADERS = {
    "ensembl": ("ensembl", "ensembl id", "ensembl gene id", "ensg id"),
    "orf": ("orf", "yorf", "orf name", "systematic name", "systematic", "locus"),
    "uniprot": ("uniprot", "uniprot id", "uniprotkb", "accession"),
    "gene": (
        "gene",
        "gene name",
        "genename",
        "name",
        "standard name",
        "symbol",
        "gene symbol",
        "protein",
        "target name",
    ),
    "localization": (
        *("localization", "localisation", "localization summary", "localization terms", "gfp localization"),
        *("location", "locations", "terms", "term", "compartment", "compartments", "subcellular location"),
        *("control localization", "annotations grade 3"),
    ),
}
_GRADES = ("annotations_grade_3", "annotations_grade_2")  # of OpenCell: prominent, significant; 1 is faint


@dataclass(frozen=True)
class Located:
    """One protein of a table: its ids, empty if the table has none, and its terms as the table names them."""

    gene: str = ""
    ensembl: str = ""
    orf: str = ""
    uniprot: str = ""
    localization: tuple[str, ...] = ()


@dataclass(frozen=True)
class Annotated:
    """Images with terms, and counts of images and proteins without a match.

    Args:
        records: all images, in the original order.
        matched: number of images whose protein is in the table. Images that already have terms keep them.
        unmatched: ids of images whose protein is not in the table.
        ambiguous: ids of images whose protein name matches several proteins of the table; they get no terms.
        unused: names of the proteins of the table without an image.
        matchings: what matches of each table of the spec.
        without_protein: ids of images that nothing assigns to a protein, while others have one.
        left_out: term of the table that names no compartment -> number of images that would have it.
        disagreements: images of which two sources give different values, in words.
    """

    records: list[ImageRecord]
    matched: int
    unmatched: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    matchings: list[Matching] = field(default_factory=list)
    without_protein: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """What is wrong with the tables and with what they say of the images, one sentence each."""
        problems = [problem for matching in self.matchings for problem in matching.problems()]
        problems += [*self.disagreements, *_alike(self.records)]
        if self.without_protein:
            problems.append(
                f"{share(len(self.without_protein), len(self.records), 'image', does='have')} no protein; such an "
                f"image counts as a protein of its own: {shown(self.without_protein)}"
            )
        absent = Counter(
            protein
            for record in self.records
            if (protein := record.values["protein"] or "").lower() in _ABSENT
        )
        problems += [
            f"{many(count, 'image', does='have')} the protein {protein}, which may stand for a missing value: "
            f"leave the cell empty"
            for protein, count in absent.items()
        ]
        return problems

    def __str__(self) -> str:
        return (
            f"{many(len(self.records), 'image')} = {self.matched} matched + {len(self.unmatched)} unmatched + "
            f"{len(self.ambiguous)} ambiguous; {many(len(self.unused), 'protein')} of the table "
            f"{verb(len(self.unused), 'have')} no image"
        )


def read_localization(
    path: Path, *, reliabilities: Sequence[str] = RELIABILITIES, main_only: bool = False
) -> list[Located]:
    """Read a table of localization terms: one entry per protein. Several rows of one protein are merged.

    The header identifies `subcellular_location.tsv` and `proteinatlas.tsv` of the Human Protein Atlas, OpenCell's
    `localization_annotations.csv` (of which grades 3 and 2 are read, not the faint ones of grade 1), and the table of
    Breker et al. (`control Localization`). Any other table must have a column of ids (gene, ORF, Ensembl, UniProt)
    and a column of terms, separated by `;`, `,`, `|` or `<br>`.

    Args:
        path: the table; it may be gzipped, or the only file in a zip archive.
        reliabilities: of `subcellular_location.tsv`, use only rows with these reliabilities (in versions without
            the column `Main location`: only these columns).
        main_only: ignore the additional locations of the atlas' tables, and all but grade 3 of OpenCell.

    Returns:
        The proteins with their ids and terms, in the order of the table.

    Raises:
        SpecError: the table has no recognized column of ids or of terms.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder) / "terms.csv"
    ...     _ = table.write_text("ORF,gene,localization\\nYLR027C,AAT2,cytoplasm;nucleus\\n")
    ...     read_localization(table)
    [Located(gene='AAT2', ensembl='', orf='YLR027C', uniprot='', localization=('cytoplasm', 'nucleus'))]
    """
    table = read_table(path)
    header, rows = set(table.columns), table.to_dicts()
    if {"Gene", "Gene name"} <= header:
        located = [_of_atlas(row, "Gene", "Gene name", reliabilities, main_only=main_only) for row in rows]
    elif {"Gene", "Ensembl"} <= header and any("ubcellular" in name for name in header):
        located = [_of_atlas(row, "Ensembl", "Gene", reliabilities, main_only=main_only) for row in rows]
    else:
        columns = _columns(path, table.columns)
        terms = [columns.pop("localization")]
        if terms[0].lower().startswith("annotations"):
            terms = [name for name in table.columns if name.lower() in _GRADES[: 1 if main_only else None]]
        separators = _OF_BREKER if terms[0].lower() == "control localization" else _SEPARATORS
        located = [
            Located(
                **{name: row[column] for name, column in columns.items()},
                localization=_terms([row[name] for name in terms], separators),
            )
            for row in rows
        ]
    return _joined(protein for protein in located if any(getattr(protein, name) for name in IDS))


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
    """Kind of id, or `localization` -> the name of its column."""
    columns: dict[str, str] = {}
    for kind, names in _HEADERS.items():
        for name in names:
            unused = (column for column in header if column not in columns.values())
            match = next((column for column in unused if column.lower().replace("_", " ") == name), None)
            if match is not None:
                columns[kind] = match
                break
    if "localization" not in columns or len(columns) < 2:
        raise SpecError(
            path,
            found=f"columns {', '.join(header) or 'none'}",
            required="a column of terms (localization, location, terms, ...) and one of ids (gene, ORF, "
            "Ensembl, UniProt)",
            remedy="Rename the column of ids to one of gene, orf, ensembl, uniprot, and that of terms to "
            "`localization`.",
        )
    return columns


def _terms(texts: Iterable[str], separators: re.Pattern[str] = _SEPARATORS) -> tuple[str, ...]:
    pieces = [piece.strip() for text in texts for piece in separators.split(text)]
    return tuple(dict.fromkeys(piece for piece in pieces if piece))


def _joined(located: Iterable[Located]) -> list[Located]:
    """Merge the rows of each protein, with their terms in order."""
    by_ids: dict[tuple[str, ...], Located] = {}
    for protein in located:
        key = tuple(getattr(protein, name).upper() for name in IDS)
        known = by_ids.get(key)
        if known is not None:
            protein = replace(
                known, localization=tuple(dict.fromkeys(known.localization + protein.localization))
            )
        by_ids[key] = protein
    return list(by_ids.values())


def annotated_images(screen: Screen, fields: Iterable[Field], tables: ImageTables | None = None) -> Annotated:
    """Describe the images (`describe_images`) and add terms and ids from the spec's table `images.annotations`.

    Terms of that table that name no compartment (`NO_COMPARTMENTS`) are left out and counted.

    Raises:
        SpecError: see `match_tables` and `read_localization`.
    """
    fields = list(fields)
    tables = tables or match_tables(screen, fields)
    records = describe_images(screen, fields, tables)
    lacking, differ = without_protein(records), tables.disagreements(fields)
    if screen.images.annotations is None:
        return Annotated(
            records, 0, matchings=tables.matchings, without_protein=lacking, disagreements=differ
        )
    path = screen.folder() / screen.images.annotations
    joined = annotate(records, _read(path, path.stat().st_mtime_ns if path.is_file() else None))
    terms = dict.fromkeys(NO_COMPARTMENTS, "") | screen.images.terms
    left_out: Counter[str] = Counter()
    changed = []
    for before, record in zip(records, joined.records, strict=True):
        kept = {term: terms.get(term, term) for term in record.localization}
        if not before.localization:
            left_out.update(term for term, new in kept.items() if not new)
        changed.append(replace(record, localization=list(dict.fromkeys(filter(None, kept.values())))))
    return replace(
        joined,
        records=changed,
        matchings=[*tables.matchings, _matching(screen.images.annotations, joined)],
        without_protein=lacking,
        left_out=dict(left_out),
        disagreements=differ,
    )


def _alike(records: Iterable[ImageRecord]) -> Iterator[str]:
    """Names of proteins that differ in letter case, blanks and hyphens only."""
    names: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if (protein := record.values["protein"] or "") != record.image_id:
            names[_SIGNS.sub("", protein).casefold()].add(protein)
    alike = [" and ".join(sorted(texts)) for texts in names.values() if len(texts) > 1]
    if alike:
        yield (
            f"{many(len(alike), 'protein', does='have')} several names that differ in letter case, blanks or hyphens "
            f"only, each taken for a protein of its own: {shown(alike)}"
        )


@functools.lru_cache(maxsize=1)
def _read(path: Path, _changed_ns: int | None) -> list[Located]:
    """Read the table once for all shards of a run."""
    return read_localization(path)


def _matching(table: str, joined: Annotated) -> Matching:
    """The annotations of a spec as a matching of proteins to images."""
    missing = {*joined.unmatched, *joined.ambiguous}
    matched = [record for record in joined.records if record.image_id not in missing]
    ambiguous = set(joined.ambiguous)
    doubts = [
        f"{record.image_id} ({record.values['protein']} is the name of several proteins)"
        for record in joined.records
        if record.image_id in ambiguous
    ]
    return Matching(
        table,
        "annotations",
        "image",
        n_rows=len(joined.unused) + len({record.values["protein"] for record in matched}),
        without_row=[record.image_id for record in joined.records if record.image_id in missing],
        unused=joined.unused,
        row_of={record.image_id: (str(record.values["protein"]),) for record in matched},
        doubts=doubts,
        some_without=True,
        some_unused=True,
    )


def annotate(
    records: Iterable[ImageRecord], table: Sequence[Located], *, overwrite: bool = False
) -> Annotated:
    """Assign to each image the terms and missing ids of its protein.

    An image is looked up by its columns `ensembl`, `orf`, `uniprot` and `gene`, then by `protein`, which may
    be any of these ids. Letter case is ignored.

    Args:
        records: the images.
        table: the proteins, from `read_localization`.
        overwrite: replace the terms that an image already has.

    Returns:
        The images with their terms, and the images and proteins without a match.

    >>> image = ImageRecord("plate_1_A01", "plate_1", 4, [], {"protein": "aat2"})
    >>> annotated = annotate([image], [Located(gene="AAT2", localization=("cytoplasm",))])
    >>> annotated.records[0].localization, str(annotated)
    (['cytoplasm'], '1 image = 1 matched + 0 unmatched + 0 ambiguous; 0 proteins of the table have no image')
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
            out.append(_with_terms(record, table[number], overwrite=overwrite))
            continue
        (ambiguous if hits else unmatched).append(record.image_id)
        out.append(record)
    matched = len(out) - len(unmatched) - len(ambiguous)
    names = [
        located.gene or located.orf or located.ensembl or located.uniprot
        for number, located in enumerate(table)
        if number not in used
    ]
    return Annotated(out, matched, unmatched, ambiguous, names)


def _index(table: Sequence[Located]) -> dict[tuple[str, str], set[int]]:
    """(kind of id, id in capitals) -> positions of the proteins that have it."""
    index: dict[tuple[str, str], set[int]] = defaultdict(set)
    for number, located in enumerate(table):
        for name in IDS:
            for value in getattr(located, name).upper().replace(",", ";").split(";"):
                if value.strip():
                    index[name, value.strip()].add(number)
    return index


def _look_up(record: ImageRecord, index: Mapping[tuple[str, str], set[int]]) -> set[int]:
    """Positions of the proteins that match the first id of the image with any match."""
    candidates = [(name, record.values.get(name)) for name in IDS]
    candidates += [(name, record.values.get("protein")) for name in IDS]
    for name, value in candidates:
        hits = {
            hit for piece in (value or "").upper().split(";") for hit in index.get((name, piece.strip()), ())
        }
        if hits:
            return hits
    return set()


def _with_terms(record: ImageRecord, located: Located, *, overwrite: bool) -> ImageRecord:
    terms = list(located.localization) if overwrite or not record.localization else record.localization
    ids = {
        name: getattr(located, name) for name in IDS if getattr(located, name) and not record.values.get(name)
    }
    return replace(record, localization=terms, values={**record.values, **ids})
