"""`umap`: maps of cells and of proteins in two dimensions (paper, Figure 3 and Supplementary Figure 3)."""

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.benchmarks.scoring import chosen_sets, scores_inputs, vectors_of
from pcip_assets.assets.feature_sets import PREFIX, SUPERVISED, other_sets
from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.assets.results import Made, Tables, picture
from pcip_assets.assets.skeleton import asset, baselines_of
from pcip_assets.resources import Library
from pcip_core.analysis.examples import evenly
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import agreed_labels
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.images import Images
from pcip_core.store.vectors import features_of

CELLS, PROTEINS = "umap_cells", "umap_proteins"

_READS = ("knn_benchmark", "yardstick_benchmark", "protein_features", "yardstick_protein_features")


def build_umap(screen: Screen) -> dg.AssetsDefinition:
    """The asset of maps of the best layer of each method, and of the supervised network's last one."""

    @asset(
        screen,
        "umap",
        deps=[[screen.name, noun] for noun in _READS],
        group=baselines_of(screen),
        kinds={"parquet"},
        table=CELLS,
    )
    def umap(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Two-dimensional UMAPs of cells and of proteins; points with similar features are near each other."""
        spec = screen.baselines.umap
        last = [name for name in other_sets(library, screen) if name == SUPERVISED[-1]]
        chosen = [*chosen_sets(library, screen), *last]

        def inputs(_: str | None) -> dict[str, Any]:
            return scores_inputs(library, screen, chosen, spec, screen.baselines.seed)

        def make(_: str | None) -> Made:
            from pcip_core.plots.pictures import preview
            from pcip_core.plots.scatter import embedding_scatter, panels_of

            maps: dict[str, list[pl.DataFrame]] = {CELLS: [], PROTEINS: []}
            not_drawn = {}
            for name in chosen:
                context.log.info(f"{screen.name}/umap {name}")
                for table, points_of, neighbours in (
                    (CELLS, _cells, spec.cell_neighbours),
                    (PROTEINS, _proteins, spec.protein_neighbours),
                ):
                    points, vectors = points_of(library, screen, name)
                    try:
                        maps[table].append(_placed(screen, name, points, vectors, neighbours))
                    except EvaluationError as error:
                        not_drawn[f"not_drawn: {table} {name}"] = str(error)
            tables = {
                schema.name: pl.concat(
                    [schema.empty(), *(schema.checked(each) for each in maps[schema.name])]
                )
                for schema in (schemas.UMAP_CELLS, schemas.UMAP_PROTEINS)
            }
            pictures = {
                name: picture(preview(embedding_scatter(panels_of(table), f"{screen.title}: {name}")))
                for name, table in tables.items()
                if table.height
            }
            return Made(tables, metadata={"feature_sets": chosen, **not_drawn, **pictures})

        return Tables(CELLS, inputs, make)

    return umap


def _placed(
    screen: Screen, name: str, points: pl.DataFrame, vectors: np.ndarray, neighbours: int
) -> pl.DataFrame:
    """The points of a feature set with their places on its map."""
    from pcip_core.analysis.embedding import umap_embedding

    spec = screen.baselines
    places = umap_embedding(
        vectors, neighbours=neighbours, min_distance=spec.umap.min_distance, seed=spec.seed
    )
    return points.with_columns(feature_set=pl.lit(name), x=pl.Series(places[:, 0]), y=pl.Series(places[:, 1]))


def _cells(library: Library, screen: Screen, name: str) -> tuple[pl.DataFrame, np.ndarray]:
    """Labelled cells, or all where none is labelled; evenly chosen where there are too many; and their vectors."""
    cells, most = labelled_cells_of(library, screen, [name]), screen.baselines.umap.cells
    if len(cells.labels):
        rows = evenly(range(len(cells.labels)), most)
        ids = cells.cell_ids.gather(rows)
        points = pl.DataFrame(
            {"cell_id": ids, "image_id": cells.image_ids[rows], "label": cells.labels[rows]}
        )
    else:
        table = library.store.read(screen.name, PREFIX + name, columns=["cell_id", "image_id"])
        points = table[evenly(range(table.height), most)].with_columns(label=pl.lit(None, pl.String))
    return points, vectors_of(library, screen, name, points["cell_id"])[0]


def _proteins(library: Library, screen: Screen, name: str) -> tuple[pl.DataFrame, np.ndarray]:
    """All proteins, with the label that all their images agree on, and their mean vectors."""
    table = library.store.read(screen.name, f"protein_features_{name}")
    labels = agreed_labels(Images.of(library.store, screen.name).frame)
    points = table.select("protein").join(labels, on="protein", how="left", maintain_order="left")
    return points, features_of(table)
