"""One training in several processes: each takes a share of every batch, and all add up what they found.

Every process draws the same epoch, makes the rows of each batch that are its own, and takes the same step,
because gradients, the sums of batch norm and the losses are added up over all. So the weights are those of one
process, within the error of floating point, and stay equal everywhere without being sent.
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
_LONGEST_WAIT = datetime.timedelta(hours=1)  # for another process; one that dies is noticed by who started it


@dataclass(frozen=True)
class Processes:
    """All processes of a training, as one of them sees them.

    Attributes:
        rank: the number of this one, from 0, which alone reports and saves.
        size: how many there are.
        local: the number of this one on its machine, and of its GPU.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    def share(self, part: slice) -> slice:
        """The rows of a batch that are this process's: every `size`-th. None when there are too few."""
        return slice(part.start + self.rank, part.stop, self.size)

    def others(self, part: slice) -> int:
        """How many rows of a batch are other processes'."""
        rows = part.stop - part.start
        return rows - len(range(rows)[self.rank :: self.size])

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, the same bits in each."""
        if self.size == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total

    def add_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by its sum over all processes, in one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        flat = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, total in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(total.view_as(gradient))

    def share_norms(self, model: nn.Module) -> None:
        """Let every batch norm see the whole batch; parameters, buffers and their names stay."""
        if self.size == 1:
            return
        for parent in list(model.modules()):
            for name, child in parent.named_children():
                if isinstance(child, _BatchNorm):
                    setattr(parent, name, SharedBatchNorm(child))


ALONE = Processes()


def join(backend: str) -> Processes:
    """The processes that this one belongs to: those of torchrun, those of `starting`, or itself alone.

    Args:
        backend: what they talk by: `nccl` where each has a GPU of its own, `gloo` on the CPU.
    """
    if not dist.is_initialized():
        if not os.environ.keys() >= _TORCHRUN:
            return ALONE
        enter(backend, rank=int(os.environ["RANK"]), size=int(os.environ["WORLD_SIZE"]), at="env://")
    rank = dist.get_rank()
    return Processes(rank, dist.get_world_size(), int(os.environ.get("LOCAL_RANK", rank)))


def enter(backend: str, *, rank: int, size: int, at: str) -> None:
    """Meet the other processes at an address of torch's; they stay together until they end."""
    dist.init_process_group(backend, init_method=at, rank=rank, world_size=size, timeout=_LONGEST_WAIT)


class _Sum(torch.autograd.Function):
    """The sum over all processes. A gradient of the sum is a gradient of each term, in each process."""

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

    torch's own (`SyncBatchNorm`) does the same on GPUs only.

    Args:
        plain: the norm to replace; its parameters and buffers are taken over, not copied.
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
