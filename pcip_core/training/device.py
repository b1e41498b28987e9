"""Which processor to compute on, and in which precision."""

from __future__ import annotations

import torch

from pcip_core.errors import TrainingError


def choose_device(name: str, *, number: int | None = None) -> torch.device:
    """`auto`: the first CUDA GPU, else the CPU; any other name as torch understands it.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:N`.
        number: of several processes, which take a GPU each: the number of this one's.

    Raises:
        TrainingError: the name is unknown, there is no such processor here, or all processes are sent to one.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda:") and number is not None:
        raise TrainingError(
            f"device {name!r}",
            found="one GPU for several processes",
            required="auto, cpu, or cuda: a GPU for each",
            remedy="Take the number out of encoder.device, or leave encoder.processes at 1.",
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
    """`auto`: bf16 on a GPU that has it, float32 on a CPU, so that figures do not depend on its make.

    Asked for on a CPU, bf16 is faster where the CPU multiplies it (AVX512-BF16, AMX; `pcip bench training`), and
    several times slower where it does not.

    Raises:
        TrainingError: the name is unknown.
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
