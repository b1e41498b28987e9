"""Programs written by `torch.export.save`.

`torch.export.load` unpickles some records of such an archive, evaluates the texts of symbolic sizes as Python, and
looks up each function that the graph calls by its name in torch. Here an archive is refused before torch reads it,
unless its tensors are stored as plain bytes, its sizes are arithmetic, and its graph calls tensor operators only.
"""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pcip_core.errors import EncoderError
from pcip_core.models.programs.program import Program

_MAX_GRAPH_BYTES = 1 << 28
_RECORDS = re.compile(
    r"[^/]+/(archive_format|archive_version|byteorder|version|\.data/[\w.]+|models/model\.json|extra/.*"
    r"|data/(weights|constants)/(model_(weights|constants)_config\.json|(weight|tensor)_\d+)"
    r"|data/sample_inputs/model\.pt)"
)
_TARGETS = re.compile(
    r"torch\.ops\.aten\.(?!from_file\b)\w+\.\w+|torch\.ops\.prims\.\w+\.\w+|torch\.sym_\w+|_operator\.\w+"
    r"|math\.\w+|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast)"
)
_SIZE = re.compile(  # sympy's text of an expression: symbols, numbers and functions, whose names are in upper case
    r"(?:Symbol\('[suz]\d++'(?:, [a-z]++=(?:True|False))*+\)|[suz]?\d++|\.\d++|(?:int_)?oo|True|False"
    r"|[A-Z][A-Za-z]{2,}+\(|[\s()+\-*/,<>=])*+"  # possessive: linear time
)


def load_exported(path: Path, where: str, device: str) -> Program:
    """Load a program of torch.export.

    Raises:
        EncoderError: the file is damaged, holds more than tensors and a graph of tensor operators, or takes more than
            one input.
    """
    import torch

    try:
        checked = io.BytesIO(_checked_archive(path))
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            exported = torch.export.load(checked)
    except Exception as error:  # each part of torch raises different errors
        raise EncoderError(
            where,
            found=f"no usable program ({type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]})",
            required="a program written by torch.export.save, of tensors and tensor operators only",
            remedy="Export the program again with this version of torch, or as TorchScript or ONNX.",
        ) from error
    inputs = exported.graph_signature.user_inputs
    if len(inputs) != 1:
        raise EncoderError(
            where,
            found=f"a program that takes {len(inputs)} inputs",
            required="one input, (batch, planes, size_px, size_px)",
            remedy="Export a wrapper whose forward takes one tensor (docs/how-to/use-another-encoder.md).",
        )
    value = next(node.meta["val"] for node in exported.graph.nodes if node.name == inputs[0])
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    if device != "cpu":
        from torch.export.passes import move_to_device_pass

        exported = move_to_device_pass(exported, device)
    return Program(where, exported.module(), shape, device)


def _checked_archive(path: Path) -> bytes:
    """The bytes of an archive that holds nothing else than this module allows.

    Raises:
        ValueError: it holds something else.
    """
    data = path.read_bytes()  # what is checked is what torch reads, even if the file is replaced
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        records = archive.infolist()
        if packed := [record.filename for record in records if record.compress_type != zipfile.ZIP_STORED]:
            raise ValueError(f"the packed record {packed[0]}")
        if other := [record.filename for record in records if not _RECORDS.fullmatch(record.filename)]:
            raise ValueError(f"the record {other[0]}")
        for record in records:
            if record.filename.endswith(".json"):
                _check_json(archive, record)
            elif "/sample_inputs/" in record.filename and record.file_size:
                _check_sample(archive.read(record))
    return data


def _check_json(archive: zipfile.ZipFile, record: zipfile.ZipInfo) -> None:
    """Check the values of a record: payloads without pickles, functions and sizes as the patterns allow."""
    if record.file_size > _MAX_GRAPH_BYTES:
        raise ValueError(f"{record.filename} of {record.file_size:,} bytes")
    for value in _mappings(json.loads(archive.read(record))):
        if value.get("use_pickle"):
            raise ValueError(f"the pickle {value.get('path_name')}")
        target = value.get("target")
        if isinstance(target, str) and "inputs" in value and not _TARGETS.fullmatch(target):
            raise ValueError(f"a call of {target[:60]}")
        size = value.get("expr_str")
        if size is not None and not _SIZE.fullmatch(str(size)):
            raise ValueError(f"the size {str(size)[:60]!r}")


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    """All mappings within plain values."""
    if isinstance(value, dict):
        yield value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from _mappings(part)


def _check_sample(data: bytes) -> None:
    """Check that the example of an input, which torch would also read as a pickle, is one of tensors."""
    import torch

    torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's messages about the format, which the errors of this module explain."""
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
