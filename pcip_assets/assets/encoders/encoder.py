"""`encoder`: trained on pairs of all crops of a screen, by paired cell inpainting or other tasks; the new champion."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
from pydantic import Field

from pcip_assets.assets.encoders.left_out import LEFT_OUT, LeftOut, images_left_out
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
from pcip_assets.assets.skeleton import GPU_POOL, Remake, all_shards, asset
from pcip_assets.compute.interface import Start
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking, TrainingRun
from pcip_core.spec.loading import encoder_config
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import EncoderConfig
from pcip_core.store.images import Images

RUN_SETTINGS = ("epochs", "width", "learning_rate")
"""The settings that one run may change."""


class Training(Remake):
    """Settings of the encoder for this run alone; the spec stays as it is, and MLflow names them with the run."""

    epochs: int | None = Field(
        None, description="Passes over the cells, in place of `encoder.epochs` of the spec."
    )
    width: float | None = Field(
        None,
        description="Factor on all filter counts, in place of `encoder.width` of the spec; 1 is the paper's network.",
    )
    learning_rate: float | None = Field(
        None, description="Learning rate of Adam, in place of `encoder.learning_rate` of the spec."
    )

    def overrides(self, spec: EncoderConfig) -> dict[str, Any]:
        """The settings that are given and differ from the spec's."""
        given = {name: getattr(self, name) for name in RUN_SETTINGS}
        return {name: value for name, value in given.items() if value not in (None, getattr(spec, name))}


def build_encoder(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the screen's encoder. Training is a deliberate act: nothing triggers it by itself.

    It depends on the ranking of proteins of another screen if variable ones are left out.
    """
    leave_out = screen.encoder.leave_out
    ranking = [] if leave_out is None else [dg.AssetDep([leave_out.variable_in, "variability"])]

    @asset(
        screen,
        "encoder",
        deps=[*all_shards(screen, "crops"), *ranking],
        kinds={"pytorch", "mlflow"},
        pool=GPU_POOL,
    )
    def encoder(
        context: dg.AssetExecutionContext, config: Training, library: Library, tracking: Tracking
    ) -> Network:
        """Source encoder trained on pairs of every crop there is but those the spec leaves out; the new champion."""
        overrides = config.overrides(screen.encoder)
        values = screen.section("encoder")["encoder"] | overrides
        settings = encoder_config(values, f"settings of {screen.name}/encoder")
        images = Images.of(library.store, screen.name).frame
        left_out = images_left_out(library.workspace, screen, images)

        def inputs(_: str | None) -> dict[str, Any]:
            spec = [screen.section("channels"), settings.deciding()]
            proteins = (
                {} if settings.pairs == "same_image" else {"proteins": protein_of_images(library, screen)}
            )
            without = {} if left_out is None else {LEFT_OUT: left_out.images}
            return {"spec": spec, "crops": all_crops_hash(library, screen), **proteins, **without}

        def fit(tracker: TrainingRun, checkpoints: Path, start: Start | None) -> Fitted:
            return _fit(library, screen, settings, left_out, tracker, checkpoints, start, context.log)

        kind = " and ".join(settings.tasks).replace("inpainting", "paired cell inpainting")
        text = "" if left_out is None else str(left_out)
        return Network(tracking, screen.name, kind, settings, inputs, fit, overrides, text)

    return encoder


def _fit(
    library: Library,
    screen: Screen,
    settings: EncoderConfig,
    left_out: LeftOut | None,
    tracker: TrainingRun,
    checkpoints: Path,
    start: Start | None,
    log: Any,
) -> Fitted:
    """Train on all crops but those left out; the file of the network names these and the cells that were held out."""
    from pcip_core.training.cells import CellSet, too_few_images
    from pcip_core.training.loop import train
    from pcip_core.training.tasks.pairs import network_and_task

    pixels, cells = all_crops(library, screen)
    extra: dict[str, Any] = {}
    if left_out is not None:
        kept = ~cells["image_id"].is_in(left_out.images).to_numpy()
        extra[LEFT_OUT] = {**left_out.as_dict(), "cells": int((~kept).sum())}
        log.info(
            f"{screen.name}/encoder: without {extra[LEFT_OUT]['cells']} of {len(kept)} cells: {left_out}"
        )
        pixels, cells = pixels.only(kept), cells.filter(kept)
    image = np.unique(cells["image_id"].to_numpy(), return_inverse=True)[1]
    proteins = protein_of_images(library, screen)
    protein = np.array([proteins[image_id] for image_id in cells["image_id"]])
    given = CellSet(pixels, image, screen.crop_channels, protein)
    warning = too_few_images(given, settings)
    if warning:
        log.warning(f"{screen.name}/encoder: {warning}")
    shape, task = network_and_task(
        settings,
        screen.crop_channels,
        screen.structural,
        screen.protein,
        screen.crops.size_px,
        images=int(image.max()) + 1,
    )
    trained = train(
        given,
        shape,
        settings,
        task=task,
        tracker=tracker,
        checkpoints=checkpoints,
        start=start,
    )
    extra |= {
        HELD_OUT: held_out_crops(cells["pixel_hash"].to_list(), image, settings),
        TRAINING_CELLS: training_cells(trained, pixels, settings.layer),
    }
    loss = "mean squared error" if list(settings.tasks) == ["inpainting"] else "weighted loss of all tasks"
    return Fitted(trained, len(image), loss, extra, warning)
