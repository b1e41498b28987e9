"""`vgg16_features`: transfer learning from photographs (Supplementary Figure 2; docs/explanation/transfer.md)."""

import functools
import hashlib
import time
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.feature_sets import PREFIX, crops_hash, made_features
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import GPU_POOL, asset, baselines_of
from pcip_assets.progress import Progress
from pcip_assets.resources import Library
from pcip_core.errors import EncoderError
from pcip_core.spec.baselines import Vgg16
from pcip_core.spec.screen import Screen


def build_vgg16_features(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of features by VGG16, one table per input strategy and layer."""
    spec = screen.baselines.vgg16
    assert spec is not None, "the graph holds this asset where the spec has the section"

    @asset(
        screen,
        "vgg16_features",
        shards=shards,
        deps=[[screen.name, "crops"]],
        group=baselines_of(screen),
        kinds={"pytorch", "parquet"},
        table=PREFIX + _names(spec)[0],
        pool=GPU_POOL,
    )
    def vgg16_features(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Features of every cell of one shard by VGG16, with the weights that the spec names."""
        digest = _digest(spec.weights)

        def inputs(shard: str | None) -> dict[str, Any]:
            settings = [spec.strategies, spec.rgb, spec.layers, spec.resized, screen.channels]
            return {"weights": digest, "spec": settings, "crops": crops_hash(library, screen, shard)}

        def make(shard: str | None) -> Made:
            cells, crops = library.store.read_with_array(screen.name, "cells", "crops", str(shard))
            network = _network(spec.weights, spec.sha256, digest)
            sets: dict[str, np.ndarray] = {}
            seconds: dict[str, float] = {}
            for strategy in spec.strategies:
                for resized in (False, True) if spec.resized else (False,):
                    task = (
                        f"{screen.name}/vgg16_features {shard}: {strategy}{' at 224 px' if resized else ''}"
                    )
                    start = time.perf_counter()
                    with Progress(context.log, task, len(crops), "cell") as progress:
                        sets |= _described(screen, spec, network, crops, strategy, progress, resized=resized)
                    size = f"{strategy}, {'224 px' if resized else f'{screen.crops.size_px} px'}"
                    seconds[size] = (time.perf_counter() - start) / max(len(crops), 1)
            version = f"{Path(spec.weights).name}, SHA-256 {digest[:12]}"
            return made_features(cells, sets, version, None, "float32", seconds_per_cell=seconds)

        return Tables(PREFIX + _names(spec)[0], inputs, make)

    return vgg16_features


def _layers(spec: Vgg16, *, resized: bool) -> tuple[str, ...]:
    from pcip_core.models.vgg16 import CONVOLUTIONS

    return ("fc2",) if resized else spec.layers or CONVOLUTIONS


def _names(spec: Vgg16) -> list[str]:
    from pcip_core.features.transfer import feature_set_name

    return [
        feature_set_name(strategy, layer)
        for strategy in spec.strategies
        for layer in _layers(spec, resized=False)
    ]


def _described(
    screen: Screen,
    spec: Vgg16,
    network: Any,
    crops: np.ndarray,
    strategy: str,
    progress: Any,
    *,
    resized: bool,
) -> dict[str, np.ndarray]:
    """Feature set -> (n, d)."""
    from pcip_core.features.transfer import feature_set_name, vgg16_features
    from pcip_core.training.device import choose_device

    features = vgg16_features(
        network,
        crops,
        screen.crop_channels,
        strategy=strategy,
        layers=_layers(spec, resized=resized),
        protein=screen.protein,
        rgb={str(colour): name for colour, name in spec.rgb.items()},
        resized=resized,
        device=choose_device("auto"),
        progress=progress,
    )
    return {feature_set_name(strategy, layer, resized=resized): values for layer, values in features.items()}


@functools.lru_cache(maxsize=1)
def _network(weights: str, sha256: str | None, digest: str) -> Any:
    """The network of a file, read once per process; another `digest` is another file with the same name."""
    from pcip_core.models.vgg16 import load_vgg16

    return load_vgg16(Path(weights), sha256)


def _digest(weights: str) -> str:
    """SHA-256 of the file of weights."""
    path = Path(weights)
    if not path.is_file():
        raise EncoderError(
            path,
            found="no such file",
            required="weights of VGG16 (baselines.vgg16.weights)",
            remedy="Fetch them with the command in docs/how-to/use-vgg16.md, or take vgg16 out of baselines.sets.",
        )
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
