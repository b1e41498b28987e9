"""`encoder`: paired cell inpainting trained on all crops of a screen, champion in MLflow.

Beside it, as baselines: `autoencoder`, trained on the same crops, and `supervised`, trained on their labels.
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.assets.shared import GPU_POOL, OWNERS, Remake, all_shards, baselines_of, picture
from pcip_assets.lineage import code_version
from pcip_assets.provenance import Stopwatch, git_commit, inputs_hash
from pcip_assets.resources import Library
from pcip_assets.tracking import Encoder, Tracking, as_json, device_name
from pcip_core.crops.pixels import ShardedPixels
from pcip_core.errors import CropError, EvaluationError
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import TrainingConfig

HELD_OUT = "held_out_crops"  # kept with a network: cells that it was never trained on


@dataclass(frozen=True)
class _Network:
    """A network that is trained on crops of all shards: its asset, its model in MLflow, its kind and settings."""

    noun: str
    model: str
    kind: Literal["paired cell inpainting", "autoencoder", "supervised"]
    config: TrainingConfig
    group: str
    about: str
    wanted: Callable[[Library, Tracking], str]  # hash of what decides whether it must be trained again


def build_encoder(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the screen's encoder. Training is a deliberate act: nothing triggers it by itself."""
    about = "Source encoder trained by paired cell inpainting on every crop there is; the new champion."

    def wanted(library: Library, _: Tracking) -> str:
        return encoder_inputs(screen, library)

    kind: Literal["paired cell inpainting"] = "paired cell inpainting"
    network = _Network("encoder", screen.name, kind, screen.encoder, screen.name, about, wanted)
    return _network(screen, network)


def build_autoencoder(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the paper's autoencoder, which stays as long as the encoder that it is compared with."""
    about = "Autoencoder of the encoder's layout and settings, trained on every crop there is."

    def wanted(_: Library, tracking: Tracking) -> str:
        beside = tracking.champion(screen.name).version
        return inputs_hash(kind="autoencoder", code=code_version(_network), beside=beside)

    model, group = autoencoder_model(screen.name), baselines_of(screen)
    network = _Network("autoencoder", model, "autoencoder", screen.encoder, group, about, wanted)
    return _network(screen, network)


def build_supervised(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the supervised network: the only one that is told the labels."""
    about = (
        "Network after DeepLoc (Kraus et al. 2017), trained on the labels of most images; the others are kept "
        "for its score."
    )

    def wanted(library: Library, _: Tracking) -> str:
        labels = library.store.read(screen.name, "images").to_dicts()
        return inputs_hash(
            kind="supervised",
            code=code_version(_network),
            spec=[
                _supervised_config(screen).deciding(),
                screen.baselines.held_fraction,
                screen.section("channels"),
            ],
            label=screen.benchmark.label,
            labels={row["image_id"]: row[screen.benchmark.label] for row in labels},
            crops=_data_hash(screen, library),
        )

    group, model = baselines_of(screen), supervised_model(screen.name)
    network = _Network("supervised", model, "supervised", _supervised_config(screen), group, about, wanted)
    return _network(screen, network)


def _supervised_config(screen: Screen) -> TrainingConfig:
    return screen.baselines.supervised or screen.encoder


def _network(screen: Screen, network: _Network) -> dg.AssetsDefinition:
    @dg.asset(
        key=[screen.name, network.noun],
        description=network.about,
        deps=all_shards(screen, "crops"),
        group_name=network.group,
        owners=OWNERS,
        kinds={"pytorch", "mlflow"},
        pool=GPU_POOL,
        code_version=code_version(_network),
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


def supervised_model(screen: str) -> str:
    """The name under which a screen's supervised network is registered."""
    return f"{screen}.supervised"


def encoder_inputs(screen: Screen, library: Library) -> str:
    """Hash of all that decides the weights: code, network, training settings, every shard's crops."""
    return inputs_hash(
        code=code_version(_network),
        spec=[screen.section("channels"), screen.encoder.deciding()],
        crops=_data_hash(screen, library),
    )


def _data_hash(screen: Screen, library: Library) -> str:
    """Hash of the crops of all shards."""
    hashes = {
        shard: (library.store.provenance(screen.name, "cells", shard) or {}).get("data_hash")
        for shard in library.store.shards(screen.name, "cells")
    }
    return inputs_hash(crops=hashes)


@dataclass(frozen=True)
class _Fitted:
    """What a training gave, whatever was trained."""

    network: Any
    history: list[dict[str, float]]
    device: str
    cells: int
    told: dict[str, Any]  # kept beside the weights
    loss: str


def _fit(screen: Screen, library: Library, network: _Network, tracker: Any, checkpoints: Path) -> _Fitted:
    """Train one network on what it is to be trained on."""
    from pcip_core.models.autoencoder import AutoencoderConfig
    from pcip_core.models.inpainting import NetworkConfig
    from pcip_core.training.cells import CellSet
    from pcip_core.training.loop import train
    from pcip_core.training.tasks.autoencoder import Autoencoding
    from pcip_core.training.tasks.inpainting import Inpainting

    if network.kind == "supervised":
        return _fit_supervised(screen, library, network, tracker, checkpoints)
    channels, size, width = screen.crop_channels, screen.crops.size_px, network.config.width
    kinds: dict[str, tuple[Any, Any]] = {
        "paired cell inpainting": (
            NetworkConfig(channels, screen.structural, screen.protein, size, width),
            Inpainting,
        ),
        "autoencoder": (AutoencoderConfig(channels, size, width), Autoencoding),
    }
    shape, task = kinds[network.kind]
    pixels, cells = _all_crops(screen, library)
    image = np.unique(cells["image_id"].to_numpy(), return_inverse=True)[1]
    trained = train(
        CellSet(pixels, image, channels),
        shape,
        network.config,
        task=task,
        tracker=tracker,
        checkpoints=checkpoints,
    )
    told = {HELD_OUT: held_out_crops(cells["pixel_hash"].to_list(), image, network.config)}
    return _Fitted(
        trained.network, trained.history, str(trained.device), len(image), told, "mean squared error"
    )


def held_out_crops(pixel_hashes: Sequence[str], image: np.ndarray, config: TrainingConfig) -> list[str]:
    """Hashes of the crops that a training holds out, in order of text; one that is trained on elsewhere is none.

    They are kept with the network, because which cells are held out depends on all cells of the training.
    """
    from pcip_core.training.sampling import hold_out

    held = hold_out(image, fraction=config.validation_fraction, seed=config.seed)
    hashes: dict[bool, set[str]] = {False: set(), True: set()}
    for pixels, out in zip(pixel_hashes, held.tolist(), strict=True):
        hashes[out].add(pixels)
    return sorted(hashes[True] - hashes[False])


def _fit_supervised(
    screen: Screen, library: Library, network: _Network, tracker: Any, checkpoints: Path
) -> _Fitted:
    from pcip_core.models.deeploc import DeepLocConfig
    from pcip_core.training.cells import CellSet
    from pcip_core.training.sampling import hold_out_images
    from pcip_core.training.tasks.supervised import train_supervised

    pixels, every = _all_crops(screen, library)
    cells = labelled_cells_of(library, screen)
    if len(set(cells.labels)) < 2:
        raise EvaluationError(
            f"{screen.name}/supervised",
            found=f"{len(cells.labels)} cells with one label each, of {len(set(cells.labels))} classes",
            required=f"two classes or more in the column {screen.benchmark.label} of images",
            remedy="Give labels (docs/reference/spec.md, `images`), or take supervised out of baselines.sets.",
        )
    row_of = {cell_id: row for row, cell_id in enumerate(every["cell_id"].to_list())}
    rows = np.array([row_of[cell_id] for cell_id in cells.cell_ids])
    classes, labels = np.unique(cells.labels, return_inverse=True)
    images, image = np.unique(cells.image_ids, return_inverse=True)
    fraction = screen.baselines.held_fraction
    held = hold_out_images(image, labels, fraction=fraction, seed=network.config.seed)
    if not held.any():
        raise EvaluationError(
            f"{screen.name}/supervised",
            found=f"{len(images)} images of {len(classes)} classes, no class with an image to spare",
            required="a class of two images or more, one of which is kept for the score",
            remedy="Label more images, or take supervised out of baselines.sets.",
        )
    shape = DeepLocConfig(
        screen.crop_channels, tuple(classes.tolist()), screen.crops.size_px, network.config.width
    )
    trained = train_supervised(
        CellSet(pixels.only(rows), image, screen.crop_channels),
        labels,
        shape,
        network.config,
        held=held,
        tracker=tracker,
        checkpoints=checkpoints,
    )
    split = {
        "trained_on": images[np.unique(image[~held])].tolist(),
        "held": images[np.unique(image[held])].tolist(),
    }
    return _Fitted(trained.network, trained.history, str(trained.device), len(rows), split, "cross-entropy")


def _trained(
    context: dg.AssetExecutionContext,
    screen: Screen,
    library: Library,
    tracking: Tracking,
    network: _Network,
    wanted: str,
) -> tuple[Encoder, dict[str, Any]]:
    from pcip_core.models.files import save_encoder
    from pcip_core.plots.pictures import preview
    from pcip_core.plots.training import loss_curve

    tags = {
        "screen": screen.name,
        "simulated": str(screen.simulated),
        "dagster/run_id": context.run.run_id,
        "inputs_hash": wanted,
        "data_hash": _data_hash(screen, library),
        "commit": git_commit(),
        "code_version": code_version(_network),
        "network": network.kind,
    }
    checkpoints = (
        library.workspace.checkpoints / screen.name / inputs_hash(of=wanted, crops=tags["data_hash"])
    )
    with tracking.training(
        screen, network.config.epochs, checkpoints=checkpoints, tags=tags, log=context.log
    ) as run:
        run.start({"data_hash": tags["data_hash"], "commit": tags["commit"]})
        fitted = _fit(screen, library, network, run, checkpoints)
        run.start({"device": f"{fitted.device} ({device_name(fitted.device)})", "cells": fitted.cells})
        curve = loss_curve(fitted.history, screen.title, loss=fitted.loss)
        tracking.log_pictures(run.run_id, {"loss_curve.png": curve})
        tracking.log_document(run.run_id, "resolved_spec.json", screen.resolved())
    with tempfile.TemporaryDirectory() as folder:
        told = {"screen": screen.name, "inputs_hash": wanted, **fitted.told}
        save_encoder(fitted.network, Path(folder), extra=told)
        champion = tracking.register(network.model, screen.name, run.run_id, Path(folder), tags)
    shutil.rmtree(checkpoints, ignore_errors=True)
    last = fitted.history[-1]
    return champion, {
        "encoder_version": champion.version,
        "mlflow_run": dg.MetadataValue.url(tracking.url(screen.name, run.run_id)),
        "mlflow_run_id": run.run_id,
        "cells": fitted.cells,
        "epochs": len(fitted.history),
        "loss": last["loss"],
        **{name: value for name, value in last.items() if name.startswith("validation_")},
        **{name: value for name, value in last.items() if name.endswith("_per_s")},
        "device": fitted.device,
        "config": dg.MetadataValue.json(dataclasses.asdict(network.config)),
        "loss_curve": picture(preview(curve)),
        "inputs": as_json({"inputs_hash": wanted}),
    }


def _all_crops(screen: Screen, library: Library) -> tuple[ShardedPixels, pl.DataFrame]:
    """Every crop of every shard, (N, C, S, S), in its file, and the id, image and hash of each."""
    files, rows = [], []
    for shard in library.store.shards(screen.name, "cells"):
        cells, crops = library.store.read_with_array(screen.name, "cells", "crops", shard)
        if len(crops):
            files.append(str(crops.filename))
            rows.append(cells.select(["cell_id", "image_id", "pixel_hash"]))
    if not rows:
        raise CropError(
            f"{screen.name}/crops",
            found="no cells in any shard",
            required="crops to train on",
            remedy=f"Materialize the crops first, or see {screen.name}.quarantine for why none is used.",
        )
    return ShardedPixels(files), pl.concat(rows)
