"""Scores that need no classifier: `pairwise_benchmark` (paper, Figure 2B and Table 2) and `retrieval_benchmark`."""

from typing import Any

import dagster as dg

from pcip_assets.assets.benchmarks.scoring import (
    Scores,
    chosen_sets,
    scores_inputs,
    vectors_of,
    without_labels,
)
from pcip_assets.assets.labels import scored_cells_of
from pcip_assets.assets.results import Made, Tables, picture
from pcip_assets.assets.skeleton import asset, baselines_of
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.spec.screen import Screen
from pcip_core.store.images import Images

_PAIRWISE, _RETRIEVAL = "benchmarks_pairwise", "benchmarks_retrieval"


def build_pairwise_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of normalized average pairwise distances."""

    @asset(
        screen,
        "pairwise_benchmark",
        deps=[[screen.name, "knn_benchmark"], [screen.name, "yardstick_benchmark"]],
        group=baselines_of(screen),
        kinds={"numpy", "parquet"},
        table=_PAIRWISE,
    )
    def pairwise_benchmark(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Whether cells of images with one term are closer than others, over all cell lines and by line."""
        chosen = chosen_sets(library, screen)

        def inputs(_: str | None) -> dict[str, Any]:
            return scores_inputs(
                library, screen, chosen, screen.section("baselines")["baselines"]["pairwise"]
            )

        def make(_: str | None) -> Made:
            from pcip_core.plots.pictures import preview
            from pcip_core.plots.scores.pairwise import pairwise_by_line, pairwise_distances

            cells = scored_cells_of(library, screen, chosen)
            scores, not_scored = Scores(), without_labels(cells, screen)
            if not not_scored:
                not_scored = _pairwise(library, screen, chosen, cells, scores, context.log)
            pictures = {
                "distances": pairwise_distances(scores.rows, screen.title),
                "by_line": pairwise_by_line(scores.rows, screen.title),
            }
            return Made(
                scores.tables(_PAIRWISE, confusion=False),
                metadata={
                    "feature_sets": chosen,
                    **scores.exclusions_by_reason(),
                    **not_scored,
                    **{name: picture(preview(figure)) for name, figure in pictures.items() if scores.rows},
                },
            )

        return Tables(_PAIRWISE, inputs, make)

    return pairwise_benchmark


def _pairwise(
    library: Library, screen: Screen, chosen: list[str], cells: LabelledCells, scores: Scores, log: Any
) -> dict[str, str]:
    """Add the scores of these feature sets; metadata that says which scores the screen cannot have, and why."""
    from pcip_core.evaluation.labelled import labelled_images
    from pcip_core.evaluation.pairwise import TRIALS, pairwise_trial
    from pcip_core.evaluation.usable import usable

    images = labelled_images(cells, Images.of(library.store, screen.name).frame)
    not_scored: dict[str, str] = {}
    for name in chosen:
        vectors, run_id = vectors_of(library, screen, name, cells.cell_ids)
        vectors = vectors[:, usable(vectors, cells.labels, feature_set=name).columns]
        key = {"feature_set": name, "task": screen.benchmark.label}
        for trial in TRIALS:
            log.info(f"{screen.name}/pairwise_benchmark {name} {trial}")
            try:
                pairwise = pairwise_trial(
                    trial, vectors, images, screen.baselines.pairwise, seed=screen.baselines.seed
                )
            except EvaluationError as error:
                not_scored[f"not_scored: {name} {trial}"] = str(error)
                continue
            scores.add(key, pairwise.rows, run_id=run_id)
            scores.exclude(pairwise.left_out, classifier="pairwise", **key)
    return not_scored


def build_retrieval_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of mean average precisions and silhouettes."""

    @asset(
        screen,
        "retrieval_benchmark",
        deps=[[screen.name, "knn_benchmark"], [screen.name, "yardstick_benchmark"]],
        group=baselines_of(screen),
        kinds={"numpy", "parquet"},
        table=_RETRIEVAL,
    )
    def retrieval_benchmark(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Whether images find others of their term (other proteins) and of their protein; silhouette of cells."""
        chosen = chosen_sets(library, screen)

        def inputs(_: str | None) -> dict[str, Any]:
            return scores_inputs(library, screen, chosen, screen.baselines.seed)

        def make(_: str | None) -> Made:
            cells, label = scored_cells_of(library, screen, chosen), screen.benchmark.label
            scores, not_scored = Scores(), without_labels(cells, screen)
            of_proteins = cells
            if label != "protein":  # images without a term, or with several, find others of their protein too
                of_proteins = scored_cells_of(library, screen, chosen, column="protein")
            if not len(cells.labels):
                cells, label = of_proteins, "protein"
            if len(cells.labels):
                not_scored |= _retrieval(library, screen, chosen, cells, label, of_proteins, scores)
            return Made(
                scores.tables(_RETRIEVAL, confusion=False),
                metadata={"feature_sets": chosen, **scores.exclusions_by_reason(), **not_scored},
            )

        return Tables(_RETRIEVAL, inputs, make)

    return retrieval_benchmark


def _retrieval(
    library: Library,
    screen: Screen,
    chosen: list[str],
    cells: LabelledCells,
    label: str,
    of_proteins: LabelledCells,
    scores: Scores,
) -> dict[str, str]:
    """Add the scores of these feature sets; metadata that says which scores the screen cannot have, and why.

    Args:
        library, screen, chosen: the feature sets of a screen.
        cells, label: the cells that are scored by label, and what the label is.
        of_proteins: the cells that are scored by protein; the same where the label is the protein.
        scores: receives the scores.
    """
    from pcip_core.evaluation.labelled import labelled_images
    from pcip_core.evaluation.retrieval import retrieval_by_label, retrieval_by_protein

    known, seed = Images.of(library.store, screen.name).frame, screen.baselines.seed
    images = labelled_images(cells, known)
    images_of_proteins = images if of_proteins is cells else labelled_images(of_proteins, known)
    not_scored: dict[str, str] = {}
    for name in chosen:
        vectors, run_id = vectors_of(library, screen, name, cells.cell_ids)
        by_label = retrieval_by_label(vectors, cells, images, feature_set=name, label=label, seed=seed)
        if of_proteins is not cells:
            vectors, _ = vectors_of(library, screen, name, of_proteins.cell_ids)
        by_protein = retrieval_by_protein(
            vectors, of_proteins, images_of_proteins, feature_set=name, seed=seed
        )
        results = ((by_label, label, "leave_protein_out"), (by_protein, "protein", "leave_image_out"))
        for retrieval, excluded_task, excluded_protocol in results:
            for (task, protocol), rows in retrieval.scores.items():
                scores.add({"feature_set": name, "task": task, "protocol": protocol}, rows, run_id=run_id)
            key = {"feature_set": name, "task": excluded_task, "protocol": excluded_protocol}
            scores.exclude(retrieval.exclusions, classifier="retrieval, silhouette", **key)
            not_scored |= {f"not_scored: {name}: {what}": why for what, why in retrieval.not_scored.items()}
    return not_scored
