"""`supervised`, a baseline: a network after DeepLoc, trained on the labels of most images."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.encoders.train_network import Fitted, Network
from pcip_assets.assets.encoders.training_cells import all_crops, all_crops_hash
from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.assets.skeleton import GPU_POOL, all_shards, asset, baselines_of
from pcip_assets.compute.interface import Start
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking, TrainingRun
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import TrainingConfig
from pcip_core.words import many


def supervised_model(screen: str) -> str:
    """The name under which a screen's supervised network is registered."""
    return f"{screen}.supervised"


def build_supervised(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the supervised network: the only one that is given the labels."""

    @asset(
        screen,
        "supervised",
        description="Network after DeepLoc (Kraus et al. 2017), trained on the labels of most images; the others "
        "are kept for its score.",
        deps=all_shards(screen, "crops"),
        group=baselines_of(screen),
        kinds={"pytorch", "mlflow"},
        pool=GPU_POOL,
    )
    def supervised(context: dg.AssetExecutionContext, library: Library, tracking: Tracking) -> Network:
        config = screen.baselines.supervised or screen.encoder.from_nothing()

        def inputs(_: str | None) -> dict[str, Any]:
            images = library.store.read(screen.name, "images").to_dicts()
            return {
                "spec": [config.deciding(), screen.baselines.held_fraction, screen.section("channels")],
                "label": screen.benchmark.label,
                "labels": {row["image_id"]: row[screen.benchmark.label] for row in images},
                "crops": all_crops_hash(library, screen),
            }

        def fit(tracker: TrainingRun, checkpoints: Path, start: Start | None) -> Fitted:
            return _fit(library, screen, config, tracker, checkpoints, start)

        return Network(tracking, supervised_model(screen.name), "supervised", config, inputs, fit)

    return supervised


def _fit(
    library: Library,
    screen: Screen,
    config: TrainingConfig,
    tracker: TrainingRun,
    checkpoints: Path,
    start: Start | None,
) -> Fitted:
    """Train on the labelled cells of most images; the file of the network names those held."""
    from pcip_core.models.deeploc import DeepLocConfig
    from pcip_core.training.cells import CellSet
    from pcip_core.training.tasks.supervised import train_supervised

    pixels, every = all_crops(library, screen)
    cells = labelled_cells_of(library, screen)
    classes, labels = np.unique(cells.labels, return_inverse=True)
    images, image = np.unique(cells.image_ids, return_inverse=True)
    held = _held(screen, cells, labels, image, config)
    row_of = {cell_id: row for row, cell_id in enumerate(every["cell_id"].to_list())}
    rows = np.array([row_of[cell_id] for cell_id in cells.cell_ids])
    trained = train_supervised(
        CellSet(pixels.only(rows), image, screen.crop_channels),
        labels,
        DeepLocConfig(screen.crop_channels, tuple(classes.tolist()), screen.crops.size_px, config.width),
        config,
        held=held,
        tracker=tracker,
        checkpoints=checkpoints,
        start=start,
    )
    split = {
        "trained_on": images[np.unique(image[~held])].tolist(),
        "held": images[np.unique(image[held])].tolist(),
    }
    return Fitted(trained, len(rows), "cross-entropy", split)


def _held(
    screen: Screen, cells: LabelledCells, labels: np.ndarray, image: np.ndarray, config: TrainingConfig
) -> np.ndarray:
    """Which cells are of images that are kept for the score, (n,) bool.

    Raises:
        EvaluationError: there are too few classes, or no class has an image to spare.
    """
    from pcip_core.training.sampling import hold_out_images

    classes = len(set(labels.tolist()))
    if classes < 2:
        raise EvaluationError(
            f"{screen.name}/supervised",
            found=f"{many(len(labels), 'cell')} with one label each, of {many(classes, 'class')}",
            required=f"two classes or more in the column {screen.benchmark.label} of images",
            remedy="Give labels (docs/reference/spec.md, `images`), or take supervised out of baselines.sets.",
        )
    held = hold_out_images(image, labels, fraction=screen.baselines.held_fraction, seed=config.seed)
    if not held.any():
        raise EvaluationError(
            f"{screen.name}/supervised",
            found=(
                f"{many(len(set(cells.image_ids)), 'image')} of {many(classes, 'class')}, no class "
                f"with an image to spare"
            ),
            required="a class of two images or more, one of which is kept for the score",
            remedy="Label more images, or take supervised out of baselines.sets.",
        )
    return held
