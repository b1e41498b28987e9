"""The cells that networks are trained on: the crops of all shards, and which of them a training holds out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from pcip_assets.assets.feature_sets import crops_hash
from pcip_assets.provenance import inputs_hash
from pcip_assets.records.dataset import Crops
from pcip_assets.resources import Library
from pcip_core.crops.pixels import Pixels, ShardedPixels
from pcip_core.errors import CropError
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import TrainingConfig

HELD_OUT = "held_out_crops"  # key in a network's file: cells that it was never trained on
TRAINING_CELLS = "training_cells"  # key in a network's file: the features of those that it was
_MOST_HELD_OUT = 20_000  # in a network's file, which a training of millions of cells must not make too large
_SAMPLED = 2_000


def all_crops(library: Library, screen: Screen) -> tuple[ShardedPixels, pl.DataFrame]:
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


def all_crops_hash(library: Library, screen: Screen) -> str:
    """Hash of the crops of all shards."""
    shards = library.store.shards(screen.name, "cells")
    return inputs_hash(crops={shard: crops_hash(library, screen, shard) for shard in shards})


def crops_of_screen(library: Library, screen: Screen) -> Crops:
    """What MLflow records of the crops of all shards: their hash and their numbers."""
    images = [
        library.store.read(screen.name, "cells", shards=[shard], columns=["image_id"])["image_id"]
        for shard in library.store.shards(screen.name, "cells")
    ]
    return Crops(
        screen.name,
        all_crops_hash(library, screen),
        screen.crop_channels,
        screen.crops.size_px,
        cells=sum(map(len, images)),
        images=len(set().union(*(ids.unique() for ids in images))),
        shards=len(images),
    )


def protein_of_images(library: Library, screen: Screen) -> dict[str, str]:
    """Image -> protein, of all images."""
    images = library.store.read(screen.name, "images")
    return dict(zip(images["image_id"].to_list(), images["protein"].to_list(), strict=True))


def held_out_crops(pixel_hashes: Sequence[str], image: np.ndarray, config: TrainingConfig) -> list[str]:
    """Hashes of crops that a training holds out, sorted, without those that it also trains on elsewhere.

    They are kept with the network, because which cells are held out depends on all cells of the training. Of many,
    those with the least hashes are kept, which is a random sample.
    """
    from pcip_core.training.sampling import hold_out

    held = hold_out(image, fraction=config.validation_fraction, seed=config.seed)
    hashes: dict[bool, set[str]] = {False: set(), True: set()}
    for pixels, out in zip(pixel_hashes, held.tolist(), strict=True):
        hashes[out].add(pixels)
    return sorted(hashes[True] - hashes[False])[:_MOST_HELD_OUT]


def training_cells(trained: Any, pixels: Pixels, layer: str) -> dict[str, Any]:
    """Features of an even sample of the cells of a training, in short, as plain values (`TrainingCells`)."""
    from pcip_core.evaluation.checks.familiarity import TrainingCells
    from pcip_core.models.inference import extract_features

    sample = np.unique(np.linspace(0, len(pixels) - 1, min(len(pixels), _SAMPLED)).astype(np.int64))
    features = extract_features(
        trained.network, pixels[sample], layers=[layer], device=trained.device, precision=trained.precision
    )
    return TrainingCells.of(layer, features[layer]).as_dict()
