"""Programs in ONNX, computed by onnxruntime (an optional package): a graph of operators, without code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pcip_core.errors import EncoderError, MissingPackageError
from pcip_core.models.programs.program import Program


def load_onnx(path: Path, where: str, device: str) -> Program:
    """Load an ONNX graph. Its tensors must be in the same file, so that one digest describes all of it.

    Raises:
        MissingPackageError: onnxruntime is not installed.
        EncoderError: the file is damaged, keeps tensors in other files, or takes more than one input.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            where,
            found=f"an ONNX file and no package onnxruntime ({error})",
            required="onnxruntime",
            remedy="Install it: pip install 'pcip[onnx]'. Or export the program as .pt2.",
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    available = onnxruntime.get_available_providers()
    wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in available]
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
    except Exception as error:  # onnxruntime raises its own errors, without a common class
        raise EncoderError(
            where,
            found=f"no usable ONNX file ({(str(error).strip().splitlines() or [''])[0][:200]})",
            required="one ONNX file with all its tensors, of operators that onnxruntime knows",
            remedy="Export it again, with external_data=False.",
        ) from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        raise EncoderError(
            where,
            found=f"inputs {', '.join(f'{each.name} {each.type}' for each in inputs)}",
            required="one input tensor(float), (batch, planes, size_px, size_px)",
            remedy="Export a wrapper whose forward takes one float32 tensor (docs/how-to/use-another-encoder.md).",
        )
    name, outputs = inputs[0].name, [each.name for each in session.get_outputs()]

    def run(images: torch.Tensor) -> dict[str, Any]:
        values = session.run(outputs, {name: images.contiguous().numpy()})
        return {output: torch.from_numpy(value) for output, value in zip(outputs, values, strict=True)}

    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in inputs[0].shape)
    return Program(where, run, shape)  # its images stay on the CPU, wherever onnxruntime computes
