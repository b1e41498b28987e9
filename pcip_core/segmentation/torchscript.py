"""A neural segmenter from a file that the user gives: TorchScript, as InstanSeg (Apache-2.0) exports its models."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from skimage.segmentation import clear_border
from skimage.transform import resize

from pcip_core.errors import SpecError
from pcip_core.segmentation.otsu import keep_objects


def torchscript(
    planes: Mapping[str, np.ndarray],
    *,
    model: str,
    channels: Sequence[str],
    objects: int = 0,
    scale: float = 1.0,
    min_area_px: int = 0,
    device: str = "cpu",
) -> np.ndarray:
    """Label objects by a network whose TorchScript takes an image and gives label planes.

    The contract is InstanSeg's: (1, C, H, W) float32, each channel with its 0.1st and 99.9th percentiles at
    0 and 1, in; (1, kinds, H, W) labels, 0 for background, out.

    Args:
        planes: channel name -> (H, W).
        model: the file, `instanseg.pt`.
        channels: those the network sees, in its order.
        objects: which of the label planes to take (InstanSeg: 0 nuclei, 1 cells).
        scale: factor that brings the picture to the network's pixels (InstanSeg's have 0.5 um: a picture of
            0.1 um pixels has 0.2).
        min_area_px: smaller objects, in the picture's own pixels, are left out.
        device: where to compute.

    Returns:
        (H, W) int32 labels, 1..n without gaps; objects at the border left out.

    Raises:
        SpecError: the file is not a TorchScript, or what it gives are not label planes.
    """
    import torch

    stack = np.stack([_normalized(planes[name]) for name in channels])  # (C, H, W)
    height, width = stack.shape[1:]
    small = (len(stack), max(1, round(height * scale)), max(1, round(width * scale)))
    shown = stack if small == stack.shape else resize(stack, small, order=1, anti_aliasing=scale < 1)
    image = torch.from_numpy(np.ascontiguousarray(shown, np.float32))[None].to(device)
    with torch.inference_mode():
        found = _loaded(model, device)(image)
    if not isinstance(found, torch.Tensor) or found.ndim != 4 or found.shape[1] <= objects:
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise SpecError(
            model,
            found=f"a network that gives {shape}",
            required=f"label planes (1, kinds, H, W) with more than {objects} kinds",
            remedy="Correct segmentation.options.objects, or export the model as InstanSeg does.",
        )
    labels = found[0, objects].round().to(torch.int64).cpu().numpy()
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

    path = Path(model).expanduser()
    if not path.is_file():
        raise SpecError(
            path,
            found="no such file",
            required="a TorchScript model",
            remedy="Fetch the model from its authors and name it as segmentation.options.model.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch would rather have torch.export
            return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise SpecError(
            path,
            found=f"not a TorchScript ({str(error).splitlines()[0]})",
            required="a model that torch.jit.save has written",
            remedy="Export the model as TorchScript.",
        ) from error
