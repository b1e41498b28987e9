"""`units`: the units of the feature set that separate the labels (or clusters) best, and what they respond to."""

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.analyses.protein_map import CLUSTERS
from pcip_assets.assets.feature_sets import features_hash
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import GPU_POOL, all_shards, analyses_of, asset
from pcip_assets.assets.units.shown import ends_of, features_of_set, groups_by_label, network_of
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store

TABLE = "units"
_MOST = 6


def build_units(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the best separating units of the feature set of the analyses."""

    @asset(
        screen,
        TABLE,
        deps=[*all_shards(screen, "cell_features"), dg.AssetDep([screen.name, "clusters"])],
        group=analyses_of(screen),
        kinds={"pytorch", "parquet"},
        table=TABLE,
        pool=GPU_POOL,
        figures=True,
    )
    def units(context: dg.AssetExecutionContext, library: Library, tracking: Tracking) -> Tables:
        """Units that separate the localizations: the cells that drive them most and least, with occlusion maps."""

        def inputs(_: str | None) -> dict[str, Any]:
            images = Images.of(library.store, screen.name).table
            return {
                "features": features_hash(library, screen, screen.feature_set),
                "spec": [screen.feature_set, screen.benchmark.label, screen.pixel_um],
                "clusters": (library.store.provenance(screen.name, CLUSTERS) or {}).get("inputs_hash"),
                "images": images.select("image_id", "protein", "localization").rows(),
                "labels": images[screen.benchmark.label].to_list(),
            }

        def make(_: str | None) -> Made:
            return _made(context, library, tracking, screen)

        return Tables(TABLE, inputs, make)

    return units


def _made(context: dg.AssetExecutionContext, library: Library, tracking: Tracking, screen: Screen) -> Made:
    from pcip_core.analysis.units import responses, separating_units

    store, feature_set = library.store, screen.feature_set
    features = features_of_set(store, screen, feature_set)
    grouped_by, names, group = _groups(store, screen, features)
    units = separating_units(features, group, names, most=_MOST)
    if not units:
        reason = "neither two labels (images with one label each) nor two clusters of proteins to separate"
        return Made({TABLE: schemas.UNITS.empty()}, metadata={"no_units": reason})
    network = network_of(tracking, screen, feature_set)
    directions = np.eye(features.shape[1])[:, [unit.number for unit in units]]
    values = responses(features, directions)
    rows, figures = [], {}
    for rank, (unit, direction, of_cells) in enumerate(zip(units, directions.T, values.T, strict=True), 1):
        context.log.info(f"{screen.name}/units: unit {unit.number} of {feature_set}, {unit.group}")
        title = f"unit {unit.number} of {feature_set}, highest in {unit.group} ({grouped_by})"
        shown = ends_of(store, screen, features, of_cells, network, direction, title)
        figures[f"units_{rank}"] = shown.figure
        rows.append(
            {
                "feature_set": feature_set,
                "unit": unit.number,
                "rank": rank,
                "grouped_by": grouped_by,
                "label": unit.group,
                "share": unit.share,
                "highest": shown.cells("highest"),
                "lowest": shown.cells("lowest"),
            }
        )
    metadata = {f"unit {row['unit']}": f"{row['label']}: {row['share']:.2f}" for row in rows}
    if network.reason:
        metadata["no_occlusion_maps"] = network.reason
    return Made(
        {TABLE: schemas.UNITS.frame(rows)},
        provenance={"encoder_version": network.version or None},
        metadata=metadata,
        figures=figures,
    )


def _groups(store: Store, screen: Screen, features: StoredFeatures) -> tuple[str, list[str], np.ndarray]:
    """By what cells are grouped, the names of the groups, and the group of each cell: labels, otherwise clusters."""
    labels = Images.of(store, screen.name).labels_of(screen.benchmark.label)
    names = sorted({labels[image][0] for image in features.images if len(labels.get(image, ())) == 1})
    if len(names) > 1:
        return screen.benchmark.label, names, groups_by_label(store, screen, features, names)
    clusters = store.read(screen.name, CLUSTERS) if store.has(screen.name, CLUSTERS) else pl.DataFrame()
    if clusters.is_empty():
        return "", [], np.full(len(features), -1)
    solution = clusters["solution"][0]
    largest = clusters.filter(solution=solution).sort("size").unique("protein", keep="last")
    node_of = dict(largest.select("protein", "node").iter_rows())
    protein_of = Images.of(store, screen.name).protein_of
    nodes = [node_of.get(protein_of[image], "") for image in features.images]
    names = sorted(set(nodes) - {""})
    place = {name: number for number, name in enumerate(names)}
    group = np.array([place.get(node, -1) for node in nodes], np.int64)[features.image]
    return f"cluster of {solution}", names, group
