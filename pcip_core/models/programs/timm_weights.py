"""Models of timm (an optional package) with weights from a safetensors file; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from pcip_core.errors import EncoderError, MissingPackageError
from pcip_core.models.programs.program import Program
from pcip_core.models.weights import read_safetensors

_MOST_BYTES = 1 << 34


def load_timm(path: Path, where: str, model: str, *, planes: int, size_px: int, device: str) -> Program:
    """Build a model of timm without its classifier, in evaluation mode, and load its weights.

    Raises:
        MissingPackageError: timm is not installed.
        EncoderError: timm has no such model, or the weights are damaged or belong to another model.
    """
    try:
        import timm
    except (
        ImportError,
        RuntimeError,
    ) as error:  # RuntimeError: a torchvision that was built for another torch
        raise MissingPackageError(
            where,
            found=f"weights of a model of timm and no package timm that can be used ({str(error).splitlines()[0]})",
            required="timm, and the torchvision that belongs to the installed torch",
            remedy="Install them: .venv/bin/pip install -e '.[timm]'. Or export the model as .pt2.",
        ) from error
    try:
        network = _built(timm, model, planes, size_px)
        weights = read_safetensors(path, most_bytes=_MOST_BYTES)
    except (RuntimeError, ValueError, TypeError, OSError, SafetensorError) as error:
        raise EncoderError(
            where,
            found=f"no usable {model} ({(str(error).strip().splitlines() or [''])[0][:200]})",
            required="a model that timm knows, and its weights as safetensors",
            remedy="Correct `timm` (timm.list_models() lists the names), or name the correct file.",
        ) from error
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    heads = _heads(network)
    given = {name: tuple(value.shape) for name, value in weights.items() if not name.startswith(heads)}
    if wrong := [name for name in {**expected, **given} if expected.get(name) != given.get(name)]:
        raise EncoderError(
            where,
            found=f"{wrong[0]} as {given.get(wrong[0], 'nothing')} ({len(wrong)} such tensors)",
            required=f"{expected.get(wrong[0], 'no such tensor')} for {model} of {planes} planes and {size_px} px",
            remedy="Correct `timm`, `channels` or `size_px`, or name the file of this model.",
        )
    network.load_state_dict({name: weights[name] for name in expected})
    return Program(where, network.to(device).eval(), (None, planes, None, None), device)


def _built(timm: Any, model: str, planes: int, size_px: int) -> torch.nn.Module:
    """The model without a classifier. Only some models have positions, and take the size of images."""
    settings = {"pretrained": False, "num_classes": 0, "in_chans": planes}
    try:
        return timm.create_model(model, img_size=size_px, **settings)
    except TypeError:
        return timm.create_model(model, **settings)


def _heads(network: Any) -> tuple[str, ...]:
    """Names with which the tensors of the classifier begin."""
    head = getattr(network, "default_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ([head] if isinstance(head, str) else head))
