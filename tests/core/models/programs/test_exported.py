"""Programs of torch.export give the vectors of their network; archives that could run other code are refused."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pcip_core.errors import EncoderError
from pcip_core.models.programs.exported import load_exported
from pcip_core.models.programs.program import vectors_of
from tests.core.models.programs.conftest import Several, export, images


def test_vectors_are_those_of_the_network(exported: Path, small: torch.nn.Module):
    program = load_exported(exported, "here", "cpu")
    assert program.shape == (None, 3, 16, 16)
    for n in (1, 4, 7):
        assert torch.allclose(vectors_of(program, images(n)), small(images(n)), atol=1e-6)


def test_a_fixed_number_of_images_and_several_outputs(tmp_path: Path, small: torch.nn.Module):
    program = load_exported(export(Several().eval(), tmp_path / "several.pt2", fixed=3), "here", "cpu")
    assert program.shape == (3, 3, 16, 16)
    assert torch.allclose(vectors_of(program, images(4), "embedding"), small(images(4)), atol=1e-6)


def rewritten(original: Path, path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of an archive with changed records."""
    with zipfile.ZipFile(original) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return path


class Hostile:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def changed_json(name: str, change: Callable[[dict], None]) -> Callable[[str, bytes], bytes]:
    def rewrite(record: str, data: bytes) -> bytes:
        if not record.endswith(name):
            return data
        values = json.loads(data)
        change(values)
        return json.dumps(values).encode()

    return rewrite


def call_hub(values: dict) -> None:
    values["graph_module"]["graph"]["nodes"][0]["target"] = "torch.hub.load"


def evaluate(values: dict) -> None:
    text = json.dumps(values["graph_module"]["graph"]["tensor_values"])
    assert "expr_str" in text
    for tensor in values["graph_module"]["graph"]["tensor_values"].values():
        for size in tensor["sizes"]:
            if "as_expr" in size:
                size["as_expr"]["expr_str"] = "open(chr(120))"


def pickled_weight(values: dict) -> None:
    next(iter(values["config"].values()))["use_pickle"] = True


@pytest.mark.parametrize(
    ("record", "change", "message"),
    [
        ("models/model.json", call_hub, "a call of torch.hub.load"),
        ("models/model.json", evaluate, r"the size 'open\(chr\(120\)\)'"),
        ("model_weights_config.json", pickled_weight, "the pickle weight_0"),
    ],
)
def test_what_could_run_other_code_is_refused(
    exported: Path, tmp_path: Path, record: str, change, message: str
):
    path = rewritten(exported, tmp_path / "small.pt2", changed_json(record, change))
    with pytest.raises(EncoderError, match=message):
        load_exported(path, "here", "cpu")


def test_a_pickle_among_the_sample_inputs_is_not_executed(exported: Path, tmp_path: Path):
    mark, buffer = tmp_path / "executed", io.BytesIO()
    torch.save((Hostile(mark),), buffer)

    def change(name: str, data: bytes) -> bytes:
        return buffer.getvalue() if "/sample_inputs/" in name else data

    with pytest.raises(EncoderError, match="no usable program"):
        load_exported(rewritten(exported, tmp_path / "small.pt2", change), "here", "cpu")
    assert not mark.exists()


def test_other_records_are_refused(exported: Path, tmp_path: Path):
    path = tmp_path / "small.pt2"
    rewritten(exported, path, lambda name, data: data)
    load_exported(path, "here", "cpu")  # a copy is the same program
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("small/data/constants/opaque_obj_0", pickle.dumps(Hostile(tmp_path / "executed")))
    with pytest.raises(EncoderError, match="the record small/data/constants/opaque_obj_0"):
        load_exported(path, "here", "cpu")
    assert not (tmp_path / "executed").exists()


def test_a_damaged_file_and_two_inputs(exported: Path, tmp_path: Path):
    path = tmp_path / "small.pt2"
    path.write_bytes(exported.read_bytes()[:2000])
    with pytest.raises(EncoderError, match="no usable program"):
        load_exported(path, "here", "cpu")

    class Two(torch.nn.Module):
        def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            return (first + second).flatten(1)

    torch.export.save(torch.export.export(Two(), (images(), images())), path)
    with pytest.raises(EncoderError, match="takes 2 inputs"):
        load_exported(path, "here", "cpu")
