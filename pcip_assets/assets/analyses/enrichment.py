"""`enrichment`: the terms that the proteins of each cluster have more often than chance (paper, Table 3)."""

from typing import Any

import dagster as dg

from pcip_assets.assets.analyses.protein_map import CLUSTERS
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import analyses_of, asset
from pcip_assets.provenance import file_stamp
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.images import Images

TABLE = "enrichment"


def build_enrichment(screen: Screen) -> dg.AssetsDefinition:
    """The asset of enriched terms."""

    @asset(
        screen,
        "enrichment",
        deps=[[screen.name, "clusters"]],
        group=analyses_of(screen),
        kinds={"scipy", "parquet"},
        table=TABLE,
        figures=True,
    )
    def enrichment(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Terms of each cluster against all clustered proteins: hypergeometric, with false discovery rates."""
        spec = screen.analyses

        def inputs(_: str | None) -> dict[str, Any]:
            clusters = library.store.provenance(screen.name, CLUSTERS) or {}
            files: list[str | None] = [*spec.annotations.values()]
            if spec.ontology is not None:
                files += [spec.ontology.obo, spec.ontology.gaf, spec.ontology.names]
            images = Images.of(library.store, screen.name).table
            return {
                "clusters": clusters.get("inputs_hash"),
                "spec": [spec.ontology, spec.annotations, spec.min_term_size],
                "files": [file_stamp(name) for name in files],
                "labels": images.select("image_id", "protein", "localization").rows(),
            }

        def make(_: str | None) -> Made:
            from pcip_core.ontology.vocabularies import enriched_terms, read_vocabularies
            from pcip_core.plots.enrichment import enrichment_dots

            clusters = library.store.read(screen.name, CLUSTERS)
            images = Images.of(library.store, screen.name).frame
            vocabularies = read_vocabularies(set(clusters["protein"]), images, spec)
            table, left_out = enriched_terms(clusters, vocabularies.by_name, min_size=spec.min_term_size)
            table = schemas.ENRICHMENT.stacked([] if table.is_empty() else [table])
            figures = {}
            for solution in clusters["solution"].unique(maintain_order=True):
                rows = table.filter(solution=solution).rename({"node": "cluster"}).to_dicts()
                if not rows:  # nothing is tested; the metadata says why
                    continue
                figures[f"enrichment_{solution}"] = enrichment_dots(
                    rows, f"{screen.title}: {solution.replace('_', ' ')}"
                )
            return Made({TABLE: table}, metadata=vocabularies.notes | left_out, figures=figures)

        return Tables(TABLE, inputs, make)

    return enrichment
