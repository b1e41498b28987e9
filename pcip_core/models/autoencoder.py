"""The paper's autoencoder: a baseline with the source encoder and the decoder of inpainting, for single cells.

Paper, "Quantitative comparison": "an autoencoder trained on the same dataset [...], using our source cell
encoder and decoder architecture". The paper does not state which channels it reconstructs (here all channels of the
cell), nor the input of the decoder (here the 256 maps of the encoder, without the 32 maps of target markers).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from pcip_core.errors import EncoderError
from pcip_core.models.inpainting import LAYERS, Decoder, Encoder, filters_of, layers_of, require_stages
from pcip_core.models.network import CellNetwork, initialized


@dataclass(frozen=True)
class AutoencoderConfig:
    """The architecture settings of an autoencoder.

    Args:
        channels: names of the channels, in the order of the crops.
        size_px: side of a crop in px, a multiple of 4.
        width: factor on every filter count.
        block, initial_weights, stages: as for inpainting.

    Raises:
        EncoderError: there is no channel, the size is not a multiple of 4, or the number of stages is not possible.
    """

    channels: tuple[str, ...]
    size_px: int = 64
    width: float = 1.0
    block: str = "paper"
    initial_weights: str | float = "glorot"
    stages: int = 5

    def __post_init__(self) -> None:
        if not self.channels or self.size_px < 4 or self.size_px % 4:
            raise EncoderError(
                "autoencoder",
                found=f"channels {self.channels} of {self.size_px} px",
                required="at least one channel, and a crop size that is a multiple of 4 px",
                remedy="Correct `channels` or `crops.size_px` in the spec.",
            )
        require_stages(self.stages)

    def as_dict(self) -> dict[str, object]:
        """Convert to plain values, as stored in `config.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AutoencoderConfig:
        """Restore the config from `as_dict`, also after a round trip through JSON."""
        return cls(**{**values, "channels": tuple(values["channels"])})


class Autoencoder(CellNetwork):
    """Reconstruct all channels of a cell from its encoding."""

    architecture: ClassVar[str] = "autoencoder"
    layers: tuple[str, ...] = LAYERS
    config: AutoencoderConfig

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__(config)
        source, _, decoder = filters_of(config.stages, config.width)
        self.layers = layers_of(config.stages)
        self.source = Encoder(len(config.channels), source, config.block, config.stages - len(LAYERS))
        self.decoder = Decoder(source[-1], decoder, len(config.channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reconstruct the cells: (B, C, S, S) in [0, 1] -> (B, C, S, S), unbounded."""
        return self.decoder(self.source(x))

    def activations(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the layers of the encoder: (B, C, S, S) -> conv1 to the last, each (B, filters, h, w)."""
        return self.source.activations(x)


def build_autoencoder(config: AutoencoderConfig, seed: int) -> Autoencoder:
    """Build an untrained autoencoder, with weights that depend only on the seed.

    >>> network = build_autoencoder(AutoencoderConfig(("dna", "protein"), size_px=8, width=0.03), seed=0)
    >>> network(torch.zeros(1, 2, 8, 8)).shape
    torch.Size([1, 2, 8, 8])
    """
    return initialized(Autoencoder, config, seed)
