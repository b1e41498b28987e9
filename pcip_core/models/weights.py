"""Reading of published weights, key -> tensor, from a state dict, safetensors or HDF5, and checks of digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file

from pcip_core.errors import EncoderError
from pcip_core.models.state_dicts import MAX_BYTES, load_state_dict

_MAX_HEADER_BYTES = 1 << 22  # of safetensors: names and shapes
_MAX_ARRAYS = 10_000
_REMEDY = "Download the file again, or name the correct file."


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a file. The first bytes determine the format; no code in the file is executed.

    Args:
        path: safetensors, HDF5 (keys are paths, `group/dataset`), or a dict of tensors saved by `torch.save`.

    Raises:
        EncoderError: the file is missing or damaged, has other content, or exceeds 1 GiB when unpacked.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"fc.bias": torch.zeros(2)}, Path(folder) / "weights.pth")
    ...     read_weights(Path(folder) / "weights.pth")
    {'fc.bias': tensor([0., 0.])}
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
        if start.startswith(b"\x89HDF\r\n\x1a\n"):
            return _read_hdf5(path)
        if start[8:] == b"{":  # safetensors: JSON, after its length in eight bytes
            return read_safetensors(path)
        state = load_state_dict(path)
    except Exception as error:  # each library raises different errors
        raise EncoderError(
            path,
            found=f"no weights ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})",
            required="a PyTorch state dict, safetensors or HDF5",
            remedy=_REMEDY,
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        names = f" of {', '.join(map(str, list(state)[:4]))}" if isinstance(state, dict) else ""
        raise EncoderError(
            path,
            found=f"a {type(state).__name__}{names}",
            required="a state dict with names and tensors only",
            remedy="Extract the state dict from the file and save it separately.",
        )
    return state


def read_safetensors(path: Path, *, most_bytes: int = MAX_BYTES) -> dict[str, torch.Tensor]:
    """Read a safetensors file, which needs as much memory as it has bytes.

    Args:
        path: the file.
        most_bytes: its greatest size.

    Raises:
        ValueError: the file or the description of its tensors is too large.
        SafetensorError: the file is damaged.
    """
    with path.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    size = path.stat().st_size
    if size > most_bytes or header > _MAX_HEADER_BYTES:
        raise ValueError(f"{size:,} bytes with a header of {header:,}, more than {most_bytes:,} allow")
    return dict(load_file(path))


def _read_hdf5(path: Path) -> dict[str, torch.Tensor]:
    import h5py  # only for Keras' files; a machine without h5py reads the two other formats

    from pcip_core.hdf5 import RefusedArrayError, array_of, values_of

    names: list[str] = []

    def take(name: str, item: object) -> None:
        names.extend([name] if isinstance(item, h5py.Dataset) else [])
        if len(names) > _MAX_ARRAYS:
            raise RefusedArrayError(f"more than {_MAX_ARRAYS:,} arrays")

    weights: dict[str, torch.Tensor] = {}
    left = MAX_BYTES
    with h5py.File(path, "r") as file:
        file.visititems(take)  # follows no links
        for name in names:
            array = array_of(file, name)
            if array is not None:
                weights[name] = torch.from_numpy(values_of(array, most_bytes=left))
                left -= weights[name].numel() * weights[name].element_size()
    return weights


def check_digest(path: Path, algorithm: str, digest: str) -> None:
    """Compare a file with its published digest.

    Args:
        path: the file.
        algorithm: `sha256` or `md5`.
        digest: hex, at least its first 8 digits.

    Raises:
        EncoderError: the file is missing, or its digest differs.
    """
    try:
        with path.open("rb") as stream:
            actual = hashlib.file_digest(
                stream, lambda: hashlib.new(algorithm, usedforsecurity=False)
            ).hexdigest()
    except OSError as error:
        raise EncoderError(
            path, found=f"no file ({error.strerror})", required="weights", remedy=_REMEDY
        ) from error
    if len(digest) < 8 or not actual.startswith(digest.lower()):
        raise EncoderError(
            path,
            found=f"{algorithm} {actual}",
            required=f"{algorithm} {digest.lower()!r} (8 digits or more)",
            remedy=_REMEDY,
        )
