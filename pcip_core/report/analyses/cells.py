"""Sections about cells: between compartments, variable proteins, phenotypes, mismatched pairs, a map."""

from __future__ import annotations

import numpy as np

from pcip_core.files import file_name
from pcip_core.plots.interactive import Points, scatter
from pcip_core.report.analyses.plots import (
    MOUSE,
    WORDS,
    Plots,
    count,
    figure,
    natural,
    point_size,
    said,
)
from pcip_core.report.analyses.rows import AnalysisRows, Pair
from pcip_core.report.page import Block, Section, Table, Text

_SHOWN = 10  # rows of a table of the most variable


def compartments(rows: AnalysisRows, plots: Plots) -> Section | None:
    """Cells of each pair of compartments by their score."""
    if not rows.pairs:
        return None
    blocks: list[Block] = [
        Text(
            "The score of a cell is log(distance to the mean of the first compartment / distance to that of the "
            "second): negative is nearer to the first. The cell's own image is left out of the mean."
        )
    ]
    for number, pair in enumerate(rows.pairs):
        _pair(rows, plots, pair, number, blocks)
    return Section("Cells between two compartments", blocks)


def _pair(rows: AnalysisRows, plots: Plots, pair: Pair, number: int, blocks: list[Block]) -> None:
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
    caption = f"{pair.first} or {pair.second}: {count(pair.cells)}. {MOUSE}"
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
        blocks.append(Table(columns, body, words=WORDS, caption=said(rows, caption)))
    about = f"localization_scores_{pair.first}_{pair.second}"
    told = f"{pair.first} or {pair.second}: all cells by group, and of the most and least variable proteins."
    blocks.append(figure(rows, file_name(about), "Violins of the scores", told))
    if ranked:
        told = "Cells of the most variable proteins in the order of their scores."
        blocks.append(figure(rows, file_name(f"{about}_variable"), "Cells by their score", told))


def variable_proteins(rows: AnalysisRows, plots: Plots) -> Section | None:
    """Spread against split, and the most variable."""
    cloud = rows.variable
    if cloud is None or not rows.variability:
        return None
    blocks: list[Block] = [
        Text(
            "Proteins whose cells differ more than brightness and cell line predict (to the right), and whose cells "
            "fall in two parts (up). No annotation is used; a point is a protein in a cell line."
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
    plots.add(blocks, plot, f"{caption} Cells in tooltips stand along their main direction. {MOUSE}")
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
    blocks.append(Table(columns, body, words=WORDS, caption=said(rows, "The most variable proteins.")))
    told = "Cells of the most variable proteins along their main direction."
    blocks.append(figure(rows, "variability", "Cells of variable proteins", told))
    return Section("Variable proteins", blocks)


def phenotypes(rows: AnalysisRows, plots: Plots) -> Section | None:
    """The cells of each protein that was clustered."""
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
            order=natural(cloud.groups),
            labels=("first principal component", "second principal component"),
            height=440,
            heading="phenotype",
            sizes=9.0,
        )
        plots.add(blocks, plot, f"{protein}: {count(cloud)}. {MOUSE}")
        body = [[str(one), f"{share:.0%}", str(n)] for one, (share, n) in sorted(shares.items())]
        blocks.append(
            Table(["phenotype", "share", "cells"], body, caption=said(rows, f"Phenotypes of {protein}."))
        )
        row = own[0]
        names = [f"phenotypes_{row['protein']}", f"phenotypes_{row['protein']}_{row['cell_line']}"]
        tree = next(
            (name for name in map(file_name, reversed(names)) if name in rows.figures), file_name(names[0])
        )
        blocks.append(
            figure(rows, tree, "Dendrogram with crops", f"{protein}: tree of its cells, with crops.")
        )
        if f"{tree}_fields" in rows.figures:
            told = f"{protein}: where the cells of each phenotype lie in their fields."
            blocks.append(figure(rows, f"{tree}_fields", "Cells in their fields of view", told))
    return Section("Cells of one protein", blocks)


def mismatch(rows: AnalysisRows, plots: Plots) -> Section | None:
    """Whether predictions show the source or what the target's markers give away."""
    if not rows.mismatch:
        return None
    body: list[list[str]] = []
    for network in dict.fromkeys(row["network"] for row in rows.mismatch):
        own = [row for row in rows.mismatch if row["network"] == network]
        source, target, truth, matched = (
            np.array([row[name] for row in own], np.float64)
            for name in ("r_source", "r_target", "r_truth", "r_matched")
        )
        compared = np.isfinite(truth) & np.isfinite(matched)
        body.append(
            [
                network,
                f"{len(own):,}",
                f"{np.mean([bool(row['resembles_source']) for row in own]):.0%}",
                _mean(source - target),
                f"{(truth < matched)[compared].mean():.0%}" if compared.any() else "",
                *(_mean(values) for values in (source, target, truth, matched)),
            ]
        )
    columns = ["network", "pairs", "resemble their source", "margin", "worse than matched"]
    columns += ["r source", "r target", "r truth", "r matched"]
    text = (
        "Each pair has a source of one localization and a target of another. A network that has learnt from the source "
        "paints the source's localization into the target; one that cheats reads the target's own from its markers. "
        "Means of the correlation of the prediction with predictions from other sources of the source's label "
        "(r source), and of the target's (r target), and with the target's true protein (r truth; r matched: the same "
        "from sources of the target's label). A prediction resembles its source if r source is above r target and "
        "r truth; "
        "any trace of the source passes that, so compare with the untrained network, and look at the margin (r source "
        "less r target) and at how many pairs predict the truth worse than matched sources do."
    )
    blocks: list[Block] = [Text(text), Table(columns, body, caption=said(rows, "Means over pairs."))]
    shown = "Sources, the targets' markers, predictions and truth."
    blocks.append(figure(rows, "mismatch", "Mismatched pairs", shown))
    return Section("Does the network cheat?", blocks)


def cell_map(rows: AnalysisRows, plots: Plots) -> Section | None:
    """Cells of all images by their localization."""
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
        sizes=point_size(len(cloud.x)),
        height=600,
    )
    plots.add(blocks, plot, f"UMAP by {rows.feature_set}: {count(cloud)}, evenly from all images. {MOUSE}")
    return Section("Map of cells", blocks)


def _mean(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return f"{finite.mean():.3f}" if len(finite) else ""


def _number(value: float | None) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.2f}"
