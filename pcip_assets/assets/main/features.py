"""Feature tables: `cell_features` by the champion, `control_features` beside them, `protein_features`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.encoders.autoencoder import autoencoder_model
from pcip_assets.assets.encoders.supervised import supervised_model
from pcip_assets.assets.feature_sets import (
    MAIN_NOUNS,
    PREFIX,
    SUPERVISED_LAYERS,
    baseline_nouns,
    control_sets,
    crops_hash,
    encoder_sets,
    extremes,
    features_hash,
    made_features,
    main_sets,
    other_sets,
)
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import GPU_POOL, all_shards, asset, baselines_of
from pcip_assets.progress import Progress
from pcip_assets.records.settings import OVERRIDES, trained_as
from pcip_assets.resources import Library
from pcip_assets.tracking import Encoder, Tracking, device_name, precision_of
from pcip_core.errors import EncoderError
from pcip_core.spec.screen import Screen
from pcip_core.store.feature_blocks import mean_by_protein
from pcip_core.store.images import Images

_SECONDS = "extraction_seconds"  # in the metadata of a shard


@dataclass(frozen=True)
class _Learned:
    """Features by a registered network: their asset; the asset, the training screen and the model of the network."""

    noun: str
    method: str
    layers: tuple[str, ...]
    network: str
    trained_on: str  # the screen
    model: str
    group: str
    description: str


def build_cell_features(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of the encoder's features, one table per layer."""
    trained_on = screen.encoder_screen
    learned = _Learned(
        noun="cell_features",
        method=screen.encoder.method,
        layers=screen.encoder.layers,
        network="encoder",
        trained_on=trained_on,
        model=trained_on,
        group=screen.name,
        description="Features of every cell of one shard by the champion encoder: the spatial maximum of each layer.",
    )
    return _learned_features(screen, shards, learned)


def build_autoencoder_features(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of the autoencoder's features, one table per layer."""
    trained_on = screen.encoder_screen
    learned = _Learned(
        noun="autoencoder_features",
        method="autoencoder",
        layers=screen.encoder.layers,
        network="autoencoder",
        trained_on=trained_on,
        model=autoencoder_model(trained_on),
        group=baselines_of(screen),
        description="Features of every cell of one shard by the autoencoder: the spatial maximum of each layer.",
    )
    return _learned_features(screen, shards, learned)


def build_supervised_features(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of the supervised network's features, one table per layer."""
    learned = _Learned(
        noun="supervised_features",
        method="supervised",
        layers=SUPERVISED_LAYERS,
        network="supervised",
        trained_on=screen.name,
        model=supervised_model(screen.name),
        group=baselines_of(screen),
        description="Features of every cell of one shard by the supervised network, trained on most of their labels.",
    )
    return _learned_features(screen, shards, learned)


def _learned_features(
    screen: Screen, shards: dg.PartitionsDefinition, learned: _Learned
) -> dg.AssetsDefinition:
    @asset(
        screen,
        learned.noun,
        description=learned.description,
        shards=shards,
        deps=[[screen.name, "crops"], [learned.trained_on, learned.network]],
        group=learned.group,
        kinds={"pytorch", "parquet"},
        table=f"{PREFIX}{learned.method}_{learned.layers[0]}",
        pool=GPU_POOL,
    )
    def features(context: dg.AssetExecutionContext, library: Library, tracking: Tracking) -> Tables:
        from pcip_core.models.files import load_encoder

        champion = tracking.champion(learned.model)
        network = load_encoder(champion.folder)
        require_same_crops(network.config, screen, champion.version)
        if learned.noun == "cell_features":
            require_same_tasks(network.config, screen, champion.version)

        def inputs(shard: str | None) -> dict[str, Any]:
            weights, precision = champion.tags["weights_sha256"], champion.precision
            return {"weights": weights, "precision": precision, "crops": crops_hash(library, screen, shard)}

        def make(shard: str | None) -> Made:
            cells, crops = library.store.read_with_array(screen.name, "cells", "crops", str(shard))
            task = f"{screen.name}/{learned.noun} {shard}"
            layers, measured = _extracted(
                context.log, network, crops, task, layers=learned.layers, precision=champion.precision
            )
            sets = {f"{learned.method}_{layer}": vectors for layer, vectors in layers.items()}
            overrides = champion.tags.get(OVERRIDES)
            return made_features(
                cells, sets, champion.version, champion.run_id, champion.precision, overrides, **measured
            )

        def log(made: Sequence[dict[str, Any]]) -> dict[str, Any]:
            changed = {OVERRIDES: champion.tags[OVERRIDES]} if OVERRIDES in champion.tags else {}
            logged = _log_extraction(context, tracking, learned, champion, made)
            return {"encoder_version": champion.version, "precision": champion.precision, **changed, **logged}

        return Tables(f"{PREFIX}{learned.method}_{learned.layers[0]}", inputs, make, log)

    return features


def _log_extraction(
    context: dg.AssetExecutionContext,
    tracking: Tracking,
    learned: _Learned,
    champion: Encoder,
    made: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Log in MLflow what a run computed, from the metadata of its shards; return what links it to the asset."""
    cells = sum(shard["dagster/row_count"] for shard in made)
    if not cells:
        return {}
    rate = cells / sum(shard[_SECONDS] for shard in made)
    run_id = tracking.log_extraction(
        learned.trained_on,
        champion,
        params={
            "screen": context.asset_key.path[0],
            "device": ", ".join(dict.fromkeys(shard["device"] for shard in made)),
            "precision": champion.precision,
            "dagster_run_id": context.run.run_id,
        },
        metrics={"cells": cells, "cells_per_s": rate},
    )
    url = dg.MetadataValue.url(tracking.url(learned.trained_on, run_id))
    return {"mlflow_run": url, "cells_per_s": rate}


def build_control_features(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of the controls of learned features: the same network untrained, and intensities alone."""

    @asset(
        screen,
        "control_features",
        shards=shards,
        deps=[[screen.name, "crops"], [screen.encoder_screen, "encoder"]],
        kinds={"pytorch", "parquet"},
        table=PREFIX + control_sets(screen)[0],
        pool=GPU_POOL,
    )
    def control_features(context: dg.AssetExecutionContext, library: Library, tracking: Tracking) -> Tables:
        """Controls of one shard: the untrained network's features in the encoder's precision, and intensities."""
        from pcip_core.features.intensity import intensity_features
        from pcip_core.models.inference import untrained_network
        from pcip_core.models.inpainting import NetworkConfig

        trained = trained_as(library.workspace, screen)
        encoder = trained.settings if trained else screen.encoder  # the spec may have changed since
        shape = {name: getattr(encoder, name) for name in ("width", "block", "initial_weights")}
        network = untrained_network(
            NetworkConfig(
                channels=screen.crop_channels,
                structural=screen.structural,
                protein=screen.protein,
                size_px=screen.crops.size_px,
                stages=screen.encoder.stages,
                **shape,
            ),
            screen.encoder.seed,
        )

        champion = tracking.champion_version(screen.encoder_screen)
        precision = precision_of(champion.tags if champion else {})

        def inputs(shard: str | None) -> dict[str, Any]:
            spec = {
                **shape,
                "stages": screen.encoder.stages,
                "seed": screen.encoder.seed,
                "precision": precision,
            }
            return {"spec": spec, "crops": crops_hash(library, screen, shard)}

        def make(shard: str | None) -> Made:
            cells, crops = library.store.read_with_array(screen.name, "cells", "crops", str(shard))
            task = f"{screen.name}/control_features {shard}"
            layers, _ = _extracted(
                context.log, network, crops, task, layers=screen.encoder.layers, precision=precision
            )
            sets = {f"untrained_{layer}": vectors for layer, vectors in layers.items()}
            sets["intensity"], _ = intensity_features(crops, *extremes(cells, screen), screen.crop_channels)
            return made_features(cells, sets, f"untrained, seed {screen.encoder.seed}", None, precision)

        return Tables(PREFIX + control_sets(screen)[0], inputs, make)

    return control_features


def build_protein_features(screen: Screen) -> dg.AssetsDefinition:
    """The asset of mean features by protein."""
    return _protein_features(
        screen, "protein_features", screen.name, MAIN_NOUNS, main_sets, encoder_sets(screen)[0]
    )


def build_baseline_protein_features(screen: Screen) -> dg.AssetsDefinition:
    """The asset of mean features by protein, of the baseline feature sets."""
    return _protein_features(
        screen,
        "yardstick_protein_features",
        baselines_of(screen),
        baseline_nouns(screen),
        other_sets,
        "classic",
    )


def _protein_features(
    screen: Screen,
    noun: str,
    group: str,
    nouns: Sequence[str],
    sets_of: Callable[[Library, Screen], list[str]],
    first: str,
) -> dg.AssetsDefinition:
    @asset(
        screen,
        noun,
        description="Mean of the features of all cells of a protein, all its images and cell lines pooled.",
        deps=all_shards(screen, *nouns),
        group=group,
        kinds={"parquet"},
        table=f"protein_features_{first}",
    )
    def protein_features(context: dg.AssetExecutionContext, library: Library) -> Tables:
        sets = sets_of(library, screen)

        def inputs(_: str | None) -> dict[str, Any]:
            images = Images.of(library.store, screen.name).frame.select("image_id", "protein")
            return {
                "features": {name: features_hash(library, screen, name) for name in sets},
                "images": images.to_dict(as_series=False),
            }

        def make(_: str | None) -> Made:
            tables = {
                f"protein_features_{name}": mean_by_protein(library.store, screen.name, name) for name in sets
            }
            return Made(tables, metadata={"feature_sets": sets})

        return Tables(f"protein_features_{sets[0]}", inputs, make)

    return protein_features


def require_same_crops(network: Any, screen: Screen, version: str) -> None:
    """Check that a screen's crops are as those of an encoder's training: channels, their order, and size.

    Raises:
        EncoderError: they differ.
    """
    given = (network.channels, network.size_px)
    required = (screen.crop_channels, screen.crops.size_px)
    if given != required:
        raise EncoderError(
            f"encoder {version}",
            found=f"an encoder of {given[1]} px crops with the channels {', '.join(given[0])}",
            required=f"one of {required[1]} px crops with the channels {', '.join(required[0])}",
            remedy=f"Name another screen in `encoder_from` of {screen.name}, or use the same channels and size.",
        )


def require_same_tasks(network: Any, screen: Screen, version: str) -> None:
    """Check that an encoder has the tasks and the layers of the spec, which the names of its feature sets state.

    Raises:
        EncoderError: it has others.
    """
    given, stages = tuple(getattr(network, "tasks", ("inpainting",))), network.stages
    required, layers = tuple(screen.encoder.tasks), screen.encoder.stages
    if given != required or stages != layers:
        trained_on = screen.encoder_screen
        raise EncoderError(
            f"encoder {version}",
            found=f"an encoder trained by {' and '.join(given)}, of {stages} stages",
            required=f"one trained by {' and '.join(required)}, of {layers} stages, as in the spec of {trained_on}",
            remedy=f"Run `pcip run {trained_on} --retrain`, or change `encoder` back.",
        )


def _extracted(
    log: Any, network: Any, crops: np.ndarray, task: str, *, layers: Sequence[str], precision: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Features of each layer, with progress; and the device and the seconds, for the throughput that is logged."""
    from pcip_core.models.inference import extract_features
    from pcip_core.training.device import choose_device

    device, start = str(choose_device("auto")), time.perf_counter()
    with Progress(log, task, len(crops), "cell") as progress:
        layers_of_cells = extract_features(
            network, crops, layers=layers, device=device, precision=precision, progress=progress
        )
    measured = {"device": f"{device} ({device_name(device)})", _SECONDS: time.perf_counter() - start}
    return layers_of_cells, measured
