"""`umap`: maps of cells and of proteins in two dimensions (paper, Figure 3 and Supplementary Figure 3)."""

from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.benchmarks.scoring import chosen_sets, scores_inputs, vectors_of
from pcip_assets.assets.feature_sets import PREFIX, SUPERVISED, other_sets
from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.assets.results import Made, Tables, picture
from pcip_assets.assets.skeleton import asset, baselines_of
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.vectors import features_of

CELLS, PROTEINS = "umap_cells", "umap_proteins"


def build_umap(screen: Screen) -> dg.AssetsDefinition:
    """The asset of maps of the best layer of each method, and of the supervised network's last one."""

    @asset(
        screen,
        "umap",
        deps=[
            [screen.name, noun]
            for noun in (
                "knn_benchmark",
                "yardstick_benchmark",
                "protein_features",
                "yardstick_protein_features",
            )
        ],
        group=baselines_of(screen),
        kinds={"parquet"},
    )
    def umap(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Cells and proteins on a map of two dimensions by UMAP, near where their features are alike."""
        spec = screen.baselines.umap
        last = [name for name in other_sets(library, screen) if name == SUPERVISED[-1]]
        chosen = [*chosen_sets(library, screen), *last]

        def inputs(_: str | None) -> dict[str, Any]:
            return scores_inputs(library, screen, chosen, spec, screen.baselines.seed)

        def make(_: str | None) -> Made:
            from pcip_core.plots.pictures import preview
            from pcip_core.plots.scatter import embedding_scatter

            told: dict[str, Any] = {}
            rows: dict[str, list[dict[str, Any]]] = {CELLS: [], PROTEINS: []}
            for name in chosen:
                context.log.info(f"{screen.name}/umap {name}")
                for table, points_of, neighbours in (
                    (CELLS, _cells, spec.cell_neighbours),
                    (PROTEINS, _proteins, spec.protein_neighbours),
                ):
                    keys, vectors = points_of(library, screen, name)
                    try:
                        xy = _embedded(screen, vectors, neighbours)
                    except EvaluationError as error:
                        told[f"not_drawn: {table} {name}"] = str(error)
                        continue
                    rows[table] += [
                        {"feature_set": name, **key, "x": float(x), "y": float(y)}
                        for key, (x, y) in zip(keys, xy, strict=True)
                    ]
            pictures = {
                table: picture(preview(embedding_scatter(panels_of(found), f"{screen.title}: {table}")))
                for table, found in rows.items()
                if found
            }
            return Made(
                {
                    CELLS: schemas.UMAP_CELLS.frame(rows[CELLS]),
                    PROTEINS: schemas.UMAP_PROTEINS.frame(rows[PROTEINS]),
                },
                metadata={"feature_sets": chosen, **told, **pictures},
            )

        return Tables(CELLS, inputs, make)

    return umap


def _embedded(screen: Screen, vectors: np.ndarray, neighbours: int) -> np.ndarray:
    from pcip_core.analysis.embedding import umap_embedding

    spec = screen.baselines
    return umap_embedding(vectors, neighbours=neighbours, min_distance=spec.umap.min_distance, seed=spec.seed)


def panels_of(rows: list[dict[str, Any]]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Rows of a map's table as what is drawn: name, (n, 2) places, (n,) labels."""
    panels = []
    for name in dict.fromkeys(row["feature_set"] for row in rows):
        these = [row for row in rows if row["feature_set"] == name]
        places = np.array([(row["x"], row["y"]) for row in these])
        panels.append((name, places, np.array([row["label"] or "" for row in these])))
    return panels


def _cells(library: Library, screen: Screen, name: str) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Labelled cells (where none is, all), evenly chosen where there are too many, and their vectors."""
    cells = labelled_cells_of(library, screen, [name])
    labels: list[str | None] = cells.labels.tolist()
    ids, images = cells.cell_ids, cells.image_ids.tolist()
    if not labels:
        table = library.store.read(screen.name, PREFIX + name, columns=["cell_id", "image_id"])
        ids, images = table["cell_id"].to_list(), table["image_id"].to_list()
        labels = [None] * len(ids)
    n = min(len(ids), screen.baselines.umap.cells)
    rows = np.linspace(0, len(ids) - 1, n).astype(int)
    keys = [{"cell_id": ids[row], "image_id": images[row], "label": labels[row]} for row in rows]
    return keys, vectors_of(library, screen, name, [key["cell_id"] for key in keys])[0]


def _proteins(library: Library, screen: Screen, name: str) -> tuple[list[dict[str, Any]], np.ndarray]:
    """All proteins, with the label that all their images agree on, and their mean vectors."""
    table = library.store.read(screen.name, f"protein_features_{name}")
    terms: dict[str, set[tuple[str, ...]]] = {}
    images = library.images(screen)
    for image, protein in images.protein_of.items():
        terms.setdefault(protein, set()).add(tuple(images.terms_of[image]))
    label_of = {
        protein: next(iter(found))[0] if len(found) == 1 and len(next(iter(found))) == 1 else None
        for protein, found in terms.items()
    }
    keys = [{"protein": protein, "label": label_of.get(protein)} for protein in table["protein"].to_list()]
    return keys, features_of(table)
