"""`analysis_report`: one page a screen with all its analyses, over whose points one sees the cells."""

from typing import Any

import dagster as dg

from pcip_assets.assets.feature_sets import features_hash
from pcip_assets.assets.shared import OWNERS, Remake, analyses_of
from pcip_assets.lineage import code_version
from pcip_assets.provenance import Stopwatch, file_stamp, inputs_hash
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen

_NOUNS = ("clusters", "enrichment", "localization_scores", "variability", "phenotypes", "mismatch")
TABLES = (
    *("clusters", "cluster_trees", "enrichment", "localization_scores", "protein_scores"),
    *("variability", "phenotypes", "mismatch"),
)


def build_analysis_report(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the page of a screen's analyses."""
    code = code_version(build_analysis_report, figures=True)

    @dg.asset(
        key=[screen.name, "analysis_report"],
        deps=[[screen.name, noun] for noun in _NOUNS],
        group_name=analyses_of(screen),
        owners=OWNERS,
        kinds={"html"},
        code_version=code,
    )
    def analysis_report(
        context: dg.AssetExecutionContext, config: Remake, library: Library
    ) -> dg.MaterializeResult:
        """All analyses on one page that opens anywhere: hover a point, see the cells; heat maps that zoom."""
        from pcip_assets.assets.analyses.report_rows import analysis_rows
        from pcip_core.report.analyses.page import analysis_page
        from pcip_core.report.page import made_from, save_page

        path = library.workspace.analysis_report(screen.name)
        wanted = inputs_hash(code=code, **_inputs(library, screen))
        told: dict[str, Any] = {"up_to_date": True}
        if made_from(path) != wanted or config.force:
            with Stopwatch() as watch:
                rows = analysis_rows(library, screen, TABLES)
                html = analysis_page(rows, made_from=wanted)
                save_page(html, path)
            told = {
                "kilobytes": path.stat().st_size // 1000,
                "pictures_of_cells": rows.crops,
                "seconds": round(watch.seconds, 2),
                "peak_memory_mb": round(watch.peak_mb),
            }
            context.log.info(
                f"{screen.name}/analysis_report: {told['kilobytes']} kB in {watch.seconds:.1f} s"
            )
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.path(str(path)),
                "open": dg.MetadataValue.url(path.as_uri()),
                "simulated": screen.simulated,
                **told,
            },
            data_version=dg.DataVersion(wanted),
        )

    return analysis_report


def _inputs(library: Library, screen: Screen) -> dict[str, Any]:
    """What decides the page, the figures for print that it shows among it."""
    from pcip_assets.assets.analyses.report_rows import links, shown_figures

    store = library.store
    made = {name: (store.provenance(screen.name, name) or {}).get("inputs_hash") for name in TABLES}
    return {
        "spec": [screen.title, screen.description, screen.organism, screen.crop_channels, screen.protein],
        "analyses": screen.analyses,
        "features": features_hash(library, screen, screen.analyses.feature_set),
        "tables": made,
        "images": store.read(screen.name, "images").to_dicts(),
        "figures": {path.name: file_stamp(path) for path in shown_figures(library, screen)},
        "links": links(library, screen),
    }
