"""What the page of a screen's benchmarks says: tables and figures as the paper has them, its numbers beside ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure

from pcip_core.features.names import best_layers, split_name
from pcip_core.plots.scatter import embedding_scatter
from pcip_core.plots.scores.benchmarks import accuracy_by_layer, accuracy_by_vgg_layer
from pcip_core.plots.scores.classes import accuracy_by_k, recall_by_class
from pcip_core.plots.scores.confusion import confusion_matrix
from pcip_core.plots.scores.pairwise import pairwise_by_line, pairwise_distances
from pcip_core.report.background import excluded, lineage, printed
from pcip_core.report.page import Block, Cell, Picture, Section, Table, Text, page
from pcip_core.report.score_rows import (
    PROTOCOLS,
    BenchmarkRows,
    Rows,
    against_paper,
    first,
    honest,
    neighbours,
    number,
    overall,
    paper_columns,
    pick,
    simulated_note,
)

_SCORES = (  # column, classifier, protocols (the first that there is), metric, higher is better
    ("11-NN", "knn", ("leave_image_out", "leave_field_out", "leave_cell_out"), "balanced_accuracy", True),
    ("logistic", "logistic", ("grouped_folds", "folds"), "balanced_accuracy", True),
    ("forest", "forest", ("grouped_folds", "folds"), "balanced_accuracy", True),
    ("mAP of terms", "retrieval", ("leave_protein_out",), "mean_average_precision", True),
    ("silhouette", "silhouette", ("all_cells",), "silhouette", True),
    ("pairwise distance", "pairwise", ("any_line",), "normalized_pairwise_distance", False),
)


def benchmark_page(rows: BenchmarkRows, *, made_from: str = "") -> tuple[str, dict[str, Figure]]:
    """The page as HTML, one file without links to others; and its figures by their section's heading.

    Args:
        rows: what the page shows.
        made_from: a hash, kept in the page's head.
    """
    if rows.simulated and "simulated" not in rows.title.lower():
        rows = replace(rows, title=f"{rows.title} (SIMULATED images)")  # the title of every figure
    parts = [(*part, part[0](rows)) for part in _PARTS]
    missing = [f"{what}: {remedy}." for _, what, remedy, section in parts if section is None]
    sections = [
        _ranking(rows),
        *(section for *_, section in parts if section is not None),
        *([Section("Not on this page", [Text(line) for line in missing])] if missing else []),
        excluded(rows),
        lineage(rows),
        printed(rows),
    ]
    banner = "SIMULATED images: no figure here is of real cells" if rows.simulated else ""
    title = f"{rows.title}: benchmarks"
    html = page(title, sections, banner=banner, subtitle=rows.description, made_from=made_from)
    return html, {
        section.heading: block.figure
        for section in sections
        for block in reversed(section.blocks)  # the first of several
        if isinstance(block, Picture)
    }


def _score(
    rows: Rows, column: tuple[str, str, tuple[str, ...], str, bool]
) -> tuple[str | None, dict[str, float]]:
    """The protocol, and feature set -> score over all classes."""
    _, classifier, protocols, metric, _ = column
    found = pick(rows, classifier=classifier, metric=metric, label=None)
    protocol = first(found, protocols)
    found = pick(found, protocol=protocol)
    if classifier == "knn":
        found = pick(found, parameter=neighbours(rows))
    return protocol, {row["feature_set"]: row["value"] for row in found}


def _ranking(rows: BenchmarkRows) -> Section:
    scores = [(*column, *_score(rows.benchmarks, column)) for column in _SCORES]
    there = [one for one in scores if one[-1]]
    names = best_layers(there[0][-1]) if there else []
    names += dict.fromkeys(name for *_, found in there[1:] for name in found if name not in names)
    body: list[list[Cell | str]] = []
    for name in names:
        line: list[Cell | str] = [name]
        for *_, higher, _, found in there:
            among = [found[one] for one in names if one in found]
            top = (max if higher else min)(among) if among else None
            line.append(number(found.get(name), best=found.get(name) == top))
        body.append(line)
    protocol, found = honest(rows)
    told = f"{max((row['n'] for row in pick(found, label=None)), default=0):,}"
    text = Text(
        f"Labels: column {rows.label} of images; {told} cells scored ({protocol}). Each method stands with the layer "
        "that is best by nearest neighbours, chosen on the cells that are scored. Accuracies are balanced: the mean of "
        "the classes' recalls."
    )
    columns = ["feature set", *(f"{name} ({protocol})" for name, *_, protocol, _ in there)]
    theirs = paper_columns(rows.screen, names, [_head(rows, one) for one in there])
    for line, *cells in zip(body, *(cells for _, cells in theirs), strict=True):
        line += cells
    columns += [heading for heading, _ in theirs]
    caption = simulated_note(rows) or ("Shaded: the paper's numbers, of its own images." if theirs else "")
    notes = [
        Text(f"{name}: {about}.", note=True)
        for name, about in PROTOCOLS.items()
        if any(row["protocol"] == name for row in rows.benchmarks)
    ]
    if not there:
        return Section(
            "Which feature set is best", [Text("Nothing is scored yet: materialize knn_benchmark.")]
        )
    return Section(
        "Which feature set is best",
        [text, Table(columns, body, frozenset(heading for heading, _ in theirs), caption=caption), *notes],
    )


def _head(rows: BenchmarkRows, score: tuple[Any, ...]) -> tuple[str, dict[str, Any]]:
    """Heading and keys of a column of the ranking, for the paper's."""
    name, classifier, _, metric, _, protocol, _ = score
    keys = {"classifier": classifier, "protocol": protocol, "metric": metric}
    return name, {**keys, **({"parameter": neighbours(rows.benchmarks)} if classifier == "knn" else {})}


def _layers(rows: BenchmarkRows) -> Section | None:
    found = [row for row in overall(rows, classifier="knn") if row["protocol"] != "held_images"]
    if not found:
        return None
    parameter = neighbours(found)
    protocols = [one for one in PROTOCOLS if any(row["protocol"] == one for row in found)]
    layered = [row for row in found if (split_name(row["feature_set"]).layer or "").startswith("conv")]
    heads = [
        (protocol, {"protocol": protocol, "parameter": parameter, "classifier": "knn"})
        for protocol in protocols
    ]
    return Section(
        "Layers (the paper's Table 1)",
        [
            Picture(
                accuracy_by_layer(found, rows.title, parameter=parameter),
                "Balanced accuracy of nearest neighbours against the layer, a line a method",
            ),
            against_paper(rows, layered, heads, "Table 1"),
        ],
    )


def _classes(rows: BenchmarkRows) -> Section | None:
    protocol, found = honest(rows)
    found = pick(found, parameter=neighbours(found))
    if not found:
        return None
    figure = recall_by_class(found, f"{rows.title}: {found[0]['parameter']}, {protocol}")
    return Section(
        "Classes (the paper's Figure 2A)", [Picture(figure, "Recall of each class by each feature set")]
    )


def _by_k(rows: BenchmarkRows) -> Section | None:
    protocol, found = honest(rows)
    found = pick(found, label=None, metric="balanced_accuracy")
    if not found:
        return None
    best = {row["feature_set"] for row in found}
    every = [row for row in overall(rows, classifier="knn") if row["feature_set"] in best]
    paper_protocol = [row for row in every if row["protocol"] == "leave_cell_out"] or found
    ks = sorted({row["parameter"] for row in every}, key=lambda name: int(name.removeprefix("k=")))
    shown = paper_protocol[0]["protocol"]
    heads = [(f"{k}", {"parameter": k, "classifier": "knn", "protocol": shown}) for k in ks]
    return Section(
        "Number of neighbours (the paper's Supplementary Table 1)",
        [
            Picture(
                accuracy_by_k(found, f"{rows.title}: {protocol}"),
                "Balanced accuracy against the number of neighbours",
            ),
            Text(f"Under {shown}:"),
            against_paper(rows, paper_protocol, heads, "Supplementary Table 1"),
        ],
    )


def _classifiers(rows: BenchmarkRows) -> Section | None:
    found = [
        row
        for row in overall(rows)
        if row["classifier"] in ("logistic", "forest") and row["protocol"] != "held_images"
    ]
    if not found:
        return None
    heads = [
        (f"{classifier}, {protocol}", {"classifier": classifier, "protocol": protocol})
        for protocol in ("grouped_folds", "folds")
        for classifier in ("logistic", "forest")
        if pick(found, protocol=protocol, classifier=classifier)
    ]
    text = Text(
        "Mean of the folds (lowest to highest). Folds by image are the honest ones; folds by cell are the paper's."
    )
    return Section(
        "Other classifiers (the paper's Supplementary Table 2)",
        [text, against_paper(rows, found, heads, "Supplementary Table 2")],
    )


def _held(rows: BenchmarkRows) -> Section | None:
    found = overall(rows, protocol="held_images")
    if not found:
        return None
    parameter = neighbours(found)
    scores = {row["feature_set"]: row["value"] for row in pick(found, classifier="knn", parameter=parameter)}
    names = [*best_layers(scores), "supervised"]
    names += [row["feature_set"] for row in found if row["classifier"] == "logistic"]
    found = [row for row in found if row["feature_set"] in names]
    n = max(row["n"] for row in found)
    heads = [
        (parameter.replace("k=", "") + "-NN", {"classifier": "knn", "parameter": parameter}),
        *((name, {"classifier": name}) for name in ("logistic", "forest", "end_to_end")),
    ]
    order = sorted(found, key=lambda row: -scores.get(row["feature_set"], 2.0))
    text = Text(
        f"The supervised network was told the labels of most images. These are the {n:,} cells of the images kept from "
        "it, predicted from the cells of the others: the same for every feature set. The paper used a network that was "
        "trained on most of the cells it then scored."
    )
    return Section(
        "Beside a supervised network",
        [
            text,
            against_paper(rows, order, heads),
        ],
    )


def _vgg(rows: BenchmarkRows) -> Section | None:
    found = [row for row in overall(rows, classifier="knn") if row["feature_set"].startswith("vgg16")]
    if not found:
        return None
    figure = accuracy_by_vgg_layer(found, rows.title, parameter=neighbours(found))
    return Section(
        "Layers of VGG16 (the paper's Supplementary Figure 2)",
        [Picture(figure, "Balanced accuracy against the layer of VGG16, a line an input")],
    )


def _pairwise(rows: BenchmarkRows) -> Section | None:
    found = pick(rows.benchmarks, classifier="pairwise", metric="normalized_pairwise_distance")
    if not found:
        return None
    blocks: list[Block] = [
        Text(
            "Distance of cells of two proteins with one term, less that of two proteins with different terms, in "
            "standard deviations of the latter; negative is closer. Intervals: 95 %, by drawing proteins again. How "
            "the paper normalized is not known: compare the order of feature sets with it, not the sizes."
        )
    ]
    over_all = pick(found, label=None)
    if any_line := pick(found, protocol="any_line"):
        figure = pairwise_distances(any_line, rows.title)
        blocks.append(Picture(figure, "Normalized pairwise distance by localization term"))
        heads = [("overall", {"protocol": "any_line"})]
        blocks.append(against_paper(rows, pick(over_all, protocol="any_line"), heads, "Figure 2B"))
    if by_line := [row for row in over_all if row["protocol"] != "any_line"]:
        figure = pairwise_by_line(by_line, rows.title)
        blocks.append(Picture(figure, "Pairwise distance for images of the same and of different cell lines"))
        names = ("same_line", "different_line", "different_minus_same_line")
        heads = [(name.replace("_", " "), {"protocol": name}) for name in names]
        blocks.append(against_paper(rows, by_line, heads, "Table 2", digits=4))
    return Section("Pairwise distances (the paper's Figure 2B and Table 2)", blocks)


def _retrieval(rows: BenchmarkRows) -> Section | None:
    found = [
        row
        for row in rows.benchmarks
        if row["classifier"] in ("retrieval", "silhouette") and row["label"] is None
    ]
    if not found:
        return None
    heads = [
        (f"{row['metric'].replace('_', ' ')}, {row['task']}", {"metric": row["metric"], "task": row["task"]})
        for row in {(row["metric"], row["task"]): row for row in found}.values()
    ]
    text = Text(
        "Mean average precision: images, as means of their cells, as queries for images of their term by other "
        "proteins, and of their protein. Silhouette: of cells, by label. Standardized features."
    )
    return Section("Retrieval", [text, against_paper(rows, found, heads)])


def _confusions(rows: BenchmarkRows) -> Section | None:
    protocol, found = honest(rows)
    if not found or not rows.confusion:
        return None
    parameter = neighbours(found)
    best = max(
        pick(found, parameter=parameter, label=None, metric="balanced_accuracy"),
        key=lambda row: row["value"],
    )["feature_set"]
    keys = {"feature_set": best, "classifier": "knn", "parameter": parameter, "protocol": protocol}
    blocks: list[Block] = [
        Picture(
            confusion_matrix(pick(rows.confusion, **keys), f"{rows.title}: {best}, {parameter}, {protocol}"),
            f"What {best} takes for what",
        )
    ]
    if end := pick(rows.confusion, classifier="end_to_end"):
        title = f"{rows.title}: supervised network, held images"
        blocks.append(Picture(confusion_matrix(end, title), "What the supervised network takes for what"))
    return Section("What is taken for what", blocks)


def _maps(rows: BenchmarkRows) -> Section | None:
    blocks: list[Block] = []
    for panels, what in (
        (rows.cells, "cells (the paper's Supplementary Figure 3)"),
        (rows.proteins, "proteins (the paper's Figure 3)"),
    ):
        if panels:
            figure = embedding_scatter(list(panels), f"{rows.title}: {what.split(' (')[0]}")
            blocks.append(Picture(figure, f"UMAP of {what}", f"UMAP of {what}"))
    if any(name.startswith("supervised") for name, *_ in rows.cells):
        blocks.append(Text("The supervised network has seen the labels of most of these cells.", note=True))
    return Section("Maps", blocks) if blocks else None


_PARTS: tuple[
    tuple[Callable[[BenchmarkRows], Section | None], str, str], ...
] = (  # in order; what makes them
    (_layers, "Layers", "materialize knn_benchmark and yardstick_benchmark"),
    (_classes, "Classes", "materialize knn_benchmark and yardstick_benchmark"),
    (_by_k, "Number of neighbours", "materialize knn_benchmark and yardstick_benchmark"),
    (_classifiers, "Other classifiers", "materialize classifier_benchmark"),
    (
        _held,
        "Beside a supervised network",
        "name supervised in baselines.sets, materialize supervised_benchmark",
    ),
    (_vgg, "Layers of VGG16", "name vgg16 in baselines.sets, materialize yardstick_benchmark"),
    (_pairwise, "Pairwise distances", "materialize pairwise_benchmark"),
    (_retrieval, "Retrieval", "materialize retrieval_benchmark"),
    (_confusions, "What is taken for what", "materialize knn_benchmark and yardstick_benchmark"),
    (_maps, "Maps", "materialize umap"),
)
