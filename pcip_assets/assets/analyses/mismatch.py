"""`mismatch` (paper, Supplementary Figure 1): does the network follow its source, or does it cheat?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.analyses.galleries import crops_of
from pcip_assets.assets.encoders.training_cells import HELD_OUT, crops_of_screen
from pcip_assets.assets.labels import scored_cells_of
from pcip_assets.assets.main.features import require_same_crops
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import GPU_POOL, all_shards, analyses_of, asset
from pcip_assets.records.scores import Evaluation
from pcip_assets.resources import Library
from pcip_assets.tracking import Encoder, Tracking
from pcip_core.analysis.mismatch import compare, network_predictor, predicted, scores, verdict
from pcip_core.analysis.mismatched_pairs import Drawn, draw_held_out, pairs_of_many_labels
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE = "mismatch"
_COMPARED = ("margin", "share_worse_than_matched")  # the scores that are metrics of a training
_EACH, _SHOWN = 10, 6  # pairs of two labels at most, and pairs in the figure


@dataclass(frozen=True)
class Draw:
    """The cells that are compared.

    Attributes:
        cells: the labelled cells of the screen.
        drawn: pairs of positions in `cells`; None where there is too little to compare.
        pixel_hashes: of the crops of `drawn.cells`.
        description: which cells, or under `not_judged` what is needed.
    """

    cells: LabelledCells
    drawn: Drawn | None
    pixel_hashes: list[str]
    description: dict[str, Any]

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the comparison, beside the networks: plain values, the same after other cells have come."""
        if self.drawn is None:
            return self.description
        ids, used = self.cells.cell_ids, self.drawn.cells
        pairs = [
            [ids[int(pair.target)], ids.gather(pair.sources).to_list(), len(pair.same)]
            for pair in self.drawn.pairs
        ]
        labels = self.cells.labels[used].tolist()
        return {"pairs": pairs, "labels": labels, "crops": self.pixel_hashes, **self.description}


def build_mismatch(screen: Screen) -> dg.AssetsDefinition:
    """The asset of predictions from sources and targets that do not match."""

    @asset(
        screen,
        TABLE,
        deps=[*all_shards(screen, "crops"), dg.AssetDep([screen.encoder_screen, "encoder"])],
        group=analyses_of(screen),
        kinds={"pytorch", "parquet"},
        table=TABLE,
        pool=GPU_POOL,
        figures=True,
    )
    def mismatch(context: dg.AssetExecutionContext, library: Library, tracking: Tracking) -> Tables:
        """Whether a prediction shows the localization of its source or of its target, pair by pair."""
        champion = tracking.champion(screen.encoder_screen)
        draw = _draw(library, screen, champion)

        def inputs(_: str | None) -> dict[str, Any]:
            return {
                "encoder": [champion.version, champion.tags["weights_sha256"]],
                "draw": draw.identity,
                "spec": [screen.benchmark.label, screen.analyses.seed, screen.encoder.seed, screen.pixel_um],
                "channels": [screen.crop_channels, screen.structural, screen.protein],
            }

        def make(_: str | None) -> Made:
            table, figure = _compared(library, screen, champion, draw)
            metadata = metadata_of(table, draw.description)
            if not table.is_empty():
                metadata["follows_its_source"] = verdict(table).follows
            if figure is not None and screen.encoder_from is None:
                tracking.log_evaluation(champion, _evaluation(library, screen, table, figure))
            return Made(
                {TABLE: table},
                provenance={
                    "encoder_version": champion.version,
                    "mlflow_run_id": champion.run_id,
                    "description": json.dumps(draw.description),
                },
                metadata=metadata,
                figures={} if figure is None else {TABLE: figure},
            )

        return Tables(TABLE, inputs, make)

    return mismatch


def _evaluation(library: Library, screen: Screen, table: pl.DataFrame, figure: "Figure") -> Evaluation:
    """What MLflow shows: all scores as a table, those of the verdict also as metrics."""
    values = scores(table)
    metrics = {f"{TABLE}_{name}": value for name, value in values.items() if name.startswith(_COMPARED)}
    rows = [{"score": name, "value": value} for name, value in values.items()]
    return Evaluation(TABLE, crops_of_screen(library, screen), metrics, rows, {f"{TABLE}.png": figure})


def metadata_of(table: pl.DataFrame, description: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of the asset `mismatch` and of its check: scores, and the cells that they are of.

    Args:
        table: `mismatch`.
        description: of the draw; the provenance of the table holds it as JSON.
    """
    if table.is_empty():
        return dict(description)
    encoder = table.filter(network="encoder")
    return {
        "encoder_version": encoder["encoder_version"][0],
        "pairs": encoder.height,
        "target_cells": verdict(table).targets,
        **description,
        **scores(table),
    }


def _draw(library: Library, screen: Screen, champion: Encoder) -> Draw:
    """Pairs of the screen's labelled cells, held out of the training of its encoder if these suffice."""
    from pcip_core.models.files import read_extra, read_tasks

    cells = scored_cells_of(library, screen)
    if "inpainting" not in read_tasks(champion.folder):
        needed = (
            f"This needs an encoder that predicts proteins; {champion.version} was trained without inpainting"
        )
        return Draw(cells, None, [], {"not_judged": f"{needed} (encoder.task)."})
    hashes = pl.DataFrame({"cell_id": cells.cell_ids}, schema={"cell_id": pl.String}).join(
        _pixel_hashes(library, screen, cells.cell_ids),
        on="cell_id",
        how="left",
        maintain_order="left",
    )["pixel_hash"]
    known = None if screen.encoder_from else read_extra(champion.folder).get(HELD_OUT)
    try:
        drawn, held_out, group = draw_held_out(
            cells.labels,
            None if known is None else hashes.is_in(pl.Series(known, dtype=pl.String).implode()).to_numpy(),
            {"image": lambda: cells.image_ids, "field": lambda: np.asarray(cells.groups("leave_field_out"))},
            each=_EACH,
            seed=screen.analyses.seed,
        )
    except EvaluationError as error:
        needed = f"{error} Labels are those of column {screen.benchmark.label} of images."
        return Draw(cells, None, [], {"not_judged": needed})
    description = {
        "labels_left_out": drawn.left_out,
        "cells": _which_cells(screen, known=known is not None, held_out=held_out),
        "references_are_of_another": group,
    }
    return Draw(cells, drawn, hashes.gather(drawn.cells).to_list(), description)


def _pixel_hashes(library: Library, screen: Screen, cell_ids: pl.Series) -> pl.DataFrame:
    """The rows of these cells with their `pixel_hash`; the other cells are not held in memory."""
    wanted = pl.DataFrame({"cell_id": cell_ids}, schema={"cell_id": pl.String})
    batches = library.store.batches(screen.name, "cells", columns=["cell_id", "pixel_hash"])
    return pl.concat(batch.join(wanted, on="cell_id", how="semi") for batch in batches)


def _which_cells(screen: Screen, *, known: bool, held_out: bool) -> str:
    """Which cells are compared: the text of the metadata."""
    if screen.encoder_from is not None:
        return f"all, as the encoder was trained on {screen.encoder_from}"
    if not known:
        return "all, as this encoder does not state which were held out: train again"
    return "held out of the training" if held_out else "all, as too few were held out"


def _compared(
    library: Library, screen: Screen, champion: Encoder, draw: Draw
) -> tuple[pl.DataFrame, "Figure | None"]:
    """The table of predictions by the encoder and by the same network untrained, and a figure of a few pairs.

    Without pairs, the table is empty and there is no figure.

    Raises:
        EncoderError: the encoder was trained on other crops.
    """
    from pcip_core.models.files import load_encoder
    from pcip_core.models.inference import untrained_network
    from pcip_core.training.device import choose_device

    trained: Any = load_encoder(champion.folder)
    require_same_crops(trained.config, screen, champion.version)
    if draw.drawn is None:
        return schemas.MISMATCH.empty(), None
    used, ids = draw.drawn.cells.tolist(), draw.cells.cell_ids
    crops = dict(zip(used, crops_of(library.store, screen, ids.gather(used).to_list()), strict=True))
    device, seed = choose_device("auto"), screen.encoder.seed
    networks = {
        "encoder": (trained, champion.version),
        "untrained": (untrained_network(trained.config, seed), f"untrained, seed {seed}"),
    }
    predictors = {name: network_predictor(network.to(device)) for name, (network, _) in networks.items()}
    pairs = {
        name: compare(
            predictor,
            crops,
            draw.drawn,
            draw.cells.labels,
            channels=screen.crop_channels,
            structural=screen.structural,
            protein=screen.protein,
        )
        for name, predictor in predictors.items()
    }
    versions = {name: version for name, (_, version) in networks.items()}
    figure = _figure(screen, pairs["encoder"], crops, predictors["encoder"])
    return mismatch_table(pairs, versions, ids), figure


def mismatch_table(
    pairs: Mapping[str, pl.DataFrame], versions: Mapping[str, str], cell_ids: Sequence[str] | pl.Series
) -> pl.DataFrame:
    """Rows of `compare` by network as the table `mismatch`."""
    ids = pl.Series(cell_ids, dtype=pl.String)
    return pl.concat(
        schemas.MISMATCH.checked(
            rows.select(
                pl.lit(name).alias("network"),
                pl.lit(versions[name]).alias("encoder_version"),
                ids.gather(rows["source"]).alias("source_cell"),
                ids.gather(rows["target"]).alias("target_cell"),
                pl.exclude("source", "target"),
            )
        )
        for name, rows in pairs.items()
    )


def _title(screen: Screen) -> str:
    return f"{screen.title}: predicted from sources of another {screen.benchmark.label}"


def _figure(screen: Screen, pairs: pl.DataFrame, crops: Mapping[int, np.ndarray], predict: Any) -> "Figure":
    """A few pairs with their correlations."""
    from pcip_core.plots.cells.key import Scale
    from pcip_core.plots.scores.mismatch import mismatch_pairs

    shown = pairs_of_many_labels(pairs, _SHOWN, screen.analyses.seed)
    sources, targets = (shown[end].to_numpy() for end in ("source", "target"))
    seen = [index for index, name in enumerate(screen.crop_channels) if name in screen.structural]
    return mismatch_pairs(
        np.stack([crops[cell] for cell in sources.tolist()]),
        np.stack([crops[cell] for cell in targets.tolist()]),
        predicted(predict, crops, sources, targets, seen),
        _title(screen),
        channels=screen.crop_channels,
        protein=screen.protein,
        labels=shown.select("source_label", "target_label").rows(),
        notes=[
            f"r source {source:.2f}\nr target {target:.2f}\nr truth {truth:.2f}"
            for source, target, truth in shown.select("r_source", "r_target", "r_truth").iter_rows()
        ],
        scale=Scale.of_crop(screen),
    )
