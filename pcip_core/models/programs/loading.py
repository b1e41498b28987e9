"""Loading of a program by the ending of its file. Files of pickles are refused."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

from pcip_core.errors import EncoderError
from pcip_core.models.programs.program import Program
from pcip_core.models.weights import check_digest

_PICKLES = (".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".tar", ".joblib")
_ENDINGS = (".pt2", ".ts", ".pt", ".onnx", ".safetensors")
_PAGE = "docs/how-to/use-another-encoder.md"
_PICKLED = f"Export the network as a program, in a few lines of Python ({_PAGE})."


def digest_of(path: Path, where: str) -> str:
    """The SHA-256 digest of a program.

    Raises:
        EncoderError: there is no such file, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(
            where,
            found=f"no file that can be read ({(error.strerror or str(error)).lower()})",
            required="the file of the program",
            remedy=f"Put the file there, or take the feature set out of `features` ({_PAGE}).",
        ) from error


def load_program(
    path: Path,
    *,
    where: str | None = None,
    planes: int,
    size_px: int,
    timm: str | None = None,
    sha256: str | None = None,
    device: str = "cpu",
) -> Program:
    """Load a program.

    Args:
        path: the file; its ending names the format.
        where: its place in the spec, for errors; by default the path.
        planes, size_px: the image that it will take; used to build a model of timm.
        timm: name of the model of timm whose weights the file holds.
        sha256: digest that the file must have.
        device: where it will compute.

    Raises:
        EncoderError: the file is missing, damaged or a pickle, has another format than its ending says or another
            digest, or takes more than one input.
        MissingPackageError: a package for this format is not installed.
    """
    where = where or str(path)
    ending = path.suffix.lower()
    digest_of(path, where)
    if sha256 is not None:
        check_digest(path, "sha256", sha256)
    if ending in _PICKLES or ending not in _ENDINGS:
        raise EncoderError(
            where,
            found="a pickle of weights" if ending in _PICKLES else f"a file {ending or 'without an ending'}",
            required=f"a program that ends in {', '.join(_ENDINGS)}",
            remedy=_PICKLED,
        )
    if ending == ".safetensors":
        from pcip_core.models.programs.timm_weights import load_timm

        return load_timm(path, where, str(timm), planes=planes, size_px=size_px, device=device)
    logging.getLogger(__name__).warning(
        "%s: a program computes whatever was exported. Use only programs that you trust (SECURITY.md).", path
    )
    return _loader(path, where, ending)(path, where, device)


def _loader(path: Path, where: str, ending: str) -> Callable[[Path, str, str], Program]:
    """The loader of a format. A file `.pt` may hold TorchScript or a pickle: its records tell."""
    if ending == ".onnx":
        from pcip_core.models.programs.onnx_graph import load_onnx

        return load_onnx
    if ending == ".pt2":
        from pcip_core.models.programs.exported import load_exported

        return load_exported
    from pcip_core.models.programs.torchscript import load_torchscript

    if not is_torchscript(path):
        raise EncoderError(
            where,
            found="a pickle of weights, or another file without a program",
            required="a program written by torch.jit.save",
            remedy=_PICKLED,
        )
    return load_torchscript


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive of TorchScript: it has code. What `torch.save` writes has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.split("/")[1:2] == ["code"] for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False
