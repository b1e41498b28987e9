"""Cases of focal planes, several images in one file, and OME-Zarr."""

from __future__ import annotations

import numpy as np

from benchmarks.cases.case import Attempt, Case, Result, Trial, judged
from pcip_core.images.reading import Planes

_MAX = {"files.project": {"z": "max"}}


def _readable(attempt: Attempt, fields: int) -> bool:
    return (len(attempt.fields), len(attempt.planes())) == (fields, fields)


def _projected(trial: Trial, depth: int) -> bool:
    """Whether the projection is the maximum of the focal planes, each read alone."""
    projected = _in_order(trial.attempt(changes=_MAX))
    planes = [_in_order(trial.attempt(changes={"files.only": {"z": z}})) for z in range(1, depth + 1)]
    if not projected or any(len(each) != len(projected) for each in planes):
        return False
    return all(
        np.array_equal(plane, np.max([each[number][channel] for each in planes], 0))
        for number, channels in enumerate(projected)
        for channel, plane in channels.items()
    )


def _in_order(attempt: Attempt) -> list[Planes]:
    """The readable fields in the order of their ids."""
    return [planes for _, planes in sorted(attempt.planes().items())]


def ome_multiimage(trial: Trial) -> Result:
    """Right: each of the 3 images of a file is a field, 6 in all; or a refusal that counts them."""
    attempt = trial.attempt()
    return judged(attempt, right=_readable(attempt, 6) or attempt.says(r"\b3 (images|scenes)"))


def imagej_z_as_channels(trial: Trial) -> Result:
    """Right: focal planes are refused as channels."""
    attempt = trial.attempt()
    refused = attempt.refusals().values()
    right = not attempt.planes() and all("focal" in text or "stack" in text for text in refused)
    return judged(attempt, right=right)


def zplanes_as_fields(trial: Trial) -> Result:
    """Right: a refusal, and `project: {z: max}` gives one field of 20 to 30 cells, the maximum of its planes."""
    attempt, projected = trial.attempt(), trial.attempt(changes=_MAX)
    right = _readable(projected, 1) and 20 <= sum(projected.cells().values()) <= 30
    remedies = {"files.project: {z: max}": right and _projected(trial, 3)}
    return judged(attempt, right=_readable(attempt, 1), named=r"focal|found a stack", remedies=remedies)


def zarr_v3_numcodecs(trial: Trial) -> Result:
    """Right: 2 fields with known means, although zarr warns of the codec."""
    attempt = trial.attempt()
    means = attempt.means()
    right = _readable(attempt, 2) and np.allclose(
        [means["cytosol"][0], means["protein"][0]], [2111.2, 242.65], rtol=1e-3
    )
    return judged(attempt, right=bool(right))


def zarr_zstack_mip(trial: Trial) -> Result:
    """Right: a refusal of the stack, and `project` gives the maximum of the planes that `only` gives."""
    attempt = trial.attempt()
    remedies = {"files.project and files.only": _projected(trial, 3)}
    return judged(attempt, right=False, named=r"focal|found a stack", remedies=remedies)


def zarr_single_images(trial: Trial) -> Result:
    """Right: 2 fields of OME-Zarr images that belong to no plate."""
    attempt = trial.attempt()
    return judged(attempt, right=_readable(attempt, 2))


MULTI = Case("ome_multiimage", "6 fields, or a refusal that names 3 images in one file", ome_multiimage)
IMAGEJ = Case("imagej_z_as_channels", "refused as a stack", imagej_z_as_channels)
ZPLANES = Case("zplanes_as_fields", "a refusal, or one projected field of about 25 cells", zplanes_as_fields)
CODEC = Case("zarr_v3_numcodecs", "2 fields; B03 has the means 2111.2 and 242.65", zarr_v3_numcodecs)
ZSTACK = Case("zarr_zstack_mip", "a projection, or one plane", zarr_zstack_mip)
SINGLE = Case("zarr_single_images", "2 fields", zarr_single_images)
CASES = [MULTI, IMAGEJ, ZPLANES, CODEC, ZSTACK, SINGLE]
