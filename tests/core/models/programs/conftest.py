"""A small network of two convolutions, and the programs that are exported from it once for all tests."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

PLANES, SIDE = 3, 16


class Small(torch.nn.Module):
    """A convolution, batch norm and the maximum over space: (B, 3, S, S) -> (B, 5)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(PLANES, 5, 3)
        self.norm = torch.nn.BatchNorm2d(5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(images))).amax(dim=(2, 3))


class Several(Small):
    """The same, with the vectors under a name, beside the maps."""

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return {"maps": self.conv(images), "embedding": super().forward(images)}


def images(n: int = 4, planes: int = PLANES, side: int = SIDE) -> torch.Tensor:
    """Random images."""
    return torch.rand(n, planes, side, side, generator=torch.Generator().manual_seed(1))


def export(module: torch.nn.Module, path: Path, *, fixed: int | None = None) -> Path:
    """Write a program of torch.export, for any number of images or a fixed one."""
    shapes = None if fixed else ({0: torch.export.Dim("batch")},)
    program = torch.export.export(module, (images(fixed or 2),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


def script(module: torch.nn.Module, path: Path) -> Path:
    """Write a TorchScript program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch recommends torch.export
        traced = torch.jit.trace(module, images(), strict=False, check_trace=False)
        torch.jit.save(traced, str(path))
    return path


@pytest.fixture(scope="session")
def small() -> torch.nn.Module:
    """The network, in evaluation mode."""
    return Small().eval()


@pytest.fixture(scope="session")
def exported(small: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as a program of torch.export that takes any number of images."""
    return export(small, tmp_path_factory.mktemp("exported") / "small.pt2")


@pytest.fixture(scope="session")
def scripted(small: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as TorchScript."""
    return script(small, tmp_path_factory.mktemp("scripted") / "small.ts")
