"""From a list of proteins to Ensembl gene ids, by which the Human Protein Atlas names its pages."""

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

_ENSEMBL = re.compile(r"ENSG\d{11}(\.\d+)?")
_HEADERS = (
    *("ensembl", "ensembl_id", "ensembl id", "ensembl gene id"),
    *("gene", "gene_name", "gene name", "genes", "protein", "proteins", "symbol"),
)


@dataclass
class Mapped:
    """Ensembl ids in the order of the list, without repeats, and the names that no table knows."""

    ensembl: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    repeated: int = 0


def read_proteins(path: Path, *, column: str | None = None) -> list[str]:
    """The entries of a list of proteins: one per line, or one column of a table.

    Without `column`, a table's first column of Ensembl ids is taken, else one named gene, protein or symbol.

    Raises:
        FetchError: the list is empty, or has several columns of which none is recognised.
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
                remedy="Name the column that holds the genes.",
            )
        entries = [entry for entry in table[name] if entry]
    if not entries:
        raise FetchError(
            path,
            found="no protein",
            required="Ensembl gene ids or gene names, one per line or as a column of a table",
            remedy="Add them.",
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
        remedy="Name the column that holds the genes, or leave only that one.",
    )


def needs_table(entries: Sequence[str]) -> bool:
    """Whether a list holds gene names, which must be looked up."""
    return not all(_ENSEMBL.fullmatch(entry) for entry in entries)


def read_gene_ids(path: Path) -> dict[str, list[str]]:
    """Gene name in capitals -> Ensembl ids, from the atlas' `proteinatlas.tsv` or `subcellular_location.tsv`.

    Synonyms count where no gene carries the name itself.

    Raises:
        FetchError: the table has not the columns of either.
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
            remedy="Give one of these two tables of the atlas.",
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
    """Map a list; a name of several genes stands for all of them, an unknown one is kept in `unknown`."""
    mapped, seen = Mapped(), set()
    for entry in entries:
        if _ENSEMBL.fullmatch(entry):
            ids: Sequence[str] = [entry.split(".")[0]]
        else:
            ids = gene_ids.get(entry.upper(), [])
        if not ids:
            mapped.unknown.append(entry)
        for one in ids:
            if one in seen:
                mapped.repeated += 1
            else:
                seen.add(one)
                mapped.ensembl.append(one)
    return mapped
