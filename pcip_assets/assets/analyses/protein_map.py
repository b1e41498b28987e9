"""`clusters`: proteins by the mean of their cells, as trees and as named clusters (paper, Figure 4)."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from pcip_assets.assets.feature_sets import PREFIX, features_hash
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import analyses_of, asset
from pcip_assets.resources import Library
from pcip_core.clustering.proteins import Proteins, mean_proteins, terms_of_proteins
from pcip_core.errors import ClusterError, SpecError
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images
from pcip_core.words import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pcip_core.clustering.solution import Solution

CLUSTERS, TREES = "clusters", "cluster_trees"
_LEAST_PROTEINS = 3


def build_clusters(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the protein map."""

    @asset(
        screen,
        "clusters",
        deps=[[screen.name, "protein_features"]],
        group=analyses_of(screen),
        kinds={"scipy", "parquet"},
        table=CLUSTERS,
        figures=True,
    )
    def clusters(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Trees of proteins by their mean features, cut into clusters, and the clusters that the user has named."""
        spec = screen.analyses

        def inputs(_: str | None) -> dict[str, Any]:
            images = Images.of(library.store, screen.name).table
            columns = ["image_id", "protein", "cell_line", "localization"]
            return {
                "features": features_hash(library, screen, screen.feature_set),
                "spec": [screen.feature_set, spec.pool, spec.clusters],
                "images": images.select(columns).to_dicts(),
                "within": {name: sorted(chosen) for name, chosen in parts_of(library, screen).items()},
                "picks": _picks(screen),
            }

        def make(_: str | None) -> Made:
            return _solutions(context, library, screen)

        return Tables(CLUSTERS, inputs, make)

    return clusters


def _solutions(context: dg.AssetExecutionContext, library: Library, screen: Screen) -> Made:
    """The solutions of all proteins and of each part of them, with their figures."""
    from pcip_core.clustering.solution import solve

    spec = screen.analyses
    tables: dict[str, list[pl.DataFrame]] = {CLUSTERS: [], TREES: []}
    metadata: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    parts: dict[str, set[str] | None] = {"": None, **parts_of(library, screen)}
    terms = terms_of_proteins(Images.of(library.store, screen.name).frame)
    for part, chosen in parts.items():
        proteins = proteins_of(library, screen, chosen)
        if error := _too_few(library, screen, proteins, part):
            if part:  # the spec asks for a part, but never for the whole
                raise error
            metadata["not_clustered"] = str(error)
            continue
        within = f" within {part}" if part else ""
        metadata[f"rows{within}"] = len(proteins.names)
        for method in spec.clusters.methods:
            name = method + within
            context.log.info(f"{screen.name}/clusters: {name}, {many(len(proteins.names), 'row')}")
            picks = {} if part else _picks(screen)
            solution = solve(proteins, method=method, settings=spec.clusters, picks=picks)
            for table, rows in _rows(proteins, solution).items():
                tables[table].append(rows.with_columns(solution=pl.lit(name)))
            metadata[f"{name}: clusters"] = len(solution.cut)
            figures[f"clusters_{name}"] = _figure(screen, proteins, solution, name, terms)
    made = {
        CLUSTERS: schemas.CLUSTERS.stacked(tables[CLUSTERS]),
        TREES: schemas.CLUSTER_TREES.stacked(tables[TREES]),
    }
    return Made(made, metadata=metadata, figures=figures)


def parts_of(library: Library, screen: Screen) -> dict[str, set[str]]:
    """Name -> the images that each condition of the spec chooses; their proteins are clustered separately."""
    images = Images.of(library.store, screen.name)
    return {
        name: images.chosen(condition, f"{screen.name}: analyses.clusters.within.{name}")
        for name, condition in screen.analyses.clusters.within.items()
    }


def _too_few(library: Library, screen: Screen, proteins: Proteins, part: str) -> ClusterError | None:
    """The error of a part with too few proteins for a tree; None if there are enough."""
    if len(proteins.names) >= _LEAST_PROTEINS:
        return None
    terms = Images.of(library.store, screen.name).frame["localization"].explode().drop_nulls().unique().sort()
    within = screen.analyses.clusters.within
    return ClusterError(
        f"{screen.name}/clusters",
        found=f"{many(len(proteins.names), 'protein')}"
        + (f" with cells where {within[part]}" if part else ""),
        required=f"{_LEAST_PROTEINS} or more",
        remedy=f"Correct analyses.clusters.within.{part}; the screen has the terms "
        f"{', '.join(terms[:20]) or '(none)'}."
        if part
        else "Image more proteins.",
    )


def proteins_of(library: Library, screen: Screen, chosen: set[str] | None = None) -> Proteins:
    """Mean features of the proteins of some images (by default all), pooled as the spec says."""
    spec = screen.analyses
    if not library.store.shards(screen.name, PREFIX + screen.feature_set):
        raise SpecError(
            f"{screen.name}: analyses.feature_set",
            found=screen.feature_set,
            required="a feature set that exists",
            remedy="Name a feature set of main.feature_sets, or make this one first.",
        )
    cells = StoredFeatures(library.store, screen.name, PREFIX + screen.feature_set)
    images = Images.of(library.store, screen.name).rows(cells.images)
    if chosen is not None:
        protein = pl.when(pl.col("image_id").is_in(list(chosen))).then("protein")
        images = images.with_columns(protein=protein)
    return mean_proteins(cells, cells.image, images, by_line=spec.pool == "protein_and_line")


def _rows(proteins: Proteins, solution: "Solution") -> dict[str, pl.DataFrame]:
    """Rows of the tables of clusters and of trees, without the name of the solution."""
    from pcip_core.clustering.solution import cluster_table, tree_table

    members = pl.DataFrame({"member": proteins.names, "protein": proteins.proteins})
    clusters = [cluster_table(solution.tree, members, nodes) for nodes in (solution.cut, solution.picked)]
    return {CLUSTERS: pl.concat(clusters), TREES: tree_table(solution.tree, proteins.names)}


def _figure(
    screen: Screen, proteins: Proteins, solution: "Solution", name: str, terms: Mapping[str, str]
) -> "Figure":
    """The heat map of a solution, with its clusters, and the terms beside the names of the proteins."""
    from pcip_core.plots.clustermap import cluster_map

    labels = [
        f"{row}   {terms[protein]}" if terms.get(protein) else row
        for row, protein in zip(proteins.names, proteins.proteins, strict=True)
    ]

    title = f"{screen.title}: {name.replace('_', ' ')}, {screen.feature_set}"
    return cluster_map(solution.points, solution.tree, title, clusters=solution.clusters, labels=labels)


def _picks(screen: Screen) -> dict[Any, Any]:
    """The clusters that the user has named."""
    from pcip_core.clustering.picks import read_picks

    path = screen.analyses.clusters.picks
    return {} if path is None else read_picks(Path(path))
