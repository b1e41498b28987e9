"""Labels and predictions as external assets of Dagster."""

from __future__ import annotations

import dagster as dg
import numpy as np

from pcip_assets.browse.assets import label_assets, reported
from pcip_assets.definitions import build_definitions
from pcip_assets.workspace import Workspace
from tests.core.browse.conftest import SET, Browsed

LABELS, PREDICTIONS = (dg.AssetKey(["tiny", name]) for name in ("labels_manual", "predictions_manual"))


def test_dagster_shows_labels_with_what_they_come_from(browsed: Browsed) -> None:
    store, screen = browsed.store, browsed.screen
    assert label_assets(store, screen) == []
    session = browsed.session()
    session.give(np.arange(3), "in", SET)
    session.give(np.arange(9, 14), "out", SET)
    session.train(SET)
    graph = build_definitions(Workspace(browsed.folder), [screen]).resolve_asset_graph()
    assert graph.get(LABELS).parent_keys == {dg.AssetKey(["tiny", "crops"])}
    assert graph.get(PREDICTIONS).parent_keys == {LABELS, dg.AssetKey(["tiny", "cell_features"])}
    assert not graph.get(LABELS).is_materializable
    assert graph.get(LABELS).metadata["dagster/table_name"] == "tiny.labels_manual"
    with dg.DagsterInstance.ephemeral() as instance:
        for table in ("labels_manual", "predictions_manual"):
            instance.report_runless_asset_event(reported(store, screen, table))
        event = instance.get_latest_materialization_event(LABELS)
        predicted = instance.get_latest_materialization_event(PREDICTIONS)
    assert event
    assert event.asset_materialization
    values = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert values["dagster/row_count"] == 8
    assert values["labels"] == {"in": 3, "out": 5}
    assert (values["labelled_by"], values["feature_sets"], values["encoder_versions"]) == (
        "ada",
        SET,
        "tiny/1",
    )
    assert predicted
    assert predicted.asset_materialization
    assert predicted.asset_materialization.metadata["n_labels"].value == "8"
