"""Training in several processes: each computes a share of every batch, and gradients are summed over all.

Every process draws the same epoch, computes its rows of each batch, and takes the same step, because gradients, the
sums of batch norm and the losses are summed over all processes. The weights therefore equal those of a single process
within floating-point error, and stay equal in all processes without being communicated.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_TORCHRUN = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
_LONGEST_WAIT = datetime.timedelta(hours=1)  # for another process; the starting process detects one that dies


@dataclass(frozen=True)
class Processes:
    """The processes of a training, from the perspective of one of them.

    Attributes:
        rank: number of this process, from 0. Only process 0 reports and saves.
        size: number of processes.
        local: number of this process on its machine, and of its GPU.

    >>> Processes(rank=1, size=2).share(slice(4, 8)), Processes(rank=1, size=2).others(slice(4, 8))
    (slice(5, 8, 2), 2)
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    def share(self, part: slice) -> slice:
        """Select the rows of a batch for this process: every `size`-th row, possibly none."""
        return slice(part.start + self.rank, part.stop, self.size)

    def others(self, part: slice) -> int:
        """Count the rows of a batch that belong to other processes."""
        rows = part.stop - part.start
        return rows - len(range(rows)[self.rank :: self.size])

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over all processes, with bitwise equal results in each."""
        if self.size == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over all processes, as part of the computation of a loss: gradients flow back to each process."""
        return values if self.size == 1 else _Sum.apply(values)

    def add_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by its sum over all processes, with one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        flat = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, total in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(total.view_as(gradient))

    def share_norms(self, model: nn.Module) -> None:
        """Make every batch norm use the whole batch. Parameters, buffers and their names do not change."""
        if self.size == 1:
            return
        for parent in list(model.modules()):
            for name, child in parent.named_children():
                if isinstance(child, _BatchNorm):
                    setattr(parent, name, SharedBatchNorm(child))


ALONE = Processes()


def join(backend: str) -> Processes:
    """Find the processes of this training: those of torchrun, those of `starting`, or only this process.

    Args:
        backend: the backend of torch.distributed: `nccl` if each process has its own GPU, `gloo` on the CPU.
    """
    if not dist.is_initialized():
        if not os.environ.keys() >= _TORCHRUN:
            return ALONE
        enter(backend, rank=int(os.environ["RANK"]), size=int(os.environ["WORLD_SIZE"]), at="env://")
    rank = dist.get_rank()
    return Processes(rank, dist.get_world_size(), int(os.environ.get("LOCAL_RANK", rank)))


def enter(backend: str, *, rank: int, size: int, at: str) -> None:
    """Connect to the other processes at an address as defined by torch.distributed, until this process ends."""
    dist.init_process_group(backend, init_method=at, rank=rank, world_size=size, timeout=_LONGEST_WAIT)


class _Sum(torch.autograd.Function):
    """The sum over all processes. The gradient of the sum is the gradient of each term, in each process."""

    @staticmethod
    def forward(ctx: object, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class SharedBatchNorm(_BatchNorm):
    """Batch norm over the rows of all processes, in two passes: the mean, then the deviations from it.

    `torch.nn.SyncBatchNorm` does the same, but only on GPUs.

    Args:
        plain: the norm to replace; its parameters and buffers are shared, not copied.
    """

    def __init__(self, plain: _BatchNorm) -> None:
        super().__init__(plain.num_features, plain.eps, plain.momentum)
        self._parameters, self._buffers, self.training = plain._parameters, plain._buffers, plain.training

    def _check_input_dim(self, input: torch.Tensor) -> None:
        pass

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, ...) -> the same shape; B may be 0, as long as other processes have rows."""
        if not self.training:
            return super().forward(x)
        places = (0, *range(2, x.ndim))
        shape = (1, -1, *[1] * (x.ndim - 2))
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = wide.new_full((1,), wide.numel() // self.num_features)
        sums = _Sum.apply(torch.cat([wide.sum(places), count]))  # (C + 1,)
        n = sums[-1].detach()
        mean = sums[:-1] / n
        centred = wide - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(places)) / n
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (n / (n - 1)), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)
