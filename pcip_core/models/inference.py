"""Features of cells by a network: the spatial maximum of each convolution, the units of each layer without
places."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from pcip_core.crops.pixels import Pixels
from pcip_core.errors import EncoderError, ShapeError
from pcip_core.models.deeploc import DeepLoc
from pcip_core.models.inpainting import NetworkConfig, PairedCellInpainting, build_network
from pcip_core.models.network import CellNetwork


@torch.inference_mode()
def extract_features(
    network: CellNetwork,
    pixels: Pixels,
    *,
    layers: Sequence[str] | None = None,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    progress: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Describe cells by what each filter answers most strongly to anywhere in the crop.

    Args:
        network: a trained (or untrained) network; it is moved to the device and put in evaluation mode.
        pixels: (n, C, S, S) uint8, channels in the network's order; may be a memory map, or in files.
        layers: which of `network.layers`; by default all.
        batch_size: cells at a time; decides memory and speed only. By default 16 on a CPU, whose caches then
            hold what one layer passes to the next, and 64 on a GPU.
        device: where to compute.
        progress: called with the number of cells done.

    Returns:
        layer -> (n, filters) float32: the maximum over space of what `network.activations` gives (after
        ReLU; for inpainting and the autoencoder before batch norm), and units as they are.

    Raises:
        ShapeError: the crops are not (n, C, S, S) uint8 with the network's channels.
        EncoderError: the network has no such layer.

    Source: paper, "Feature Extraction"; the place within the layer is that of the authors' code.
    """
    config = network.config
    if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[1] != len(config.channels):
        raise ShapeError(
            "pixels",
            found=f"{pixels.dtype} {pixels.shape}",
            required=f"uint8 (n, {len(config.channels)}, S, S) with channels {config.channels}",
            remedy="Pass the crops of the screen that the encoder was trained on.",
        )
    layers = network.layers if layers is None else layers
    if unknown := [layer for layer in layers if layer not in network.layers]:
        raise EncoderError(
            f"layers of {network.architecture}",
            found=", ".join(unknown),
            required=f"some of {', '.join(network.layers)}",
            remedy="Ask for layers that this network has.",
        )
    network = network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    batch_size = batch_size or (16 if torch.device(device).type == "cpu" else 64)
    out: dict[str, np.ndarray] = {}
    for start in range(0, max(len(pixels), 1), batch_size):
        batch = np.array(pixels[start : start + batch_size])  # from the map
        if not len(batch):  # no cells: one that is empty tells the layers' sizes
            batch = np.zeros((1, *pixels.shape[1:]), np.uint8)
        cells = torch.from_numpy(batch).to(device)
        x = cells.to(torch.float32, memory_format=torch.channels_last).div_(255)  # (B, C, S, S)
        for layer, activation in zip(network.layers, network.activations(x), strict=True):
            if layer in layers:
                described = _maxima(activation) if activation.ndim == 4 else activation
                rows = out.setdefault(layer, np.empty((len(pixels), described.shape[1]), np.float32))
                rows[start : start + batch_size] = described.cpu().numpy()[: len(pixels)]
        if progress is not None and len(pixels):
            progress(start + len(x))
    return {layer: out[layer] for layer in layers}


def _maxima(activation: torch.Tensor) -> torch.Tensor:
    """(B, filters, h, w) -> (B, filters), the largest over space."""
    if activation.device.type == "cpu":  # with channels last amax takes up to 14 times as long as pooling
        return nn.functional.max_pool2d(activation, activation.shape[2:]).flatten(1)
    return activation.amax(dim=(2, 3))


@torch.inference_mode()
def classify(
    network: DeepLoc, pixels: Pixels, *, batch_size: int | None = None, device: str | torch.device = "cpu"
) -> np.ndarray:
    """What a supervised network says of cells.

    Args:
        network: it is moved to the device and put in evaluation mode.
        pixels, batch_size, device: as for `extract_features`.

    Returns:
        (n, classes) float32, the probability of each of `network.config.classes`.

    Raises:
        ShapeError: as `extract_features`.
    """
    last = extract_features(network, pixels, layers=("fc2",), batch_size=batch_size, device=device)["fc2"]
    return class_probabilities(network, last)


@torch.inference_mode()
def class_probabilities(network: DeepLoc, fc2: np.ndarray) -> np.ndarray:
    """What a supervised network says of cells, (n, classes) float32, from its layer fc2, (n, units)."""
    weight = network.output.weight
    return network.output(torch.from_numpy(fc2).to(weight.device)).softmax(1).cpu().numpy()


def untrained_network(config: NetworkConfig, seed: int) -> PairedCellInpainting:
    """The control: the same network before its first step of training."""
    return build_network(config, seed).eval()
