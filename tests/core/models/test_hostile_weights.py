"""Files of weights that would run code, or allocate more than they hold, are refused before torch reads them."""

from __future__ import annotations

import json
import pickle
import struct
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

from pcip_core.errors import EncoderError
from pcip_core.models import state_dicts
from pcip_core.models.autoencoder import AutoencoderConfig, build_autoencoder
from pcip_core.models.files import load_encoder, read_extra, save_encoder
from pcip_core.models.weights import read_weights

ran: list[str] = []


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def legacy(path: Path, content: object) -> None:
    """A file as torch wrote it until version 1.5."""
    with path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, content, []):
            pickle.dump(part, file, 2)


@pytest.mark.parametrize(
    "content",
    [
        {"a": Calls(bytearray, 3_300_000_000)},
        {"a": Calls(torch.Tensor, 30_000, 30_000)},
        {"a": Calls(Counter, "abc")},
        {"a": Calls(ran.append, "code")},
        {"a": torch.nn.Linear},
        {"a": list(range(9_000))},
        {"a": "x" * 40_000},
        {"a": 1 << 9000},
        {"a": b"bytes"},
    ],
    ids=["bytearray", "tensor of a size", "counter", "code", "class", "list", "text", "number", "bytes"],
)
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_what_is_no_state_dict_is_refused_without_building_it(
    tmp_path: Path, monkeypatch, content, form: str
) -> None:
    monkeypatch.setattr(state_dicts, "_MAX_PICKLE_BYTES", 1 << 14)
    path = tmp_path / "weights.pth"
    if form == "zip":
        torch.save(content, path)
    else:
        legacy(path, content)
    tracemalloc.start()
    with pytest.raises(EncoderError, match=r"weights\.pth: found no weights \("):
        read_weights(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert ran == []


@pytest.mark.parametrize("new", [True, False])
def test_state_dicts_of_every_kind_of_number_are_read(tmp_path: Path, *, new: bool) -> None:
    names = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
    state = {name: torch.ones(3, 2, dtype=getattr(torch, name)) for name in names}
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    state["view"] = torch.arange(12.0).reshape(3, 4).T
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    read = read_weights(tmp_path / "w.pth")
    assert list(read) == list(state)
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_records_that_unpack_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(100_000)}, tmp_path / "good.pth")
    with (
        zipfile.ZipFile(tmp_path / "good.pth") as good,
        zipfile.ZipFile(tmp_path / "w.pth", "w", 8) as packed,
    ):
        for record in good.infolist():
            packed.writestr(record.filename, good.read(record))
    with pytest.raises(EncoderError, match="compressed records"):
        read_weights(tmp_path / "w.pth")


def test_safetensors_are_limited_in_size_and_in_header(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    empty = {"t" * 5_000_000: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
    header = json.dumps(empty).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(EncoderError, match="with a header of"):
        read_weights(path)
    large = json.dumps({"a": {"dtype": "U8", "shape": [2 << 30], "data_offsets": [0, 2 << 30]}}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(large)) + large)
        file.truncate(8 + len(large) + (2 << 30))  # takes no place on the disk
    with pytest.raises(EncoderError, match="more than 1,073,741,824 allow"):
        read_weights(path)


def test_hdf5_weights_stay_in_their_file_and_within_the_limit(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = [1.0]
    for name in ("link", "large", "external"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["good"] = [2.0]
            if name == "link":
                file["x"] = h5py.ExternalLink("other.h5", "/x")
            elif name == "large":
                file.create_dataset("x", (3 << 30,), "u1", chunks=(1 << 20,), compression="gzip")
            else:
                file.create_dataset("x", (4,), "u1", external=[(tmp_path / "other.h5", 0, 4)])
    assert list(read_weights(tmp_path / "link.h5")) == ["good"]
    with pytest.raises(EncoderError, match="more than 1,073,741,8"):
        read_weights(tmp_path / "large.h5")
    with pytest.raises(EncoderError, match="values lie in other files"):
        read_weights(tmp_path / "external.h5")


@pytest.mark.parametrize(
    "change",
    [{"width": 1e5}, {"width": 1e308}, {"width": None}, {"channels": None}, {"size_px": "8"}, {"strange": 1}],
    ids=str,
)
def test_settings_of_a_network_of_any_size_cost_no_memory(tmp_path: Path, change: dict[str, Any]) -> None:
    save_encoder(build_autoencoder(AutoencoderConfig(("protein",), size_px=8, width=0.03), 0), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["network"] |= change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match="no usable encoder"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", '"x"', "{}", '{"extra": 1}', " " * 5_000_000])
def test_a_config_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    save_encoder(build_autoencoder(AutoencoderConfig(("protein",), size_px=8, width=0.03), 0), tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(EncoderError, match="config"):
        read_extra(tmp_path)
    with pytest.raises(EncoderError, match="no usable encoder"):
        load_encoder(tmp_path)
