"""Sections on proteins: their map, clustered heat maps, terms of clusters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from pcip_core.features.scaling import standardize
from pcip_core.files import file_name
from pcip_core.plots.heatmap import heat_map, lines_of, palette
from pcip_core.plots.interactive import scatter
from pcip_core.report.analyses.members import same_clusters
from pcip_core.report.analyses.plots import (
    MOUSE,
    WORDS,
    Plots,
    captioned,
    figure,
    natural,
    point_size,
)
from pcip_core.report.analyses.rows import AnalysisRows
from pcip_core.report.page import Block, Links, Section, Table, Text
from pcip_core.store.schemas import ENRICHMENT
from pcip_core.words import many

_TERMS = 3  # shown per cluster
_SIGNIFICANT = 0.05


def protein_map(rows: AnalysisRows, plots: Plots) -> Section | None:
    """UMAP of the mean features of proteins, coloured by cluster."""
    cloud = rows.proteins
    if cloud is None or plots.proteins is None or not np.isfinite(cloud.x).any():
        return None
    first = rows.solutions[0].name.replace("_", " ") if rows.solutions else ""
    blocks: list[Block] = [
        Text(
            "Each point is a protein, placed by the mean features of its cells. Neighbouring proteins have similar "
            "images; distances between remote groups carry little information."
        )
    ]
    plot = scatter(
        plots.proteins,
        cloud.x,
        cloud.y,
        cloud.groups,
        name="protein_map",
        order=natural(cloud.groups),
        heading="cluster",
        numbered=True,
        sizes=point_size(len(cloud.x)),
    )
    caption = f"UMAP of {many(len(cloud.x), 'protein', ',')}, by {rows.feature_set}"
    plots.add(blocks, plot, f"{caption}{f'; colours: clusters of {first}' if first else ''}. {MOUSE}")
    return Section("Protein map", blocks)


def heat_maps(rows: AnalysisRows, plots: Plots) -> Section | None:
    """One clustered heat map per solution."""
    if not rows.solutions or plots.proteins is None:
        return None
    blocks: list[Block] = [
        Text(
            "Rows are proteins and columns are features, each in the order of their clustering tree. Yellow is above "
            "the mean of all proteins, blue below, black equal to it. Bars at the right mark clusters. Ctrl + wheel "
            "zooms tree, rows and bars together; names of rows appear when there is room. A double click resets the "
            "view."
        )
    ]
    same = same_clusters(rows)
    for solution in rows.solutions:
        if solution.name in same:
            blocks.append(_same(rows, solution.name, same))
            continue
        part = rows.parts[solution.part]
        lines = plots.lines.get(solution.part)
        if lines is None:
            lines = plots.lines[solution.part] = lines_of(standardize(part.means))
        plot = heat_map(
            plots.proteins,
            lines,
            solution.tree,
            solution.clusters,
            name=f"heat_{len(plots.drawn)}",
            rows=part.rows,
            names=part.names,
            notes=_terms_of(rows, solution.name),
        )
        n, d = lines.levels.shape
        caption = (
            f"{solution.name.replace('_', ' ')}: {many(n, 'protein', ',')}, {d} standardized "
            f"features of {rows.feature_set}."
        )
        ends = (f"−{lines.limit:.1f}", f"{lines.limit:.1f} standard deviations")
        plots.add(blocks, plot, caption, (ends[0], *palette()[:: len(palette()) // 2], ends[1]))
    return Section("Clustered heat maps", blocks)


def _same(rows: AnalysisRows, solution: str, same: Mapping[str, str]) -> Block:
    """A line for a solution whose clusters have been shown, with its figures for print."""
    name, other = (each.replace("_", " ") for each in (solution, same[solution]))
    kinds = ("clusters", "enrichment")
    files = [file for kind in kinds for file in rows.files.get(file_name(f"{kind}_{solution}"), ())]
    return Links(f"{name}: the clusters are those of {other}.", [(address, address) for _, address in files])


def _terms_of(rows: AnalysisRows, solution: str) -> dict[str, str]:
    """Cluster -> its best terms, as one line of text."""
    best = _significant(rows, solution).group_by("node", maintain_order=True).head(_TERMS)
    term = pl.format("{} {}/{}", "name", "hits", "annotated")
    return dict(best.group_by("node", maintain_order=True).agg(term.str.join("; ")).iter_rows())


def _significant(rows: AnalysisRows, solution: str) -> pl.DataFrame:
    """Significant terms of a solution, lowest q first."""
    if rows.enrichment.is_empty():
        return ENRICHMENT.empty()
    terms = rows.enrichment.filter(pl.col("q") < _SIGNIFICANT, solution=solution)
    return terms.sort("q", "p", "hits", "name", descending=[False, False, True, False])


def cluster_terms(rows: AnalysisRows, plots: Plots) -> Section | None:
    """The best terms of each cluster."""
    if rows.enrichment.is_empty() or not rows.solutions:
        return None
    blocks: list[Block] = []
    same = same_clusters(rows)
    for solution in rows.solutions:
        if solution.name in same:
            names = (solution.name.replace("_", " "), same[solution.name].replace("_", " "))
            blocks.append(Text(f"{names[0]}: the clusters are those of {names[1]}."))
            continue
        terms = _significant(rows, solution.name)
        body = []
        for node in natural(list(solution.clusters)):
            size = str(len(solution.clusters[node]))
            best = terms.filter(node=node).head(_TERMS).to_dicts()
            body += [
                [
                    node if place == 0 else "",
                    size if place == 0 else "",
                    row["name"],
                    f"{row['hits']}/{row['annotated']}",
                    f"{row['background_hits']}/{row['background']}",
                    f"{row['fold']:.1f}",
                    f"{row['q']:.2g}",
                ]
                for place, row in enumerate(best)
            ]
            body += [] if best else [[node, size, f"no term with q below {_SIGNIFICANT}", "", "", "", ""]]
        columns = ["cluster", "members", "term", "k/n", "all proteins", "fold", "q"]
        caption = (
            f"{solution.name.replace('_', ' ')}: the {_TERMS} best terms of each cluster. k of the n annotated "
            "proteins have the term; q: false discovery rate (Benjamini and Hochberg) of the hypergeometric test."
        )
        blocks.append(Table(columns, body, words=WORDS, caption=captioned(rows, caption)))
        name = file_name(f"enrichment_{solution.name}")
        blocks.append(
            figure(
                rows,
                name,
                "Terms of clusters",
                f"Terms of the clusters of {solution.name.replace('_', ' ')}.",
            )
        )
    return Section("Clusters and their terms", blocks)
