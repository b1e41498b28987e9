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
from pcip_core.models.autoencoder import Autoencoder, AutoencoderConfig
from pcip_core.models.deeploc import DeepLoc, DeepLocConfig
from pcip_core.models.inpainting import NetworkConfig, PairedCellInpainting
from pcip_core.models.network import CellNetwork

WEIGHTS, CONFIG = "encoder.safetensors", "config.json"
_ARCHITECTURES: dict[str, tuple[Any, type[CellNetwork]]] = {
    PairedCellInpainting.architecture: (NetworkConfig, PairedCellInpainting),
    Autoencoder.architecture: (AutoencoderConfig, Autoencoder),
    DeepLoc.architecture: (DeepLocConfig, DeepLoc),
}


def save_encoder(network: CellNetwork, folder: Path, *, extra: Mapping[str, Any] | None = None) -> None:
    """Write the whole network into a folder, of a supervised one also the names of its classes.

    Args:
        network: on any device.
        folder: made when it is not there.
        extra: plain values kept in `config.json` under `extra`: the screen, the inputs' hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, str(folder / WEIGHTS))
    config = {"architecture": network.architecture, "network": network.config.as_dict()}
    (folder / CONFIG).write_text(json.dumps(config | {"extra": dict(extra or {})}, indent=1) + "\n")


def read_extra(folder: Path) -> dict[str, Any]:
    """The plain values that `save_encoder` was given beside the network.

    Raises:
        EncoderError: there is no readable `config.json`.
    """
    try:
        return dict(json.loads((folder / CONFIG).read_text())["extra"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(
            folder / CONFIG,
            found=f"no readable config ({type(error).__name__})",
            required="a file as save_encoder writes it",
            remedy="Restore the folder, or train again.",
        ) from error


def load_encoder(folder: Path, *, device: str | torch.device = "cpu") -> CellNetwork:
    """The network of a folder, of the architecture that it names, ready for inference.

    Raises:
        EncoderError: a file is missing or damaged, the architecture is unknown, or the weights are of
            another network.
    """
    try:
        written = json.loads((folder / CONFIG).read_text())
        if written["architecture"] not in _ARCHITECTURES:
            raise ValueError(
                f"architecture {written['architecture']!r} is none of {', '.join(_ARCHITECTURES)}"
            )
        config, architecture = _ARCHITECTURES[written["architecture"]]
        network = architecture(config.from_dict(written["network"]))
        network.load_state_dict(load_file(str(folder / WEIGHTS)))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, EncoderError) as error:
        raise EncoderError(
            folder,
            found=f"no usable encoder ({type(error).__name__}: {str(error).splitlines()[0]})",
            required=f"{WEIGHTS} and {CONFIG}, as save_encoder writes them",
            remedy="Restore the folder, or train again.",
        ) from error
    return network.to(device).eval()
