"""State dicts saved by `torch.save`: what a file would build is checked before torch reads it.

torch's own restriction (`weights_only`) prevents code from running, but lets a file of a few bytes allocate gigabytes.
Here a file may build names, numbers and tensors of the storages that it holds, and nothing else.
"""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import IO

import torch

MAX_BYTES = 1 << 30  # of a file of weights; those of VGG16 have 0.55 GB
_MAX_RECORDS = 10_000
_MAX_PICKLE_BYTES = 1 << 20  # everything but the storages
_LEGACY_PICKLES = 5  # magic number, protocol, system, the state dict, keys of its storages
_DTYPES = "Bool Byte Char Short Int Long Half BFloat16 Float Double"
_NAMES = {
    *(f"torch {dtype}Storage" for dtype in _DTYPES.split()),
    *("collections OrderedDict", "torch.nn.parameter Parameter"),
    *(f"torch._utils _rebuild_{kind}" for kind in ("tensor", "tensor_v2", "parameter")),
}
_OPCODES = (
    "PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE "
    "SHORT_BINUNICODE BINSTRING SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM "
    "SETITEMS EMPTY_LIST LIST APPEND APPENDS GLOBAL REDUCE BUILD BINPERSID PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET "
    "LONG_BINGET"
)
_ALLOWED = frozenset(_OPCODES.split())


def load_state_dict(path: Path) -> object:
    """Load what `torch.save` wrote, after the checks of this module.

    Raises:
        ValueError: the file would build something other than tensors, or exceeds a limit.
        Exception: any exception of torch, if the file is damaged.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.stat().st_size:,} bytes, more than {MAX_BYTES:,}")
    with path.open("rb") as stream:
        if zipfile.is_zipfile(stream):
            _check_zip(path)
        else:
            stream.seek(0)
            for _ in range(_LEGACY_PICKLES):
                _check_pickle(stream, stream.tell() + _MAX_PICKLE_BYTES)
    return torch.load(path, map_location="cpu", weights_only=True)


def _check_zip(path: Path) -> None:
    """Check that records are stored as they are, so that they are as large as the file, and check the pickle."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        if len(records) > _MAX_RECORDS:
            raise ValueError(f"{len(records):,} records")
        if any(record.compress_type != zipfile.ZIP_STORED for record in records):
            raise ValueError("compressed records")
        if sum(record.file_size for record in records) > path.stat().st_size:
            raise ValueError("records that overlap")
        for record in records:
            if record.filename.endswith(".pkl"):
                with archive.open(record) as stream:
                    _check_pickle(stream, _MAX_PICKLE_BYTES)


def _check_pickle(stream: IO[bytes], end: int) -> None:
    """Read one pickle without building anything."""
    pieces = _Limited(stream, end)
    for opcode, argument, _ in pickletools.genops(pieces):  # type: ignore[arg-type]
        if opcode.name not in _ALLOWED or (opcode.name == "GLOBAL" and argument not in _NAMES):
            raise ValueError(f"{opcode.name} {argument!r:.60}, which is no part of a state dict")


class _Limited:
    """The start of a stream, for pickletools; reading beyond it raises an error."""

    def __init__(self, stream: IO[bytes], end: int) -> None:
        self._stream, self._end = stream, end

    def read(self, count: int) -> bytes:
        if self._stream.tell() + count > self._end:
            raise pickle.UnpicklingError(f"more than {_MAX_PICKLE_BYTES:,} bytes besides the weights")
        return self._stream.read(count)

    def readline(self) -> bytes:
        return self._stream.readline(1_000)

    def tell(self) -> int:
        return self._stream.tell()
