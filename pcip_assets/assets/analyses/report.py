"""`analysis_report`: one page per screen with all its analyses, whose points show their cells."""

from typing import Any

import dagster as dg

from pcip_assets.assets.feature_sets import features_hash
from pcip_assets.assets.method_facts import deciding
from pcip_assets.assets.results import Page
from pcip_assets.assets.skeleton import analyses_of, asset
from pcip_assets.provenance import file_stamp
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen

_NOUNS = (
    *(
        "clusters",
        "enrichment",
        "localization_scores",
        "variability",
        "phenotypes",
        "units",
        "maps",
        "mismatch",
    ),
)
TABLES = (
    *("clusters", "cluster_trees", "enrichment", "localization_scores", "protein_scores"),
    *("variability", "variability_cells", "phenotypes", "units", "map_proteins", "map_cells", "mismatch"),
)


def build_analysis_report(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the page of a screen's analyses."""

    @asset(
        screen,
        "analysis_report",
        deps=[[screen.name, noun] for noun in _NOUNS],
        group=analyses_of(screen),
        kinds={"html"},
        figures=True,
    )
    def analysis_report(context: dg.AssetExecutionContext, library: Library) -> Page:
        """All analyses on one self-contained page: hover a point, see the cells; heat maps that zoom."""
        from pcip_assets.assets.analyses.report_rows import analysis_rows
        from pcip_core.report.analyses.page import analysis_page

        def make(made_from: str) -> tuple[str, dict[str, Any]]:
            rows = analysis_rows(library, screen, TABLES)
            return analysis_page(rows, made_from=made_from), {"pictures_of_cells": rows.crops}

        path = library.workspace.analysis_report(screen.name)
        return Page(path, lambda _: _inputs(library, screen), make)

    return analysis_report


def _inputs(library: Library, screen: Screen) -> dict[str, Any]:
    """Everything that decides the page, including the figures for print that it shows."""
    from pcip_assets.assets.analyses.report_rows import links, plate_provenance, shown_figures

    store = library.store
    made = {name: (store.provenance(screen.name, name) or {}).get("inputs_hash") for name in TABLES}
    return {
        "spec": [screen.title, screen.description, screen.organism, screen.crop_channels, screen.protein],
        **deciding(library, screen),
        "analyses": screen.analyses,
        "features": features_hash(library, screen, screen.feature_set),
        "tables": made,
        "images": store.read(screen.name, "images").to_dicts(),
        "figures": {path.name: file_stamp(path) for path in shown_figures(library, screen)},
        "links": links(library, screen),
        "plates": plate_provenance(library, screen),
    }
