"""Saved networks: weights in `encoder.safetensors`, all other settings in `config.json`; no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save

from pcip_core.errors import EncoderError
from pcip_core.models.autoencoder import Autoencoder, AutoencoderConfig
from pcip_core.models.deeploc import DeepLoc, DeepLocConfig
from pcip_core.models.inpainting import NetworkConfig, PairedCellInpainting
from pcip_core.models.network import CellNetwork
from pcip_core.models.pairs import PairConfig, PairedCells
from pcip_core.models.weights import read_safetensors

WEIGHTS, CONFIG = "encoder.safetensors", "config.json"
_MAX_CONFIG_BYTES = 1 << 22
_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, OverflowError, RecursionError),
    SafetensorError,
)
_ARCHITECTURES: dict[str, tuple[Any, type[CellNetwork]]] = {
    PairedCellInpainting.architecture: (NetworkConfig, PairedCellInpainting),
    PairedCells.architecture: (PairConfig, PairedCells),
    Autoencoder.architecture: (AutoencoderConfig, Autoencoder),
    DeepLoc.architecture: (DeepLocConfig, DeepLoc),
}


def save_encoder(network: CellNetwork, folder: Path, *, extra: Mapping[str, Any] | None = None) -> None:
    """Save a network with its configuration, including the class names of a supervised network.

    Args:
        network: a network on any device.
        folder: the folder, created if missing.
        extra: plain values to store in `config.json` under `extra`, such as the screen and the hash of the inputs.

    >>> import tempfile
    >>> from pcip_core.models.autoencoder import build_autoencoder
    >>> network = build_autoencoder(AutoencoderConfig(("protein",), size_px=8, width=0.03), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_encoder(network, Path(folder), extra={"screen": "demo"})
    ...     read_extra(Path(folder)), load_encoder(Path(folder)).config.channels
    ({'screen': 'demo'}, ('protein',))
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(weights))  # `save_file` would let nobody else read them
    config = {"architecture": network.architecture, "network": network.config.as_dict()}
    (folder / CONFIG).write_text(json.dumps(config | {"extra": dict(extra or {})}, indent=1) + "\n")


def read_extra(folder: Path) -> dict[str, Any]:
    """Read the plain values that were passed to `save_encoder` as `extra`.

    Raises:
        EncoderError: `config.json` is missing or not readable.
    """
    try:
        return dict(_config(folder)["extra"])
    except _DAMAGE as error:
        raise EncoderError(
            folder / CONFIG,
            found=f"no readable config ({type(error).__name__})",
            required="a file written by save_encoder",
            remedy="Restore the folder, or train again.",
        ) from error


def read_tasks(folder: Path) -> tuple[str, ...]:
    """Read what a network for pairs was trained on: the names of its tasks, `inpainting` alone by default.

    Raises:
        EncoderError: as for `read_extra`.
    """
    read_extra(folder)  # raises
    return tuple(_config(folder)["network"].get("tasks", ("inpainting",)))


def _config(folder: Path) -> dict[str, Any]:
    with (folder / CONFIG).open("rb") as stream:
        text = stream.read(_MAX_CONFIG_BYTES + 1)
    if len(text) > _MAX_CONFIG_BYTES:
        raise ValueError(f"{CONFIG} of more than {_MAX_CONFIG_BYTES:,} bytes")
    return dict(json.loads(text))


def load_encoder(folder: Path, *, device: str | torch.device = "cpu") -> CellNetwork:
    """Load a network, of the architecture that its `config.json` names, in evaluation mode.

    Raises:
        EncoderError: a file is missing or damaged, the architecture is unknown, or the weights belong to another
            network.
    """
    try:
        saved = _config(folder)
        if saved["architecture"] not in _ARCHITECTURES:
            raise ValueError(f"architecture {saved['architecture']!r} is none of {', '.join(_ARCHITECTURES)}")
        config, architecture = _ARCHITECTURES[saved["architecture"]]
        weights, settings = read_safetensors(folder / WEIGHTS), config.from_dict(saved["network"])
        with torch.device("meta"):  # without memory: the settings may describe a network of any size
            shapes = {name: value.shape for name, value in architecture(settings).state_dict().items()}
        if shapes != {name: value.shape for name, value in weights.items()}:
            raise ValueError(f"{WEIGHTS} holds other layers than {CONFIG} describes")
        network = architecture(settings)
        network.load_state_dict(weights)
    except (*_DAMAGE, EncoderError) as error:
        raise EncoderError(
            folder,
            found=f"no usable encoder ({type(error).__name__}: {str(error).splitlines()[0]})",
            required=f"{WEIGHTS} and {CONFIG}, written by save_encoder",
            remedy="Restore the folder, or train again.",
        ) from error
    return network.to(device).eval()
