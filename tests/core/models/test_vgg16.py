"""VGG16 against torchvision's published list of layers in a plain Sequential, and Keras' order in plain numpy."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pcip_core.errors import EncoderError
from pcip_core.models.vgg16 import (
    CONVOLUTIONS,
    KERAS,
    TORCHVISION,
    VGG16,
    assemble,
    layer_shapes,
    load_vgg16,
    random_weights,
)
from tests.conftest import real_folder

WIDTH = 1 / 16
_D = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


def published(width: float) -> nn.ModuleDict:
    """What torchvision builds for configuration D, under its names."""
    features: list[nn.Module] = []
    inputs = 3
    for count in _D:
        if isinstance(count, str):
            features.append(nn.MaxPool2d(kernel_size=2, stride=2))
        else:
            outputs = round(count * width)
            features += [nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.ReLU()]
            inputs = outputs
    hidden = round(4096 * width)
    classifier = [nn.Linear(inputs * 49, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden)]
    classifier += [nn.ReLU(), nn.Dropout(), nn.Linear(hidden, 1000)]
    model = nn.ModuleDict({"features": nn.Sequential(*features), "classifier": nn.Sequential(*classifier)})
    return model.eval()


def picture(side: int, cells: int = 2) -> torch.Tensor:
    return torch.randn(cells, 3, side, side, generator=torch.Generator().manual_seed(5))


def write_hdf5(path: Path, weights: dict[str, torch.Tensor]) -> Path:
    with h5py.File(path, "w") as file:
        for pool in range(1, 6):
            file.create_group(f"block{pool}_pool")  # as in the published file
        for key, value in weights.items():
            file[key] = value.numpy()
    return path


def naive_convolution(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(H, W, in), (3, 3, in, out) -> (H, W, out), by loops over every number."""
    height, width, inputs = x.shape
    out = np.zeros((height, width, len(bias)))
    for row, column, filter_ in np.ndindex(*out.shape):
        total = float(bias[filter_])
        for i, j, channel in np.ndindex(3, 3, inputs):
            r, c = row + i - 1, column + j - 1
            if 0 <= r < height and 0 <= c < width:
                total += float(x[r, c, channel]) * float(kernel[i, j, channel, filter_])
        out[row, column, filter_] = total
    return out


def shifted_convolution(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The same, nine products of matrices."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    height, width = x.shape[:2]
    return bias + sum(padded[i : i + height, j : j + width] @ kernel[i, j] for i, j in np.ndindex(3, 3))


def keras_activations(weights: dict[str, torch.Tensor], x: np.ndarray) -> dict[str, np.ndarray]:
    """Keras' arithmetic on one (H, W, 3) picture, straight from the file's arrays."""
    arrays = {key.split("/")[1]: value.numpy().astype(float) for key, value in weights.items()}
    out = {}
    for block, count in enumerate((2, 2, 3, 3, 3), 1):
        for number in range(1, count + 1):
            name = f"block{block}_conv{number}"
            x = np.maximum(shifted_convolution(x, arrays[f"{name}_W_1:0"], arrays[f"{name}_b_1:0"]), 0)
            out[name] = x
        height, width = x.shape[0] // 2, x.shape[1] // 2
        x = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).max((1, 3))
    x = x.ravel()  # rows, columns, channels
    for name in ("fc1", "fc2", "predictions"):
        x = x @ arrays[f"{name}_W_1:0"] + arrays[f"{name}_b_1:0"]
        x = x if name == "predictions" else np.maximum(x, 0)
        out[name] = x
    return out


@torch.no_grad()
def test_every_layer_is_that_of_torchvisions_list() -> None:
    weights = random_weights("torchvision", width=WIDTH)
    theirs, ours = published(WIDTH), assemble(weights, where="test", width=WIDTH)
    theirs.load_state_dict(weights)  # strict: every key, every shape
    x = picture(224)
    expected = []
    y = x
    for module in theirs["features"]:
        y = module(y)
        if isinstance(module, nn.ReLU):
            expected.append(y)
    y = nn.AdaptiveAvgPool2d((7, 7))(y).flatten(1)
    for module in theirs["classifier"]:
        y = module(y)
        if isinstance(module, nn.ReLU):
            expected.append(y)
    expected.append(y)
    for (name, found), truth in zip(ours.activations(x), expected, strict=True):
        assert torch.allclose(found, truth, rtol=1e-5, atol=1e-6), name
        assert truth.std() > 1e-3, name  # nothing has died on the way
    assert torch.equal(ours(x), found)


@torch.no_grad()
def test_kernels_of_keras_are_transposed_and_the_rows_of_fc1_reordered(tmp_path: Path) -> None:
    weights = random_weights("keras", width=1 / 32)
    network = load_vgg16(write_hdf5(tmp_path / "any.h5", weights), width=1 / 32)
    assert network.preprocessing is KERAS
    x = picture(224, 1)
    expected = keras_activations(weights, x[0].permute(1, 2, 0).numpy().astype(float))
    for name, found in network.activations(x):
        truth = expected.pop(name)
        ours = found[0].permute(1, 2, 0) if found.ndim == 4 else found[0]
        assert np.allclose(ours.numpy(), truth, rtol=1e-4, atol=1e-5 * truth.max()), name
    assert not expected


@torch.no_grad()
def test_one_layer_against_loops_over_every_number() -> None:
    weights = random_weights("keras", width=WIDTH)
    network = assemble(weights, where="test", width=WIDTH)
    x = picture(5, 1)
    kernel, bias = (weights[f"block1_conv1/block1_conv1_{part}_1:0"].numpy() for part in "Wb")
    naive = naive_convolution(x[0].permute(1, 2, 0).numpy(), kernel, bias)
    name, found = next(network.activations(x))
    assert name == "block1_conv1"
    assert np.allclose(found[0].permute(1, 2, 0).numpy(), np.maximum(naive, 0), atol=1e-5)


@torch.no_grad()
def test_all_files_of_the_same_weights_give_the_same_network(tmp_path: Path) -> None:
    weights = random_weights("torchvision", width=WIDTH)
    torch.save(weights, tmp_path / "new.pth")
    torch.save(
        weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False
    )  # as torchvision's file is
    save_file(weights, tmp_path / "with.safetensors")
    x = picture(224, 1)
    truth = assemble(weights, where="test", width=WIDTH)(x)
    for name in ("new.pth", "old.pth", "with.safetensors"):
        network = load_vgg16(tmp_path / name, width=WIDTH)
        assert network.preprocessing is TORCHVISION
        assert torch.equal(network(x), truth), name


@pytest.mark.parametrize("layout", ["torchvision", "keras"])
def test_without_fully_connected_layers_only_convolutions(layout: str, tmp_path: Path) -> None:
    weights = random_weights(layout, width=WIDTH, connected=False)
    assert len(weights) == 26
    path = tmp_path / "weights"
    if layout == "keras":
        write_hdf5(path, weights)
    else:
        torch.save(weights, path)
    network = load_vgg16(path, width=WIDTH)
    assert network.layers == CONVOLUTIONS
    assert network(picture(16)).shape == (2, 32, 1, 1)


def test_full_size_as_published() -> None:
    with torch.device("meta"):
        parameters = VGG16(TORCHVISION).state_dict()
        convolutions = VGG16(TORCHVISION, connected=False)
        assert convolutions(torch.empty(1, 3, 64, 64)).shape == (1, 512, 4, 4)
    assert (
        sum(value.numel() for value in parameters.values()) == 138_357_544
    )  # torchvision's and Keras' count
    assert sum(value.numel() for value in convolutions.parameters()) == 14_714_688  # Keras' notop
    assert layer_shapes()["fc1"] == (4096, 25088)


def test_preprocessing_of_each_layout() -> None:
    rgb = torch.tensor([255.0, 127.5, 0.0]).reshape(1, 3, 1, 1)
    theirs = [(1 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0 - 0.406) / 0.225]
    assert TORCHVISION(rgb).flatten().tolist() == pytest.approx(theirs, rel=1e-5)
    caffe = [0 - 103.939, 127.5 - 116.779, 255 - 123.68]  # blue, green, red
    assert KERAS(rgb).flatten().tolist() == pytest.approx(caffe, rel=1e-5)


def test_digests_by_file_name_and_by_the_user(tmp_path: Path) -> None:
    weights = random_weights("torchvision", width=WIDTH, connected=False)
    save_file(weights, tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    named = tmp_path / f"vgg16-{digest[:8]}.safetensors"
    named.write_bytes(content)
    load_vgg16(named, width=WIDTH)
    load_vgg16(named, digest.upper(), width=WIDTH)
    with pytest.raises(EncoderError, match=f"found sha256 {digest}; required: sha256 '{'0' * 64}'"):
        load_vgg16(named, "0" * 64, width=WIDTH)
    with pytest.raises(EncoderError, match="8 digits or more"):
        load_vgg16(named, "", width=WIDTH)
    keras = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    for name, wanted in (("vgg16-397923af.pth", "397923af"), (keras, "6d6bbae143d832006294945121d1f1fc")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EncoderError, match=f"required: (sha256|md5) '{wanted}'"):
            load_vgg16(tmp_path / name, width=WIDTH)


def test_errors_name_the_file_and_the_key(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(EncoderError, match=r"weights\.pth.*No such file"):
        load_vgg16(path)
    path.write_bytes(b"<html>moved</html>")
    with pytest.raises(EncoderError, match=r"weights\.pth: found no weights"):
        load_vgg16(path)

    def refused(weights: object, match: str) -> None:
        torch.save(weights, path)
        with pytest.raises(EncoderError, match=match):
            load_vgg16(path, width=WIDTH)

    good = random_weights("torchvision", width=WIDTH)
    refused({"state_dict": good}, "found a dict of state_dict")
    refused(
        {"conv1.weight": torch.zeros(1)}, r"found keys conv1\.weight; required: a key features\.0\.weight or"
    )
    refused(good | {"features.30.weight": torch.zeros(1)}, r"also keys features\.30\.weight")
    refused(
        good | {"features.5.weight": torch.zeros(8, 4, 3, 1)},
        r"features\.5\.weight as torch.float32 \(8, 4, 3, 1\)",
    )
    refused(
        good | {"features.5.bias": torch.zeros(8, dtype=torch.int64)}, r"features\.5\.bias as torch.int64"
    )
    good.pop("classifier.3.bias")
    refused(good, r"no classifier\.3\.bias; required: classifier\.3\.bias as floats \(256,\)")
    write_hdf5(path, random_weights("keras", width=1 / 8))
    with pytest.raises(
        EncoderError, match=r"block1_conv1_W_1:0 as torch.float32 \(3, 3, 3, 8\); required: .*\(3, 3, 3, 4\)"
    ):
        load_vgg16(path, width=WIDTH)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(EncoderError, match="found no weights"):
        load_vgg16(path, width=WIDTH)


def test_the_published_convolutions_load_as_they_lie():
    """torchvision's weights, in the form that docs/how-to/use-vgg16.md makes of a package of PyPI."""
    path = real_folder("weights") / "vgg16_imagenet_features.safetensors"
    network = load_vgg16(path, "cabd922aeb0dd6d56f2bed33221aee74b7f1e760ddd105c0e0891606cbab6d0d")
    assert network.layers == CONVOLUTIONS
    assert network.preprocessing.layout == "torchvision"
    grey = network.preprocessing(torch.full((1, 3, 16, 16), 128.0))
    first = next(network.activations(grey))[1][0, :, 8, 8]  # an even image: filters that sum to 0 are silent
    kernels = network.get_submodule("block1_conv1").weight.detach().double()
    expected = torch.relu(
        (kernels.sum((2, 3)) @ grey[0, :, 0, 0].double()) + network.get_submodule("block1_conv1").bias
    )
    assert torch.allclose(first.double(), expected, atol=1e-4)
