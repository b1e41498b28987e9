"""The tables of `pcip browse` as external assets: Dagster shows what they come from and what they hold."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pcip_assets.assets.skeleton import OWNERS
from pcip_assets.assets.table_metadata import table_metadata
from pcip_core.browse.classifier import PREFIX as PREDICTIONS
from pcip_core.browse.labels import PREFIX as LABELS
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store
from pcip_core.store.paths import asset_of


def label_assets(store: Store, screen: Screen) -> list[dg.AssetSpec]:
    """The labels of a screen and the predictions made from them, as external assets."""
    return [_spec(store, screen, table) for table in label_tables(store, screen.name)]


def label_tables(store: Store, screen: str) -> list[str]:
    """The stored tables of labels and predictions."""
    return [table for table in store.tables(screen) if table.startswith((LABELS, PREDICTIONS))]


def reported(store: Store, screen: Screen, table: str) -> dg.AssetMaterialization:
    """The event by which Dagster learns of the present rows of such a table."""
    rows = store.read(screen.name, table)
    provenance = store.provenance(screen.name, table) or {}
    counts = dict(rows["label"].value_counts().sort("label").rows())
    metadata: dict[str, Any] = {
        "dagster/row_count": rows.height,
        "labels": counts,
        "feature_sets": ", ".join(rows["feature_set"].drop_nulls().unique().sort()),
        "encoder_versions": ", ".join(rows["encoder_version"].drop_nulls().unique().sort()),
        "commit": provenance.get("commit", "unknown"),
        "simulated": screen.simulated,
    }
    if "labelled_by" in rows.columns:
        metadata["labelled_by"] = ", ".join(rows["labelled_by"].unique().sort())
    for name in ("n_labels", "accuracy", "accuracy_by"):
        if name in provenance:
            metadata[name] = provenance[name]
    return dg.AssetMaterialization(
        asset_key=[screen.name, table],
        metadata=metadata,
        tags={"dagster/data_version": str(provenance.get("commit_id", ""))},
    )


def _spec(store: Store, screen: Screen, table: str) -> dg.AssetSpec:
    deps = list(_deps(store, screen, table))
    labels = table.startswith(LABELS)
    return dg.AssetSpec(
        [screen.name, table],
        deps=[[screen.name, noun] for noun in deps],
        description="Labels that users gave on the page of `pcip browse`."
        if labels
        else "Classes of all cells by a classifier trained on these labels, on the page of `pcip browse`.",
        group_name=f"{screen.name}_labels",
        owners=OWNERS,
        kinds={"parquet", "human" if labels else "scikitlearn"},
        metadata=table_metadata(screen, table, table, deps),
    )


def _deps(store: Store, screen: Screen, table: str) -> Iterator[str]:
    """The assets that a table comes from: crops, or labels and the features of the classifier."""
    if table.startswith(LABELS):
        yield "crops"
        return
    yield LABELS + table.removeprefix(PREDICTIONS)
    sets = store.read(screen.name, table, columns=["feature_set"])["feature_set"].drop_nulls().unique()
    yield from sorted({writer[0] for name in sets if (writer := asset_of(f"cell_features_{name}"))})
