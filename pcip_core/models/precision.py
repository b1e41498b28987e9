"""The precisions in which a network computes: float32, or bf16 for its convolutions and matrix products.

In bf16, weights and activations have 8 significant bits, and sums of products are accumulated in float32. Everything
that adds many small numbers stays in float32: losses, statistics of batch norm, gradients, Adam, and the features.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from pcip_core.errors import PrecisionError

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}
Network = TypeVar("Network", bound=nn.Module)


def dtype_of(precision: str) -> torch.dtype:
    """Return the type of a precision by its name.

    Raises:
        PrecisionError: the name is unknown.

    >>> dtype_of("bf16")
    torch.bfloat16
    """
    if precision not in PRECISIONS:
        raise PrecisionError(
            f"precision {precision!r}",
            found="an unknown name",
            required=f"auto, {', '.join(PRECISIONS)}",
            remedy="Correct encoder.precision in the spec.",
        )
    return PRECISIONS[precision]


def computing_in(dtype: torch.dtype, device: torch.device | str) -> torch.autocast:
    """Compute the convolutions and matrix products within the context in this type; float32 changes nothing."""
    return torch.autocast(torch.device(device).type, dtype, enabled=dtype is not torch.float32)


def with_weights_in(network: Network, dtype: torch.dtype) -> Network:
    """Return a copy whose convolutions and matrix products have weights of this type; the network itself for float32.

    Within `computing_in`, the copy computes what the network computes, but does not convert its weights in each batch.
    """
    if dtype is torch.float32:
        return network
    converted = copy.deepcopy(network)
    for module in converted.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.to(dtype)
    return converted
