"""Models of timm (an optional package) with weights from a safetensors file; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from pcip_core.errors import EncoderError, MissingPackageError
from pcip_core.models.programs.program import Program
from pcip_core.models.weights import read_safetensors

_MOST_BYTES = 1 << 34


def load_timm(path: Path, where: str, model: str, *, planes: int, size_px: int, device: str) -> Program:
    """Build a model of timm without its classifier, in evaluation mode, and load its weights.

    The weights are for the size of images that the model has in timm. A model with embeddings of positions, which
    depend on this size, then resamples them to `size_px`, as timm does.

    Raises:
        MissingPackageError: timm is not installed.
        EncoderError: timm has no such model, or the weights are damaged or belong to another model.
    """
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # a torchvision for another torch raises RuntimeError
        raise MissingPackageError(
            where,
            found=f"weights of a model of timm and no package timm that can be used ({error})",
            required="timm, and the torchvision that belongs to the installed torch",
            remedy="Install them: pip install 'pcip[timm]'. Or export the model as .pt2.",
        ) from error
    try:
        network = timm.create_model(model, pretrained=False, num_classes=0, in_chans=planes)
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
            required=f"{expected.get(wrong[0], 'no such tensor')} for {model} of {planes} planes",
            remedy="Correct `timm` or `channels`, or name the file of this model.",
        )
    network.load_state_dict({name: weights[name] for name in expected})
    if hasattr(network, "set_input_size"):
        try:
            network.set_input_size(img_size=(size_px, size_px))
        except (AssertionError, ValueError, RuntimeError) as error:
            raise EncoderError(
                where,
                found=f"size_px {size_px} ({error})",
                required=f"a size that {model} takes, most often a multiple of its patches",
                remedy="Correct `size_px`.",
            ) from error
    return Program(where, network.to(device).eval(), (None, planes, None, None), device)


def _heads(network: Any) -> tuple[str, ...]:
    """Names with which the tensors of the classifier begin."""
    head = getattr(network, "default_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ([head] if isinstance(head, str) else head))
