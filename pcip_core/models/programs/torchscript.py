"""Programs in TorchScript, written by `torch.jit.save`.

The archive holds code for torch's own interpreter, and two pickles that torch reads with its own reader: this reader
builds tensors, plain values and classes of the archive's code, and calls nothing of Python. The code calls torch's
operators. Those that open files or connect to other processes are refused here, and so are those of other namespaces
than torch's tensor operators.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path

from pcip_core.errors import EncoderError
from pcip_core.models.programs.program import Program

_MAX_CODE_BYTES = 1 << 26
_REFUSED = (
    re.compile(  # aten::from_file and aten::save; prim::rpc_async and others; operators of other namespaces
        r"\b(from_file|torch\.save|rpc_\w+|ops\.(?!(?:aten|prim|prims|quantized)\.)\w+\.\w+)\b"
    )
)


def load_torchscript(path: Path, where: str, device: str) -> Program:
    """Load a TorchScript program, in evaluation mode.

    Raises:
        EncoderError: the file is damaged, or its code calls an operator that is refused.
    """
    import torch

    try:
        _check_code(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch recommends torch.export
            module = torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise EncoderError(
            where,
            found=f"no usable TorchScript ({(str(error).strip().splitlines() or [''])[0][:200]})",
            required="a program written by torch.jit.save",
            remedy="Export the program again, or name the correct file.",
        ) from error
    return Program(where, module, device=device)


def _check_code(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        sources = [record for record in archive.infolist() if record.filename.endswith(".py")]
        if sum(record.file_size for record in sources) > _MAX_CODE_BYTES:
            raise ValueError(f"more than {_MAX_CODE_BYTES:,} bytes of code")
        for record in sources:
            if match := _REFUSED.search(archive.read(record).decode("utf-8", "replace")):
                raise ValueError(f"{record.filename} calls {match[1]}, which may open files or connections")
