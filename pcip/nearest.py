"""The proteins or cells nearest to given ones, as a table: for `Screen.neighbours` and `pcip like`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from pcip_core.analysis.similar import nearest
from pcip_core.clustering.clusters import clade_sizes
from pcip_core.clustering.linkage import cluster_tree
from pcip_core.errors import EvaluationError
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import features_of
from pcip_core.words import many

_CELLS, _PROTEINS = "cell_features_", "protein_features_"


class NearestRows(NamedTuple):
    """The nearest proteins or cells, the nearest first.

    Attributes:
        kind: `protein` or `cell`, as the seeds are.
        table: one row per protein: protein, distance, clade, gene, localization; `clade` is the size of the smallest
            clade of the tree that holds it and all the seeds. Or one row per cell: cell_id, distance, protein,
            localization.
    """

    kind: Literal["protein", "cell"]
    table: pl.DataFrame


def nearest_rows(store: Store, screen: str, seeds: Sequence[str], *, n: int, feature_set: str) -> NearestRows:
    """The proteins nearest to proteins, or the cells nearest to cells, by a feature set.

    Raises:
        EvaluationError: the feature set is not made, or seeds are not all proteins or all cells of the screen.
    """
    tables = store.tables(screen)
    if _CELLS + feature_set not in tables:
        made = sorted(name.removeprefix(_CELLS) for name in tables if name.startswith(_CELLS))
        raise EvaluationError(
            f"{screen}: feature set {feature_set}",
            found="no such table",
            required=f"one of {', '.join(made) or 'none yet'}",
            remedy=f"Name another with --by, or: pcip run {screen}",
        )
    images = Images.of(store, screen).frame
    proteins = images["protein"].unique().sort()
    unknown = [seed for seed in seeds if seed not in proteins]
    if seeds and not unknown:
        return NearestRows("protein", _proteins(store, screen, seeds, n, feature_set, images))
    features = StoredFeatures(store, screen, _CELLS + feature_set)
    rows = features.places(seeds)
    if (rows >= 0).all():
        return NearestRows("cell", _cells(n, features, rows, images))
    raise EvaluationError(
        f"{screen}: like {', '.join(seeds)}",
        found=f"no protein (and no cell) named {', '.join(unknown)}",
        required=f"names of proteins, as {', '.join(proteins.head(5))}, or ids of cells",
        remedy=f"SELECT DISTINCT protein FROM {screen}.images",
    )


def _proteins(
    store: Store, screen: str, seeds: Sequence[str], n: int, feature_set: str, images: pl.DataFrame
) -> pl.DataFrame:
    means = store.read(screen, _PROTEINS + feature_set)
    names, vectors = means["protein"], features_of(means)
    if absent := [seed for seed in seeds if seed not in names]:
        n_images = images.filter(pl.col("protein").is_in(absent)).height
        raise EvaluationError(
            f"{screen}: like {', '.join(seeds)}",
            found=f"no cells of {', '.join(absent)} in {feature_set} ({many(n_images, 'image')})",
            required="proteins with cells",
            remedy=f"Name another, as {', '.join(names.sort().head(5)) or 'none has cells'}. Why cells are not used: "
            f"SELECT file, reason FROM {screen}.quarantine",
        )
    if len(names) < 2:
        cell = store.read(screen, _CELLS + feature_set, columns=["cell_id"])["cell_id"].sort()[0]
        raise EvaluationError(
            f"{screen}: like {', '.join(seeds)}",
            found="only one protein in the screen, so that there is nothing to compare it with",
            required="two or more proteins with cells",
            remedy="Add images of another protein, or compare cells by their `cell_id` (SELECT cell_id FROM "
            f"{screen}.cells): pcip like {screen} {cell}",
        )
    at = [names.to_list().index(seed) for seed in seeds]
    closest = nearest(vectors, at, n)
    tree = cluster_tree(vectors, method="ward")
    terms = pl.col("localization").explode().drop_nulls().unique().sort().str.join(", ")
    described = images.group_by("protein", maintain_order=True).agg(pl.col("gene").first(), terms)
    return pl.DataFrame(
        {
            "protein": names.gather(closest.rows),
            "distance": closest.distances,
            "clade": clade_sizes(tree, at, closest.rows),
        }
    ).join(described, on="protein", how="left", maintain_order="left")


def _cells(n: int, features: StoredFeatures, rows: np.ndarray, images: pl.DataFrame) -> pl.DataFrame:
    closest = nearest(features, rows, n)
    of_rows = features.image[closest.rows].tolist()
    described = images.select("image_id", "protein", pl.col("localization").list.join(", "))
    return (
        pl.DataFrame(
            {
                "cell_id": features.cell_id.gather(closest.rows),
                "distance": closest.distances,
                "image_id": [features.images[image] for image in of_rows],
            }
        )
        .join(described, on="image_id", how="left", maintain_order="left")
        .drop("image_id")
    )
