"""The vocabularies tested for enrichment: localization terms, tables of the user, the Gene Ontology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pcip_core.ontology.enrichment import annotations_from_columns, enrichment
from pcip_core.ontology.identifiers import map_proteins, read_names
from pcip_core.ontology.ontology import Term, propagate, read_gaf, read_obo
from pcip_core.spec.analyses import Analyses, GeneOntology

LOCALIZATION, GO = "localization", "go"


@dataclass(frozen=True)
class Vocabulary:
    """The terms of one source.

    Attributes:
        annotations: protein -> its terms; no entry for proteins without terms.
        terms: term -> its name and namespace, if the source has them.
    """

    annotations: dict[str, set[str]]
    terms: Mapping[str, Term] | None = None


@dataclass(frozen=True)
class Vocabularies:
    """The sources with terms for at least one of the proteins.

    Attributes:
        by_name: name of the source -> its terms.
        notes: counts of mapped names, and reasons for excluded sources, for the metadata.
    """

    by_name: dict[str, Vocabulary]
    notes: dict[str, Any]


def read_vocabularies(proteins: set[str], images: pl.DataFrame, settings: Analyses) -> Vocabularies:
    """Read the terms of proteins from all sources in the settings.

    Args:
        proteins: names of the clustered proteins.
        images: one row per image, with `protein` and `localization`.
        settings: tables of terms, and the files of the Gene Ontology.

    Raises:
        PcipError: a file cannot be read, or does not have the expected format.
    """
    vocabularies = Vocabularies({}, {})
    notes = vocabularies.notes
    labels = _of_proteins(annotations_from_columns(images), proteins)
    if labels:
        vocabularies.by_name[LOCALIZATION] = Vocabulary(labels)
    else:
        notes[f"not_tested: {LOCALIZATION}"] = "no clustered protein has a localization term"
    for name, path in settings.annotations.items():
        annotations = _of_proteins(read_names(Path(path)), proteins)
        notes[f"{name}: clustered proteins in the table"] = f"{len(annotations)} of {len(proteins)}"
        if annotations:
            vocabularies.by_name[name] = Vocabulary(annotations)
        else:
            notes[f"not_tested: {name}"] = f"no clustered protein is in the first column of {Path(path).name}"
    if settings.ontology is None:
        notes[f"not_tested: {GO}"] = "analyses.ontology names no files (docs/how-to/run-analyses.md)"
    else:
        vocabularies.by_name[GO], go_notes = _gene_ontology(proteins, settings.ontology)
        notes.update(go_notes)
    return vocabularies


def enriched_terms(
    clusters: pl.DataFrame, vocabularies: Mapping[str, Vocabulary], *, min_size: int = 3
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Test the terms of each vocabulary in the clusters of each solution.

    Args:
        clusters: rows with solution, node (the cluster) and protein.
        vocabularies: name -> terms.
        min_size: least number of proteins with a tested term.

    Returns:
        The tables of `enrichment`, with solution, vocabulary and node in place of cluster; and, by vocabulary and
        reason, the number of proteins, terms and clusters excluded in the last solution.
    """
    tables: list[pl.DataFrame] = []
    left_out: dict[str, int] = {}
    for solution in clusters["solution"].unique(maintain_order=True):
        rows = clusters.filter(pl.col("solution") == solution)
        members = dict(rows.group_by("node", maintain_order=True).agg("protein").rows())
        for name, vocabulary in vocabularies.items():
            tests = enrichment(members, vocabulary.annotations, terms=vocabulary.terms, min_size=min_size)
            left_out |= {f"{name}: {reason}": number for reason, number in tests.left_out.items()}
            names = [pl.lit(solution).alias("solution"), pl.lit(name).alias("vocabulary")]
            tables.append(tests.table.select(*names, pl.all()).rename({"cluster": "node"}))
    return pl.concat(tables) if tables else pl.DataFrame(), left_out


def _of_proteins(annotations: Mapping[str, set[str]], proteins: set[str]) -> dict[str, set[str]]:
    return {protein: terms for protein, terms in annotations.items() if terms and protein in proteins}


def _gene_ontology(proteins: set[str], files: GeneOntology) -> tuple[Vocabulary, dict[str, Any]]:
    """The terms of the Gene Ontology with their ancestors, and notes on the mapping of protein names."""
    ontology = read_obo(Path(files.obo))
    gaf = read_gaf(Path(files.gaf), without_sources=files.without_sources)
    names = None if files.names is None else read_names(Path(files.names))
    mapped = map_proteins(sorted(proteins), gaf.products, table=names)
    spread = propagate(mapped.annotations(gaf.annotations), ontology, namespaces=files.namespaces)
    notes = {
        f"{GO}: names": str(mapped),
        f"{GO}: terms_unknown": len(spread.unknown),
        f"{GO}: terms_obsolete": len(spread.obsolete),
    }
    return Vocabulary(spread.annotations, ontology.terms), notes
