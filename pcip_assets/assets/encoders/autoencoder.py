"""`autoencoder`, a baseline: the paper's autoencoder, trained on the same crops as the encoder."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.encoders.train_network import Fitted, Network
from pcip_assets.assets.encoders.training_cells import HELD_OUT, all_crops, held_out_crops
from pcip_assets.assets.skeleton import GPU_POOL, all_shards, asset, baselines_of
from pcip_assets.compute.interface import Start
from pcip_assets.records.settings import trained_as
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking, TrainingRun
from pcip_core.spec.screen import Screen


def autoencoder_model(screen: str) -> str:
    """The name under which a screen's autoencoder is registered."""
    return f"{screen}.autoencoder"


def build_autoencoder(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the autoencoder, which stays as long as the encoder that it is compared with."""

    @asset(
        screen,
        "autoencoder",
        deps=all_shards(screen, "crops"),
        group=baselines_of(screen),
        kinds={"pytorch", "mlflow"},
        pool=GPU_POOL,
    )
    def autoencoder(context: dg.AssetExecutionContext, library: Library, tracking: Tracking) -> Network:
        """Autoencoder of the champion's layout and settings, trained on every crop there is."""
        trained = trained_as(library.workspace, screen)
        config = (trained.settings if trained else screen.encoder).from_nothing()

        def inputs(_: str | None) -> dict[str, Any]:
            return {"beside": tracking.champion(screen.name).version}

        def fit(tracker: TrainingRun, checkpoints: Path, start: Start | None) -> Fitted:
            from pcip_core.models.autoencoder import AutoencoderConfig
            from pcip_core.training.cells import CellSet
            from pcip_core.training.loop import train
            from pcip_core.training.tasks.autoencoder import Autoencoding

            pixels, cells = all_crops(library, screen)
            image = np.unique(cells["image_id"].to_numpy(), return_inverse=True)[1]
            trained = train(
                CellSet(pixels, image, screen.crop_channels),
                AutoencoderConfig(
                    screen.crop_channels,
                    screen.crops.size_px,
                    config.width,
                    config.block,
                    config.initial_weights,
                    config.stages,
                ),
                config,
                task=Autoencoding,
                tracker=tracker,
                checkpoints=checkpoints,
                start=start,
            )
            held_out = held_out_crops(cells["pixel_hash"].to_list(), image, config)
            return Fitted(trained, len(image), "mean squared error", {HELD_OUT: held_out})

        return Network(tracking, autoencoder_model(screen.name), "autoencoder", config, inputs, fit)

    return autoencoder
