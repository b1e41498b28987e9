"""What is most like some proteins or cells, with a gallery: for `pcip like` and the asset of that name."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from pcip_assets.assets.analyses.galleries import crops_of
from pcip_core.analysis.examples import evenly
from pcip_core.errors import EvaluationError
from pcip_core.spec.screen import Screen
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import features_of

_CELLS_SHOWN = 6  # of each protein
_CELLS, _PROTEINS = "cell_features_", "protein_features_"


@dataclass(frozen=True)
class Alike:
    """The nearest first.

    Attributes:
        kind: `protein` or `cell`, as the seeds are.
        rows: each with its name, distance, and what is known of it; of a protein also `clade`, the size of the
            smallest clade of the tree that holds it and all the seeds.
        figure: a gallery of crops, the seeds first.
    """

    kind: str
    rows: list[dict[str, Any]]
    figure: Any


def find_alike(store: Store, screen: Screen, seeds: list[str], *, n: int, feature_set: str) -> Alike:
    """The proteins nearest to proteins, or the cells nearest to cells, by a feature set.

    Raises:
        EvaluationError: the feature set is not made, or seeds are not all proteins or all cells of the screen.
    """
    tables = store.tables(screen.name)
    if _CELLS + feature_set not in tables:
        sets = sorted(name.removeprefix(_CELLS) for name in tables if name.startswith(_CELLS))
        raise EvaluationError(
            f"{screen.name}: feature set {feature_set}",
            found="no such table",
            required=f"one of {', '.join(sets) or 'none yet'}",
            remedy=f"Name another with --by, or: pcip run {screen.name}",
        )
    cells = store.read(screen.name, _CELLS + feature_set, columns=["cell_id", "image_id"])
    about = {row["image_id"]: row for row in Images.of(store, screen.name).frame.iter_rows(named=True)}
    proteins = {row["protein"] for row in about.values()}
    if set(seeds) <= proteins:
        return _proteins(store, screen, seeds, n, feature_set, cells, about)
    if pl.Series(seeds, dtype=pl.String).is_in(cells["cell_id"].implode()).all():
        return _cells(store, screen, seeds, n, feature_set, about)
    strange = [seed for seed in seeds if seed not in proteins]
    raise EvaluationError(
        f"{screen.name}: like {', '.join(seeds)}",
        found=f"no protein (and no cell) named {', '.join(strange)}",
        required=f"names of proteins, as {', '.join(sorted(proteins)[:5])}, or ids of cells",
        remedy=f"SELECT DISTINCT protein FROM {screen.name}.images",
    )


def _proteins(
    store: Store,
    screen: Screen,
    seeds: list[str],
    n: int,
    feature_set: str,
    cells: pl.DataFrame,
    about: dict[str, dict[str, Any]],
) -> Alike:
    from pcip_core.analysis.similar import nearest
    from pcip_core.clustering.clusters import smallest_clade
    from pcip_core.clustering.linkage import cluster_tree

    table = store.read(screen.name, _PROTEINS + feature_set)
    names, vectors = table["protein"].to_list(), features_of(table)
    at = [names.index(seed) for seed in seeds]
    found = nearest(vectors, at, n)
    tree = cluster_tree(vectors, method="ward")
    known: dict[str, dict[str, Any]] = {}
    for row in about.values():
        one = known.setdefault(row["protein"], {"gene": row["gene"], "localization": set()})
        one["localization"] |= set(row["localization"])
    rows = [
        {
            "protein": names[row],
            "distance": float(distance),
            "clade": len(smallest_clade(tree, [*at, int(row)])[1]),
            "gene": known[names[row]]["gene"],
            "localization": ", ".join(sorted(known[names[row]]["localization"])),
        }
        for row, distance in zip(found.rows, found.distances, strict=True)
    ]
    images_of: dict[str, list[str]] = {}
    for image, row in about.items():
        images_of.setdefault(row["protein"], []).append(image)
    chosen = [
        (cell, name if place == 0 else "")
        for name in [*seeds, *(row["protein"] for row in rows)]
        for place, cell in enumerate(evenly(_cells_of(cells, images_of[name]), _CELLS_SHOWN))
    ]
    figure = _gallery(store, screen, chosen, f"like {', '.join(seeds)}, by {feature_set}", _CELLS_SHOWN)
    return Alike("protein", rows, figure)


def _cells(
    store: Store,
    screen: Screen,
    seeds: list[str],
    n: int,
    feature_set: str,
    about: dict[str, dict[str, Any]],
) -> Alike:
    from pcip_core.analysis.similar import nearest

    features = StoredFeatures(store, screen.name, _CELLS + feature_set)
    at = features.places(seeds).tolist()
    found = nearest(features, at, n)
    images = [about[features.images[features.image[row]]] for row in found.rows]
    rows = [
        {
            "cell_id": features.cell_id[int(row)],
            "distance": float(distance),
            "protein": image["protein"],
            "localization": ", ".join(image["localization"]),
        }
        for row, distance, image in zip(found.rows, found.distances, images, strict=True)
    ]
    chosen = [(seed, "seed") for seed in seeds] + [(row["cell_id"], row["protein"]) for row in rows]
    figure = _gallery(store, screen, chosen, f"like {', '.join(seeds)}, by {feature_set}", 10)
    return Alike("cell", rows, figure)


def _cells_of(cells: pl.DataFrame, images: list[str]) -> list[str]:
    """Ids of the cells of some images, in the table's order."""
    return cells.filter(pl.col("image_id").is_in(images))["cell_id"].to_list()


def _gallery(store: Store, screen: Screen, chosen: list[tuple[str, str]], title: str, columns: int) -> Any:
    from pcip_core.plots.cells.gallery import gallery

    crops = crops_of(store, screen, [cell for cell, _ in chosen])
    captions = [caption for _, caption in chosen]
    return gallery(
        crops,
        screen.crop_channels,
        screen.protein,
        captions,
        f"{screen.title}: {title}",
        columns=columns,
    )
