"""Segmentation of cells.

A segmenter takes the planes of one field by channel name and its own options, and returns a label image:
`(planes: Mapping[str, (H, W)], **options) -> (H, W) int, 0 is background`. A spec names a segmenter of `METHODS`,
or a user's function by its import path, `package.module:function`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

import numpy as np

from pcip_core.errors import SpecError
from pcip_core.segmentation.centres import centres
from pcip_core.segmentation.labels import labels
from pcip_core.segmentation.nuclei import nuclei
from pcip_core.segmentation.otsu import otsu
from pcip_core.segmentation.torchscript import torchscript
from pcip_core.segmentation.yeast import yeast_brightfield, yeast_cytosol, yeast_nuclear_pore

Segmenter = Callable[..., np.ndarray]


def whole(planes: Mapping[str, np.ndarray]) -> np.ndarray:
    """Label the whole field as one cell: for images that already show one cell each.

    >>> whole({"protein": np.zeros((2, 3))}).tolist()
    [[1, 1, 1], [1, 1, 1]]
    """
    return np.ones(next(iter(planes.values())).shape, np.int32)


METHODS: dict[str, Segmenter] = {
    "otsu": otsu,
    "nuclei": nuclei,
    "yeast_cytosol": yeast_cytosol,
    "yeast_brightfield": yeast_brightfield,
    "yeast_nuclear_pore": yeast_nuclear_pore,
    "torchscript": torchscript,
    "labels": labels,
    "centres": centres,
    "whole": whole,
}


def segmenter(method: str) -> Segmenter:
    """Return the segmenter with this name or import path.

    Raises:
        SpecError: no such segmenter exists.

    >>> segmenter("otsu") is segmenter("pcip_core.segmentation.otsu:otsu")
    True
    """
    if method in METHODS:
        return METHODS[method]
    module, _, function = method.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SpecError(
            "segmentation.method",
            found=f"{method!r} ({error})",
            required=f"one of {', '.join(METHODS)}, or package.module:function",
            remedy="Correct the spec, or install the package that holds the function.",
        ) from error
