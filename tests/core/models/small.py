"""Small networks of each kind, and random crops for them."""

from __future__ import annotations

import numpy as np

from pcip_core.models.autoencoder import AutoencoderConfig
from pcip_core.models.deeploc import DeepLocConfig
from pcip_core.models.inpainting import NetworkConfig

CHANNELS = ("cytosol", "protein")
AUTOENCODER = AutoencoderConfig(CHANNELS, size_px=16, width=0.06)
DEEPLOC = DeepLocConfig(CHANNELS, ("bud neck", "nucleus", "vacuole"), size_px=16, width=0.06)
INPAINTING = NetworkConfig(CHANNELS, ("cytosol",), ("protein",), size_px=16, width=0.06)


def crops(n: int = 11) -> np.ndarray:
    """Crops of noise that fit the networks."""
    return np.random.default_rng(0).integers(0, 256, (n, 2, 16, 16)).astype(np.uint8)
