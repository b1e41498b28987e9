"""A reference is compared within its tolerance; files without its tensors are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pcip_core.errors import EncoderError
from pcip_core.models.programs.reference import Reference, read_reference, require_reference


def test_the_tensors_of_the_file(tmp_path: Path):
    path = tmp_path / "reference.safetensors"
    save_file({"input": torch.ones(2, 3, 4, 4), "output": torch.zeros(2, 5)}, path)
    assert read_reference(path, "here").prepared
    save_file({"crops": torch.ones(2, 3, 9, 9), "output": torch.zeros(2, 5)}, path)
    assert not read_reference(path, "here").prepared


@pytest.mark.parametrize(
    "tensors",
    [
        {"input": torch.ones(2, 3, 4, 4)},
        {"output": torch.zeros(2, 5)},
        {"input": torch.ones(1, 3, 4, 4), "output": torch.zeros(2, 5)},
        {"input": torch.ones(2, 4), "output": torch.zeros(2, 5)},
    ],
)
def test_other_tensors_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]):
    save_file(tensors, tmp_path / "reference.safetensors")
    with pytest.raises(EncoderError, match="required: input"):
        read_reference(tmp_path / "reference.safetensors", "here")


def test_a_missing_or_other_file_is_refused(tmp_path: Path):
    for path in (tmp_path / "absent.safetensors", Path(__file__)):
        with pytest.raises(EncoderError, match="no usable file"):
            read_reference(path, "here")


def test_the_largest_number_is_the_measure():
    expected = torch.tensor([[100.0, 0.0]])
    reference = Reference(torch.zeros(1, 1, 1, 1), prepared=True, output=expected)
    require_reference(expected + 0.09, reference, 1e-3, "here")
    with pytest.raises(EncoderError, match=r"differ from the reference by 0\.002.*at most 0\.001"):
        require_reference(expected + torch.tensor([[0.0, 0.2]]), reference, 1e-3, "here")
    with pytest.raises(EncoderError, match="vectors of 3 numbers; required: 2"):
        require_reference(torch.zeros(1, 3), reference, 1e-3, "here")
