"""Cases of label images, illumination and quality."""

from __future__ import annotations

import numpy as np

from benchmarks.cases.case import Case, Result, Trial, judged


def mask_wrapped_255(trial: Trial) -> Result:
    """Right: 12 numbers in 38 pieces are named, and `split: true` gives 38 cells."""
    attempt = trial.attempt()
    split = trial.attempt(changes={"segmentation.options": {"channel": "mask", "split": True}})
    remedies = {"split: true": split.cells().get("A01") == 38}
    return judged(attempt, right=attempt.says("12 labels in 38"), named="12 labels in 38", remedies=remedies)


def mask_ilastik_h5(trial: Trial) -> Result:
    """Right: the HDF5 label image is read, or the refusal asks for TIFF or PNG."""
    attempt = trial.attempt()
    right = len(attempt.planes()) == 1 and sum(attempt.cells().values()) > 0
    return judged(attempt, right=right or attempt.says("label image", "TIFF", "PNG"))


def opera_flatfield(trial: Trial) -> Result:
    """Right: the profiles are applied, or named as not applied, and `method: harmony` changes the pixels."""
    attempt = trial.attempt()
    corrected = trial.attempt(changes={"illumination": {"method": "harmony"}})
    before, after = attempt.planes(), corrected.corrected()
    changed = before.keys() == after.keys() and any(
        not np.array_equal(before[name][channel], after[name][channel])
        for name in before
        for channel in before[name]
    )
    named = r"flat.?field|illumination|profiles?.*not applied"
    return judged(
        attempt, right=attempt.says(named), named=named, remedies={"illumination: {method: harmony}": changed}
    )


def bad_focus_saturation(trial: Trial) -> Result:
    """Right: A02 is flagged as saturated and A03 as blurred; no cell of A04 (noise) and A06 (4 levels) is used."""
    attempt = trial.attempt()
    cells = attempt.usable()
    flagged = {"A02": attempt.says("A02", "saturated"), "A03": attempt.says("A03", "blur|focus")}
    result = judged(attempt, right=all(flagged.values()) and (cells["A04"], cells["A06"]) == (0, 0))
    text = ", ".join(f"{well} {'' if is_flagged else 'not '}flagged" for well, is_flagged in flagged.items())
    return Result(result.grade, f"{text}, {cells['A04']} cells in A04, {cells['A06']} in A06")


WRAPPED = Case("mask_wrapped_255", "12 labels in 38 pieces are named; 38 cells with split", mask_wrapped_255)
ILASTIK = Case("mask_ilastik_h5", "read, or a refusal that asks for TIFF or PNG", mask_ilastik_h5)
FLATFIELD = Case("opera_flatfield", "corrected, or the profiles are named", opera_flatfield)
FOCUS = Case(
    "bad_focus_saturation", "A02 and A03 flagged, no cells of A04 and A06 used", bad_focus_saturation
)
CASES = [WRAPPED, ILASTIK, FLATFIELD, FOCUS]
