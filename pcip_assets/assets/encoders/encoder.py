"""`encoder`: trained on pairs of all crops of a screen, by paired cell inpainting or other tasks; the new champion."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.encoders.train_network import Fitted, Network
from pcip_assets.assets.encoders.training_cells import (
    HELD_OUT,
    TRAINING_CELLS,
    all_crops,
    all_crops_hash,
    held_out_crops,
    protein_of_images,
    training_cells,
)
from pcip_assets.assets.skeleton import GPU_POOL, all_shards, asset
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking, TrainingRun
from pcip_core.spec.screen import Screen


def build_encoder(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the screen's encoder. Training is a deliberate act: nothing triggers it by itself."""

    @asset(
        screen,
        "encoder",
        deps=all_shards(screen, "crops"),
        kinds={"pytorch", "mlflow"},
        pool=GPU_POOL,
    )
    def encoder(context: dg.AssetExecutionContext, library: Library, tracking: Tracking) -> Network:
        """Source encoder trained on pairs of every crop there is; the new champion."""
        config = screen.encoder

        def inputs(_: str | None) -> dict[str, Any]:
            spec = [screen.section("channels"), config.deciding()]
            proteins = (
                {} if config.pairs == "same_image" else {"proteins": protein_of_images(library, screen)}
            )
            return {"spec": spec, "crops": all_crops_hash(library, screen), **proteins}

        def fit(tracker: TrainingRun, checkpoints: Path) -> Fitted:
            from pcip_core.training.cells import CellSet, too_few_images
            from pcip_core.training.loop import train
            from pcip_core.training.tasks.pairs import network_and_task

            pixels, cells = all_crops(library, screen)
            image = np.unique(cells["image_id"].to_numpy(), return_inverse=True)[1]
            proteins = protein_of_images(library, screen)
            protein = np.array([proteins[image_id] for image_id in cells["image_id"]])
            given = CellSet(pixels, image, screen.crop_channels, protein)
            warning = too_few_images(given, config)
            if warning:
                context.log.warning(f"{screen.name}/encoder: {warning}")
            shape, task = network_and_task(
                config,
                screen.crop_channels,
                screen.structural,
                screen.protein,
                screen.crops.size_px,
                images=int(image.max()) + 1,
            )
            trained = train(
                given,
                shape,
                config,
                task=task,
                tracker=tracker,
                checkpoints=checkpoints,
            )
            extra = {
                HELD_OUT: held_out_crops(cells["pixel_hash"].to_list(), image, config),
                TRAINING_CELLS: training_cells(trained, pixels, config.layer),
            }
            loss = (
                "mean squared error" if list(config.tasks) == ["inpainting"] else "weighted loss of all tasks"
            )
            return Fitted(trained, len(image), loss, extra, warning)

        kind = " and ".join(config.tasks).replace("inpainting", "paired cell inpainting")
        return Network(tracking, screen.name, kind, config, inputs, fit)

    return encoder
