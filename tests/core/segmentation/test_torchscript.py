"""A TorchScript segmenter: its input, its output, and invalid files."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from pcip_core.errors import SpecError
from pcip_core.segmentation.torchscript import torchscript


class Threshold(torch.nn.Module):
    """Label the pixels above 0.5 in the second channel; each pixel takes the largest index that it touches."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        bright = image[:, 1:2] > 0.5
        count = image.shape[2] * image.shape[3]
        labels = torch.arange(1, count + 1, dtype=torch.float32).reshape(1, 1, image.shape[2], image.shape[3])
        labels = labels * bright
        for _ in range(60):
            labels = torch.nn.functional.max_pool2d(labels, 3, 1, 1) * bright
        return torch.cat([torch.zeros_like(labels), labels], 1)


class Nothing(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[0]


def saved(module: torch.nn.Module, path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(module), str(path))
    return str(path)


def planes() -> dict[str, np.ndarray]:
    """Three discs, one of them at the border, in a channel of 16 bits."""
    y, x = np.mgrid[:96, :128]
    discs = [np.hypot(y - cy, x - cx) < 9 for cy, cx in ((30, 30), (60, 90), (3, 70))]
    bright = np.where(np.any(discs, axis=0), 5000, 200).astype(np.uint16)
    return {"other": np.full((96, 128), 7, np.uint16), "nucleus": bright + (x % 5).astype(np.uint16)}


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_objects_of_the_network_are_kept_except_at_the_border(
    tmp_path: Path, scale: float, caplog: pytest.LogCaptureFixture
) -> None:
    model = saved(Threshold(), tmp_path / "model.pt")
    labels = torchscript(planes(), model=model, channels=["other", "nucleus"], objects=1, scale=scale)
    assert labels.shape == (96, 128)
    assert labels.dtype == np.int32
    assert sorted(np.unique(labels)) == [0, 1, 2]
    centres = sorted(ndimage.center_of_mass(labels > 0, labels, [1, 2]))
    assert np.allclose(centres, [(30, 30), (60, 90)], atol=1.5)
    big = torchscript(
        planes(), model=model, channels=["other", "nucleus"], objects=1, scale=scale, min_area_px=10_000
    )
    assert not big.any()
    assert caplog.messages == [f"{model}: a TorchScript model is a program. Use only models that you trust."]


def test_invalid_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"absent\.pt: found no such file"):
        torchscript(planes(), model=str(tmp_path / "absent.pt"), channels=["nucleus"])
    (tmp_path / "text.pt").write_text("not a model")
    with pytest.raises(SpecError, match=r"text\.pt: found not a TorchScript"):
        torchscript(planes(), model=str(tmp_path / "text.pt"), channels=["nucleus"])
    with pytest.raises(SpecError, match="label planes"):
        torchscript(planes(), model=saved(Nothing(), tmp_path / "nothing.pt"), channels=["nucleus"])
    model = saved(Threshold(), tmp_path / "model.pt")
    with pytest.raises(SpecError, match="more than 2 kinds"):
        torchscript(planes(), model=model, channels=["other", "nucleus"], objects=2)
