"""Scores that need no classifier: `pairwise_benchmark` (paper, Figure 2B and Table 2) and `retrieval_benchmark`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.benchmarks.scoring import (
    Scores,
    chosen_sets,
    scores_inputs,
    vectors_of,
    without_labels,
)
from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.assets.results import Made, Tables, picture
from pcip_assets.assets.skeleton import asset, baselines_of
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.features.means import group_means
from pcip_core.spec.screen import Screen

_PAIRWISE, _RETRIEVAL = "benchmarks_pairwise", "benchmarks_retrieval"
_TRIALS = ("any_line", "by_line")


@dataclass(frozen=True)
class _Images:
    """The labelled cells as images: what the scores of this module are of.

    `of_cell` is the number of each cell's image; `terms`, `proteins` and `lines` are of the images.
    """

    of_cell: np.ndarray
    terms: np.ndarray
    proteins: np.ndarray
    lines: np.ndarray


def build_pairwise_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of normalized average pairwise distances."""

    @asset(
        screen,
        "pairwise_benchmark",
        deps=[[screen.name, "knn_benchmark"], [screen.name, "yardstick_benchmark"]],
        group=baselines_of(screen),
        kinds={"numpy", "parquet"},
    )
    def pairwise_benchmark(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Whether cells of images with one term are closer than others, over all cell lines and by line."""
        chosen, spec = chosen_sets(library, screen), screen.baselines

        def inputs(_: str | None) -> dict[str, Any]:
            return scores_inputs(
                library, screen, chosen, screen.section("baselines")["baselines"]["pairwise"]
            )

        def make(_: str | None) -> Made:
            from pcip_core.evaluation.usable import usable
            from pcip_core.plots.pictures import preview
            from pcip_core.plots.scores.pairwise import pairwise_by_line, pairwise_distances

            cells = labelled_cells_of(library, screen, chosen)
            told: dict[str, Any] = without_labels(cells, screen)
            scores = Scores()
            if not told:
                images = _images(library, screen, cells)
                for name in chosen:
                    vectors, run_id = vectors_of(library, screen, name, cells.cell_ids)
                    vectors = vectors[:, usable(vectors, cells.labels, feature_set=name).columns]
                    for trial in _TRIALS:
                        context.log.info(f"{screen.name}/pairwise_benchmark {name} {trial}")
                        more = {"feature_set": name, "task": screen.benchmark.label}
                        with _stated(told, f"{name} {trial}"):
                            found = _distances(trial, vectors, images, spec)
                            scores.add(more, found.rows, run_id=run_id)
                            scores.exclude(found.left_out, classifier="pairwise", **more)
            pictures = {
                "distances": pairwise_distances(scores.rows, screen.title),
                "by_line": pairwise_by_line(scores.rows, screen.title),
            }
            return Made(
                {table: rows for table, rows in scores.tables(_PAIRWISE).items() if "confusion" not in table},
                metadata={
                    "feature_sets": chosen,
                    **scores.exclusions_by_reason(),
                    **told,
                    **{name: picture(preview(one)) for name, one in pictures.items() if scores.rows},
                },
            )

        return Tables(_PAIRWISE, inputs, make)

    return pairwise_benchmark


def _distances(trial: str, vectors: np.ndarray, images: _Images, spec: Any) -> Any:
    from pcip_core.evaluation.pairwise import pairwise_scores, pairwise_scores_by_line

    pairs = spec.pairwise
    common = {"min_proteins": pairs.min_proteins, "bootstraps": pairs.bootstraps, "seed": spec.seed}
    if trial == "any_line":
        return pairwise_scores(
            vectors,
            images.of_cell,
            images.terms,
            images.proteins,
            same=pairs.same,
            each_other=pairs.each_other,
            **common,
        )
    return pairwise_scores_by_line(
        vectors,
        images.of_cell,
        images.terms,
        images.proteins,
        images.lines,
        pairs=pairs.by_line,
        **common,
    )


def build_retrieval_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of mean average precisions and silhouettes."""

    @asset(
        screen,
        "retrieval_benchmark",
        deps=[[screen.name, "knn_benchmark"], [screen.name, "yardstick_benchmark"]],
        group=baselines_of(screen),
        kinds={"numpy", "parquet"},
    )
    def retrieval_benchmark(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Whether images find others of their term (other proteins) and of their protein; silhouette of cells."""
        chosen = chosen_sets(library, screen)

        def inputs(_: str | None) -> dict[str, Any]:
            return scores_inputs(library, screen, chosen, screen.baselines.seed)

        def make(_: str | None) -> Made:
            cells = labelled_cells_of(library, screen, chosen)
            told: dict[str, Any] = without_labels(cells, screen)
            scores = Scores()
            if not told:
                images = _images(library, screen, cells)
                for name in chosen:
                    _retrieve(library, screen, name, cells, images, scores, told)
            return Made(
                {
                    table: rows
                    for table, rows in scores.tables(_RETRIEVAL).items()
                    if "confusion" not in table
                },
                metadata={"feature_sets": chosen, **scores.exclusions_by_reason(), **told},
            )

        return Tables(_RETRIEVAL, inputs, make)

    return retrieval_benchmark


def _retrieve(
    library: Library,
    screen: Screen,
    name: str,
    cells: LabelledCells,
    images: _Images,
    scores: Scores,
    told: dict[str, Any],
) -> None:
    from pcip_core.evaluation.retrieval import retrieval_scores, silhouette_scores
    from pcip_core.evaluation.usable import usable
    from pcip_core.features.scaling import standardize

    vectors, run_id = vectors_of(library, screen, name, cells.cell_ids)
    kept = usable(vectors, cells.labels, feature_set=name)
    points = standardize(vectors[:, kept.columns])
    profiles, _ = group_means(points, images.of_cell)
    label = screen.benchmark.label
    more = {"feature_set": name, "task": label, "protocol": "leave_protein_out"}
    scores.exclude(kept.exclusions, classifier="retrieval, silhouette", **more)
    if label != "protein":
        with _stated(told, f"{name}: images of one term"):
            scores.add(more, retrieval_scores(profiles, images.terms, groups=images.proteins), run_id=run_id)
    with _stated(told, f"{name}: images of one protein"):
        of_protein = {**more, "task": "protein", "protocol": "leave_image_out"}
        scores.add(of_protein, retrieval_scores(profiles, images.proteins), run_id=run_id)
    with _stated(told, f"{name}: silhouette"):
        rows = silhouette_scores(points, cells.labels, seed=screen.baselines.seed)
        scores.add({**more, "protocol": "all_cells"}, rows, run_id=run_id)


@contextmanager
def _stated(told: dict[str, Any], what: str) -> Iterator[None]:
    """A score that this screen cannot have is told in the metadata, and the others are made."""
    try:
        yield
    except EvaluationError as error:
        told[f"not_scored: {what}"] = str(error)


def _images(library: Library, screen: Screen, cells: LabelledCells) -> _Images:
    names, first, of_cell = np.unique(cells.image_ids, return_index=True, return_inverse=True)
    known = library.images(screen).rows(names.tolist())
    proteins, lines = (known[name].to_numpy().astype(str) for name in ("protein", "cell_line"))
    return _Images(of_cell, cells.labels[first], proteins, lines)
