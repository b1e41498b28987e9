"""A file is loaded by its ending; pickles, other files and missing packages are named errors."""

from __future__ import annotations

import builtins
import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pcip_core.errors import EncoderError, MissingPackageError
from pcip_core.models.programs.loading import digest_of, load_program

SIZE = {"planes": 3, "size_px": 16}


def test_each_format_by_its_ending(exported: Path, scripted: Path):
    assert load_program(exported, **SIZE).shape == (None, 3, 16, 16)
    assert load_program(scripted, **SIZE).shape == (None, None, None, None)


def test_a_missing_file_and_another_digest(exported: Path, tmp_path: Path):
    with pytest.raises(
        EncoderError, match=r"no such file or directory.*take the feature set out of `features`"
    ):
        load_program(tmp_path / "absent.pt2", **SIZE)
    with pytest.raises(EncoderError, match="no file that can be read"):
        digest_of(tmp_path, "features.mine")
    digest = hashlib.sha256(exported.read_bytes()).hexdigest()
    assert digest_of(exported, "here") == digest
    load_program(exported, sha256=digest[:16], **SIZE)
    with pytest.raises(EncoderError, match=f"sha256 {digest}"):
        load_program(exported, sha256="0" * 64, **SIZE)


class Hostile:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    "name", ["model.pth", "model.pt", "model.ckpt", "model.pkl", "model.ts", "model.pt2"]
)
@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_is_refused_and_not_read(tmp_path: Path, name: str, write: object):
    mark = tmp_path / "executed"
    write({"weight": Hostile(mark)}, tmp_path / name)  # type: ignore[operator]
    with pytest.raises(EncoderError, match="Export the"):
        load_program(tmp_path / name, **SIZE)
    assert not mark.exists()


def test_another_ending_is_refused(tmp_path: Path):
    (tmp_path / "model.tflite").write_bytes(b"x")
    with pytest.raises(EncoderError, match=r"a file \.tflite; required: a program that ends in \.pt2"):
        load_program(tmp_path / "model.tflite", **SIZE)


@pytest.mark.parametrize(("name", "package"), [("model.onnx", "onnxruntime"), ("model.safetensors", "timm")])
def test_a_missing_package_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
):
    save_file({"weight": torch.zeros(1)}, tmp_path / name)
    original = builtins.__import__

    def without(name: str, *args: object, **keywords: object) -> object:
        if name == package:
            raise ModuleNotFoundError(f"No module named {package!r}")
        return original(name, *args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    extra = {"onnxruntime": "onnx", "timm": "timm"}[package]
    with pytest.raises(MissingPackageError, match=rf"no package {package}.*pip install 'pcip\[{extra}\]'"):
        load_program(tmp_path / name, timm="resnet18", **SIZE)
