"""The feature sets of a screen, the hashes of their inputs, and their tables."""

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from pcip_assets.assets.results import Made
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import TASKS
from pcip_core.store.vectors import feature_table

SUPERVISED_LAYERS = (*(f"conv{number}" for number in range(1, 9)), "fc1", "fc2")
SUPERVISED = tuple(f"supervised_{layer}" for layer in SUPERVISED_LAYERS)
PREFIX = "cell_features_"
LENGTHS = "lengths"  # in the provenance of a combined set: the number of columns of each of its sets
_METHODS = ["_".join(some) for count in range(len(TASKS)) for some in combinations(TASKS, count + 1)]
_LAYER = re.compile(rf"(?:{'|'.join(_METHODS)}|untrained)_conv\d+")
MAIN_NOUNS = ("cell_features", "control_features")  # the assets of these


def encoder_sets(screen: Screen) -> tuple[str, ...]:
    """The feature sets of the encoder that describes the cells of a screen, one for each layer."""
    return tuple(f"{screen.encoder.method}_{layer}" for layer in screen.encoder.layers)


def control_sets(screen: Screen) -> tuple[str, ...]:
    """The controls of these: the layers of the same network untrained, and intensities alone."""
    return (*(f"untrained_{layer}" for layer in screen.encoder.layers), "intensity")


def crops_hash(library: Library, screen: Screen, shard: str | None) -> str | None:
    """Hash of the crops of a shard; None where there are none."""
    return (library.store.provenance(screen.name, "cells", shard) or {}).get("data_hash")


def features_hash(library: Library, screen: Screen, feature_set: str) -> dict[str, str | None]:
    """shard -> hash of the inputs of its features."""
    table = PREFIX + feature_set
    return {
        shard: (library.store.provenance(screen.name, table, shard) or {}).get("inputs_hash")
        for shard in library.store.shards(screen.name, table)
    }


def main_sets(library: Library, screen: Screen) -> list[str]:
    """The learned feature sets and their controls."""
    names = (*encoder_sets(screen), *control_sets(screen))
    return [name for name in names if library.store.shards(screen.name, PREFIX + name)]


def other_sets(library: Library, screen: Screen) -> list[str]:
    """The baseline feature sets that exist for every shard of the learned ones.

    Those of the supervised network are among them, although they cannot be scored on the cells of its training.

    Raises:
        EvaluationError: no set exists for every shard.
    """
    lacking = shards_lacking(library, screen)
    whole = [name for name, shards in lacking.items() if not shards]
    if not whole:
        raise EvaluationError(
            f"{screen.name}: other feature sets",
            found="; ".join(f"{name} without {', '.join(sorted(shards))}" for name, shards in lacking.items())
            or "none",
            required="one that describes every shard",
            remedy=f"pcip run {screen.name} --baselines, over all shards",
        )
    return whole


def unsupervised_sets(library: Library, screen: Screen) -> list[str]:
    """Those of `other_sets` that were made without labels, so that every cell may be scored."""
    return [name for name in other_sets(library, screen) if name not in SUPERVISED]


def shards_lacking(library: Library, screen: Screen) -> dict[str, set[str]]:
    """Baseline feature set -> the shards that the learned sets have and it has not.

    Tables of an encoder with another task or more layers, which an earlier spec has left, are no baselines.
    """
    store, main = library.store, (*encoder_sets(screen), *control_sets(screen))
    have = {
        table.removeprefix(PREFIX): set(store.shards(screen.name, table))
        for table in store.tables(screen.name)
        if table.startswith(PREFIX)
    }
    whole = set().union(*(have.get(name, ()) for name in main))
    return {
        name: whole - shards for name, shards in have.items() if name not in main and not _former(name, main)
    }


def _former(name: str, main: Sequence[str]) -> bool:
    """Whether a set, or a corrected copy of it, is a layer of an encoder that is not among the main sets."""
    layer = _LAYER.match(name)
    return layer is not None and layer[0] not in main


def baseline_nouns(screen: Screen) -> list[str]:
    """The assets of a screen's baseline feature sets, and of those that the spec adds to them."""
    made_by = {
        "designed_features": bool(screen.baselines.designed),
        "autoencoder_features": "autoencoder" in screen.baselines.sets,
        "vgg16_features": "vgg16" in screen.baselines.sets,
        "supervised_features": "supervised" in screen.baselines.sets,
        **{f"{name}_features": True for name in screen.features},
        "corrected_features": bool(screen.baselines.corrections),
    }
    return [noun for noun, wanted in made_by.items() if wanted]


def common_provenance(
    library: Library, screen: Screen, sets: Iterable[str], shard: str | None
) -> tuple[str, str | None, str | None, str | None]:
    """Encoder versions, MLflow run, precision and overrides of a set that is computed from other sets.

    All but the versions are None where the other sets differ, except overrides, which are of any of them.
    """
    sources = [library.store.provenance(screen.name, PREFIX + name, shard) or {} for name in sets]
    versions = dict.fromkeys(str(source.get("encoder_version")) for source in sources)
    runs = {source.get("mlflow_run_id") for source in sources}
    precisions = {source.get("precision") for source in sources}
    overrides = dict.fromkeys(text for source in sources if (text := source.get("encoder_overrides")))
    return (
        ", ".join(versions),
        runs.pop() if len(runs) == 1 else None,
        precisions.pop() if len(precisions) == 1 else None,
        "; ".join(overrides) or None,
    )


def extremes(cells: pl.DataFrame, screen: Screen) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest pixel of each channel of each crop, (n, C) each, in the image's units."""
    channels = len(screen.crop_channels)
    low, high = (
        cells[f"intensity_{end}"].list.to_array(channels).cast(pl.Array(pl.Float32, channels)).to_numpy()
        for end in ("min", "max")
    )
    return low, high


def made_features(
    cells: pl.DataFrame,
    sets: dict[str, np.ndarray],
    version: str,
    run_id: str | None,
    precision: str | None,
    overrides: str | None = None,
    **metadata: Any,
) -> Made:
    """Feature sets of the cells of one shard, (n, d) each, as tables, with their provenance and metadata."""
    ids = cells.select("cell_id", "image_id", encoder_version=pl.lit(version))
    tables = {PREFIX + name: feature_table(ids.to_dict(), vectors) for name, vectors in sets.items()}
    provenance = {"encoder_version": version, "mlflow_run_id": run_id, "precision": precision}
    provenance["encoder_overrides"] = overrides
    spread = {name: float((vectors.std(0) > 0).mean()) for name, vectors in sets.items() if len(vectors)}
    return Made(tables, provenance=provenance, metadata={"share_of_features_that_vary": spread, **metadata})
