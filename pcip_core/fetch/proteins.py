"""Conversion of a list of proteins to Ensembl gene ids, which name the pages of the Human Protein Atlas."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pcip_core.errors import FetchError
from pcip_core.user_tables.damage import refuse_damaged
from pcip_core.user_tables.table import is_text, read_table
from pcip_core.user_tables.text import SEPARATORS, read_text

_ENSEMBL = re.compile(r"ENSG[0-9]{11}(\.[0-9]{1,4})?")
_HEADERS = (
    *("ensembl", "ensembl_id", "ensembl id", "ensembl gene id"),
    *("gene", "gene_name", "gene name", "genes", "protein", "proteins", "symbol"),
)


@dataclass
class Mapped:
    """Ensembl ids in the order of the list, without repeats, and the names without an id."""

    ensembl: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    repeated: int = 0


def read_proteins(path: Path, *, column: str | None = None) -> list[str]:
    """Read a list of proteins: one per line, or one column of a table.

    Args:
        path: the list; lines that start with `#` are ignored.
        column: the column of the table. By default the first column of Ensembl ids, otherwise a column named gene,
            protein or symbol.

    Raises:
        FetchError: the list is empty, or none of its columns is recognized.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "proteins.txt").write_text("# my list\\nENSG00000000001\\nALPHA1\\n")
    ...     read_proteins(Path(folder) / "proteins.txt")
    ['ENSG00000000001', 'ALPHA1']
    """
    entries = _listed(path) if column is None and is_text(path) else None
    if entries is None:
        table = read_table(path)
        name = column or _column(path, table)
        if name not in table.columns:
            raise FetchError(
                path,
                found=f"columns {', '.join(table.columns)}",
                required=f"a column {name!r}",
                remedy="Pass the name of the column that holds the genes.",
            )
        entries = [entry for entry in table[name] if entry]
    if not entries:
        raise FetchError(
            path,
            found="no protein",
            required="Ensembl gene ids or gene names, one per line or as a column of a table",
            remedy="Add the proteins.",
        )
    return entries


def _listed(path: Path) -> list[str] | None:
    """The entries of a file that has one per line; None where it is a table of several columns."""
    lines = [line.strip() for line in read_text(path).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and any(mark in lines[0] for mark in SEPARATORS):
        return None
    entries = lines[1:] if lines and lines[0].lower() in _HEADERS else lines
    refuse_damaged(path, pl.DataFrame({"gene": entries}, {"gene": pl.String}))
    return entries


def _column(path: Path, table: pl.DataFrame) -> str:
    header = table.columns
    for name in header:
        filled = [value for value in table[name] if value]
        if filled and all(_ENSEMBL.fullmatch(value) for value in filled):
            return name
    for known in _HEADERS:
        for name in header:
            if name.lower() == known:
                return name
    raise FetchError(
        path,
        found=f"columns {', '.join(header)}",
        required="a column of Ensembl gene ids, or one named gene, gene name, protein or symbol",
        remedy="Pass the name of the column that holds the genes, or remove the other columns.",
    )


def needs_table(entries: Sequence[str]) -> bool:
    """Whether a list contains gene names, which must be looked up."""
    return not all(_ENSEMBL.fullmatch(entry) for entry in entries)


def read_gene_ids(path: Path) -> dict[str, list[str]]:
    """Read gene name in capitals -> Ensembl ids from `proteinatlas.tsv` or `subcellular_location.tsv`.

    A synonym is used only if it is not the name of another gene.

    Raises:
        FetchError: the table does not have the columns of either file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder) / "subcellular_location.tsv"
    ...     _ = table.write_text("Gene\\tGene name\\nENSG00000000001\\tAlpha1\\n")
    ...     read_gene_ids(table)
    {'ALPHA1': ['ENSG00000000001']}
    """
    table = read_table(path)
    header = set(table.columns)
    if {"Ensembl", "Gene"} <= header:
        name_column, id_column = "Gene", "Ensembl"
    elif {"Gene", "Gene name"} <= header:
        name_column, id_column = "Gene name", "Gene"
    else:
        raise FetchError(
            path,
            found=f"columns {', '.join(sorted(header)) or 'none'}",
            required="Gene and Ensembl (proteinatlas.tsv), or Gene and Gene name (subcellular_location.tsv)",
            remedy="Pass one of these two tables of the atlas.",
        )
    names: dict[str, list[str]] = defaultdict(list)
    synonyms: dict[str, list[str]] = defaultdict(list)
    for row in table.iter_rows(named=True):
        if row[name_column]:
            names[row[name_column].upper()].append(row[id_column])
        for synonym in re.split(r"[,;]", row.get("Gene synonym", "")):
            if synonym.strip():
                synonyms[synonym.strip().upper()].append(row[id_column])
    return {**synonyms, **names}


def to_ensembl(entries: Sequence[str], gene_ids: Mapping[str, Sequence[str]]) -> Mapped:
    """Map entries to Ensembl ids. A name of several genes gives all of them; unknown names are listed.

    >>> to_ensembl(["alpha1", "ENSG00000000002.3", "BETA"], {"ALPHA1": ["ENSG00000000001"]})
    Mapped(ensembl=['ENSG00000000001', 'ENSG00000000002'], unknown=['BETA'], repeated=0)
    """
    mapped, seen = Mapped(), set()
    for entry in entries:
        if _ENSEMBL.fullmatch(entry):
            ids: Sequence[str] = [entry.split(".")[0]]
        else:
            ids = [gene for gene in gene_ids.get(entry.upper(), []) if _ENSEMBL.fullmatch(gene)]
        if not ids:
            mapped.unknown.append(entry)
        for gene in ids:
            if gene in seen:
                mapped.repeated += 1
            else:
                seen.add(gene)
                mapped.ensembl.append(gene)
    return mapped
