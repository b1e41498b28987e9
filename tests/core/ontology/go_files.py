"""A small ontology and annotations, written by hand, for the tests of enrichment."""

from __future__ import annotations

import gzip
from pathlib import Path

CC, BP = "cellular_component", "biological_process"

OBO = """\
format-version: 1.2
data-version: releases/2024-01-17
default-namespace: gene_ontology
! cell > organelle > nucleus > (part of) nucleolus; cell > membrane > nuclear membrane, part of nucleus

[Term]
id: GO:0000001
name: cell
namespace: cellular_component
def: "All: of it." [GOC:test]

[Term]
id: GO:0000002
name: organelle
namespace: cellular_component
is_a: GO:0000001 ! cell

[Term]
id: GO:0000003
name: nucleus
namespace: cellular_component
alt_id: GO:0000033
alt_id: GO:0000034
is_a: GO:0000002 {source="x"} ! organelle

[Term]
id: GO:0000004
name: nucleolus
namespace: cellular_component
is_a: GO:0000002 ! organelle
relationship: part_of GO:0000003 ! nucleus

[Term]
id: GO:0000005
name: membrane
namespace: cellular_component
is_a: GO:0000001 ! cell

[Term]
id: GO:0000006
name: nuclear membrane
namespace: cellular_component
is_a: GO:0000005 ! membrane
relationship: part_of GO:0000003 ! nucleus

[Term]
id: GO:0000007
name: transport
namespace: biological_process

[Term]
id: GO:0000008
name: regulation of transport
namespace: biological_process
relationship: regulates GO:0000007 ! transport

[Term]
id: GO:0000009
name: obsolete spot
namespace: cellular_component
is_obsolete: true
replaced_by: GO:0000003

[Typedef]
id: part_of
name: part of
is_transitive: true
"""


def gaf_row(
    product: str,
    symbol: str,
    term: str,
    *,
    qualifier: str = "located_in",
    evidence: str = "IDA",
    synonyms: str = "",
    source: str = "SGD",
) -> str:
    aspect = "P" if qualifier == "involved_in" else "C"
    cells = ["SGD", product, symbol, qualifier, term, "PMID:1", evidence, "", aspect, "a name", synonyms]
    return "\t".join([*cells, "protein", "taxon:559292", "20240101", source, "", ""])


ROWS = [
    gaf_row("S1", "ACT1", "GO:0000004", synonyms="YFL039C|ABY1"),
    gaf_row("S1", "ACT1", "GO:0000005", synonyms="YFL039C|ABY1"),
    gaf_row("S2", "NOP1", "GO:0000033", synonyms="YDL014W"),
    gaf_row("S2", "NOP1", "GO:0000005", qualifier="NOT|located_in"),
    gaf_row("S3", "NUP1", "GO:0000006", evidence="IEA"),
    gaf_row("S4", "XYZ1", "GO:0000001", evidence="ND"),
    gaf_row("S5", "HPA1", "GO:0000002", source="HPA"),
    gaf_row("S6", "TRS1", "GO:0000008", qualifier="involved_in"),
    gaf_row("S7", "OLD1", "GO:0000009"),
    gaf_row("S8", "NEW1", "GO:0009999"),
]


def write(folder: Path, text: str, name: str) -> Path:
    """Gzipped where the name ends with .gz."""
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def obo_file(folder: Path, *, text: str = OBO, name: str = "go-basic.obo") -> Path:
    return write(folder, text, name)


def gaf_file(
    folder: Path, rows: list[str] | None = None, *, name: str = "sgd.gaf", version: str = "2.2"
) -> Path:
    lines = [f"!gaf-version: {version}", "! made by hand", *(ROWS if rows is None else rows)]
    return write(folder, "\n".join(lines) + "\n", name)
