"""Batch effects of feature sets, as further rows of the kNN benchmarks: variance by plate, well, line; kNN by plate."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from pcip_assets.assets.benchmarks.scoring import Scores, vectors_of
from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.resources import Library
from pcip_core.evaluation.checks.batch_effects import (
    FACTORS,
    factors_of,
    plates_of_several_proteins,
    variance_shares,
)
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.spec.screen import Screen
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images

_MOST_CELLS = 20_000  # scored by kNN, whose time grows with their square


def score_batch_effects(
    library: Library, screen: Screen, sets: Sequence[str], described: Iterable[str], scores: Scores
) -> None:
    """Add the batch effects of each of the sets; what cannot be scored is in the exclusions.

    Args:
        library, screen: where the features are.
        sets: the feature sets to score.
        described: sets whose cells are scored by kNN: those that all of them describe.
        scores: the scores to add to.
    """
    factors = factors_of(Images.of(library.store, screen.name).frame)
    for name in sets:
        _variance(library, screen, name, factors, scores)
    _knn(library, screen, sets, described, scores)


def _variance(
    library: Library, screen: Screen, feature_set: str, factors: pl.DataFrame, scores: Scores
) -> None:
    """Add the share of the variance that each factor explains, over all cells."""
    features = StoredFeatures(library.store, screen.name, PREFIX + feature_set)
    of_images = pl.DataFrame({"image_id": features.images}, schema={"image_id": pl.String}).join(
        factors, on="image_id", how="left", maintain_order="left"
    )
    shares, left_out = variance_shares(features, features.image, {name: of_images[name] for name in FACTORS})
    for share in shares:
        metrics = {"variance_share": share.share, "variance_share_by_chance": share.chance}
        key = {"feature_set": feature_set, "task": share.factor, "classifier": "variance"}
        scores.add(
            {**key, "parameter": f"groups={share.groups}", "protocol": "all_cells"},
            [
                {"label": None, "metric": name, "value": value, "n": share.cells}
                for name, value in metrics.items()
            ],
        )
    for factor, reasons in left_out.items():
        scores.exclude(
            reasons, feature_set=feature_set, task=factor, classifier="variance", protocol="all_cells"
        )


def _knn(
    library: Library, screen: Screen, sets: Sequence[str], described: Iterable[str], scores: Scores
) -> None:
    """Add the accuracy with which nearest neighbours of other proteins predict the plate."""
    from pcip_core.evaluation.checks.batch_effects import plate_scores

    key = {"task": "plate", "classifier": "knn", "protocol": "leave_protein_out"}
    cells = labelled_cells_of(library, screen, described, column="plate")
    proteins = _by_image(cells, Images.of(library.store, screen.name).protein_of)
    reasons = {
        reason.replace("cells_without_label", "cells_without_plate"): n
        for reason, n in cells.left_out.items()
    }
    n_cells = len(cells.labels)
    drawn = np.linspace(0, n_cells - 1, min(_MOST_CELLS, n_cells)).astype(int)  # evenly over the screen
    scores.exclude({**reasons, "cells_not_drawn": n_cells - len(drawn)}, **key)
    if len(plates_of_several_proteins(cells.labels[drawn], proteins[drawn])) < 2:
        scores.exclude({"cells_without_two_plates_of_two_proteins": len(drawn)}, **key)
        return
    labels = Images.of(library.store, screen.name).labels_of(screen.benchmark.label)
    stratum = _by_image(cells, {image: "; ".join(sorted(names)) for image, names in labels.items()})
    plates, *others = (part[drawn] for part in (cells.labels, proteins, cells.image_ids, stratum))
    for name in sets:
        vectors, run_id = vectors_of(library, screen, name, cells.cell_ids.gather(drawn))
        scored = plate_scores(vectors, plates, *others, feature_set=name, ks=screen.benchmark.ks)
        of_set = {"feature_set": name, **key}
        scores.add(of_set, scored.rows, run_id=run_id)
        scores.exclude(scored.exclusions, **of_set)


def _by_image(cells: LabelledCells, values: Mapping[str, str]) -> np.ndarray:
    """The value of each cell's image, (n,)."""
    images, image = np.unique(cells.image_ids, return_inverse=True)
    return np.array([values[name] for name in images.tolist()], str)[image]
