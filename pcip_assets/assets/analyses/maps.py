"""`maps`: proteins, and a sample of cells, on maps of two dimensions."""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.analyses.protein_map import proteins_of
from pcip_assets.assets.feature_sets import PREFIX, features_hash
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import analyses_of, asset
from pcip_assets.resources import Library
from pcip_core.analysis.embedding import evenly_from_groups, protein_map, umap_embedding
from pcip_core.errors import EvaluationError
from pcip_core.features.blocks import rows_of
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images

PROTEINS, CELLS = "map_proteins", "map_cells"
NO_MAP = {PROTEINS: "no_map_of_proteins", CELLS: "no_map_of_cells"}
"""Table -> the key of its metadata and provenance that states why it is empty."""
MOST_CELLS = 900
_NEIGHBOURS = 30  # of a cell: the paper's


def build_maps(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the maps that the page of the analyses shows."""

    @asset(
        screen,
        "maps",
        deps=[[screen.name, "protein_features"]],
        group=analyses_of(screen),
        kinds={"parquet"},
        table=PROTEINS,
    )
    def maps(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """UMAP of all proteins by their mean features, and of a sample of cells from all images."""
        spec = screen.analyses

        def inputs(_: str | None) -> dict[str, Any]:
            images = library.store.read(screen.name, "images")
            return {
                "features": features_hash(library, screen, screen.feature_set),
                "spec": [screen.feature_set, spec.pool, spec.seed],
                "images": images.select("image_id", "protein", "cell_line", "localization").rows(),
            }

        def make(_: str | None) -> Made:
            proteins, no_proteins = _mapped(schemas.MAP_PROTEINS, lambda: _proteins(library, screen))
            cells, no_cells = _mapped(schemas.MAP_CELLS, lambda: _cells(library, screen))
            reasons = {NO_MAP[PROTEINS]: no_proteins, NO_MAP[CELLS]: no_cells}
            given = {key: reason for key, reason in reasons.items() if reason}
            return Made({PROTEINS: proteins, CELLS: cells}, provenance=given, metadata=given)

        return Tables(PROTEINS, inputs, make)

    return maps


def _mapped(table: schemas.Table, make: Callable[[], dict[str, Any]]) -> tuple[pl.DataFrame, str]:
    """A map as its table; without one, an empty table and the reason."""
    try:
        return table.frame(make()), ""
    except EvaluationError as error:
        return table.empty(), str(error)


def _proteins(library: Library, screen: Screen) -> dict[str, Any]:
    """Columns of `map_proteins`."""
    compared = proteins_of(library, screen)
    places = protein_map(compared.means, seed=screen.analyses.seed)
    labels = (
        Images.of(library.store, screen.name)
        .frame.with_columns(label=_LABEL)
        .group_by("protein")
        .agg(pl.when(pl.col("label").n_unique() == 1).then(pl.col("label").first()).alias("label"))
    )
    proteins = pl.DataFrame({"protein": compared.proteins}, schema={"protein": pl.String})
    labelled = proteins.join(labels, on="protein", how="left", maintain_order="left")
    return _columns(screen, places, **labelled.to_dict(), member=compared.names)


def _cells(library: Library, screen: Screen) -> dict[str, Any]:
    """Columns of `map_cells`."""
    features = StoredFeatures(library.store, screen.name, PREFIX + screen.feature_set)
    chosen = evenly_from_groups(features.image, MOST_CELLS)
    places = umap_embedding(rows_of(features, chosen), neighbours=_NEIGHBOURS, seed=screen.analyses.seed)
    images = Images.of(library.store, screen.name).rows(features.images).select("image_id", label=_LABEL)
    cells = images[features.image[chosen].astype(np.int64)]
    ids = features.cell_id.gather(chosen)
    return _columns(screen, places, cell_id=ids, **cells.to_dict())


_LABEL = pl.when(pl.col("localization").list.len() == 1).then(pl.col("localization").list.first())
"""The localization term of an image with one term."""


def _columns(screen: Screen, places: np.ndarray, **columns: Sequence[Any] | pl.Series) -> dict[str, Any]:
    x, y = places.T.astype(np.float64)
    return {"feature_set": [screen.feature_set] * len(places), **columns, "x": x, "y": y}
