"""`encoder`: paired cell inpainting trained on all crops of a screen, champion in MLflow; `autoencoder` beside it."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.shared import GPU_POOL, OWNERS, Remake, all_shards, picture, yardsticks_of
from pcip_assets.provenance import Stopwatch, code_version, git_commit, inputs_hash
from pcip_assets.resources import Library
from pcip_assets.tracking import Encoder, Tracking, as_json, device_name
from pcip_core.errors import CropError
from pcip_core.screen import Screen

CODE = code_version("pcip_core.models", "pcip_core.pairs", "pcip_core.training")


def build_encoder(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the screen's encoder. Training is a deliberate act: nothing triggers it by itself."""

    @dg.asset(
        key=[screen.name, "encoder"],
        deps=all_shards(screen, "crops"),
        group_name=screen.name,
        owners=OWNERS,
        kinds={"pytorch", "mlflow"},
        pool=GPU_POOL,
        code_version=CODE,
    )
    def encoder(
        context: dg.AssetExecutionContext, config: Remake, library: Library, tracking: Tracking
    ) -> dg.MaterializeResult:
        """Source encoder trained by paired cell inpainting on every crop there is; the new champion."""
        wanted = encoder_inputs(screen, library)
        if tracking.has_champion(screen.name) and not config.force:
            champion = tracking.champion(screen.name)
            if champion.tags.get("inputs_hash") == wanted:
                return _up_to_date(context, champion)
        return _train(context, screen, library, tracking, wanted, {})

    return encoder


def build_autoencoder(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the paper's autoencoder, which stays as long as the encoder that it is compared with."""

    @dg.asset(
        key=[screen.name, "autoencoder"],
        deps=all_shards(screen, "crops"),
        group_name=yardsticks_of(screen),
        owners=OWNERS,
        kinds={"pytorch", "mlflow"},
        pool=GPU_POOL,
        code_version=CODE,
    )
    def autoencoder(
        context: dg.AssetExecutionContext, config: Remake, library: Library, tracking: Tracking
    ) -> dg.MaterializeResult:
        """Autoencoder of the encoder's layout and settings, trained on every crop there is."""
        name = autoencoder_model(screen.name)
        beside = tracking.champion(screen.name).version
        if tracking.has_champion(name) and not config.force:
            champion = tracking.champion(name)
            if champion.tags.get("beside") == beside:
                return _up_to_date(context, champion)
        wanted = inputs_hash(kind="autoencoder", beside=beside, encoder=encoder_inputs(screen, library))
        return _train(context, screen, library, tracking, wanted, {"beside": beside}, name)

    return autoencoder


def autoencoder_model(screen: str) -> str:
    """The name under which a screen's autoencoder is registered."""
    return f"{screen}.autoencoder"


def _up_to_date(context: dg.AssetExecutionContext, champion: Encoder) -> dg.MaterializeResult:
    context.log.info(f"{'/'.join(context.asset_key.path)}: up to date ({champion.version})")
    return dg.MaterializeResult(
        metadata={"encoder_version": champion.version, "up_to_date": True},
        data_version=dg.DataVersion(champion.tags["weights_sha256"]),
    )


def encoder_inputs(screen: Screen, library: Library) -> str:
    """Hash of all that decides the weights: code, network, training settings, every shard's crops."""
    return inputs_hash(
        code=CODE, spec=screen.section("channels", "encoder"), crops=_data_hash(screen, library)
    )


def _data_hash(screen: Screen, library: Library) -> str:
    """Hash of the crops of all shards."""
    hashes = {
        shard: (library.store.provenance(screen.name, "cells", shard) or {}).get("data_hash")
        for shard in library.store.shards(screen.name, "cells")
    }
    return inputs_hash(crops=hashes)


def _train(
    context: dg.AssetExecutionContext,
    screen: Screen,
    library: Library,
    tracking: Tracking,
    wanted: str,
    told: dict[str, str],
    model: str | None = None,
) -> dg.MaterializeResult:
    """Train and register; `model` is the registered name of an autoencoder, None for the encoder itself."""
    with Stopwatch() as watch:
        champion, metadata = _trained(context, screen, library, tracking, wanted, told, model)
    metadata |= {"seconds": round(watch.seconds, 2), "peak_memory_mb": round(watch.peak_mb)}
    return dg.MaterializeResult(
        metadata=metadata, data_version=dg.DataVersion(champion.tags["weights_sha256"])
    )


def _trained(
    context: dg.AssetExecutionContext,
    screen: Screen,
    library: Library,
    tracking: Tracking,
    wanted: str,
    told: dict[str, str],
    model: str | None,
) -> tuple[Encoder, dict[str, Any]]:
    from pcip_core.models.autoencoder import AutoencoderConfig
    from pcip_core.models.files import save_encoder
    from pcip_core.models.inpainting import NetworkConfig
    from pcip_core.plots.png import to_png
    from pcip_core.plots.training import loss_curve
    from pcip_core.training.autoencoder import Autoencoding
    from pcip_core.training.cells import CellSet
    from pcip_core.training.inpainting import Inpainting
    from pcip_core.training.loop import train

    pixels, image = _all_crops(screen, library)
    channels, size, width = screen.crop_channels, screen.crops.size_px, screen.encoder.width
    network: Any = (
        NetworkConfig(channels, screen.structural, screen.protein, size, width)
        if model is None
        else AutoencoderConfig(channels, size, width)
    )
    checkpoints = library.workspace.checkpoints / screen.name / wanted
    tags = {
        "screen": screen.name,
        "simulated": str(screen.simulated),
        "dagster/run_id": context.run.run_id,
        "inputs_hash": wanted,
        "data_hash": _data_hash(screen, library),
        "commit": git_commit(),
        "code_version": CODE,
        "network": "paired cell inpainting" if model is None else "autoencoder",
        **told,
    }
    with tracking.training(screen, checkpoints=checkpoints, tags=tags, log=context.log) as run:
        run.start({"data_hash": tags["data_hash"], "commit": tags["commit"], "cells": len(image)})
        trained = train(
            CellSet(pixels, image, screen.crop_channels),
            network,
            screen.encoder,
            task=Inpainting if model is None else Autoencoding,
            tracker=run,
            checkpoints=checkpoints,
        )
        run.start({"device": f"{trained.device} ({device_name(str(trained.device))})"})
        curve = loss_curve(trained.history, screen.title)
        tracking.log_pictures(run.run_id, {"loss_curve.png": curve})
        tracking.log_document(run.run_id, "resolved_spec.json", screen.resolved())
    with tempfile.TemporaryDirectory() as folder:
        save_encoder(trained.network, Path(folder), extra={"screen": screen.name, "inputs_hash": wanted})
        champion = tracking.register(screen.name, run.run_id, Path(folder), tags, model=model)
    shutil.rmtree(checkpoints, ignore_errors=True)
    last = trained.history[-1]
    return champion, {
        "encoder_version": champion.version,
        "mlflow_run": dg.MetadataValue.url(tracking.url(screen.name, run.run_id)),
        "mlflow_run_id": run.run_id,
        "cells": len(image),
        "epochs": len(trained.history),
        "loss": last["loss"],
        "validation_loss": last.get("validation_loss"),
        "pairs_per_s": last.get("pairs_per_s"),
        "device": str(trained.device),
        "config": dg.MetadataValue.json(screen.section("encoder")["encoder"]),
        "loss_curve": picture(to_png(curve)),
        "inputs": as_json({"inputs_hash": wanted}),
    }


def _all_crops(screen: Screen, library: Library) -> tuple[np.ndarray, np.ndarray]:
    """Every crop of every shard, (N, C, S, S), and the number of its image, (N,)."""
    pixels, names = [], []
    for shard in library.store.shards(screen.name, "cells"):
        cells, crops = library.store.read_with_array(screen.name, "cells", "crops", shard)
        pixels.append(crops)
        names += cells["image_id"].to_pylist()
    if not names:
        raise CropError(
            f"{screen.name}/crops",
            found="no cells in any shard",
            required="crops to train on",
            remedy=f"Materialize the crops first, or see {screen.name}.quarantine for why none is used.",
        )
    return np.concatenate(pixels), np.unique(np.array(names), return_inverse=True)[1]
