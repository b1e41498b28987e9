"""Choice of the processor and the precision of a training."""

from __future__ import annotations

import torch

from pcip_core.errors import TrainingError


def choose_device(name: str, *, number: int | None = None) -> torch.device:
    """Choose the processor: `auto` is the first CUDA GPU, otherwise the CPU; torch interprets all other names.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:N`.
        number: number of the GPU of this process, if several processes use one GPU each.

    Raises:
        TrainingError: the name is unknown, the processor does not exist here, or several processes share one GPU.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda:") and number is not None:
        raise TrainingError(
            f"device {name!r}",
            found="one GPU for several processes",
            required="auto, cpu, or cuda: one GPU for each process",
            remedy="Remove the number from encoder.device, or set encoder.processes to 1.",
        )
    if name == "cuda" and number is not None:
        name = f"cuda:{number}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(
            f"device {name!r}",
            found=f"not usable here ({str(error).splitlines()[0]})",
            required="auto, cpu, cuda or cuda:N with a GPU that torch sees",
            remedy="Correct encoder.device in the spec, or install torch for your GPU.",
        ) from error
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Choose the precision: `auto` is bf16 on a GPU that supports it, otherwise float32.

    On a CPU, `auto` is float32, so that results do not depend on the model of the CPU. `bf16` is faster on CPUs with
    bf16 instructions (AVX512-BF16, AMX; see `pcip bench training`), and several times slower on others.

    Args:
        name: `auto`, `float32` or `bf16`.
        device: the processor.

    Raises:
        TrainingError: the name is unknown.

    >>> choose_precision("auto", torch.device("cpu"))
    torch.float32
    """
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    known = {"float32": torch.float32, "bf16": torch.bfloat16}
    if name not in known:
        raise TrainingError(
            f"precision {name!r}",
            found="an unknown name",
            required=f"auto, {', '.join(known)}",
            remedy="Correct encoder.precision in the spec.",
        )
    return known[name]
