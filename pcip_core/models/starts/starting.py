"""Start a training from the weights of an encoder that comes with the package.

The files are written by `python -m benchmarks.common.starting_weights`; `README.md` beside them is their card.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load

from pcip_core.errors import EncoderError
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.models.network import CellNetwork
from pcip_core.spec.training import START_CHANNELS

_FOLDER = Path(__file__).parent
_FIRST = "source.blocks.0.convolution.weight"  # (filters, channels, 3, 3)
_PARTS = ("source.", "projector.")
Started = TypeVar("Started", bound=CellNetwork)


_PROTEIN = "protein"  # the last channel of each start
DIGESTS = {
    "simulated_human": "218825ad14efb2f24be99964ecf67436f5fe5cb1555ab87c74e4f04bd241eb31",
    "simulated_yeast": "c5c3917d43b6afbb73d1c427cd3c21b24821b87718da4c573831e8e577d14395",
}  # SHA-256 of the files; part of the code, so that features made from other weights are not taken for the same


def started(network: Started, start: str) -> Started:
    """Replace the weights of a source encoder, and of a projector of equal size, by those of a start.

    Filters of the first layer belong to channels: protein channels take those of the start's protein channel, and
    structural channels those of the same name. The filters of a channel that the start lacks are 0: they add nothing
    to what the start has learned before they are trained. With its projector, an encoder that learns agreement does not
    lose at first what it has learned.

    Args:
        network: an untrained network with a source encoder (`source`).
        start: one of `DIGESTS`, or `none`: the network is returned as it is.

    Raises:
        EncoderError: the source encoder has another width, block or number of stages, or the file is missing or
            changed.

    >>> from pcip_core.models.pairs import PairConfig, build_pairs
    >>> channels, tasks = ("dna", "gfp"), ("agreement",)
    >>> config = PairConfig(channels, ("dna",), ("gfp",), 64, 0.25, "norm_first", tasks=tasks)
    >>> started(build_pairs(config, seed=0), "none").config.width
    0.25
    """
    if start == "none":
        return network
    given, own, config = weights_of(start), network.state_dict(), network.config
    assert isinstance(config, NetworkConfig)
    first, filters = own[_FIRST].clone(), given.pop(_FIRST)
    names = [*START_CHANNELS[start], _PROTEIN]
    if first.shape[0] == filters.shape[0]:
        for position, channel in enumerate(config.channels):
            name = _PROTEIN if channel in config.protein else channel
            first[:, position] = filters[:, names.index(name)] if name in names else 0
    fitting = {key for key in own if key in given and own[key].shape == given[key].shape} | {_FIRST}
    other = {key for key in {*own, *given} - fitting if key.startswith(_PARTS[0])}
    if other or first.shape[0] != filters.shape[0]:
        raise EncoderError(
            f"encoder.start {start}",
            found=f"a network of width {config.width:g}, block {config.block} and {config.stages} stages",
            required="that of the start: width 0.25, block norm_first, 5 stages",
            remedy="Correct these keys of `encoder`, or remove encoder.start.",
        )
    parts = {key: values for key, values in given.items() if key.startswith(_PARTS[0])}
    projector = {key: values for key, values in given.items() if key.startswith(_PARTS[1])}
    parts |= projector if set(projector) <= fitting else {}
    network.load_state_dict({**own, **parts, _FIRST: first})
    return network


def weights_of(start: str) -> dict[str, torch.Tensor]:
    """Read the weights of a start: the state of its source encoder and of its projector.

    Raises:
        EncoderError: there is no such start, or its file is missing or changed.
    """
    path = _FOLDER / f"{start}.safetensors"
    content = path.read_bytes() if start in DIGESTS and path.is_file() else b""
    digest = hashlib.sha256(content).hexdigest()
    if not content or digest != DIGESTS[start]:
        raise EncoderError(
            path,
            found=f"a file with SHA-256 {digest}" if content else "no such file",
            required=f"the weights of one of {', '.join(DIGESTS)}, as they come with the package",
            remedy="Install the package again, or set encoder.start to none.",
        )
    return dict(load(content))
