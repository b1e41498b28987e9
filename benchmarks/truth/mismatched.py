"""Predictions of a trained network from mismatched source cells, against those of an untrained one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np

from benchmarks.common.harness import Row
from benchmarks.common.screens import rows_of
from benchmarks.truth.states import about
from pcip_assets.assets.analyses.galleries import crops_of
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from pcip_core.analysis.mismatch import mismatch, network_predictor, summary
from pcip_core.models.files import load_encoder
from pcip_core.models.inference import untrained_network
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store


def mismatch_rows(con: duckdb.DuckDBPyConnection, workspace: Workspace, screen: Screen) -> Iterator[Row]:
    """What the network paints from sources of another compartment, and the same of an untrained one."""
    cells = rows_of(
        con,
        f"SELECT c.cell_id, c.image_id, t.localization FROM {screen.name}.cells c "
        f"JOIN {screen.name}.truth_images t USING (image_id) WHERE t.kind = 'single' ORDER BY c.cell_id",
    )
    pixels = crops_of(Store(workspace.store), screen, [row["cell_id"] for row in cells])
    encoder = Tracking(data=str(workspace.data)).champion(screen.encoder_screen)
    trained: Any = load_encoder(encoder.folder)
    networks = {"trained": trained, "untrained": untrained_network(trained.config, screen.encoder.seed)}
    means = {
        name: summary(
            mismatch(
                network_predictor(network),
                pixels,
                np.array([row["localization"] for row in cells]),
                np.array([row["image_id"] for row in cells]),
                channels=screen.crop_channels,
                structural=screen.structural,
                protein=screen.protein,
            )
        )
        for name, network in networks.items()
    }
    ours, theirs = means["trained"], means["untrained"]
    for key, aim, held in (
        ("share_resembling_source", None, None),
        ("margin", "above the untrained network's", ours["margin"] > theirs["margin"]),
        ("share_worse_than_matched", "> 0.5", ours["share_worse_than_matched"] > 0.5),
    ):
        yield Row(
            what=f"{about(screen)}: mismatched pairs of cells never trained on: {key.replace('_', ' ')}",
            value=ours[key],
            against="untrained",
            against_value=theirs[key],
            ratio=ours[key] / theirs[key] if theirs[key] else None,
            n=int(ours["n"]),
            aim=aim,
            held=held,
        )
