"""`enrichment`: the terms that the proteins of each cluster have more often than chance (paper, Table 3)."""

from pathlib import Path
from typing import Any

import dagster as dg

from pcip_assets.assets.analyses.protein_map import CLUSTERS
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import analyses_of, asset
from pcip_assets.provenance import file_stamp
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas

TABLE = "enrichment"


def build_enrichment(screen: Screen) -> dg.AssetsDefinition:
    """The asset of enriched terms."""

    @asset(
        screen,
        "enrichment",
        deps=[[screen.name, "clusters"]],
        group=analyses_of(screen),
        kinds={"scipy", "parquet"},
        figures=True,
    )
    def enrichment(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Terms of each cluster against all clustered proteins: hypergeometric, with false discovery rates."""
        spec = screen.analyses

        def inputs(_: str | None) -> dict[str, Any]:
            about = library.store.provenance(screen.name, CLUSTERS) or {}
            files: list[str | None] = [*spec.annotations.values()]
            if spec.ontology is not None:
                files += [spec.ontology.obo, spec.ontology.gaf, spec.ontology.names]
            images = library.store.read(screen.name, "images").to_dicts()
            return {
                "clusters": about.get("inputs_hash"),
                "spec": [spec.ontology, spec.annotations, spec.min_term_size],
                "files": [file_stamp(name) for name in files],
                "labels": {row["image_id"]: [row["protein"], row["localization"]] for row in images},
            }

        def make(_: str | None) -> Made:
            from pcip_core.plots.enrichment import enrichment_dots

            clusters = library.store.read(screen.name, CLUSTERS).to_dicts()
            vocabularies, told = _vocabularies(library, screen, {row["protein"] for row in clusters})
            rows: list[dict[str, Any]] = []
            figures: dict[str, Any] = {}
            for solution in dict.fromkeys(row["solution"] for row in clusters):
                for name, (annotations, terms) in vocabularies.items():
                    found = _enriched(screen, clusters, solution, annotations, terms, told, name)
                    rows += [{**row, "solution": solution, "vocabulary": name} for row in found]
                own = [row for row in rows if row["solution"] == solution]
                figures[f"enrichment_{solution}"] = enrichment_dots(own, f"{screen.title}: {solution}")
            table = schemas.ENRICHMENT.frame(
                {("node" if name == "cluster" else name): value for name, value in row.items()}
                for row in rows
            )
            return Made({TABLE: table}, metadata=told, figures=figures)

        return Tables(TABLE, inputs, make)

    return enrichment


def _enriched(
    screen: Screen,
    clusters: list[dict[str, Any]],
    solution: str,
    annotations: dict[str, set[str]],
    terms: Any,
    told: dict[str, Any],
    vocabulary: str,
) -> list[dict[str, Any]]:
    from pcip_core.ontology.enrichment import enrichment

    members: dict[str, set[str]] = {}
    for row in clusters:
        if row["solution"] == solution:
            members.setdefault(row["node"], set()).add(row["protein"])
    found = enrichment(members, annotations, terms=terms, min_size=screen.analyses.min_term_size)
    told |= {f"{vocabulary}: {reason}": n for reason, n in found.left_out.items()}
    return found.rows


def _vocabularies(
    library: Library, screen: Screen, proteins: set[str]
) -> tuple[dict[str, tuple[dict[str, set[str]], Any]], dict[str, Any]]:
    """Name -> the terms of each protein, and what is known of these terms; and what could not be mapped."""
    from pcip_core.ontology.enrichment import annotations_from_columns
    from pcip_core.ontology.identifiers import map_proteins, read_names
    from pcip_core.ontology.ontology import propagate, read_gaf, read_obo

    found: dict[str, tuple[dict[str, set[str]], Any]] = {}
    told: dict[str, Any] = {}
    labels = annotations_from_columns(library.images(screen).frame.iter_rows(named=True))
    if labels := {protein: terms for protein, terms in labels.items() if terms and protein in proteins}:
        found["localization"] = (labels, None)
    else:
        told["not_tested: localization"] = "no clustered protein has a localization term"
    for name, path in screen.analyses.annotations.items():
        given = read_names(Path(path))
        found[name] = ({protein: terms for protein, terms in given.items() if protein in proteins}, None)
        told[f"{name}: clustered proteins in the table"] = f"{len(found[name][0])} of {len(proteins)}"
        if not found[name][0]:
            told[f"not_tested: {name}"] = f"no clustered protein is in the first column of {Path(path).name}"
            del found[name]
    files = screen.analyses.ontology
    if files is None:
        told["not_tested: go"] = "analyses.ontology names no files (docs/how-to/run-analyses.md)"
        return found, told
    ontology = read_obo(Path(files.obo))
    gaf = read_gaf(Path(files.gaf), without_sources=files.without_sources)
    names = None if files.names is None else read_names(Path(files.names))
    mapped = map_proteins(sorted(proteins), gaf.products, table=names)
    told["go: names"] = str(mapped)
    spread = propagate(mapped.annotations(gaf.annotations), ontology, namespaces=files.namespaces)
    told |= {"go: terms_unknown": len(spread.unknown), "go: terms_obsolete": len(spread.obsolete)}
    found["go"] = (spread.annotations, ontology.terms)
    return found, told
