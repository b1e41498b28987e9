"""A second round of training, without the proteins that vary most by the features of the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.common.encoder_scores import KNN, LOGISTIC, RETRIEVAL, UNITS
from benchmarks.common.encoder_screens import Cells
from benchmarks.common.encoder_trainings import Trained, trained
from benchmarks.common.harness import Row
from pcip_core.analysis.variability import variability
from pcip_core.features.intensity import intensity_features, intensity_names
from pcip_core.models.inference import extract_features
from pcip_core.spec.training import EncoderConfig

_SHARE = 0.1


def most_variable(cells: Cells, first: Trained, share: float = _SHARE) -> np.ndarray:
    """Which images show the most variable proteins by the features of a first round: (images,) bool.

    Args:
        cells: of a simulated screen.
        first: the first round.
        share: of the proteins that are ranked.
    """
    assert cells.images is not None
    keys, channels = ["protein", "cell_line"], cells.crops.channels
    pixels = np.asarray(cells.crops.pixels)
    network, precision = first.encoder.network, first.encoder.precision
    features = extract_features(network, pixels, layers=[first.layer], precision=precision)[first.layer]
    mean = intensity_names(channels).index("protein_mean")
    light = intensity_features(pixels, cells.low, cells.high, channels)[0][:, mean]
    ranked = variability(features, cells.images[cells.crops.image], light).table
    chosen = ranked.sort("rank").head(max(1, round(share * ranked.height)))
    names = cells.images.with_row_index().join(chosen, on=keys, how="semi")["index"].to_numpy()
    return np.isin(np.arange(cells.images.height), names)


def round_rows(cells: Cells, config: EncoderConfig, first: Sequence[Trained]) -> Iterator[Row]:
    """Scores of second rounds against those of the first, which the same seed gave, and of the simulator's choice.

    Args:
        cells: of a simulated screen.
        config: settings of the first round.
        first: trainings with the seeds 0, 1, ...
    """
    assert cells.images is not None
    variable = cells.images["kind"].eq("variable").to_numpy()
    rounds: dict[str, list[Trained]] = {"second round": [], "without all truly variable proteins": []}
    correct = []
    for seed, each in enumerate(first):
        left_out = most_variable(cells, each)
        correct.append(float(variable[left_out].mean()))
        for name, images in zip(rounds, (left_out, variable), strict=True):
            kept = ~images[cells.crops.image]
            rounds[name].append(trained(cells, replace(config, seed=seed), kept))
    share = f"{left_out.sum()} of {len(left_out)} images left out, {variable.sum()} truly variable"
    about, what = f"{cells.about}: second round", next(iter(cells.questions))
    yield Row(
        f"{about}: {share}: correct among those left out", float(np.mean(correct)), "share", n=len(first)
    )
    for name, several in rounds.items():
        for way in (KNN, LOGISTIC, RETRIEVAL):
            values, before = ([each.score(what, way) for each in some] for some in (several, first))
            yield Row(
                what=f"{cells.about}: {what}: {name}, {several[0].layer}, {way}",
                value=float(np.mean(values)),
                unit=f"{UNITS[way]}, mean",
                against="first round",
                against_value=float(np.mean(before)),
                ratio=float(np.mean(values) / np.mean(before)),
                n=len(values),
                spread=(min(values), max(values)),
            )
