"""Choice of the processor of a training."""

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
