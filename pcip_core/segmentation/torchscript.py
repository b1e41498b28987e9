"""Segmentation by a user's TorchScript network, as InstanSeg (Apache-2.0) exports its models."""

from __future__ import annotations

import functools
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from skimage.segmentation import clear_border
from skimage.transform import resize

from pcip_core.errors import SpecError
from pcip_core.segmentation.otsu import keep_objects
from pcip_core.spec.bounds import Area, Bounds


def torchscript(
    planes: Mapping[str, np.ndarray],
    *,
    model: str,
    channels: Sequence[str],
    objects: Annotated[int, Bounds(0, 1000)] = 0,
    scale: Annotated[float, Bounds(0, 4, above=True)] = 1.0,
    min_area_px: Area = 0,
    device: str = "cpu",
) -> np.ndarray:
    """Label objects with a TorchScript network that takes an image and returns label planes.

    The contract is InstanSeg's. Input: (1, C, H, W) float32, each channel scaled so that its 0.1st and 99.9th
    percentiles are 0 and 1. Output: (1, kinds, H, W) labels, 0 for background.

    Args:
        planes: channel name -> (H, W).
        model: path of the TorchScript file, for example `instanseg.pt`.
        channels: the input channels of the network, in its order.
        objects: index of the label plane to use (InstanSeg: 0 nuclei, 1 cells).
        scale: factor that resizes the field to the network's pixel size. InstanSeg's pixels have 0.5 um, so
            a field with pixels of 0.1 um needs 0.2.
        min_area_px: smaller objects are removed; px of the field.
        device: `cpu`, `cuda`, `cuda:1`.

    Returns:
        (H, W) int32 labels, 1..n without gaps. Objects at the border are removed.

    Raises:
        SpecError: the file is not a TorchScript model, or the model does not return label planes.

    >>> import tempfile, torch
    >>> class Threshold(torch.nn.Module):
    ...     def forward(self, image):
    ...         return (image > 0.5).float()
    >>> plane = np.zeros((40, 40))
    >>> plane[10:20, 10:20] = 500
    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
    ...     model = torch.jit.trace(Threshold(), torch.zeros(1, 1, 40, 40), check_trace=False)
    ...     torch.jit.save(model, f"{folder}/model.pt")
    ...     labels = torchscript({"dna": plane}, model=f"{folder}/model.pt", channels=["dna"])
    >>> np.bincount(labels.ravel()).tolist()
    [1500, 100]
    """
    import torch

    stack = np.stack([_normalized(planes[name]) for name in channels])  # (C, H, W)
    height, width = stack.shape[1:]
    small = (len(stack), max(1, round(height * scale)), max(1, round(width * scale)))
    resized = stack if small == stack.shape else resize(stack, small, order=1, anti_aliasing=scale < 1)
    image = torch.from_numpy(np.ascontiguousarray(resized, np.float32))[None].to(device)
    with torch.inference_mode():
        output = _loaded(model, device)(image)
    if not isinstance(output, torch.Tensor) or output.ndim != 4 or output.shape[1] <= objects:
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise SpecError(
            model,
            found=f"a network that returns {shape}",
            required=f"label planes (1, kinds, H, W) with more than {objects} kinds",
            remedy="Correct segmentation.options.objects, or export the model as InstanSeg does.",
        )
    labels = output[0, objects].round().to(torch.int64).cpu().numpy()
    if labels.shape != (height, width):
        rows = (np.arange(height) * labels.shape[0] // height).clip(0, labels.shape[0] - 1)
        columns = (np.arange(width) * labels.shape[1] // width).clip(0, labels.shape[1] - 1)
        labels = labels[np.ix_(rows, columns)]
    return keep_objects(clear_border(labels), min_area_px)


def _normalized(plane: np.ndarray) -> np.ndarray:
    low, high = np.percentile(plane, (0.1, 99.9))
    return (plane.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-3))


@functools.lru_cache(maxsize=2)
def _loaded(model: str, device: str):  # type: ignore[no-untyped-def]
    import torch

    path = Path(os.path.expanduser(model))  # noqa: PTH111, as Path.expanduser raises for an unknown user
    if not os.path.isfile(path):  # noqa: PTH113, as Path.is_file raises for a name that is too long
        raise SpecError(
            path,
            found="no such file",
            required="a TorchScript model",
            remedy="Download the model from its authors and set segmentation.options.model to its path.",
        )
    logging.getLogger(__name__).warning(
        "%s: a TorchScript model is a program. Use only models that you trust.", path
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch recommends torch.export
            return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise SpecError(
            path,
            found=f"not a TorchScript model ({str(error).splitlines()[0]})",
            required="a model written by torch.jit.save",
            remedy="Export the model as TorchScript.",
        ) from error
