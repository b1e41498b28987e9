"""Transfer learning: features of cells from VGG16, a network trained on photographs.

Source: paper, "Baseline Feature Extraction and Benchmarking" and Supplementary Figure 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from pcip_core.errors import EncoderError, ShapeError, SpecError
from pcip_core.models.vgg16 import CONNECTED, CONVOLUTIONS, SIDE_PX, VGG16

STRATEGIES = ("protein", "channels", "rgb")  # best in the paper first
COLOURS = ("red", "green", "blue")
FEATURE_LAYERS = (*CONVOLUTIONS, *CONNECTED[:2])
BEST_LAYER = "block4_conv1"  # for yeast, at the original size
_EMPTY = -1


def feature_set_name(strategy: str, layer: str, *, resized: bool = False) -> str:
    """Name the feature set of a strategy and a layer.

    >>> feature_set_name("protein", "block4_conv1"), feature_set_name("protein", "fc2", resized=True)
    ('vgg16_protein_block4_conv1', 'vgg16_protein_224_fc2')
    """
    return f"vgg16_{strategy}_{f'{SIDE_PX}_' if resized else ''}{layer}"


@torch.inference_mode()
def vgg16_features(
    network: VGG16,
    pixels: np.ndarray,
    channels: Sequence[str],
    *,
    strategy: str,
    layers: Sequence[str] = (BEST_LAYER,),
    protein: Sequence[str] = (),
    rgb: Mapping[str, str] | None = None,
    resized: bool = False,
    batch_size: int = 16,
    device: str | torch.device = "cpu",
    progress: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Describe cells by the maximum of each VGG16 filter over the crop.

    Args:
        network: from `load_vgg16`, with its preprocessing. The network is moved to the device.
        pixels: (n, C, S, S) uint8, passed to the network as 0..255; may be a memory map.
        channels: names of the C channels.
        strategy: how channels become colours. `protein`: each protein channel as a grey image. `channels`: each
            channel as a grey image. `rgb`: one image of the channels in `rgb`. The features of several images are
            concatenated in the order of the channels.
        layers: some of block1_conv1 to block5_conv3, fc1, fc2.
        protein: names of the protein channels, for the strategy `protein`.
        rgb: colour (red, green, blue) -> channel, for the strategy `rgb`; a colour without a channel is 0.
        resized: whether to resize the crops bilinearly to 224 x 224 px, which fc1 and fc2 require. Otherwise the
            crops keep their size.
        batch_size: cells per batch; affects memory only (about 40 MB per cell at 224 px).
        device: where to compute.
        progress: called with the number of cells done.

    Returns:
        layer -> (n, images * filters) float32: for convolutions the spatial maximum after ReLU and before pooling,
        for fc1 and fc2 the units after ReLU.

    Raises:
        ShapeError: the crops are not (n, C, S, S) uint8, or are too small for a layer.
        SpecError: the strategy, a layer or a channel is unknown.
        EncoderError: fc1 or fc2 is requested and the file of weights lacks it.

    >>> from pcip_core.models.vgg16 import TORCHVISION
    >>> network = VGG16(TORCHVISION, width=0.1, connected=False)
    >>> crops = np.zeros((2, 1, 16, 16), np.uint8)
    >>> features = vgg16_features(network, crops, ["protein"], strategy="protein", protein=["protein"])
    >>> features["block4_conv1"].shape
    (2, 51)

    Source: paper, as above. The paper used Keras' weights. It states only the size, 224 x 224, and not the method
    of resizing.
    """
    _check_pixels(pixels, channels)
    images = _image_channels(strategy, channels, protein, rgb or {})
    _check_layers(network, layers, pixels.shape[-1], resized=resized)
    network = network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    out = {layer: np.empty((len(pixels), len(images) * network.size(layer)), np.float32) for layer in layers}
    for start in range(0, len(pixels), batch_size):
        batch = torch.from_numpy(np.array(pixels[start : start + batch_size])).to(device)  # from the map
        for number, image in enumerate(images):
            x = network.preprocessing(_rgb_images(batch, image, resized=resized))
            maxima = _describe(network, x.contiguous(memory_format=torch.channels_last), layers)
            for layer, values in maxima.items():  # (B, filters)
                columns = slice(number * values.shape[1], (number + 1) * values.shape[1])
                out[layer][start : start + len(batch), columns] = values.cpu().numpy()
        if progress is not None:
            progress(start + len(batch))
    return out


def _describe(network: VGG16, x: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
    """Compute layer -> (B, filters or units), up to the last requested layer."""
    described: dict[str, torch.Tensor] = {}
    for name, activation in network.activations(x):
        if name in layers:
            described[name] = activation.amax(dim=(2, 3)) if activation.ndim == 4 else activation
        if len(described) == len(layers):
            break
    return described


def _rgb_images(batch: torch.Tensor, image: tuple[int, ...], *, resized: bool) -> torch.Tensor:
    """(B, C, S, S) uint8 -> (B, 3, side, side) float32 in 0..255, from the channels at three positions."""
    planes = [batch.new_zeros(batch[:, 0].shape) if i == _EMPTY else batch[:, i] for i in image]
    x = torch.stack(planes, dim=1).float()
    if resized:
        x = functional.interpolate(x, (SIDE_PX, SIDE_PX), mode="bilinear", antialias=True)
    return x


def _image_channels(
    strategy: str, channels: Sequence[str], protein: Sequence[str], rgb: Mapping[str, str]
) -> list[tuple[int, ...]]:
    """For each image of a cell, the positions of its red, green and blue among the channels."""
    named = {"protein": protein, "channels": channels, "rgb": list(rgb.values())}
    if strategy not in named:
        raise SpecError(
            "strategy",
            found=repr(strategy),
            required=f"one of {', '.join(STRATEGIES)}",
            remedy="Correct `strategy`.",
        )
    unknown = [name for name in named[strategy] if name not in channels]
    if unknown or not named[strategy] or (strategy == "rgb" and not set(rgb) <= set(COLOURS)):
        raise SpecError(
            f"strategy {strategy}",
            found=str(dict(rgb) if strategy == "rgb" else list(named[strategy])),
            required=f"at least one of the channels {list(channels)}"
            + (f", each under one of {list(COLOURS)}" if strategy == "rgb" else ""),
            remedy="Correct `rgb`." if strategy == "rgb" else "Name the protein channels.",
        )
    if strategy == "rgb":
        return [tuple(channels.index(rgb[colour]) if colour in rgb else _EMPTY for colour in COLOURS)]
    return [(position,) * 3 for position, name in enumerate(channels) if name in named[strategy]]


def _check_pixels(pixels: np.ndarray, channels: Sequence[str]) -> None:
    if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[1] != len(channels):
        raise ShapeError(
            "pixels",
            found=f"{pixels.dtype} {pixels.shape}",
            required=f"uint8 (n, {len(channels)}, S, S) with channels {list(channels)}",
            remedy="Pass crops together with the names of their channels.",
        )


def _check_layers(network: VGG16, layers: Sequence[str], side: int, *, resized: bool) -> None:
    unknown = [layer for layer in layers if layer not in FEATURE_LAYERS]
    if unknown or not layers or len(set(layers)) < len(layers):
        raise SpecError(
            "layers",
            found=", ".join(layers) or "none",
            required=f"at least one layer, without repeats, from {', '.join(FEATURE_LAYERS)}",
            remedy="Correct `layers`.",
        )
    connected = [layer for layer in layers if layer in CONNECTED]
    if connected and not resized:
        raise SpecError(
            "layers",
            found=f"{', '.join(connected)} for crops of the original size",
            required=f"crops resized to {SIDE_PX} px for the fully connected layers",
            remedy="Pass resized=True, or name convolutional layers.",
        )
    if missing := [layer for layer in connected if layer not in network.layers]:
        raise EncoderError(
            f"{', '.join(missing)} of VGG16",
            found="weights of the convolutional layers only",
            required="a file with the fully connected layers",
            remedy="Use the file without `notop` in its name (docs/how-to/use-vgg16.md), or name convolutional layers.",
        )
    deepest = max(int(layer[5]) for layer in layers) if not connected else 0  # the number of its block
    smallest = 2 ** (deepest - 1) if not resized and deepest else 1
    if side < smallest:
        raise ShapeError(
            "pixels",
            found=f"crops of {side} px",
            required=f"{smallest} px or more for {', '.join(layers)}",
            remedy="Choose earlier layers, or resize the crops.",
        )
