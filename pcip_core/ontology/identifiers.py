"""Mapping of the protein names of a screen to the gene products of an annotation file.

Screens name proteins by Ensembl gene ids, UniProt accessions, gene symbols, yeast ORFs or SGD ids; a GAF file has
an id (column 2: UniProt accession, SGD id), a symbol (column 3) and synonyms (column 11: ORF names, former symbols).
Few GAF files contain Ensembl ids: supply a table for them.

The rules:

- A name is looked up as an id, then as a symbol, then as a synonym. The first match is used, so that the symbol of
  one gene takes precedence over a synonym of another. The user's table takes precedence over all of these.
- Letter case is ignored, except that an exact match takes precedence (fly: `h` and `H`).
- The version of an Ensembl id (`ENSG00000075624.17`) and the isoform of an accession (`P60709-2`) are removed.
- A name with `;` stands for all of its parts.
- A name that matches two gene products is ambiguous; it is counted and not mapped.
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
from pcip_core.words import many, verb

_VERSION = re.compile(r"^(ENS[A-Z]*G\d{11})\.\d+$", re.IGNORECASE)
_ISOFORM = re.compile(r"^([OPQ]\d[A-Z\d]{3}\d|[A-NR-Z]\d(?:[A-Z][A-Z\d]{2}\d){1,2})-\d+$", re.IGNORECASE)
_SHOWN = 5

_Index = dict[str, set[tuple[str, str]]]  # name in capitals -> (name as written, id)


@dataclass(frozen=True)
class Mapped:
    """Protein names with their gene products.

    Args:
        ids: protein name -> id of the annotation file (column 2).
        unmapped: names without a match, in the order given.
        ambiguous: name -> the matching ids, sorted.
        shared: number of names whose id also belongs to another name; they remain separate proteins.
    """

    ids: dict[str, str]
    unmapped: list[str]
    ambiguous: dict[str, list[str]]
    shared: int = 0

    def annotations(self, by_id: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
        """Protein name -> terms, from id -> terms; proteins without terms have no entry."""
        return {name: set(by_id[gene]) for name, gene in self.ids.items() if by_id.get(gene)}

    def __str__(self) -> str:
        total = len(self.ids) + len(self.unmapped) + len(self.ambiguous)
        return (
            f"{many(total, 'name')} = {len(self.ids)} mapped + {_counted(self.unmapped, 'not mapped')} + "
            f"{_counted(list(self.ambiguous), 'ambiguous')}; {self.shared} "
            f"{verb(self.shared, 'share')} an id with another"
        )


def map_proteins(
    names: Iterable[str],
    products: Mapping[str, GeneProduct],
    *,
    table: Mapping[str, Collection[str]] | None = None,
) -> Mapped:
    """Find the gene product of each protein name.

    Args:
        names: names as in the screen; duplicates are ignored.
        products: from `read_gaf`.
        table: from `read_names`: name -> names in the annotation file.
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
        matches = {gene for piece in chosen or pieces for gene in _look_up(indices, _plain(piece))}
        if len(matches) == 1:
            ids[name] = matches.pop()
        elif matches:
            ambiguous[name] = sorted(matches)
        else:
            unmapped.append(name)
    often = Counter(ids.values())
    return Mapped(ids, unmapped, ambiguous, sum(count for count in often.values() if count > 1))


def read_names(path: Path, *, columns: tuple[str, str] | None = None) -> dict[str, set[str]]:
    """Read a table that maps names of the screen to names of the annotation file.

    Args:
        path: a table for `read_table`; rows with an empty cell are skipped.
        columns: headers of the columns of screen names and of annotation names (`("Ensembl", "Uniprot")` of the
            Human Protein Atlas' `proteinatlas.tsv`); by default, the table has exactly two columns.

    Returns:
        name -> other names, each an id, symbol or synonym; several from repeated rows, or separated by `;` in a cell.

    Raises:
        SpecError: the table cannot be read.
        AnnotationError: it does not have two columns, lacks the named ones, or has no row with both names.
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
    mapping: dict[str, set[str]] = defaultdict(set)
    for row in table.iter_rows(named=True):
        name, others = row[wanted[0]], [piece.strip() for piece in row[wanted[1]].split(";")]
        if name and any(others):
            mapping[name].update(piece for piece in others if piece)
    if not mapping:
        raise AnnotationError(
            path, found="no row with two names", required="a header and rows", remedy="Check the table."
        )
    return dict(mapping)


def _indices(products: Mapping[str, GeneProduct]) -> tuple[_Index, _Index, _Index]:
    """Indices by id, symbol and synonym, in order of precedence."""
    ids, symbols, synonyms = _Index(), _Index(), _Index()
    for gene, product in products.items():
        for index, names in ((ids, [gene]), (symbols, [product.symbol]), (synonyms, product.synonyms)):
            for name in names:
                if name:
                    index.setdefault(name.upper(), set()).add((name, gene))
    return ids, symbols, synonyms


def _look_up(indices: Iterable[_Index], name: str) -> set[str]:
    """The ids of the first index with a match."""
    return next((hits for index in indices if (hits := _hits(index, name))), set())


def _hits(index: _Index, name: str) -> set[str]:
    """The ids of a name in an index: exact matches, or otherwise those in any letter case."""
    hits = index.get(name.upper(), set())
    return {gene for known, gene in hits if known == name} or {gene for _, gene in hits}


def _plain(name: str) -> str:
    """A name without the version of an Ensembl gene id and the isoform of a UniProt accession."""
    return _ISOFORM.sub(r"\1", _VERSION.sub(r"\1", name.strip()))


def _counted(names: list[str], label: str) -> str:
    """A count with its label and the first names."""
    if not names:
        return f"0 {label}"
    return f"{len(names)} {label} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
