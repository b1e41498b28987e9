"""Features of cells from a network: the spatial maximum of each convolutional layer, the units of each other layer."""

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
from pcip_core.models.pairs import PairConfig, PairedCells, build_pairs
from pcip_core.models.precision import computing_in, dtype_of, with_weights_in


@torch.inference_mode()
def extract_features(
    network: CellNetwork,
    pixels: Pixels,
    *,
    layers: Sequence[str] | None = None,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    precision: str = "float32",
    progress: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Describe cells by the maximum of each filter over the crop.

    Args:
        network: a trained (or untrained) network. It is moved to the device and set to evaluation mode.
        pixels: (n, C, S, S) uint8, channels in the order of the network; may be a memory map, or read from files.
        layers: some of `network.layers`; by default all.
        batch_size: cells per batch; affects memory and speed only. By default 16 on a CPU, whose cache then holds the
            activations between layers, and 64 on a GPU.
        device: where to compute.
        precision: `float32` or `bf16`, that of the convolutions and matrix products. The features are float32.
        progress: called with the number of cells done.

    Returns:
        layer -> (n, filters) float32: the spatial maximum of `network.activations` (after ReLU; for inpainting and
        the autoencoder before batch norm), and the units of fully connected layers.

    Raises:
        ShapeError: the crops are not (n, C, S, S) uint8 with the channels of the network.
        EncoderError: the network does not have a requested layer.
        PrecisionError: the precision is unknown.

    >>> config = NetworkConfig(("dna", "protein"), ("dna",), ("protein",), size_px=8, width=0.03)
    >>> features = extract_features(untrained_network(config, seed=0), np.zeros((5, 2, 8, 8), np.uint8))
    >>> {layer: values.shape for layer, values in features.items()}
    {'conv1': (5, 3), 'conv2': (5, 8), 'conv3': (5, 12), 'conv4': (5, 12), 'conv5': (5, 8)}

    Source: paper, "Feature Extraction"; the position within the layer follows the authors' code.
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
            remedy="Request layers that this network has.",
        )
    dtype = dtype_of(precision)
    network = network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    network = with_weights_in(network, dtype)
    batch_size = batch_size or (16 if torch.device(device).type == "cpu" else 64)
    out: dict[str, np.ndarray] = {}
    for start in range(0, max(len(pixels), 1), batch_size):
        batch = np.array(pixels[start : start + batch_size])  # copies from a memory map
        if not len(batch):  # without cells, an empty cell gives the sizes of the layers
            batch = np.zeros((1, *pixels.shape[1:]), np.uint8)
        cells = torch.from_numpy(batch).to(device)
        x = cells.to(torch.float32, memory_format=torch.channels_last).div_(255)  # (B, C, S, S)
        with computing_in(dtype, device):
            for layer, activation in zip(network.layers, network.activations(x), strict=True):
                if layer in layers:
                    values = (_maxima(activation) if activation.ndim == 4 else activation).float()
                    rows = out.setdefault(layer, np.empty((len(pixels), values.shape[1]), np.float32))
                    rows[start : start + batch_size] = values.cpu().numpy()[: len(pixels)]
        if progress is not None and len(pixels):
            progress(start + len(x))
    return {layer: out[layer] for layer in layers}


def _maxima(activation: torch.Tensor) -> torch.Tensor:
    """Compute the spatial maxima: (B, filters, h, w) -> (B, filters)."""
    if activation.device.type == "cpu":  # with channels last, amax takes up to 14 times longer than pooling
        return nn.functional.max_pool2d(activation, activation.shape[2:]).flatten(1)
    return activation.amax(dim=(2, 3))


@torch.inference_mode()
def classify(
    network: DeepLoc,
    pixels: Pixels,
    *,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    precision: str = "float32",
) -> np.ndarray:
    """Predict the class probabilities of cells with a supervised network.

    Args:
        network: a supervised network. It is moved to the device and set to evaluation mode.
        pixels, batch_size, device, precision: as for `extract_features`.

    Returns:
        (n, classes) float32, the probability of each of `network.config.classes`.

    Raises:
        ShapeError: as for `extract_features`.

    >>> from pcip_core.models.deeploc import DeepLocConfig, build_deeploc
    >>> network = build_deeploc(DeepLocConfig(("protein",), ("nucleus", "vacuole"), size_px=16, width=0.02), seed=0)
    >>> probabilities = classify(network, np.zeros((3, 1, 16, 16), np.uint8))
    >>> probabilities.shape, probabilities.sum(1).round(3).tolist()
    ((3, 2), [1.0, 1.0, 1.0])
    """
    features = extract_features(
        network, pixels, layers=("fc2",), batch_size=batch_size, device=device, precision=precision
    )
    return class_probabilities(network, features["fc2"])


@torch.inference_mode()
def class_probabilities(network: DeepLoc, fc2: np.ndarray) -> np.ndarray:
    """Compute the class probabilities, (n, classes) float32, from the features of layer fc2, (n, units)."""
    weight = network.output.weight
    return network.output(torch.from_numpy(fc2).to(weight.device)).softmax(1).cpu().numpy()


def untrained_network(config: NetworkConfig, seed: int) -> PairedCellInpainting | PairedCells:
    """Build the control: the network of the encoder before training, in evaluation mode."""
    network = build_pairs(config, seed) if isinstance(config, PairConfig) else build_network(config, seed)
    return network.eval()
