"""The proteins or cells nearest to given ones, with a gallery: for `pcip like` and the asset of that name."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from pcip_assets.assets.analyses.galleries import crops_of
from pcip_core.analysis.examples import evenly
from pcip_core.spec.screen import Screen
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store

_CELLS_SHOWN = 6  # of each protein
_COLUMNS = 10  # of a gallery of cells


@dataclass(frozen=True)
class NearestTable:
    """The nearest proteins or cells, the nearest first.

    Attributes:
        kind: `protein` or `cell`, as the seeds are.
        table: one row per protein or cell, as `pcip.nearest.NearestRows` describes it.
        figure: a gallery of crops, the seeds first.
    """

    kind: str
    table: pl.DataFrame
    figure: Any


def find_nearest(store: Store, screen: Screen, seeds: list[str], *, n: int, feature_set: str) -> NearestTable:
    """The proteins nearest to proteins, or the cells nearest to cells, by a feature set; a seed counts once.

    Raises:
        EvaluationError: the feature set is not made, or seeds are not all proteins or all cells of the screen.
    """
    from pcip.nearest import nearest_rows
    from pcip_core.plots.cells.gallery import gallery
    from pcip_core.plots.cells.key import Scale

    seeds = list(dict.fromkeys(seeds))
    kind, table = nearest_rows(store, screen.name, seeds, n=n, feature_set=feature_set)
    title = f"{screen.title}: like {', '.join(seeds)}, by {feature_set}"
    if kind == "cell":
        cells, columns = [*seeds, *table["cell_id"]], _COLUMNS
        captions = ["seed"] * len(seeds) + table["protein"].to_list()
    else:
        members = _cells_of(store, screen, [*seeds, *table["protein"]], feature_set)
        cells, columns = [cell for of_protein in members.values() for cell in of_protein], _CELLS_SHOWN
        captions = [
            "" if place else name for name, of_protein in members.items() for place in range(len(of_protein))
        ]
    crops = crops_of(store, screen, cells)
    scale = Scale.of_crop(screen)
    figure = gallery(
        crops, screen.crop_channels, screen.protein, captions, title, columns=columns, scale=scale
    )
    return NearestTable(kind, table, figure)


def _cells_of(store: Store, screen: Screen, proteins: list[str], feature_set: str) -> dict[str, list[str]]:
    """Protein -> some of its cells."""
    images = Images.of(store, screen.name).frame
    cells = store.read(screen.name, f"cell_features_{feature_set}", columns=["cell_id", "image_id"])
    named = cells.join(images.select("image_id", "protein"), on="image_id", maintain_order="left")
    return {name: evenly(named.filter(protein=name)["cell_id"].to_list(), _CELLS_SHOWN) for name in proteins}
