"""`clusters`: proteins by the mean of their cells, as trees and as named clusters (paper, Figure 4)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import yaml

from pcip_assets.assets.feature_sets import PREFIX, features_hash
from pcip_assets.assets.shared import OWNERS, Made, Remake, Work, analyses_of, materialize
from pcip_assets.lineage import code_version
from pcip_assets.resources import Library
from pcip_core.errors import ClusterError, SpecError
from pcip_core.features.means import means_by_image
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.feature_blocks import StoredFeatures

CLUSTERS, TREES = "clusters", "cluster_trees"
_LEAST_PROTEINS = 3


@dataclass(frozen=True)
class Proteins:
    """What is clustered: a row a protein, or a protein in a cell line.

    Attributes:
        names: n names, `PROTEIN` or `PROTEIN (line)`.
        proteins: n names of the protein itself.
        means: (n, d) mean features of its cells.
    """

    names: list[str]
    proteins: list[str]
    means: np.ndarray


def build_clusters(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the protein map."""
    code = code_version(build_clusters, figures=True)

    @dg.asset(
        key=[screen.name, "clusters"],
        deps=[[screen.name, "protein_features"]],
        group_name=analyses_of(screen),
        owners=OWNERS,
        kinds={"scipy", "parquet"},
        code_version=code,
    )
    def clusters(context: dg.AssetExecutionContext, config: Remake, library: Library) -> dg.MaterializeResult:
        """Trees of proteins by their mean features, cut into clusters, with the clusters that you have named."""
        spec = screen.analyses

        def inputs(_: str | None) -> dict[str, Any]:
            images = library.store.read(screen.name, "images")
            columns = ["image_id", "protein", "cell_line"]
            return {
                "features": features_hash(library, screen, spec.feature_set),
                "spec": [spec.feature_set, spec.pool, spec.clusters, spec.seed],
                "images": images.select(columns).to_dicts(),
                "within": {name: sorted(chosen) for name, chosen in parts_of(library, screen).items()},
                "picks": _picks(screen),
            }

        def make(_: str | None) -> Made:
            tables: dict[str, list[dict[str, Any]]] = {CLUSTERS: [], TREES: []}
            told: dict[str, Any] = {}
            figures: dict[str, Any] = {}
            parts: dict[str, set[str] | None] = {"": None, **parts_of(library, screen)}
            for name, chosen in parts.items():
                found = proteins_of(library, screen, chosen)
                if few := _too_few(library, screen, found, name):
                    if name:  # a part is asked for by name, the whole is not
                        raise few
                    told["not_clustered"] = str(few)
                    continue
                about = f" within {name}" if name else ""
                told[f"rows{about}"] = len(found.names)
                for method in spec.clusters.methods:
                    solution = method + about
                    context.log.info(f"{screen.name}/clusters: {solution}, {len(found.names)} rows")
                    picks = {} if name else _picks(screen)
                    rows, nodes, figure, number = _solution(screen, found, method, solution, picks)
                    tables[CLUSTERS] += rows
                    tables[TREES] += nodes
                    told[f"{solution}: clusters"] = number
                    figures[f"clusters_{solution}"] = figure
            made = {
                CLUSTERS: schemas.CLUSTERS.frame(tables[CLUSTERS]),
                TREES: schemas.CLUSTER_TREES.frame(tables[TREES]),
            }
            return Made(made, metadata=told, figures=figures)

        return materialize(context, library, screen, config, Work(CLUSTERS, code, inputs, make))

    return clusters


def protein_name(image: dict[str, Any]) -> str:
    """The protein of an image; where it is not known, the image is taken for a protein of its own."""
    return str(image["protein"] or image["image_id"])


def parts_of(library: Library, screen: Screen) -> dict[str, set[str]]:
    """Name -> the images of the proteins that are clustered apart, as the spec's conditions choose them."""
    from pcip_core.store.choosing import chosen_images

    images = library.store.read(screen.name, "images")
    return {
        name: chosen_images(images, condition, f"{screen.name}: analyses.clusters.within.{name}")
        for name, condition in screen.analyses.clusters.within.items()
    }


def _too_few(library: Library, screen: Screen, found: Proteins, name: str) -> ClusterError | None:
    """What is wrong with a part of so few proteins; nothing where a tree can be made of them."""
    if len(found.names) >= _LEAST_PROTEINS:
        return None
    images = library.store.read(screen.name, "images").to_dicts()
    terms = sorted({term for row in images for term in row["localization"] or ()})
    within = screen.analyses.clusters.within
    return ClusterError(
        f"{screen.name}/clusters",
        found=f"{len(found.names)} proteins" + (f" with cells where {within[name]}" if name else ""),
        required=f"{_LEAST_PROTEINS} or more",
        remedy=f"Correct analyses.clusters.within.{name}; there are the terms {', '.join(terms[:20]) or '(none)'}."
        if name
        else "Image more proteins.",
    )


def proteins_of(library: Library, screen: Screen, chosen: set[str] | None = None) -> Proteins:
    """Mean features of the proteins that are clustered, pooled as the spec has it; of chosen images alone."""
    spec = screen.analyses
    if not library.store.shards(screen.name, PREFIX + spec.feature_set):
        raise SpecError(
            f"{screen.name}: analyses.feature_set",
            found=spec.feature_set,
            required="a feature set that is made",
            remedy="Name one of main.feature_sets, or make it first.",
        )
    about = library.store.read(screen.name, "images").to_dicts()
    by_line = spec.pool == "protein_and_line"
    key_of: dict[str, tuple[str, str] | None] = {
        row["image_id"]: (protein_name(row), str(row["cell_line"]) if by_line else "") for row in about
    }
    if chosen is not None:
        key_of |= dict.fromkeys(key_of.keys() - chosen)
    cells = StoredFeatures(library.store, screen.name, PREFIX + spec.feature_set)
    distinct, means, _ = means_by_image(cells, cells.image, [key_of[name] for name in cells.images])
    return Proteins(
        [f"{protein} ({line})" if line else protein for protein, line in distinct],
        [protein for protein, _ in distinct],
        means,
    )


def _solution(
    screen: Screen, found: Proteins, method: Any, solution: str, picks: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Any, int]:
    """Rows of clusters and of nodes of one tree, its picture, and how many clusters it is cut into."""
    from pcip_core.clustering.clusters import (
        cluster_rows,
        cut_height,
        cut_number,
        members_of,
        named_cut,
        picked_nodes,
    )
    from pcip_core.clustering.linkage import cluster_tree
    from pcip_core.clustering.stability import stable_number
    from pcip_core.clustering.tree import ordered
    from pcip_core.features.scaling import standardize
    from pcip_core.plots.clustermap import cluster_map

    spec = screen.analyses
    points = standardize(found.means)
    tree = ordered(cluster_tree(found.means, method=method), points)
    number = spec.clusters.number
    if method in spec.clusters.heights:
        nodes = cut_height(tree, spec.clusters.heights[method])
    elif number is not None:
        nodes = cut_number(tree, min(number, len(found.names)))
    else:
        tried = range(2, min(spec.clusters.most, len(found.names) - 1) + 1)
        stable = stable_number(found.means, tree=tree, numbers=tried, method=method, seed=spec.seed)
        nodes = cut_number(tree, stable.number)
    cut = named_cut(nodes)
    picked = picked_nodes(tree, found.names, picks)
    rows = [
        row for nodes in (cut, picked) for row in cluster_rows(tree, found.names, nodes, solution=solution)
    ]
    protein_of = dict(zip(found.names, found.proteins, strict=True))
    for row in rows:
        row["protein"] = protein_of[row["member"]]
    names = {node: name for nodes in (cut, picked) for name, node in nodes.items()}  # your own wins
    shown = {name: members_of(tree, node) for node, name in names.items()}
    title = f"{screen.title}: {solution.replace('_', ' ')}, {spec.feature_set}"
    return (
        rows,
        _nodes(tree, found.names, solution),
        cluster_map(points, tree, title, clusters=shown, labels=found.names),
        len(cut),
    )


def _nodes(tree: np.ndarray, names: list[str], solution: str) -> list[dict[str, Any]]:
    """Every node of a tree, leaves too: so that any other cut can be made by SQL."""
    from pcip_core.clustering import tree as trees

    above, height, size, span = trees.parents(tree), trees.heights(tree), trees.sizes(tree), trees.spans(tree)
    return [
        {
            "solution": solution,
            "tree_node": node,
            "parent": int(above[node]) if above[node] >= 0 else None,
            "height": float(height[node]),
            "size": int(size[node]),
            "first_leaf": int(span[node, 0]),
            "member": names[node] if node < len(names) else None,
        }
        for node in range(len(above))
    ]


def _picks(screen: Screen) -> dict[str, Any]:
    """The nodes that a user has named, as their file has them."""
    if screen.analyses.clusters.picks is None:
        return {}
    path = Path(screen.analyses.clusters.picks)
    try:
        picks = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClusterError(
            path,
            found=f"no readable YAML ({type(error).__name__})",
            required="names of nodes, each with proteins: `A: [P1, P2]`",
            remedy="Correct the file, or analyses.clusters.picks.",
        ) from error
    if not isinstance(picks, dict):
        raise ClusterError(
            path,
            found=f"a {type(picks).__name__}",
            required="names of nodes, each with proteins: `A: [P1, P2]`",
            remedy="Correct the file.",
        )
    return picks
