"""Features of cells by a network: the spatial maximum of each layer of its source encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from pcip_core.errors import ShapeError
from pcip_core.models.inpainting import LAYERS, NetworkConfig, PairedCellInpainting, build_network


@torch.inference_mode()
def extract_features(
    network: PairedCellInpainting,
    pixels: np.ndarray,
    *,
    layers: Sequence[str] = LAYERS,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    progress: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Describe cells by what each filter answers most strongly to anywhere in the crop.

    Args:
        network: a trained (or untrained) network; it is moved to the device and put in evaluation mode.
        pixels: (n, C, S, S) uint8, channels in the network's order; may be a memory map.
        layers: which of conv1 to conv5.
        batch_size: cells at a time; decides memory only.
        device: where to compute.
        progress: called with the number of cells done.

    Returns:
        layer -> (n, filters) float32: the maximum over space after ReLU, before batch norm.

    Raises:
        ShapeError: the crops are not (n, C, S, S) uint8 with the network's channels.

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
    encoder = network.source.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    out: dict[str, np.ndarray] = {}
    for start in range(0, len(pixels), batch_size):
        batch = torch.from_numpy(np.array(pixels[start : start + batch_size])).to(device)  # from the map
        x = batch.to(torch.float32, memory_format=torch.channels_last).div_(255)  # (B, C, S, S)
        for layer, activation in zip(LAYERS, encoder.activations(x), strict=True):
            if layer in layers:
                strongest = activation.amax(dim=(2, 3)).cpu().numpy()  # (B, filters)
                rows = out.setdefault(layer, np.empty((len(pixels), strongest.shape[1]), np.float32))
                rows[start : start + len(x)] = strongest
        if progress is not None:
            progress(start + len(x))
    for layer in layers:  # no cells: still one empty table a layer
        if layer not in out:
            filters = encoder.blocks[LAYERS.index(layer)].convolution.out_channels
            out[layer] = np.empty((0, filters), np.float32)
    return {layer: out[layer] for layer in layers}


def untrained_network(config: NetworkConfig, seed: int) -> PairedCellInpainting:
    """The control: the same network before its first step of training."""
    return build_network(config, seed).eval()
