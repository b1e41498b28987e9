"""Feature tables: `cell_features` by the champion, `control_features` beside them, `protein_features`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from pcip_assets.assets.encoders import autoencoder_model
from pcip_assets.assets.shared import (
    GPU_POOL,
    OWNERS,
    Made,
    Remake,
    Work,
    all_shards,
    materialize,
    yardsticks_of,
)
from pcip_assets.progress import Progress
from pcip_assets.provenance import code_version
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking, device_name
from pcip_core.errors import EncoderError, EvaluationError
from pcip_core.screen import Screen
from pcip_core.store.vectors import feature_table, features_of

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")
INPAINTING = tuple(f"inpainting_{layer}" for layer in LAYERS)
UNTRAINED = tuple(f"untrained_{layer}" for layer in LAYERS)
CONTROLS = (*UNTRAINED, "intensity")
PREFIX = "cell_features_"
MAIN_NOUNS = ("cell_features", "control_features")  # the assets of these
_EXTRACTION = ("pcip_core.models.network", "pcip_core.models.inpainting", "pcip_core.features.deep")


@dataclass(frozen=True)
class _Learned:
    """Features by a registered network: their asset, and the asset and model of the network."""

    noun: str
    method: str
    network: str
    model: str
    group: str
    about: str


def build_cell_features(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of inpainting features, one table a layer."""
    about = "Features of every cell of one shard by the champion encoder: the spatial maximum of each layer."
    learned = _Learned("cell_features", "inpainting", "encoder", screen.encoder_screen, screen.name, about)
    return _learned_features(screen, shards, learned)


def build_autoencoder_features(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of the autoencoder's features, one table a layer."""
    about = "Features of every cell of one shard by the autoencoder: the spatial maximum of each layer."
    noun, model = "autoencoder_features", autoencoder_model(screen.encoder_screen)
    learned = _Learned(noun, "autoencoder", "autoencoder", model, yardsticks_of(screen), about)
    return _learned_features(screen, shards, learned)


def _learned_features(
    screen: Screen, shards: dg.PartitionsDefinition, learned: _Learned
) -> dg.AssetsDefinition:
    code = code_version(*_EXTRACTION, "pcip_core.models.autoencoder")

    @dg.asset(
        key=[screen.name, learned.noun],
        description=learned.about,
        partitions_def=shards,
        deps=[[screen.name, "crops"], [screen.encoder_screen, learned.network]],
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=learned.group,
        owners=OWNERS,
        kinds={"pytorch", "parquet"},
        pool=GPU_POOL,
        code_version=code,
    )
    def features(
        context: dg.AssetExecutionContext, config: Remake, library: Library, tracking: Tracking
    ) -> dg.MaterializeResult:
        from pcip_core.models.files import load_encoder

        champion = tracking.champion(learned.model)
        network = load_encoder(champion.folder)
        require_same_crops(network.config, screen, champion.version)
        meter = _Meter(context.log)

        def inputs(shard: str | None) -> dict[str, Any]:
            return {"weights": champion.tags["weights_sha256"], "crops": crops_hash(library, screen, shard)}

        def make(shard: str | None) -> Made:
            cells, crops = library.store.read_with_array(screen.name, "cells", "crops", str(shard))
            layers = meter.extract(network, crops, f"{screen.name}/{learned.noun} {shard}")
            sets = {f"{learned.method}_{layer}": vectors for layer, vectors in layers.items()}
            return _made(cells, sets, champion.version, champion.run_id)

        work = Work(f"{PREFIX}{learned.method}_{LAYERS[0]}", code, inputs, make)
        result = materialize(context, library, screen, config, work)
        if meter.cells:
            run_id = tracking.log_extraction(
                screen.encoder_screen,
                champion,
                params={
                    "screen": screen.name,
                    "device": f"{meter.device} ({device_name(meter.device)})",
                    "dagster_run_id": context.run.run_id,
                },
                metrics={"cells": meter.cells, "cells_per_s": meter.cells / meter.seconds},
            )
            context.add_asset_metadata(
                {
                    "mlflow_run": dg.MetadataValue.url(tracking.url(screen.encoder_screen, run_id)),
                    "cells_per_s": meter.cells / meter.seconds,
                }
            )
        context.add_asset_metadata({"encoder_version": champion.version})
        return result

    return features


def build_control_features(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of what learned features must beat: the same network untrained, and plain intensities."""
    code = code_version(*_EXTRACTION, "pcip_core.features.intensity")

    @dg.asset(
        key=[screen.name, "control_features"],
        partitions_def=shards,
        deps=[[screen.name, "crops"]],
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=screen.name,
        owners=OWNERS,
        kinds={"pytorch", "parquet"},
        pool=GPU_POOL,
        code_version=code,
    )
    def control_features(
        context: dg.AssetExecutionContext, config: Remake, library: Library
    ) -> dg.MaterializeResult:
        """Controls of one shard: the untrained network's features, and intensity statistics."""
        from pcip_core.features.deep import untrained_network
        from pcip_core.features.intensity import intensity_features
        from pcip_core.models.inpainting import NetworkConfig

        network = untrained_network(
            NetworkConfig(
                channels=screen.crop_channels,
                structural=screen.structural,
                protein=screen.protein,
                size_px=screen.crops.size_px,
                width=screen.encoder.width,
            ),
            screen.encoder.seed,
        )

        def inputs(shard: str | None) -> dict[str, Any]:
            spec = {"width": screen.encoder.width, "seed": screen.encoder.seed}
            return {"spec": spec, "crops": crops_hash(library, screen, shard)}

        def make(shard: str | None) -> Made:
            cells, crops = library.store.read_with_array(screen.name, "cells", "crops", str(shard))
            what = f"{screen.name}/control_features {shard}"
            layers = _Meter(context.log).extract(network, crops, what)
            sets = {f"untrained_{layer}": vectors for layer, vectors in layers.items()}
            sets["intensity"], _ = intensity_features(crops, *extremes(cells, screen), screen.crop_channels)
            return _made(cells, sets, f"untrained, seed {screen.encoder.seed}", None)

        return materialize(context, library, screen, config, Work(PREFIX + CONTROLS[0], code, inputs, make))

    return control_features


def build_protein_features(screen: Screen) -> dg.AssetsDefinition:
    """The asset of mean features by protein."""
    return _protein_features(screen, "protein_features", screen.name, MAIN_NOUNS, main_sets)


def build_yardstick_protein_features(screen: Screen) -> dg.AssetsDefinition:
    """The asset of mean features by protein, of the other feature sets."""
    return _protein_features(
        screen, "yardstick_protein_features", yardsticks_of(screen), yardstick_nouns(screen), other_sets
    )


def _protein_features(
    screen: Screen,
    noun: str,
    group: str,
    nouns: Sequence[str],
    sets_of: Callable[[Library, Screen], list[str]],
) -> dg.AssetsDefinition:
    code = code_version(__name__)

    @dg.asset(
        key=[screen.name, noun],
        description="Mean of the features of all cells of a protein, all its images and cell lines pooled.",
        deps=all_shards(screen, *nouns),
        group_name=group,
        owners=OWNERS,
        kinds={"parquet"},
        code_version=code,
    )
    def protein_features(
        context: dg.AssetExecutionContext, config: Remake, library: Library
    ) -> dg.MaterializeResult:
        sets = sets_of(library, screen)

        def inputs(_: str | None) -> dict[str, Any]:
            images = library.store.read(screen.name, "images", columns=["image_id", "protein"])
            return {
                "features": {name: features_hash(library, screen, name) for name in sets},
                "images": images.to_pylist(),
            }

        def make(_: str | None) -> Made:
            images = library.store.read(screen.name, "images", columns=["image_id", "protein"])
            protein_of = dict(
                zip(*(images[name].to_pylist() for name in ("image_id", "protein")), strict=True)
            )
            tables = {
                f"protein_features_{name}": _mean_by_protein(library, screen, name, protein_of)
                for name in sets
            }
            return Made(tables, metadata={"feature_sets": sets})

        work = Work(f"protein_features_{sets[0]}", code, inputs, make)
        return materialize(context, library, screen, config, work)

    return protein_features


def crops_hash(library: Library, screen: Screen, shard: str | None) -> str | None:
    """Hash of the crops of a shard."""
    return (library.store.provenance(screen.name, "cells", shard) or {}).get("data_hash")


def features_hash(library: Library, screen: Screen, feature_set: str) -> dict[str, str | None]:
    """shard -> hash of what made its features."""
    table = PREFIX + feature_set
    return {
        shard: (library.store.provenance(screen.name, table, shard) or {}).get("inputs_hash")
        for shard in library.store.shards(screen.name, table)
    }


def main_sets(library: Library, screen: Screen) -> list[str]:
    """The learned feature sets and their controls."""
    return [name for name in (*INPAINTING, *CONTROLS) if library.store.shards(screen.name, PREFIX + name)]


def other_sets(library: Library, screen: Screen) -> list[str]:
    """The other feature sets that describe every shard which the learned ones do.

    Raises:
        EvaluationError: there is none.
    """
    lacking = shards_lacking(library, screen)
    whole = [name for name, shards in lacking.items() if not shards]
    if not whole:
        raise EvaluationError(
            f"{screen.name}: other feature sets",
            found="; ".join(f"{name} without {', '.join(sorted(shards))}" for name, shards in lacking.items())
            or "none",
            required="one that describes every shard",
            remedy=f"pcip run {screen.name} --yardsticks, over all shards",
        )
    return whole


def shards_lacking(library: Library, screen: Screen) -> dict[str, set[str]]:
    """Other feature set -> the shards that the learned ones have and it has not."""
    store, main = library.store, (*INPAINTING, *CONTROLS)
    have = {
        table.removeprefix(PREFIX): set(store.shards(screen.name, table))
        for table in store.tables(screen.name)
        if table.startswith(PREFIX)
    }
    whole = set().union(*(have.get(name, ()) for name in main))
    return {name: whole - shards for name, shards in have.items() if name not in main}


def extremes(cells: pa.Table, screen: Screen) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest pixel of each channel of each crop, (n, C) each, in the image's units."""
    low, high = (
        np.array(cells[f"intensity_{end}"].to_pylist(), np.float32).reshape(-1, len(screen.crop_channels))
        for end in ("min", "max")
    )
    return low, high


def yardstick_nouns(screen: Screen) -> list[str]:
    """The assets of a screen's other feature sets."""
    made_by = {
        "designed_features": bool(screen.yardsticks.designed),
        "autoencoder_features": "autoencoder" in screen.yardsticks.sets,
    }
    return [noun for noun, wanted in made_by.items() if wanted]


def require_same_crops(network: Any, screen: Screen, version: str) -> None:
    """An encoder describes the crops it was trained on: the same channels in the same order, the same size.

    Raises:
        EncoderError: they differ.
    """
    found = (network.channels, network.size_px)
    required = (screen.crop_channels, screen.crops.size_px)
    if found != required:
        raise EncoderError(
            f"encoder {version}",
            found=f"an encoder of {found[1]} px crops with the channels {', '.join(found[0])}",
            required=f"one of {required[1]} px crops with the channels {', '.join(required[0])}",
            remedy=f"Name another screen in `encoder_from` of {screen.name}, or name its channels and size alike.",
        )


def _mean_by_protein(
    library: Library, screen: Screen, feature_set: str, protein_of: dict[str, str]
) -> pa.Table:
    cells = library.store.read(screen.name, PREFIX + feature_set)
    proteins, index = np.unique(
        [protein_of[image] for image in cells["image_id"].to_pylist()], return_inverse=True
    )
    counts = np.bincount(index, minlength=len(proteins))
    vectors = features_of(cells)
    sums = np.zeros((len(proteins), vectors.shape[1]))
    np.add.at(sums, index, vectors)
    means = (sums / counts[:, None]).astype(np.float32)
    versions = sorted(set(cells["encoder_version"].to_pylist()))
    ids = {
        "protein": proteins.tolist(),
        "n_cells": counts.tolist(),
        "encoder_version": [", ".join(versions)] * len(proteins),
    }
    return feature_table(ids, means)


def _made(cells: pa.Table, sets: dict[str, np.ndarray], version: str, run_id: str | None) -> Made:
    ids = {name: cells[name].to_pylist() for name in ("cell_id", "image_id")}
    ids["encoder_version"] = [version] * cells.num_rows
    tables = {PREFIX + name: feature_table(ids, vectors) for name, vectors in sets.items()}
    provenance = {"encoder_version": version, "mlflow_run_id": run_id}
    spread = {name: float((vectors.std(0) > 0).mean()) for name, vectors in sets.items() if len(vectors)}
    return Made(tables, provenance=provenance, metadata={"share_of_features_that_vary": spread})


class _Meter:
    """Extraction with progress, and a count of cells and seconds for the throughput that is logged."""

    def __init__(self, log: Any) -> None:
        self.cells, self.seconds, self.device = 0, 0.0, "cpu"
        self._log = log

    def extract(self, network: Any, crops: np.ndarray, what: str) -> dict[str, np.ndarray]:
        from pcip_core.features.deep import extract_features
        from pcip_core.training.device import choose_device

        self.device = str(choose_device("auto"))
        start = time.perf_counter()
        with Progress(self._log, what, len(crops), "cell") as progress:
            layers = extract_features(network, crops, layers=LAYERS, device=self.device, progress=progress)
        self.cells, self.seconds = self.cells + len(crops), self.seconds + time.perf_counter() - start
        return layers
