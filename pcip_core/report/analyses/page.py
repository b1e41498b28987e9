"""The page of a screen's analyses: interactive maps and heat maps, figures for print, tables."""

from __future__ import annotations

from collections.abc import Callable

from pcip_core.plots.interactive import Points
from pcip_core.report.analyses.cells import cell_map, compartments, mismatch, phenotypes, variable_proteins
from pcip_core.report.analyses.members import members
from pcip_core.report.analyses.plates import plates
from pcip_core.report.analyses.plots import Plots
from pcip_core.report.analyses.proteins import cluster_terms, heat_maps, protein_map
from pcip_core.report.analyses.rows import AnalysisRows
from pcip_core.report.analyses.text import key, provenance, sql_examples
from pcip_core.report.analyses.units import units
from pcip_core.report.methods import methods_section
from pcip_core.report.page import Section, Text, page
from pcip_core.spec.analyses import Analyses, Phenotyping


def analysis_page(rows: AnalysisRows, *, made_from: str = "") -> str:
    """The page as self-contained HTML.

    Args:
        rows: contents of the page.
        made_from: hash of the inputs, stored in the page's head.
    """
    proteins = None if rows.proteins is None else Points(rows.proteins.tooltip, rows.proteins.pictures)
    plots = Plots(rows, proteins)
    parts = [(name, remedy, make(rows, plots)) for make, name, remedy in _PARTS]
    missing = [
        f"{name.rstrip('?')}: {(rows.no_map if make is protein_map and rows.no_map else remedy).rstrip('.')}."
        for (make, *_), (name, remedy, section) in zip(_PARTS, parts, strict=True)
        if section is None
    ]
    sections = [section for *_, section in parts if section is not None]
    if missing:
        sections.append(Section("Not on this page", [Text(line) for line in missing]))
    sections += [
        *([methods_section(rows.methods)] if rows.methods else []),
        provenance(rows),
        sql_examples(rows),
    ]
    scripts = plots.finish()  # before anything moves the blocks that it fills
    if rows.channels:
        sections[0].blocks.insert(0, key(rows))
    return page(
        f"{rows.title}: analyses",
        sections,
        banner="SIMULATED images: this page shows no real cells" if rows.simulated else "",
        subtitle=rows.description,
        scripts=scripts,
        made_from=made_from,
    )


_CLUSTERS = "requires the asset clusters, up to date with the features, and three proteins or more"
_PARTS: tuple[tuple[Callable[[AnalysisRows, Plots], Section | None], str, str], ...] = (
    (protein_map, "Protein map", "requires the asset maps, and 8 to 20,000 proteins"),
    (heat_maps, "Clustered heat maps", _CLUSTERS),
    (members, "Members of the clusters", _CLUSTERS),
    (
        cluster_terms,
        "Clusters and their terms",
        "requires the asset enrichment, and proteins with localization terms or a Gene Ontology "
        "(analyses.ontology)",
    ),
    (
        compartments,
        "Cells between two compartments",
        "requires pairs of terms in analyses.compartments, and the asset localization_scores",
    ),
    (
        variable_proteins,
        "Variable proteins",
        "requires the asset variability, and four proteins with analyses.least_cells cells in a cell line "
        f"({Analyses.least_cells} by default)",
    ),
    (
        phenotypes,
        "Cells of one protein",
        "requires the asset phenotypes, and proteins with analyses.phenotypes.least_cells cells in a cell line "
        f"({Phenotyping.least_cells} by default)",
    ),
    (
        units,
        "What single features see",
        "requires the asset units, and two localizations (images with one term) or two clusters of proteins",
    ),
    (
        mismatch,
        "Does the network cheat?",
        "requires an encoder that learns inpainting (encoder.task), the asset mismatch, and images with localization "
        "terms",
    ),
    (cell_map, "Map of cells", "requires the asset maps, and features of 32 cells or more"),
    (plates, "Plates", "requires images with plates and wells"),
)
