"""TorchScript gives the vectors of its network; a damaged file, and code that opens files, are refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from pcip_core.errors import EncoderError
from pcip_core.models.programs.loading import load_program
from pcip_core.models.programs.program import vectors_of
from tests.core.models.programs.conftest import images


def test_vectors_are_those_of_the_network(scripted: Path, small: torch.nn.Module):
    program = load_program(scripted, planes=3, size_px=16)
    assert torch.allclose(vectors_of(program, images(5)), small(images(5)), atol=1e-6)


def test_a_damaged_file_is_refused(scripted: Path, tmp_path: Path):
    (tmp_path / "small.ts").write_bytes(scripted.read_bytes()[:-200])
    with pytest.raises(EncoderError, match="found"):
        load_program(tmp_path / "small.ts", planes=3, size_px=16)


class Reads(torch.nn.Module):
    """Returns bytes of another file."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (
            torch.from_file("/etc/hostname", shared=False, size=4, dtype=torch.uint8)
            .float()
            .expand(len(images), 4)
        )


def test_code_that_opens_files_is_refused(tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(Reads()), str(tmp_path / "reads.ts"))
    with pytest.raises(EncoderError, match="calls from_file, which may open files"):
        load_program(tmp_path / "reads.ts", planes=3, size_px=16)
