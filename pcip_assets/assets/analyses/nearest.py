"""The proteins or cells nearest to given ones, with a gallery: for `pcip like` and the asset of that name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pcip_assets.assets.analyses.galleries import crops_of
from pcip_core.analysis.examples import evenly
from pcip_core.errors import EvaluationError
from pcip_core.spec.screen import Screen
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import features_of
from pcip_core.words import many

_CELLS_SHOWN = 6  # of each protein
_COLUMNS = 10  # of a gallery of cells
_CELLS, _PROTEINS = "cell_features_", "protein_features_"


@dataclass(frozen=True)
class NearestTable:
    """The nearest proteins or cells, the nearest first.

    Attributes:
        kind: `protein` or `cell`, as the seeds are.
        table: one row per protein: protein, distance, clade, gene, localization; `clade` is the size of the smallest
            clade of the tree that holds it and all the seeds. Or one row per cell: cell_id, distance, protein,
            localization.
        figure: a gallery of crops, the seeds first.
    """

    kind: str
    table: pl.DataFrame
    figure: Any


def find_nearest(store: Store, screen: Screen, seeds: list[str], *, n: int, feature_set: str) -> NearestTable:
    """The proteins nearest to proteins, or the cells nearest to cells, by a feature set.

    Raises:
        EvaluationError: the feature set is not made, or seeds are not all proteins or all cells of the screen.
    """
    tables = store.tables(screen.name)
    if _CELLS + feature_set not in tables:
        made = sorted(name.removeprefix(_CELLS) for name in tables if name.startswith(_CELLS))
        raise EvaluationError(
            f"{screen.name}: feature set {feature_set}",
            found="no such table",
            required=f"one of {', '.join(made) or 'none yet'}",
            remedy=f"Name another with --by, or: pcip run {screen.name}",
        )
    images = Images.of(store, screen.name).frame
    proteins = images["protein"].unique().sort()
    title = f"{screen.title}: like {', '.join(seeds)}, by {feature_set}"
    unknown = [seed for seed in seeds if seed not in proteins]
    if not unknown:
        return _proteins(store, screen, seeds, n, feature_set, images, title)
    features = StoredFeatures(store, screen.name, _CELLS + feature_set)
    rows = features.places(seeds)
    if (rows >= 0).all():
        return _cells(store, screen, seeds, n, features, rows, images, title)
    raise EvaluationError(
        f"{screen.name}: like {', '.join(seeds)}",
        found=f"no protein (and no cell) named {', '.join(unknown)}",
        required=f"names of proteins, as {', '.join(proteins.head(5))}, or ids of cells",
        remedy=f"SELECT DISTINCT protein FROM {screen.name}.images",
    )


def _proteins(
    store: Store,
    screen: Screen,
    seeds: list[str],
    n: int,
    feature_set: str,
    images: pl.DataFrame,
    title: str,
) -> NearestTable:
    from pcip_core.analysis.similar import nearest
    from pcip_core.clustering.clusters import clade_sizes
    from pcip_core.clustering.linkage import cluster_tree

    means = store.read(screen.name, _PROTEINS + feature_set)
    names, vectors = means["protein"], features_of(means)
    if absent := [seed for seed in seeds if seed not in names]:
        n_images = images.filter(pl.col("protein").is_in(absent)).height
        raise EvaluationError(
            f"{screen.name}: like {', '.join(seeds)}",
            found=f"no cells of {', '.join(absent)} in {feature_set} ({many(n_images, 'image')})",
            required="proteins with cells",
            remedy=f"Name another, as {', '.join(names.sort().head(5)) or 'none has cells'}. Why cells are not used: "
            f"SELECT file, reason FROM {screen.name}.quarantine",
        )
    if len(names) < 2:
        cell = store.read(screen.name, _CELLS + feature_set, columns=["cell_id"])["cell_id"].sort()[0]
        raise EvaluationError(
            f"{screen.name}: like {', '.join(seeds)}",
            found="only one protein in the screen, so that there is nothing to compare it with",
            required="two or more proteins with cells",
            remedy="Add images of another protein, or compare cells by their `cell_id` (SELECT cell_id FROM "
            f"{screen.name}.cells): pcip like {screen.name} {cell}",
        )
    at = [names.to_list().index(seed) for seed in seeds]
    closest = nearest(vectors, at, n)
    tree = cluster_tree(vectors, method="ward")
    terms = pl.col("localization").explode().drop_nulls().unique().sort().str.join(", ")
    described = images.group_by("protein", maintain_order=True).agg(pl.col("gene").first(), terms)
    table = pl.DataFrame(
        {
            "protein": names.gather(closest.rows),
            "distance": closest.distances,
            "clade": clade_sizes(tree, at, closest.rows),
        }
    ).join(described, on="protein", how="left", maintain_order="left")
    cells = store.read(screen.name, _CELLS + feature_set, columns=["cell_id", "image_id"])
    of_protein = cells.join(images.select("image_id", "protein"), on="image_id", maintain_order="left")
    chosen = {
        name: evenly(of_protein.filter(protein=name)["cell_id"].to_list(), _CELLS_SHOWN)
        for name in [*seeds, *table["protein"]]
    }
    shown = [cell for members in chosen.values() for cell in members]
    captions = ["" if place else name for name, members in chosen.items() for place in range(len(members))]
    figure = _gallery(store, screen, shown, captions, title, _CELLS_SHOWN)
    return NearestTable("protein", table, figure)


def _cells(
    store: Store,
    screen: Screen,
    seeds: list[str],
    n: int,
    features: StoredFeatures,
    rows: np.ndarray,
    images: pl.DataFrame,
    title: str,
) -> NearestTable:
    from pcip_core.analysis.similar import nearest

    closest = nearest(features, rows, n)
    of_rows = features.image[closest.rows].tolist()
    described = images.select("image_id", "protein", pl.col("localization").list.join(", "))
    table = (
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
    captions = ["seed"] * len(seeds) + table["protein"].to_list()
    figure = _gallery(store, screen, [*seeds, *table["cell_id"]], captions, title, _COLUMNS)
    return NearestTable("cell", table, figure)


def _gallery(
    store: Store, screen: Screen, cells: Sequence[str], captions: Sequence[str], title: str, columns: int
) -> Any:
    from pcip_core.plots.cells.gallery import gallery
    from pcip_core.plots.cells.key import Scale

    crops = crops_of(store, screen, cells)
    scale = Scale.of_crop(screen)
    return gallery(crops, screen.crop_channels, screen.protein, captions, title, columns=columns, scale=scale)
