"""The benchmark page of a screen: tables and figures as in the paper, with its numbers next to ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

from matplotlib.figure import Figure

from pcip_core.features.names import best_layers, split_name
from pcip_core.plots.scatter import embedding_scatter
from pcip_core.plots.scores.benchmarks import accuracy_by_layer, accuracy_by_vgg_layer
from pcip_core.plots.scores.chance import classes_of
from pcip_core.plots.scores.classes import accuracy_by_k, recall_by_class
from pcip_core.plots.scores.confusion import confusion_matrix
from pcip_core.plots.scores.pairwise import pairwise_by_line, pairwise_distances
from pcip_core.report.background import excluded, lineage, printed
from pcip_core.report.batch_effects import batch_effects
from pcip_core.report.methods import methods_section
from pcip_core.report.page import Block, Picture, Section, Text, page
from pcip_core.report.printed import with_files
from pcip_core.report.ranking import ranking
from pcip_core.report.score_rows import (
    PROTOCOLS,
    BenchmarkRows,
    against_paper,
    neighbours,
    overall,
    pick,
    strictest,
)
from pcip_core.spec.baselines import Classifier, Pairwise
from pcip_core.words import many, plural


def benchmark_page(
    rows: BenchmarkRows, *, made_from: str = "", folder: str = ""
) -> tuple[str, dict[str, Figure], dict[str, Figure]]:
    """The page as self-contained HTML, its first figures by the heading of their section, and all by file name.

    Args:
        rows: contents of the page.
        made_from: hash of the inputs, stored in the page's head.
        folder: folder of the figures beside the page, to which it links; "" for no links.
    """
    if rows.simulated and "simulated" not in rows.title.lower():
        rows = replace(rows, title=f"{rows.title} (SIMULATED images)")  # the title of every figure
    parts = [(*part, part[0](rows)) for part in _PARTS]
    missing = [f"{name}: {remedy}." for _, name, remedy, section in parts if section is None]
    if missing:
        missing.append(f"pcip run {rows.screen} --baselines makes what the spec and the labels allow.")
    sections = [
        ranking(rows),
        *(section for *_, section in parts if section is not None),
        *([Section("Not on this page", [Text(line) for line in missing])] if missing else []),
        *([methods_section(rows.methods)] if rows.methods is not None else []),
        excluded(rows),
        lineage(rows),
        printed(rows),
    ]
    files = with_files(sections, folder)
    banner = "SIMULATED images: this page shows no real cells" if rows.simulated else ""
    title = f"{rows.title}: benchmarks"
    html = page(title, sections, banner=banner, subtitle=rows.description, made_from=made_from)
    return (
        html,
        {
            section.heading: block.figure
            for section in sections
            for block in reversed(section.blocks)  # the first of several
            if isinstance(block, Picture)
        },
        files,
    )


def _layers(rows: BenchmarkRows) -> Section | None:
    scored = [row for row in overall(rows, classifier="knn") if row["protocol"] != "held_images"]
    if not scored:
        return None
    parameter = neighbours(scored)
    protocols = [name for name in PROTOCOLS if any(row["protocol"] == name for row in scored)]
    layered = [row for row in scored if (split_name(row["feature_set"]).layer or "").startswith("conv")]
    heads = [
        (protocol, {"protocol": protocol, "parameter": parameter, "classifier": "knn"})
        for protocol in protocols
    ]
    return Section(
        "Layers (the paper's Table 1)",
        [
            Picture(
                accuracy_by_layer(
                    scored, rows.title, parameter=parameter, classes=classes_of(rows.benchmarks)
                ),
                "Balanced accuracy of nearest neighbours against the layer, one line per method",
            ),
            against_paper(rows, layered, heads, "Table 1"),
        ],
    )


def _classes(rows: BenchmarkRows) -> Section | None:
    protocol, scored = strictest(rows)
    scored = pick(scored, parameter=neighbours(scored))
    if not scored:
        return None
    figure = recall_by_class(scored, f"{rows.title}: {scored[0]['parameter']}, {_words(protocol)}")
    return Section(
        "Classes (the paper's Figure 2A)", [Picture(figure, "Recall of each class by each feature set")]
    )


def _by_k(rows: BenchmarkRows) -> Section | None:
    protocol, scored = strictest(rows)
    scored = pick(scored, label=None, metric="balanced_accuracy")
    if not scored:
        return None
    best = {row["feature_set"] for row in scored}
    every = [row for row in overall(rows, classifier="knn") if row["feature_set"] in best]
    paper_protocol = [row for row in every if row["protocol"] == "leave_cell_out"] or scored
    ks = sorted({row["parameter"] for row in every}, key=lambda name: int(name.removeprefix("k=")))
    shown = paper_protocol[0]["protocol"]
    heads = [(f"{k}", {"parameter": k, "classifier": "knn", "protocol": shown}) for k in ks]
    return Section(
        "Number of neighbours (the paper's Supplementary Table 1)",
        [
            Picture(
                accuracy_by_k(
                    scored, f"{rows.title}: {_words(protocol)}", classes=classes_of(rows.benchmarks)
                ),
                "Balanced accuracy against the number of neighbours",
            ),
            Text(f"The paper's protocol, {shown}:" if shown == "leave_cell_out" else f"Under {shown}:"),
            against_paper(rows, paper_protocol, heads, "Supplementary Table 1"),
        ],
    )


def _classifiers(rows: BenchmarkRows) -> Section | None:
    scored = [
        row
        for row in overall(rows)
        if row["classifier"] in get_args(Classifier) and row["protocol"] != "held_images"
    ]
    if not scored:
        return None
    heads = [
        (f"{classifier}, {protocol}", {"classifier": classifier, "protocol": protocol})
        for protocol in ("grouped_folds", "folds")
        for classifier in get_args(Classifier)
        if pick(scored, protocol=protocol, classifier=classifier)
    ]
    text = Text(
        "Mean over folds (lowest to highest). Folds by cell are the paper's; folds by image avoid their bias."
    )
    return Section(
        "Other classifiers (the paper's Supplementary Table 2)",
        [text, against_paper(rows, scored, heads, "Supplementary Table 2")],
    )


def _held(rows: BenchmarkRows) -> Section | None:
    scored = overall(rows, protocol="held_images")
    if not scored:
        return None
    parameter = neighbours(scored)
    scores = {row["feature_set"]: row["value"] for row in pick(scored, classifier="knn", parameter=parameter)}
    names = [*best_layers(scores), "supervised"]
    names += [row["feature_set"] for row in scored if row["classifier"] == "logistic"]
    scored = [row for row in scored if row["feature_set"] in names]
    n = max(row["n"] for row in scored)
    shown = [name for name in (*get_args(Classifier), "end_to_end") if pick(scored, classifier=name)]
    heads = [
        (parameter.replace("k=", "") + "-NN", {"classifier": "knn", "parameter": parameter}),
        *((name.replace("_", " "), {"classifier": name}) for name in shown),
    ]
    order = sorted(scored, key=lambda row: -scores.get(row["feature_set"], 2.0))
    text = Text(
        "The supervised network was trained on the labels of most images. All feature sets are compared on the same "
        f"{many(n, 'cell', ',')} of the held-out images, classified by the cells of the training images. "
        "End to end: what the network itself predicts. The paper used a network that was trained on most of the cells "
        f"that it scored. Balanced accuracies; chance: {1 / max(classes_of(rows.benchmarks), 1):.3f}."
    )
    return Section(
        "Comparison with a supervised network",
        [
            text,
            against_paper(rows, order, heads),
        ],
    )


def _vgg(rows: BenchmarkRows) -> Section | None:
    scored = [row for row in overall(rows, classifier="knn") if row["feature_set"].startswith("vgg16")]
    if not scored:
        return None
    classes = classes_of(rows.benchmarks)
    figure = accuracy_by_vgg_layer(scored, rows.title, parameter=neighbours(scored), classes=classes)
    return Section(
        "Layers of VGG16 (the paper's Supplementary Figure 2)",
        [Picture(figure, "Balanced accuracy against the layer of VGG16, one line per input")],
    )


def _pairwise(rows: BenchmarkRows) -> Section | None:
    scored = pick(rows.benchmarks, classifier="pairwise", metric="normalized_pairwise_distance")
    if not scored:
        return None
    blocks: list[Block] = [
        Text(
            "Distance between cells of two proteins with the same term, minus the distance for different terms, in "
            "standard deviations of the latter; negative means closer. Intervals: 95 % bootstrap over proteins. The "
            "paper does not state its normalization: compare the ranks of the feature sets with it, not the values."
        )
    ]
    over_all = pick(scored, label=None)
    if any_line := pick(scored, protocol="any_line"):
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
    scored = [
        row
        for row in rows.benchmarks
        if row["classifier"] in ("retrieval", "silhouette") and row["label"] is None
    ]
    if not scored:
        return None
    heads = [
        (f"{row['metric'].replace('_', ' ')}, {row['task']}", {"metric": row["metric"], "task": row["task"]})
        for row in {(row["metric"], row["task"]): row for row in scored}.values()
    ]
    text = Text(
        "Mean average precision: each image, as the mean of its cells, is a query for images of other proteins with "
        "the same term, and, whatever its terms, for images of the same protein. Silhouette: cells by label. "
        "Features are standardized."
    )
    return Section("Retrieval", [text, against_paper(rows, scored, heads)])


def _confusions(rows: BenchmarkRows) -> Section | None:
    protocol, scored = strictest(rows)
    if not scored or not rows.confusion:
        return None
    parameter = neighbours(scored)
    best = max(
        pick(scored, parameter=parameter, label=None, metric="balanced_accuracy"),
        key=lambda row: row["value"],
    )["feature_set"]
    keys = {"feature_set": best, "classifier": "knn", "parameter": parameter, "protocol": protocol}
    blocks: list[Block] = [
        Picture(
            confusion_matrix(
                pick(rows.confusion, **keys), f"{rows.title}: {best}, {parameter}, {_words(protocol)}"
            ),
            f"Confusion matrix of {best}",
        )
    ]
    if end := pick(rows.confusion, classifier="end_to_end"):
        title = f"{rows.title}: supervised network, held images"
        blocks.append(Picture(confusion_matrix(end, title), "Confusion matrix of the supervised network"))
    return Section("Confusion matrices", blocks)


def _maps(rows: BenchmarkRows) -> Section | None:
    blocks: list[Block] = []
    for panels, unit, source in (
        (rows.cells, "cell", "Supplementary Figure 3"),
        (rows.proteins, "protein", "Figure 3"),
    ):
        if panels:
            n = many(max(len(places) for _, places, _ in panels), unit, ",")
            figure = embedding_scatter(list(panels), f"{rows.title}: {plural(unit)}", rows.classes)
            caption = f"UMAP of {n}, coloured by {rows.label} (the paper's {source}). Neighbours are alike; distances "
            caption += "between remote groups carry little information."
            blocks.append(Picture(figure, f"UMAP of {plural(unit)}", caption))
    if any(name.startswith("supervised") for name, *_ in rows.cells):
        blocks.append(
            Text("The supervised network was trained on the labels of most of these cells.", note=True)
        )
    return Section("Maps", blocks) if blocks else None


def _words(name: str | None) -> str:
    """The name of a protocol as in figures."""
    return str(name).replace("_", " ")


_LABELS = "needs images with labels, several per class"
_PARTS: tuple[
    tuple[Callable[[BenchmarkRows], Section | None], str, str], ...
] = (  # function, name, remedy where it is missing; in the order of the page
    (_layers, "Layers", _LABELS),
    (_classes, "Classes", _LABELS),
    (_by_k, "Number of neighbours", _LABELS),
    (_classifiers, "Other classifiers", f"{_LABELS}, and the asset classifier_benchmark"),
    (
        _held,
        "Comparison with a supervised network",
        "needs images with labels, and supervised in baselines.sets of the spec",
    ),
    (
        _vgg,
        "Layers of VGG16",
        "needs images with labels, vgg16 in baselines.sets of the spec, and the weights of VGG16",
    ),
    (
        _pairwise,
        "Pairwise distances",
        f"needs terms of baselines.pairwise.min_proteins proteins ({Pairwise.min_proteins} by default)",
    ),
    (_retrieval, "Retrieval", "needs two images of the same protein, or proteins with localization terms"),
    (batch_effects, "Batch effects", "needs several images"),
    (_confusions, "Confusion matrices", _LABELS),
    (_maps, "Maps", "needs features of 32 cells or more"),
)
