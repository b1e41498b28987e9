"""Sections about cells: between compartments, variable proteins, phenotypes, mismatched pairs, a map."""

from __future__ import annotations

import numpy as np
import polars as pl

from pcip_core.analysis.mismatch import summary
from pcip_core.files import file_name
from pcip_core.plots.interactive import Points, scatter
from pcip_core.report.analyses.plots import (
    MOUSE,
    WORDS,
    Plots,
    captioned,
    count,
    figure,
    natural,
    point_size,
    without_lines,
)
from pcip_core.report.analyses.rows import AnalysisRows, Pair
from pcip_core.report.page import Block, Section, Table, Text
from pcip_core.words import many

_SHOWN = 10  # rows in a table of the most variable proteins


def compartments(rows: AnalysisRows, plots: Plots) -> Section | None:
    """Scores of cells for each pair of compartments."""
    if not rows.pairs:
        return None
    blocks: list[Block] = [
        Text(
            "The score of a cell is log(distance to the mean of the first compartment / distance to the mean of the "
            "second compartment). Negative scores are nearer to the first. The means exclude the image of the cell."
        )
    ]
    for number, pair in enumerate(rows.pairs):
        _pair(rows, plots, pair, number, blocks)
    return Section("Cells between two compartments", blocks)


def _pair(rows: AnalysisRows, plots: Plots, pair: Pair, number: int, blocks: list[Block]) -> None:
    names = [f"{pair.first} only", "both", f"{pair.second} only"]
    names = [name for name in names if name in pair.cells.groups]
    rng = np.random.default_rng(number)
    place = np.array([names.index(group) for group in pair.cells.groups], np.float64)
    jitter = rng.uniform(-0.35, 0.35, len(place))
    plot = scatter(
        Points(pair.cells.tooltip, pair.cells.pictures),
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
    ranked = pair.proteins.filter(pl.col("rank").is_not_null()).sort("rank")
    body = [
        [
            f"{row['rank']}. {row['protein']}",
            row["cell_line"] or "",
            f"{row['standard_deviation']:.3f}",
            f"{row['mean']:.3f}",
            f"{row['n']:,}",
        ]
        for row in ranked.head(_SHOWN).iter_rows(named=True)
    ]
    if body:
        columns = ["protein in both", "cell line", "standard deviation", "mean score", "cells"]
        columns, body = without_lines(columns, body)
        caption = f"The most variable of {many(ranked.height, 'protein')} annotated to both compartments."
        blocks.append(Table(columns, body, words=WORDS, caption=captioned(rows, caption)))
    name = f"localization_scores_{pair.first}_{pair.second}"
    caption = f"{pair.first} or {pair.second}: all cells by group, and cells of the most and least variable proteins."
    blocks.append(figure(rows, file_name(name), "Violins of the scores", caption))
    if not ranked.is_empty():
        caption = "Cells of the most variable proteins, ordered by score."
        blocks.append(figure(rows, file_name(f"{name}_variable"), "Cells ordered by score", caption))


def variable_proteins(rows: AnalysisRows, plots: Plots) -> Section | None:
    """Spread and split of all proteins, and the most variable ones."""
    cloud = rows.variable
    if cloud is None or rows.variability.is_empty():
        return None
    blocks: list[Block] = [
        Text(
            "Each point is a protein in one cell line. To the right: cells differ more than brightness and cell line "
            "predict. To the top: cells form two groups. The analysis uses no annotation."
        )
    ]
    counts = rows.variability["n"].cast(pl.Float64).to_numpy()
    plot = scatter(
        Points(cloud.tooltip, cloud.pictures),
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
    caption = (
        f"{many(len(cloud.x), 'protein', ',')} by cell line; the size of a point shows its number of cells."
    )
    plots.add(
        blocks,
        plot,
        f"{caption} Tooltips show cells in order along their main direction of variation. {MOUSE}",
    )
    ranked = rows.variability.sort("rank").head(_SHOWN)
    body = [
        [
            f"{row['rank']}. {row['protein']}",
            row["cell_line"] or "",
            _number(row["excess"]),
            _number(row["split_excess"]),
            _number(row["variability"]),
            f"{row['n']:,}",
        ]
        for row in ranked.iter_rows(named=True)
    ]
    columns = ["protein", "cell line", "excess spread", "excess split", "variability", "cells"]
    columns, body = without_lines(columns, body)
    blocks.append(Table(columns, body, words=WORDS, caption=captioned(rows, "The most variable proteins.")))
    caption = "Cells of the most variable proteins, in order along their main direction of variation."
    blocks.append(figure(rows, "variability", "Cells of variable proteins", caption))
    return Section("Variable proteins", blocks)


def phenotypes(rows: AnalysisRows, plots: Plots) -> Section | None:
    """Phenotypes of each protein whose cells were clustered."""
    if not rows.phenotypes:
        return None
    blocks: list[Block] = [
        Text(
            "Cells of one protein, clustered by their features. Coordinates are the first two principal components "
            "of these cells."
        )
    ]
    for number, (protein, cloud, cells) in enumerate(rows.phenotypes):
        plot = scatter(
            Points(cloud.tooltip, cloud.pictures),
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
        shares = cells.group_by("phenotype").agg(pl.col("share").first(), pl.len()).sort("phenotype")
        body = [[str(phenotype), f"{share:.0%}", str(n)] for phenotype, share, n in shares.iter_rows()]
        caption = captioned(rows, f"Phenotypes of {protein}.")
        blocks.append(Table(["phenotype", "share", "cells"], body, caption=caption))
        name, line = cells.select("protein", "cell_line").row(0)
        names = [file_name(f"phenotypes_{name}_{line}"), file_name(f"phenotypes_{name}")]
        tree = next((name for name in names if name in rows.figures), names[-1])
        caption = f"{protein}: dendrogram of its cells, with crops."
        blocks.append(figure(rows, tree, "Dendrogram with crops", caption))
        if f"{tree}_fields" in rows.figures:
            caption = f"{protein}: positions of the cells of each phenotype in their fields of view."
            blocks.append(figure(rows, f"{tree}_fields", "Cells in their fields of view", caption))
    return Section("Cells of one protein", blocks)


def mismatch(rows: AnalysisRows, plots: Plots) -> Section | None:
    """Whether predictions follow the source cell or the target's structural channels."""
    if rows.mismatch.is_empty():
        return None
    body = []
    for pairs in rows.mismatch.partition_by("network", maintain_order=True):
        means = summary(pairs)
        body.append(
            [
                pairs["network"][0],
                f"{means['n']:,}",
                f"{means['share_resembling_source']:.0%}",
                f"{means['margin']:.3f}",
                f"{means['share_worse_than_matched']:.0%}",
                *(f"{means[name]:.3f}" for name in ("r_source", "r_target", "r_truth", "r_matched")),
            ]
        )
    columns = ["network", "pairs", "resemble the source", "margin", "worse than matched"]
    columns += ["r source", "r target", "r truth", "r matched"]
    text = (
        "Each pair has a source cell of one localization and a target cell of another. A network that uses the source "
        "predicts the localization of the source in the target; a network that cheats infers the localization of the "
        "target from its structural channels. The table gives the mean correlation of the prediction with predictions "
        "from other sources of the source's label (r source), with predictions from sources of the target's label "
        "(r target), and with the true protein channel of the target (r truth). r matched is the correlation of "
        "predictions from sources of the target's label with the true channel. A prediction resembles its source if "
        "r source is above both r target and r truth. Weak use of the source is enough for that, so compare with the "
        "untrained network. Consider also the margin (r source minus r target), and the share of pairs that predict "
        "the true channel worse than matched sources do."
    )
    blocks: list[Block] = [Text(text), Table(columns, body, caption=captioned(rows, "Means over pairs."))]
    shown = "Source cells, structural channels of the target cells, predictions and true protein channels."
    blocks.append(figure(rows, "mismatch", "Mismatched pairs", shown))
    return Section("Does the network cheat?", blocks)


def cell_map(rows: AnalysisRows, plots: Plots) -> Section | None:
    """UMAP of cells from all images, coloured by localization."""
    cloud = rows.cells
    if cloud is None:
        return None
    blocks: list[Block] = []
    plot = scatter(
        Points(cloud.tooltip, cloud.pictures),
        cloud.x,
        cloud.y,
        cloud.groups,
        name="cells",
        classes=rows.classes,
        heading="localization",
        sizes=point_size(len(cloud.x)),
        height=600,
    )
    plots.add(
        blocks, plot, f"UMAP by {rows.feature_set}: {count(cloud)}, sampled evenly from all images. {MOUSE}"
    )
    return Section("Map of cells", blocks)


def _number(value: float | None) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.2f}"
