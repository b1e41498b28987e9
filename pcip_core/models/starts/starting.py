"""Start a training from the weights of a source encoder that comes with the package.

The files are written by `python -m benchmarks.common.starting_weights`; `README.md` beside them is their card.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load

from pcip_core.errors import EncoderError
from pcip_core.models.inpainting import Encoder, NetworkConfig
from pcip_core.models.network import CellNetwork

_FOLDER = Path(__file__).parent
_FIRST = "blocks.0.convolution.weight"  # (filters, channels, 3, 3)
Started = TypeVar("Started", bound=CellNetwork)


@dataclass(frozen=True)
class Start:
    """Weights of a source encoder.

    Attributes:
        structural, protein: names of its channels, the protein channel last.
        sha256: digest of the file. It is part of the code, so that features made from other weights are not
            taken for the same.
    """

    structural: tuple[str, ...]
    protein: str
    sha256: str


STARTS = {
    "simulated_human": Start(("nucleus", "microtubules"), "protein", "-"),
    "simulated_yeast": Start(("cytosol",), "protein", "-"),
}


def started(network: Started, start: str) -> Started:
    """Replace the weights of a source encoder by those of a start.

    Filters of the first layer belong to channels: protein channels take those of the start's protein channel, and
    structural channels those of the same name. A channel that the start lacks keeps its initial weights.

    Args:
        network: an untrained network with a source encoder (`source`).
        start: one of `STARTS`, or `none`: the network is returned as it is.

    Raises:
        EncoderError: the network has another width, block or number of stages, or the file is missing or changed.

    >>> from pcip_core.models.pairs import PairConfig, build_pairs
    >>> channels, tasks = ("dna", "gfp"), ("agreement",)
    >>> config = PairConfig(channels, ("dna",), ("gfp",), 64, 0.25, "norm_first", tasks=tasks)
    >>> started(build_pairs(config, seed=0), "none").config.width
    0.25
    """
    if start == "none":
        return network
    weights, encoder, config = weights_of(start), network.source, network.config
    assert isinstance(encoder, Encoder) and isinstance(config, NetworkConfig)
    own = encoder.state_dict()
    given = weights.pop(_FIRST)
    first = own[_FIRST].clone()
    names = [*STARTS[start].structural, STARTS[start].protein]
    if first.shape[0] == given.shape[0]:
        for position, channel in enumerate(config.channels):
            name = STARTS[start].protein if channel in config.protein else channel
            if name in names:
                first[:, position] = given[:, names.index(name)]
    other = {key for key in own if key != _FIRST and own[key].shape != weights.get(key, torch.empty(0)).shape}
    if other or set(weights) - set(own):
        raise EncoderError(
            f"encoder.start {start}",
            found=f"a network of width {config.width:g}, block {config.block} and {config.stages} stages",
            required="that of the start: width 0.25, block norm_first, 5 stages",
            remedy="Correct these keys of `encoder`, or remove encoder.start.",
        )
    encoder.load_state_dict({**weights, _FIRST: first})
    return network


def weights_of(start: str) -> dict[str, torch.Tensor]:
    """Read the weights of a start: the state of its source encoder.

    Raises:
        EncoderError: there is no such start, or its file is missing or changed.
    """
    path = _FOLDER / f"{start}.safetensors"
    content = path.read_bytes() if start in STARTS and path.is_file() else b""
    digest = hashlib.sha256(content).hexdigest()
    if not content or digest != STARTS[start].sha256:
        raise EncoderError(
            path,
            found=f"a file with SHA-256 {digest}" if content else "no such file",
            required=f"the weights of one of {', '.join(STARTS)}, as they come with the package",
            remedy="Install the package again, or set encoder.start to none.",
        )
    return {name: values.float() for name, values in load(content).items()}
