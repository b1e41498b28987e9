"""ONNX graphs give the vectors of onnx's own evaluator; other files are refused. Needs onnx and onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcip_core.errors import EncoderError
from pcip_core.models.programs.loading import load_program
from pcip_core.models.programs.program import vectors_of
from tests.core.models.programs.conftest import images

onnx = pytest.importorskip(
    "onnx", reason="the packages onnx and onnxruntime are not installed (extra `onnx`)"
)
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed (extra `onnx`)")


def write(path: Path, *, batch: int | str = "batch", kind: str = "FLOAT", external: bool = False) -> Path:
    """A graph that gives the maximum over space and the maps of a convolution."""
    helper, tensor = onnx.helper, getattr(onnx.TensorProto, kind)
    weights = np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32)
    kernel = onnx.numpy_helper.from_array(weights, "kernel")
    given = helper.make_tensor_value_info("images", tensor, [batch, 3, 16, 16])
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "kernel"], ["maps"], kernel_shape=[3, 3]),
        helper.make_node("GlobalMaxPool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
    ]
    outputs = [
        helper.make_tensor_value_info("maps", onnx.TensorProto.FLOAT, [batch, 5, 14, 14]),
        helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, [batch, 5]),
    ]
    graph = helper.make_graph(nodes, "small", [given], outputs, [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path, save_as_external_data=external, location="tensors.bin", size_threshold=0)
    return path


def expected(path: Path, n: int) -> np.ndarray:
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(str(path)).run(["embedding"], {"images": images(n).numpy()})[0]


@pytest.mark.parametrize("batch", ["batch", 2])
def test_vectors_are_those_of_the_reference_evaluator(tmp_path: Path, batch: int | str):
    program = load_program(write(tmp_path / "small.onnx", batch=batch), planes=3, size_px=16)
    assert program.shape == (batch if batch == 2 else None, 3, 16, 16)
    truth = expected(write(tmp_path / "any.onnx"), 3)
    for output in ("embedding", 1):
        assert np.allclose(vectors_of(program, images(3), output), truth, atol=1e-5)
    with pytest.raises(EncoderError, match="outputs maps, embedding; required: one output"):
        vectors_of(program, images(3))


def test_tensors_in_other_files_and_other_inputs_are_refused(tmp_path: Path):
    size = {"planes": 3, "size_px": 16}
    with pytest.raises(EncoderError, match=r"no usable ONNX file.*external_data=False"):
        load_program(write(tmp_path / "external.onnx", external=True), **size)
    with pytest.raises(EncoderError, match=r"images tensor\(uint8\); required: one input tensor\(float\)"):
        load_program(write(tmp_path / "bytes.onnx", kind="UINT8"), **size)
    (tmp_path / "damaged.onnx").write_bytes(b"no graph")
    with pytest.raises(EncoderError, match="no usable ONNX file"):
        load_program(tmp_path / "damaged.onnx", **size)
