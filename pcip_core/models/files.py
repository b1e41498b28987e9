"""A network on disk: `encoder.safetensors` for the weights, `config.json` for the rest; no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pcip_core.errors import EncoderError
from pcip_core.models.inpainting import NetworkConfig, PairedCellInpainting

WEIGHTS, CONFIG = "encoder.safetensors", "config.json"


def save_encoder(
    network: PairedCellInpainting, folder: Path, *, extra: Mapping[str, Any] | None = None
) -> None:
    """Write the whole network (source and target encoders, decoder) into a folder.

    Args:
        network: on any device.
        folder: made when it is not there.
        extra: plain values kept in `config.json` under `extra`: the screen, the inputs' hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, str(folder / WEIGHTS))
    config = {"architecture": "paired_cell_inpainting", "network": network.config.as_dict()}
    (folder / CONFIG).write_text(json.dumps(config | {"extra": dict(extra or {})}, indent=1) + "\n")


def load_encoder(folder: Path, *, device: str | torch.device = "cpu") -> PairedCellInpainting:
    """The network of a folder, ready for inference.

    Raises:
        EncoderError: a file is missing or damaged, or the weights are of another network.
    """
    try:
        config = NetworkConfig.from_dict(json.loads((folder / CONFIG).read_text())["network"])
        network = PairedCellInpainting(config)
        network.load_state_dict(load_file(str(folder / WEIGHTS)))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise EncoderError(
            folder,
            found=f"no usable encoder ({type(error).__name__}: {str(error).splitlines()[0]})",
            required=f"{WEIGHTS} and {CONFIG}, as save_encoder writes them",
            remedy="Restore the folder, or train again.",
        ) from error
    return network.to(device).eval()
