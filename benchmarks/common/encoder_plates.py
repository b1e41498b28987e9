"""Why features recognise plates: whether the plates of a screen can be told apart from its cell lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.common.encoder_scores import KNN, LOGISTIC, PLATE, UNITS, Labelled, plate_p_value, scores_of
from benchmarks.common.encoder_screens import Cells
from benchmarks.common.encoder_trainings import Trained, trained
from benchmarks.common.harness import Row
from pcip_core.features.correction import by_group
from pcip_core.spec.training import EncoderConfig

_EPOCHS = 10  # of the recipe `small_screen`


def testable_plates(cells: Labelled) -> tuple[int, int]:
    """Count the plates by which plates can be recognised, and those of them with a cell line of another plate.

    A plate can be recognised if several images of a protein are on it. If its cell lines are on no other plate,
    recognising the plate and recognising the cell line are the same.

    >>> plate, line = np.array(["a", "a", "b"]), np.array(["HeLa", "HeLa", "U-2 OS"])
    >>> image, protein = np.arange(3), np.zeros(3)
    >>> testable_plates(Labelled(protein, image, plate=plate, image=image, alike=protein, line=line))
    (1, 0)
    """
    plates, apart = 0, 0
    for plate in np.unique(cells.plate):
        here = cells.plate == plate
        images = [
            len(np.unique(cells.image[here & (cells.alike == each)])) for each in np.unique(cells.alike[here])
        ]
        if max(images) > 1:
            plates += 1
            apart += bool(np.isin(cells.line[here], cells.line[~here]).any())
    return plates, apart


def plate_rows(cells: Cells, ours: Trained) -> Iterator[Row]:
    """What the plates of a screen can show, and what corrections change; nothing without plates and cell lines.

    Args:
        cells: of one screen.
        ours: an encoder by the shipped settings.
    """
    layer, features = ours.layer, ours.features[ours.layer]
    for what, asked in cells.questions.items():
        if not len(asked.plate) or not len(asked.line):
            continue
        plates, apart = testable_plates(asked)
        about = f"{cells.about}: plates"
        yield Row(
            f"{about} with several images of a protein", plates, "plates", n=len(np.unique(asked.plate))
        )
        yield Row(f"{about} of these, with a cell line that another plate has", apart, "plates", n=plates)
        lines = replace(asked, plate=asked.line, image=asked.plate)
        yield Row(
            f"{cells.about}: cell lines recognised on other plates, {layer}",
            plate_p_value(features, lines),
            UNITS[PLATE],
            n=len(np.unique(asked.line)),
        )
        for name, groups in (("plate", asked.plate), ("cell line", asked.line)):
            corrected = by_group(features, groups).features
            for way, value in scores_of(corrected, asked, ways=(KNN, LOGISTIC, PLATE)).items():
                against = ours.score(what, way)
                yield Row(
                    what=f"{cells.about}: {what}: {layer} corrected by {name}, {way}",
                    value=value,
                    unit=UNITS[way],
                    against=f"{layer}, not corrected",
                    against_value=against,
                    ratio=value / against,
                )


def pairs_rows(cells: Cells, config: EncoderConfig) -> Iterator[Row]:
    """Scores after a training on these cells, with pairs of one image and with pairs of one protein."""
    for what, asked in cells.questions.items():
        if not len(asked.plate):
            continue
        crops = replace(cells.crops, protein=asked.alike)
        for pairs in ("same_image", "same_protein"):
            each = trained(replace(cells, crops=crops), replace(config, epochs=_EPOCHS, pairs=pairs))
            for way in (KNN, LOGISTIC, PLATE):
                yield Row(
                    f"{cells.about}: {what}: {_EPOCHS} epochs of pairs of the {pairs[5:]}, "
                    f"{each.layer}, {way}",
                    each.score(what, way),
                    UNITS[way],
                    n=1,
                )
