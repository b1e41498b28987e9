"""The choice of the precision of a training: bf16 where the processor multiplies it natively and is faster with it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pcip_core.errors import PrecisionError
from pcip_core.models.network import CellNetwork, count_parameters
from pcip_core.models.precision import PRECISIONS, dtype_of
from pcip_core.training.processes import ALONE, Processes
from pcip_core.training.task import Batch, Task, output_of, share_of_loss

LARGEST_DIFFERENCE = 2**-5
"""Of the loss in bf16 from that in float32, relative: eight units in the last of the 8 significant bits of bf16."""
_WORTH = 0.9  # bf16 must take less than this share of the time of float32, so that chance does not choose
_SECONDS, _ROUNDS = 0.5, 3  # no further round begins after these; the first may take as long again
_WORK = 6e10  # rows x weights x pixels of a timed step: two pairs at width 1


@dataclass(frozen=True)
class Choice:
    """The precision of a training, and why.

    Attributes:
        precision: `float32` or `bf16`.
        reason: why, in words.
        seconds: of one step (forward and backward) in each precision, if they were timed.
    """

    precision: str
    reason: str
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the convolutions and matrix products."""
        return dtype_of(self.precision)

    def as_params(self) -> dict[str, Any]:
        """Convert to plain values, for the tracker."""
        timed = {f"timed_step_{name}_s": round(value, 6) for name, value in self.seconds.items()}
        return {"precision_used": self.precision, "precision_reason": self.reason, **timed}

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values, for a checkpoint."""
        return {**dataclasses.asdict(self), "seconds": dict(self.seconds)}


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a processor multiplies bf16 natively, as torch reports: GPUs, and CPUs with AMX-BF16 or AVX512-BF16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    reported = torch.cpu.get_capabilities()
    return bool(reported.get("amx_bf16") or reported.get("avx512_bf16"))


def choose_precision(name: str, work: Task, device: torch.device, processes: Processes = ALONE) -> Choice:
    """Choose the precision of a training before its first step; the first of several processes decides for all.

    `auto` is bf16 on a GPU that multiplies it natively; on a CPU that does so, if a step in bf16 takes less time than
    in float32; otherwise float32. `bf16`, chosen or asked for, requires that the loss of the first cells agrees with
    the loss in float32.

    Args:
        name: `auto`, `float32` or `bf16`.
        work: the task, which gives the network and the cells of the timed steps.
        device: the processor.
        processes: all processes of the training.

    Raises:
        PrecisionError: the name is unknown, or `bf16` was asked for and its loss differs.
    """
    if name != "auto":
        dtype_of(name)
    choice = _choose(name, work, device) if processes.rank == 0 else Choice("float32", "")
    if processes.size == 1:
        return choice
    first = processes.sum(torch.tensor(float(choice.precision == "bf16"), device=device))
    return choice if processes.rank == 0 else Choice("bf16" if first else "float32", "as the first process")


def _choose(name: str, work: Task, device: torch.device) -> Choice:
    if name == "float32":
        return Choice(name, "the setting")
    if name == "auto" and not multiplies_bf16(device):
        return Choice("float32", "the processor does not multiply bf16 natively")
    timed = name == "auto" and device.type == "cpu"
    seconds, losses = try_steps(work, device, rounds=_ROUNDS if timed else 1)
    difference = abs(losses["bf16"] - losses["float32"])
    if not difference <= LARGEST_DIFFERENCE * abs(losses["float32"]):  # also if one is not a number
        found = f"a loss of {losses['bf16']:.6g} in bf16, {losses['float32']:.6g} in float32"
        if name == "auto":
            return Choice("float32", f"{found}: they differ by more than {LARGEST_DIFFERENCE:.3g} of it")
        raise PrecisionError(
            "precision bf16",
            found=found,
            required=f"a difference of at most {LARGEST_DIFFERENCE:.3g} of the loss in float32",
            remedy="Set encoder.precision to float32 or auto.",
        )
    if not timed:
        return Choice("bf16", "the setting" if name == "bf16" else "the GPU multiplies bf16 natively")
    share = seconds["bf16"] / seconds["float32"]
    reason = f"a step in bf16 takes {share:.2f} of the time in float32; bf16 below {_WORTH:g}"
    return Choice("bf16" if share < _WORTH else "float32", reason, seconds)


def try_steps(
    work: Task, device: torch.device, *, rounds: int = _ROUNDS
) -> tuple[dict[str, float], dict[str, float]]:
    """Time a step of the untrained network on the first cells in both precisions, in turns.

    The optimizer takes no step: it computes in float32 in both. Batches are smaller than those of the training if the
    network is large.

    Returns:
        The least seconds of a step, and the loss, of each precision.
    """
    model = work.build().to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    batch = _first_rows(work, model)
    seconds: dict[str, list[float]] = {name: [] for name in PRECISIONS}
    losses: dict[str, float] = {}
    begun = time.perf_counter()
    while len(seconds["bf16"]) < rounds and time.perf_counter() - begun < _SECONDS:
        for name, dtype in PRECISIONS.items():
            start = time.perf_counter()
            loss = share_of_loss(work, output_of(model, batch, dtype), batch)
            model.zero_grad(set_to_none=True)
            loss.backward()
            losses[name] = float(loss.detach())  # waits for a GPU
            seconds[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in seconds.items()}, losses


def _first_rows(work: Task, model: CellNetwork) -> Batch:
    """The first batch of the first epoch, or at least as many of its rows as the task requires."""
    batch = next(work.batches(1))
    a_row = count_parameters(model) * batch.inputs[0].shape[-1] ** 2
    rows = max(work.fewest_rows, min(len(batch.truth), round(_WORK / a_row)))
    image = None if batch.image is None else batch.image[:rows]
    return batch._replace(
        inputs=tuple(values[:rows] for values in batch.inputs), truth=batch.truth[:rows], image=image
    )
