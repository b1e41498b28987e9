"""Which gene product of an annotation file each protein name of a screen means.

Screens name proteins by Ensembl gene ids, UniProt accessions, gene symbols, yeast ORFs or SGD ids; a GAF file has
an id (column 2: UniProt accession, SGD id), a symbol (column 3) and synonyms (column 11: ORF names, former symbols).
Ensembl ids are in few GAF files: give a table for them.

The rules:

- A name is looked up as an id, then as a symbol, then as a synonym; what is found first counts, so that a symbol
  of one gene wins over a synonym of another. The user's table comes before all of these.
- Letter case does not matter, but where names differ by case alone (fly: `h` and `H`), the same case wins.
- The version of an Ensembl id (`ENSG00000075624.17`) and the isoform of an accession (`P60709-2`) are left out.
- A name with `;` is each of its parts.
- A name that means two gene products is ambiguous; it is counted and gets none.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pcip_core.errors import AnnotationError
from pcip_core.ontology.ontology import GeneProduct
from pcip_core.user_tables.table import read_table

_VERSION = re.compile(r"^(ENS[A-Z]*G\d{11})\.\d+$", re.IGNORECASE)
_ISOFORM = re.compile(r"^([OPQ]\d[A-Z\d]{3}\d|[A-NR-Z]\d(?:[A-Z][A-Z\d]{2}\d){1,2})-\d+$", re.IGNORECASE)
_SHOWN = 5

_Index = dict[str, set[tuple[str, str]]]  # name in capitals -> (name as it stands, id)


@dataclass(frozen=True)
class Mapped:
    """Protein names with the gene products they mean.

    Args:
        ids: protein name -> id of the annotation file (column 2).
        unmapped: names that nothing was found for, in the order given.
        ambiguous: name -> the ids that it may mean, sorted.
        shared: names whose id another name has too; each stays a protein of its own.
    """

    ids: dict[str, str]
    unmapped: list[str]
    ambiguous: dict[str, list[str]]
    shared: int = 0

    def annotations(self, by_id: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
        """Protein name -> terms, of the terms of each id; no entry for a protein without terms."""
        return {name: set(by_id[one]) for name, one in self.ids.items() if by_id.get(one)}

    def __str__(self) -> str:
        total = len(self.ids) + len(self.unmapped) + len(self.ambiguous)
        return (
            f"{total} names = {len(self.ids)} mapped + {_told(self.unmapped, 'not mapped')} + "
            f"{_told(list(self.ambiguous), 'ambiguous')}; {self.shared} share an id with another"
        )


def map_proteins(
    names: Iterable[str],
    products: Mapping[str, GeneProduct],
    *,
    table: Mapping[str, Collection[str]] | None = None,
) -> Mapped:
    """Find the gene product of each protein name.

    Args:
        names: as the screen has them; one that comes again is taken once.
        products: of `read_gaf`.
        table: as `read_names` makes it: name -> names that the annotation file has.
    """
    indices = _indices(products)
    by_user: _Index = defaultdict(set)
    for name, others in (table or {}).items():
        by_user[_plain(name).upper()] |= {(_plain(name), other) for other in others}
    ids: dict[str, str] = {}
    unmapped: list[str] = []
    ambiguous: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        pieces = [_plain(piece) for piece in name.split(";") if piece.strip()]
        chosen = [other for piece in pieces for other in sorted(_hits(by_user, piece))]
        found = {one for piece in chosen or pieces for one in _look_up(indices, _plain(piece))}
        if len(found) == 1:
            ids[name] = found.pop()
        elif found:
            ambiguous[name] = sorted(found)
        else:
            unmapped.append(name)
    often = Counter(ids.values())
    return Mapped(ids, unmapped, ambiguous, sum(count for count in often.values() if count > 1))


def read_names(path: Path, *, columns: tuple[str, str] | None = None) -> dict[str, set[str]]:
    """Read a table that says which name of the annotation file each name of the screen is.

    Args:
        path: a table as `read_table` reads it; rows with an empty cell are passed over.
        columns: headers of the screen's names and of the annotation file's (`("Ensembl", "Uniprot")` of the
            Human Protein Atlas' `proteinatlas.tsv`); by default, the table has only these two.

    Returns:
        name -> other names, each an id, symbol or synonym. Several rows of a name, or `;` in a cell, make several.

    Raises:
        SpecError: the table cannot be read.
        AnnotationError: it has more or fewer than two columns, lacks those named, or has no row with both.
    """
    table = read_table(path)
    header = table.columns
    wanted = columns or tuple(header)
    if len(wanted) != 2 or not set(wanted) <= set(header):
        raise AnnotationError(
            path,
            found=f"columns {', '.join(header)}",
            required=f"columns {' and '.join(columns)}" if columns else "two columns",
            remedy="Name the two columns: the screen's names, then the annotation file's.",
        )
    found: dict[str, set[str]] = defaultdict(set)
    for row in table.iter_rows(named=True):
        name, others = row[wanted[0]], [piece.strip() for piece in row[wanted[1]].split(";")]
        if name and any(others):
            found[name].update(piece for piece in others if piece)
    if not found:
        raise AnnotationError(
            path, found="no row with two names", required="a header and rows", remedy="Check the table."
        )
    return dict(found)


def _indices(products: Mapping[str, GeneProduct]) -> tuple[_Index, _Index, _Index]:
    """By id, symbol and synonym, in the order in which they are trusted."""
    ids, symbols, synonyms = _Index(), _Index(), _Index()
    for one, product in products.items():
        for index, names in ((ids, [one]), (symbols, [product.symbol]), (synonyms, product.synonyms)):
            for name in names:
                if name:
                    index.setdefault(name.upper(), set()).add((name, one))
    return ids, symbols, synonyms


def _look_up(indices: Iterable[_Index], name: str) -> set[str]:
    """The ids of the first index that has any."""
    return next((hits for index in indices if (hits := _hits(index, name))), set())


def _hits(index: _Index, name: str) -> set[str]:
    """What an index has under a name in the same letter case, else in any."""
    hits = index.get(name.upper(), set())
    return {one for known, one in hits if known == name} or {one for _, one in hits}


def _plain(name: str) -> str:
    """A name without the version of an Ensembl gene id and the isoform of a UniProt accession."""
    return _ISOFORM.sub(r"\1", _VERSION.sub(r"\1", name.strip()))


def _told(names: list[str], what: str) -> str:
    """Count with the first names."""
    if not names:
        return f"0 {what}"
    return f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
