"""Networks on disk: they come back as they were, files of earlier versions too, and damage is named."""

from __future__ import annotations

import json
import os
import stat
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pcip_core.errors import EncoderError
from pcip_core.models.autoencoder import build_autoencoder
from pcip_core.models.deeploc import build_deeploc
from pcip_core.models.files import load_encoder, save_encoder
from pcip_core.models.inpainting import build_network
from tests.core.models.small import AUTOENCODER, DEEPLOC, INPAINTING


def test_saved_networks_are_the_same(tmp_path: Path) -> None:
    autoencoder, supervised = build_autoencoder(AUTOENCODER, 1).eval(), build_deeploc(DEEPLOC, 1).eval()
    x = torch.rand(2, 2, 16, 16)
    for network in (autoencoder, supervised):
        save_encoder(network, tmp_path / network.architecture)
        again = load_encoder(tmp_path / network.architecture)
        assert type(again) is type(network)
        assert again.config == network.config
        assert torch.equal(network(x), again(x))
    written = json.loads((tmp_path / "deeploc" / "config.json").read_text())
    assert written["network"]["classes"] == ["bud neck", "nucleus", "vacuole"]


def test_files_of_the_first_format_still_load(tmp_path: Path) -> None:
    config = """{"architecture": "paired_cell_inpainting", "network": {"channels": ["cytosol", "protein"],
        "structural": ["cytosol"], "protein": ["protein"], "size_px": 16, "width": 0.06},
        "extra": {"screen": "tiny", "inputs_hash": "abc"}}"""
    source, target, decoder = [2, 6, 15, 23, 23, 15], [1, 1, 2, 2], [17, 15, 23, 23, 15, 6]
    generator, weights = torch.Generator().manual_seed(0), {}
    for name, filters in (("source", source), ("target", target)):
        for number, (a, b) in enumerate(pairwise(filters)):
            block = f"{name}.blocks.{number}"
            weights[f"{block}.convolution.weight"] = torch.randn(b, a, 3, 3, generator=generator)
            weights[f"{block}.convolution.bias"] = torch.randn(b, generator=generator)
            for part in ("weight", "bias", "running_mean", "running_var"):
                weights[f"{block}.norm.{part}"] = torch.rand(b, generator=generator)
            weights[f"{block}.norm.num_batches_tracked"] = torch.tensor(4)
    for number, (a, b) in enumerate(pairwise(decoder)):
        weights[f"decoder.layers.{number}.weight"] = torch.randn(b, a, 3, 3, generator=generator)
        weights[f"decoder.layers.{number}.bias"] = torch.randn(b, generator=generator)
    weights["decoder.output.weight"] = torch.randn(1, 6, 1, 1, generator=generator)
    weights["decoder.output.bias"] = torch.randn(1, generator=generator)
    (tmp_path / "config.json").write_text(config)
    save_file(weights, str(tmp_path / "encoder.safetensors"))
    network = load_encoder(tmp_path)
    assert network.config == INPAINTING
    assert set(network.state_dict()) == set(weights)
    x = torch.rand(2, 2, 16, 16)
    first = next(iter(network.activations(x)))
    expected = torch.relu(
        nn.functional.conv2d(
            x,
            weights["source.blocks.0.convolution.weight"],
            weights["source.blocks.0.convolution.bias"],
            padding=1,
        )
    )
    assert torch.allclose(first, expected)


def test_files_written_for_inpainting_are_as_before(tmp_path: Path) -> None:
    save_encoder(build_network(INPAINTING, 0), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "architecture": "paired_cell_inpainting",
        "network": {
            "channels": ["cytosol", "protein"],
            "structural": ["cytosol"],
            "protein": ["protein"],
            "size_px": 16,
            "width": 0.06,
            "block": "paper",
            "initial_weights": "glorot",
            "stages": 5,
        },
        "extra": {},
    }


def test_unknown_and_mistaken_architectures_are_named(tmp_path: Path) -> None:
    save_encoder(build_deeploc(DEEPLOC, 0), tmp_path)
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    for architecture, found in (("resnet", "'resnet' is none of"), ("autoencoder", "no usable encoder")):
        path.write_text(json.dumps(written | {"architecture": architecture}))
        with pytest.raises(EncoderError, match=found):
            load_encoder(tmp_path)


def test_saved_encoder_is_the_same(tmp_path: Path) -> None:
    network = build_network(INPAINTING, seed=1).eval()
    save_encoder(network, tmp_path, extra={"screen": "tiny"})
    again = load_encoder(tmp_path)
    x = torch.rand(2, 2, 16, 16)
    assert torch.equal(network(x, x[:, :1]), again(x, x[:, :1]))
    assert again.config == INPAINTING
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "encoder.safetensors"]


def test_all_whom_the_umask_lets_can_read_a_saved_encoder(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save_encoder(build_autoencoder(AUTOENCODER, seed=0), tmp_path)
    finally:
        os.umask(before)
    assert {path.name: stat.filemode(path.stat().st_mode) for path in tmp_path.iterdir()} == {
        "encoder.safetensors": "-rw-r-----",
        "config.json": "-rw-r-----",
    }


def test_damaged_encoder_is_named(tmp_path: Path) -> None:
    save_encoder(build_network(INPAINTING, seed=1), tmp_path)
    weights = tmp_path / "encoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(EncoderError, match="no usable encoder"):
        load_encoder(tmp_path)
    with pytest.raises(EncoderError, match="no usable encoder"):
        load_encoder(tmp_path / "nowhere")
