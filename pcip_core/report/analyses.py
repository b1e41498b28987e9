"""The page of a screen's analyses: maps and heat maps that answer the mouse, figures for print, tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from pcip_core.plots.heatmap import Lines, heat_map, lines_of, palette
from pcip_core.plots.interactive import Points, embedded, scatter
from pcip_core.plots.thumbnails import lighter
from pcip_core.report.analysis_rows import AnalysisRows, Cloud, Pair
from pcip_core.report.analysis_text import provenance, sql_examples
from pcip_core.report.page import Block, File, Interactive, Section, Table, Text, page

_SHOWN = 10  # rows of a table of the most variable
_TERMS = 3  # of a cluster
_SIGNIFICANT = 0.05
_MOUSE = "Hover a point to see its cells; the wheel zooms, dragging moves; a click on a group hides it."


@dataclass
class _Plots:
    """The plots so far; their places in the page are put in at the end."""

    rows: AnalysisRows
    proteins: Points | None
    drawn: list[Any] = field(default_factory=list)
    blocks: list[tuple[list[Block], int, str, tuple[str, ...]]] = field(default_factory=list)
    lines: dict[str, Lines] = field(default_factory=dict)

    def add(self, blocks: list[Block], plot: Any, caption: str, scale: tuple[str, ...] = ()) -> None:
        """A plot at this place of a section."""
        self.drawn.append(plot)
        self.blocks.append((blocks, len(blocks), _told(self.rows, caption), scale))
        blocks.append(Text(""))

    def finish(self) -> list[Markup]:
        """Put the plots in their places; the scripts of the page."""
        callbacks = [one for lines in self.lines.values() for one in lines.callbacks]
        scripts, places = embedded(self.drawn, callbacks)
        for (blocks, at, caption, scale), place in zip(self.blocks, places, strict=True):
            blocks[at] = Interactive(place, caption, scale)
        return scripts


def analysis_page(rows: AnalysisRows, *, made_from: str = "") -> str:
    """The page as HTML, one file that loads nothing.

    Args:
        rows: what it tells.
        made_from: a hash, kept in it.
    """
    proteins = None if rows.proteins is None else Points(rows.proteins.told, rows.proteins.pictures)
    plots = _Plots(rows, proteins)
    parts = [(what, remedy, make(rows, plots)) for make, what, remedy in _PARTS]
    missing = [f"{what}: {remedy}." for what, remedy, section in parts if section is None]
    if rows.proteins is not None and rows.no_map:
        missing.insert(0, f"The map of proteins: {rows.no_map}.")
    sections = [section for *_, section in parts if section is not None]
    if missing:
        sections.append(Section("Not on this page", [Text(line) for line in missing]))
    sections += [provenance(rows), sql_examples(rows)]
    scripts = plots.finish()
    banner = "SIMULATED images: no figure here is of real cells" if rows.simulated else ""
    return page(
        f"{rows.title}: analyses",
        sections,
        banner=banner,
        subtitle=rows.description,
        scripts=scripts,
        made_from=made_from,
    )


def _told(rows: AnalysisRows, caption: str) -> str:
    return f"{caption} SIMULATED images." if rows.simulated else caption


def _figure(rows: AnalysisRows, name: str, alt: str, caption: str) -> Block:
    """A figure for print, or what is said where its file is missing."""
    if name not in rows.figures:
        return Text(f"{caption} (The file of this figure is missing: {name}.png.)", note=True)
    data, media_type = lighter(rows.figures[name])
    return File(data, media_type, alt, _told(rows, caption), link=f"{name}.png")


def _map(rows: AnalysisRows, plots: _Plots) -> Section | None:
    cloud = rows.proteins
    if cloud is None or plots.proteins is None or not np.isfinite(cloud.x).any():
        return None
    first = rows.solutions[0].name.replace("_", " ") if rows.solutions else ""
    blocks: list[Block] = [
        Text(
            "Each point is a protein, placed by the mean features of its cells: neighbours look alike. "
            "Distances between far groups mean little in such a map."
        )
    ]
    plot = scatter(
        plots.proteins,
        cloud.x,
        cloud.y,
        cloud.groups,
        name="protein_map",
        order=_natural(cloud.groups),
        heading="cluster",
        numbered=True,
        sizes=_size(len(cloud.x)),
    )
    caption = f"UMAP of {len(cloud.x):,} proteins, by {rows.feature_set}"
    plots.add(blocks, plot, f"{caption}; colours: clusters of {first}. {_MOUSE}")
    return Section("Protein map", blocks)


def _heat_maps(rows: AnalysisRows, plots: _Plots) -> Section | None:
    if not rows.solutions or plots.proteins is None:
        return None
    blocks: list[Block] = [
        Text(
            "Rows are proteins in the order of their tree, columns are features in the order of theirs. Yellow is "
            "above the mean of all proteins, blue below, black at it. Bars at the right are clusters. The wheel zooms "
            "tree, rows and bars together; rows get their names when there is room; a double click shows all again."
        )
    ]
    for solution in rows.solutions:
        part = rows.parts[solution.part]
        lines = plots.lines.get(solution.part)
        if lines is None:
            lines = plots.lines[solution.part] = lines_of(part.features)
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
        caption = f"{solution.name.replace('_', ' ')}: {n:,} proteins, {d} standardized features of {rows.feature_set}."
        ends = (f"−{lines.limit:.1f}", f"{lines.limit:.1f} standard deviations")
        plots.add(blocks, plot, caption, (ends[0], *palette()[:: len(palette()) // 2], ends[1]))
    return Section("Clustered heat maps", blocks)


def _terms_of(rows: AnalysisRows, solution: str) -> dict[str, str]:
    """Cluster -> its best terms in a line."""
    found: dict[str, list[Any]] = {}
    for row in _significant(rows, solution):
        found.setdefault(row["node"], []).append(row)
    return {
        node: "; ".join(f"{row['name']} {row['hits']}/{row['annotated']}" for row in best[:_TERMS])
        for node, best in found.items()
    }


def _significant(rows: AnalysisRows, solution: str) -> list[Any]:
    """Rows of a solution's terms below the threshold, the least q of each cluster first."""
    own = [row for row in rows.enrichment if row["solution"] == solution and row["q"] < _SIGNIFICANT]
    return sorted(own, key=lambda row: (row["q"], row["p"], -row["hits"], row["name"]))


def _terms(rows: AnalysisRows, plots: _Plots) -> Section | None:
    if not rows.enrichment or not rows.solutions:
        return None
    blocks: list[Block] = []
    for solution in rows.solutions:
        own = _significant(rows, solution.name)
        body = []
        for node in _natural(list(solution.clusters)):
            size = str(len(solution.clusters[node]))
            best = [row for row in own if row["node"] == node][:_TERMS]
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
            body += [] if best else [[node, size, f"none with q below {_SIGNIFICANT}", "", "", "", ""]]
        columns = ["cluster", "members", "term", "k/n", "of all", "fold", "q"]
        caption = (
            f"{solution.name.replace('_', ' ')}: the {_TERMS} best terms of each cluster. k of the n proteins with any "
            "term have it; q: false discovery rate (Benjamini and Hochberg) of the hypergeometric test."
        )
        blocks.append(Table(columns, body, caption=_told(rows, caption)))
        name = _file_name(f"enrichment_{solution.name}")
        blocks.append(
            _figure(
                rows,
                name,
                "Terms of clusters",
                f"Terms of the clusters of {solution.name.replace('_', ' ')}.",
            )
        )
    return Section("Clusters and their terms", blocks)


def _compartments(rows: AnalysisRows, plots: _Plots) -> Section | None:
    if not rows.pairs:
        return None
    blocks: list[Block] = [
        Text(
            "The score of a cell is log(distance to the mean of the first compartment / distance to that of the second): "
            "negative is nearer to the first. The cell's own image is left out of the mean."
        )
    ]
    for number, pair in enumerate(rows.pairs):
        blocks += _pair(rows, plots, pair, number)
    return Section("Cells between two compartments", blocks)


def _pair(rows: AnalysisRows, plots: _Plots, pair: Pair, number: int) -> list[Block]:
    blocks: list[Block] = []
    names = [f"{pair.first} only", "both", f"{pair.second} only"]
    rng = np.random.default_rng(number)
    place = np.array([names.index(group) for group in pair.cells.groups], np.float64)
    jitter = rng.uniform(-0.35, 0.35, len(place))
    plot = scatter(
        Points(pair.cells.told, pair.cells.pictures),
        place + jitter,
        pair.cells.y,
        pair.cells.groups,
        name=f"pair_{number}",
        order=names,
        labels=("annotated to", f"nearer to {pair.first}  ←  score  →  nearer to {pair.second}"),
        x_names={float(index): name for index, name in enumerate(names)},
        height=480,
        heading="annotated to",
    )
    caption = f"{pair.first} or {pair.second}: {_count(pair.cells)}. {_MOUSE}"
    plots.add(blocks, plot, caption)
    ranked = sorted((row for row in pair.proteins if row["rank"] is not None), key=lambda row: row["rank"])
    body = [
        [
            f"{row['rank']}. {row['protein']}",
            row["cell_line"] or "",
            f"{row['standard_deviation']:.3f}",
            f"{row['mean']:.3f}",
            f"{row['n']:,}",
        ]
        for row in ranked[:_SHOWN]
    ]
    if body:
        columns = ["protein in both", "cell line", "standard deviation", "mean score", "cells"]
        caption = f"The most variable of {len(ranked)} proteins that are annotated to both."
        blocks.append(Table(columns, body, caption=_told(rows, caption)))
    about = f"localization_scores_{pair.first}_{pair.second}"
    told = f"{pair.first} or {pair.second}: all cells by group, and of the most and least variable proteins."
    blocks.append(_figure(rows, _file_name(about), "Violins of the scores", told))
    if ranked:
        told = "Cells of the most variable proteins in the order of their scores."
        blocks.append(_figure(rows, _file_name(f"{about}_variable"), "Cells by their score", told))
    return blocks


def _variable(rows: AnalysisRows, plots: _Plots) -> Section | None:
    cloud = rows.variable
    if cloud is None or not rows.variability:
        return None
    blocks: list[Block] = [
        Text(
            "Proteins whose cells differ more than brightness and cell line predict (to the right), and whose cells fall "
            "in two parts (up). No annotation is used; a point is a protein in a cell line."
        )
    ]
    counts = np.array([row["n"] for row in rows.variability], np.float64)
    plot = scatter(
        Points(cloud.told, cloud.pictures),
        cloud.x,
        cloud.y,
        cloud.groups,
        name="variability",
        labels=(
            "excess spread, robust standard deviations",
            "excess split in two, robust standard deviations",
        ),
        sizes=5 + 11 * np.sqrt(counts / counts.max()),
        height=520,
        heading="rank",
    )
    caption = f"{len(cloud.x):,} proteins by cell line; the size of a point tells its number of cells."
    plots.add(blocks, plot, f"{caption} Cells in tooltips stand along their main direction. {_MOUSE}")
    ranked = sorted(rows.variability, key=lambda row: row["rank"])[:_SHOWN]
    body = [
        [
            f"{row['rank']}. {row['protein']}",
            row["cell_line"] or "",
            _number(row["excess"]),
            _number(row["split_excess"]),
            _number(row["variability"]),
            f"{row['n']:,}",
        ]
        for row in ranked
    ]
    columns = ["protein", "cell line", "excess spread", "excess split", "variability", "cells"]
    blocks.append(Table(columns, body, caption=_told(rows, "The most variable proteins.")))
    told = "Cells of the most variable proteins along their main direction."
    blocks.append(_figure(rows, "variability", "Cells of variable proteins", told))
    return Section("Variable proteins", blocks)


def _phenotypes(rows: AnalysisRows, plots: _Plots) -> Section | None:
    if not rows.phenotypes:
        return None
    blocks: list[Block] = [
        Text(
            "Cells of one protein, clustered by their features. Places are the first two principal components of these "
            "cells."
        )
    ]
    for number, (protein, cloud, own) in enumerate(rows.phenotypes):
        shares = {row["phenotype"]: (row["share"], 0) for row in own}
        for row in own:
            share, n = shares[row["phenotype"]]
            shares[row["phenotype"]] = (share, n + 1)
        plot = scatter(
            Points(cloud.told, cloud.pictures),
            cloud.x,
            cloud.y,
            cloud.groups,
            name=f"phenotypes_{number}",
            order=_natural(cloud.groups),
            labels=("first principal component", "second principal component"),
            height=440,
            heading="phenotype",
            sizes=9.0,
        )
        plots.add(blocks, plot, f"{protein}: {_count(cloud)}. {_MOUSE}")
        body = [[str(one), f"{share:.0%}", str(n)] for one, (share, n) in sorted(shares.items())]
        blocks.append(
            Table(["phenotype", "share", "cells"], body, caption=_told(rows, f"Phenotypes of {protein}."))
        )
        row = own[0]
        names = [f"phenotypes_{row['protein']}", f"phenotypes_{row['protein']}_{row['cell_line']}"]
        tree = next(
            (name for name in map(_file_name, reversed(names)) if name in rows.figures), _file_name(names[0])
        )
        blocks.append(
            _figure(rows, tree, "Dendrogram with crops", f"{protein}: tree of its cells, with crops.")
        )
        if f"{tree}_fields" in rows.figures:
            told = f"{protein}: where the cells of each phenotype lie in their fields."
            blocks.append(_figure(rows, f"{tree}_fields", "Cells in their fields of view", told))
    return Section("Cells of one protein", blocks)


def _mismatch(rows: AnalysisRows, plots: _Plots) -> Section | None:
    if not rows.mismatch:
        return None
    body = []
    for network in dict.fromkeys(row["network"] for row in rows.mismatch):
        own = [row for row in rows.mismatch if row["network"] == network]
        body.append(
            [
                network,
                f"{len(own):,}",
                f"{np.mean([bool(row['resembles_source']) for row in own]):.0%}",
                *(_mean(own, name) for name in ("r_source", "r_truth", "r_matched")),
            ]
        )
    columns = [
        "network",
        "pairs",
        "resemble the source's label",
        "r with source's label",
        "r with the truth",
        "r, same label",
    ]
    text = (
        "A source and a target of different localization: a network that paints what it saw in the source has learnt from "
        "it; one that paints the target's own protein has read it from the markers. r: mean correlation of the prediction "
        "with cells of the source's label, with the target's true protein, and of pairs of one label."
    )
    blocks: list[Block] = [Text(text), Table(columns, body, caption=_told(rows, "Means over pairs."))]
    told = "Sources, the targets' markers, predictions and truth."
    blocks.append(_figure(rows, "mismatch", "Mismatched pairs", told))
    return Section("Does the network cheat?", blocks)


def _cells(rows: AnalysisRows, plots: _Plots) -> Section | None:
    cloud = rows.cells
    if cloud is None:
        return None
    blocks: list[Block] = []
    plot = scatter(
        Points(cloud.told, cloud.pictures),
        cloud.x,
        cloud.y,
        cloud.groups,
        name="cells",
        heading="localization",
        sizes=_size(len(cloud.x)),
        height=600,
    )
    plots.add(blocks, plot, f"UMAP by {rows.feature_set}: {_count(cloud)}, evenly from all images. {_MOUSE}")
    return Section("Cells", blocks)


_PARTS: tuple[tuple[Callable[[AnalysisRows, _Plots], Section | None], str, str], ...] = (
    (_map, "Protein map", "it needs the asset `clusters`, and 8 to 20,000 proteins"),
    (_heat_maps, "Clustered heat maps", "they need the asset `clusters`, up to date with the features"),
    (_terms, "Clusters and their terms", "they need the asset `enrichment`, and proteins with localization terms or a "
     "Gene Ontology (analyses.ontology)"),
    (_compartments, "Cells between two compartments", "name pairs of terms in analyses.compartments, and make "
     "`localization_scores`"),
    (_variable, "Variable proteins", "they need the asset `variability`, which ranks proteins with "
     "analyses.least_cells cells"),
    (_phenotypes, "Cells of one protein", "they need the asset `phenotypes`"),
    (_mismatch, "Does the network cheat?", "it needs the asset `mismatch`, and images with localization terms"),
    (_cells, "Cells", "they need features of 34 cells or more"),
)  # fmt: skip


def _count(cloud: Cloud) -> str:
    drawn = len(cloud.x)
    return f"{drawn:,} cells" + (f" of {cloud.of:,}" if cloud.of > drawn else "")


def _size(n: int) -> float:
    return float(np.clip(400 / max(n, 1) ** 0.5, 4, 11))


def _mean(rows: list[Any], name: str) -> str:
    found = [row[name] for row in rows if row[name] is not None and np.isfinite(row[name])]
    return f"{np.mean(found):.3f}" if found else ""


def _number(value: float | None) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.2f}"


def _natural(names: Any) -> list[str]:
    """Once each, 2 before 10."""
    return sorted(
        set(names) - {""},
        key=lambda name: [(not piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece)
                          for piece in re.split(r"(\d+)", name) if piece],
    )  # fmt: skip


def _file_name(name: str) -> str:
    """As files of figures are named: what a file name cannot hold is an underscore."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", name)
