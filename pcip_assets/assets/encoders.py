"""`encoder`: paired cell inpainting trained on all crops of a screen, champion in MLflow; `autoencoder` beside it."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import numpy as np

from pcip_assets.assets.shared import GPU_POOL, OWNERS, Remake, all_shards, picture, yardsticks_of
from pcip_assets.provenance import Stopwatch, code_version, git_commit, inputs_hash
from pcip_assets.resources import Library
from pcip_assets.tracking import Encoder, Tracking, as_json, device_name
from pcip_core.errors import CropError
from pcip_core.screen import Screen

_MODELS = tuple(f"pcip_core.models.{name}" for name in ("autoencoder", "inpainting", "network"))
CODE = code_version(*_MODELS, "pcip_core.pairs", "pcip_core.training")


@dataclass(frozen=True)
class _Network:
    """A network that is trained on all crops of a screen: its asset, its model in MLflow, its kind."""

    noun: str
    model: str
    kind: Literal["paired cell inpainting", "autoencoder"]
    group: str
    about: str
    wanted: Callable[[Library, Tracking], str]  # hash of what decides whether it must be trained again


def build_encoder(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the screen's encoder. Training is a deliberate act: nothing triggers it by itself."""
    about = "Source encoder trained by paired cell inpainting on every crop there is; the new champion."

    def wanted(library: Library, _: Tracking) -> str:
        return encoder_inputs(screen, library)

    kind: Literal["paired cell inpainting"] = "paired cell inpainting"
    return _network(screen, _Network("encoder", screen.name, kind, screen.name, about, wanted))


def build_autoencoder(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the paper's autoencoder, which stays as long as the encoder that it is compared with."""
    about = "Autoencoder of the encoder's layout and settings, trained on every crop there is."

    def wanted(_: Library, tracking: Tracking) -> str:
        return inputs_hash(kind="autoencoder", beside=tracking.champion(screen.name).version)

    model, group = autoencoder_model(screen.name), yardsticks_of(screen)
    return _network(screen, _Network("autoencoder", model, "autoencoder", group, about, wanted))


def _network(screen: Screen, network: _Network) -> dg.AssetsDefinition:
    @dg.asset(
        key=[screen.name, network.noun],
        description=network.about,
        deps=all_shards(screen, "crops"),
        group_name=network.group,
        owners=OWNERS,
        kinds={"pytorch", "mlflow"},
        pool=GPU_POOL,
        code_version=CODE,
    )
    def trained(
        context: dg.AssetExecutionContext, config: Remake, library: Library, tracking: Tracking
    ) -> dg.MaterializeResult:
        wanted = network.wanted(library, tracking)
        champion = tracking.champion(network.model) if tracking.has_champion(network.model) else None
        if champion is not None and champion.tags.get("inputs_hash") == wanted and not config.force:
            context.log.info(f"{screen.name}/{network.noun}: up to date ({champion.version})")
            metadata: dict[str, Any] = {"encoder_version": champion.version, "up_to_date": True}
        else:
            with Stopwatch() as watch:
                champion, metadata = _trained(context, screen, library, tracking, network, wanted)
            metadata |= {"seconds": round(watch.seconds, 2), "peak_memory_mb": round(watch.peak_mb)}
        return dg.MaterializeResult(
            metadata=metadata, data_version=dg.DataVersion(champion.tags["weights_sha256"])
        )

    return trained


def autoencoder_model(screen: str) -> str:
    """The name under which a screen's autoencoder is registered."""
    return f"{screen}.autoencoder"


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


def _shape_and_task(screen: Screen, network: _Network) -> tuple[Any, Any]:
    """What the training loop is told of a network."""
    from pcip_core.models.autoencoder import AutoencoderConfig
    from pcip_core.models.inpainting import NetworkConfig
    from pcip_core.training.autoencoder import Autoencoding
    from pcip_core.training.inpainting import Inpainting

    channels, size, width = screen.crop_channels, screen.crops.size_px, screen.encoder.width
    if network.kind == "autoencoder":
        return AutoencoderConfig(channels, size, width), Autoencoding
    return NetworkConfig(channels, screen.structural, screen.protein, size, width), Inpainting


def _trained(
    context: dg.AssetExecutionContext,
    screen: Screen,
    library: Library,
    tracking: Tracking,
    network: _Network,
    wanted: str,
) -> tuple[Encoder, dict[str, Any]]:
    from pcip_core.models.files import save_encoder
    from pcip_core.plots.png import to_png
    from pcip_core.plots.training import loss_curve
    from pcip_core.training.cells import CellSet
    from pcip_core.training.loop import train

    pixels, image = _all_crops(screen, library)
    shape, task = _shape_and_task(screen, network)
    tags = {
        "screen": screen.name,
        "simulated": str(screen.simulated),
        "dagster/run_id": context.run.run_id,
        "inputs_hash": wanted,
        "data_hash": _data_hash(screen, library),
        "commit": git_commit(),
        "code_version": CODE,
        "network": network.kind,
    }
    checkpoints = (
        library.workspace.checkpoints / screen.name / inputs_hash(of=wanted, crops=tags["data_hash"])
    )
    with tracking.training(screen, checkpoints=checkpoints, tags=tags, log=context.log) as run:
        run.start({"data_hash": tags["data_hash"], "commit": tags["commit"], "cells": len(image)})
        trained = train(
            CellSet(pixels, image, screen.crop_channels),
            shape,
            screen.encoder,
            task=task,
            tracker=run,
            checkpoints=checkpoints,
        )
        run.start({"device": f"{trained.device} ({device_name(str(trained.device))})"})
        curve = loss_curve(trained.history, screen.title)
        tracking.log_pictures(run.run_id, {"loss_curve.png": curve})
        tracking.log_document(run.run_id, "resolved_spec.json", screen.resolved())
    with tempfile.TemporaryDirectory() as folder:
        save_encoder(trained.network, Path(folder), extra={"screen": screen.name, "inputs_hash": wanted})
        champion = tracking.register(network.model, screen.name, run.run_id, Path(folder), tags)
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
        **{name: value for name, value in last.items() if name.endswith("_per_s")},
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
