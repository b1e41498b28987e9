"""Images are made from crops as the spec states; vectors are in the order of the crops; bad programs are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage.transform import resize

from pcip_core.errors import EncoderError
from pcip_core.features.programs import normalized, open_program, program_features, resized
from pcip_core.models.programs.program import Program
from pcip_core.spec.features import FeatureSet, PlaneStatistics
from tests.core.models.programs.conftest import Small, images, script

SPEC = FeatureSet(inputs=("r", "y", "g"), channels={"g": "b", "r": "a"}, size_px=8, batch_size=4)
FLAT = Program("features.mine", lambda image: image.flatten(1))


def crops(n: int = 10, channels: int = 2, side: int = 8) -> np.ndarray:
    """Crops in the units of an image."""
    return np.random.default_rng(0).uniform(100, 4000, (n, channels, side, side)).astype(np.float32)


def rescaled(planes: np.ndarray, over: tuple[int, ...]) -> np.ndarray:
    low, high = planes.min(over, keepdims=True), planes.max(over, keepdims=True)
    return (planes - low) / (high - low)


def test_planes_are_in_the_order_of_the_spec_and_empty_where_it_says_so():
    found = program_features(FLAT, [crops()], SPEC).reshape(10, 3, 8, 8)
    assert np.allclose(found[:, [0, 2]], rescaled(crops(), (2, 3)), atol=1e-6)
    assert not found[:, 1].any()


def test_channels_alone_are_concatenated():
    spec = FeatureSet(channels=("a", "b"), copies=3, size_px=8, batch_size=3)
    found = program_features(FLAT, [crops()], spec).reshape(10, 2, 3, 8, 8)
    expected = rescaled(crops(), (2, 3))
    for copy in range(3):
        assert np.allclose(found[:, :, copy], expected, atol=1e-6)


@pytest.mark.parametrize("split", [(), (1,), (3, 4, 9)])
def test_neither_batches_nor_parts_matter(split: tuple[int, ...]):
    whole = program_features(FLAT, [crops()], SPEC)
    done: list[int] = []
    found = program_features(FLAT, np.split(crops(), split), SPEC, progress=done.append)
    assert np.array_equal(found, whole)
    assert done == [4, 8, 10]
    assert program_features(FLAT, [], SPEC).shape == (0, 3 * 8 * 8)


def test_each_normalization():
    planes = crops(3, 3)
    image = torch.from_numpy(planes)
    unit = rescaled(planes, (2, 3))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    spread = planes.std((2, 3), keepdims=True)
    expected = {
        "minmax": unit,
        "minmax_together": rescaled(planes, (1, 2, 3)),
        "bytes": unit * 255,
        "imagenet": (unit - mean[:, None, None]) / std[:, None, None],
        "standardized": (planes - planes.mean((2, 3), keepdims=True)) / spread,
        PlaneStatistics((0.5, 0.0, 1.0), (0.5, 1.0, 2.0)): (unit - np.array([0.5, 0, 1])[:, None, None])
        / np.array([0.5, 1, 2])[:, None, None],
    }
    for kind, values in expected.items():
        found = normalized(image, FeatureSet(normalization=kind)).numpy()  # type: ignore[arg-type]
        assert np.allclose(found, values, rtol=1e-4, atol=1e-5), kind


@pytest.mark.parametrize("kind", ["minmax", "minmax_together", "bytes", "imagenet", "standardized"])
def test_a_constant_plane_gives_finite_numbers(kind: str):
    image = torch.full((2, 3, 8, 8), 7.0)
    assert bool(torch.isfinite(normalized(image, FeatureSet(normalization=kind))).all())  # type: ignore[arg-type]


def test_resizing_is_bilinear():
    small = crops(2, 1, 8)
    found = resized(torch.from_numpy(small), 24).numpy()
    expected = np.stack([resize(plane[0], (24, 24), order=1, mode="edge") for plane in small])[:, None]
    assert np.allclose(found, expected, rtol=1e-3)
    halved = resized(torch.from_numpy(crops(1, 1, 32)), 16)
    assert abs(float(halved.mean()) - crops(1, 1, 32).mean()) < 30


def test_a_network_in_training_mode_is_found():
    spec = FeatureSet(channels=("a",), size_px=16)
    noisy = Program("features.mine", lambda image: image.mean((2, 3)) + torch.rand(len(image), 3))
    with pytest.raises(EncoderError, match=r"other vectors of the same images in another order.*\.eval\(\)"):
        program_features(noisy, [crops(5, 1)], spec)
    dropping = torch.nn.Sequential(Small(), torch.nn.Dropout()).train()
    with pytest.raises(EncoderError, match="depends on its image alone"):
        program_features(Program("features.mine", dropping), [crops(5, 1)], spec)


def test_vectors_of_two_lengths_are_an_error():
    lengths = iter([3, 3, 4])
    varying = Program("features.mine", lambda image: torch.ones(len(image), next(lengths)))
    with pytest.raises(EncoderError, match="vectors of 3 and of 4 numbers"):
        program_features(varying, [crops(8)], SPEC)


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return script(Small().eval(), tmp_path_factory.mktemp("scripted") / "small.ts")


def test_a_program_that_gives_the_reference_opens_and_another_does_not(scripted: Path, tmp_path: Path):
    reference = tmp_path / "reference.safetensors"
    spec = FeatureSet(program=str(scripted), channels=("a",), size_px=16, reference=str(reference))
    save_file({"input": images(), "output": Small().eval()(images()).detach()}, reference)
    program = open_program("mine", spec)
    assert program_features(program, [crops(3, 1, 16)], spec).shape == (3, 5)
    save_file({"input": images(), "output": Small().eval()(images()).detach() + 0.5}, reference)
    with pytest.raises(EncoderError, match=r"features\.mine .*differ from the reference"):
        open_program("mine", spec)
    save_file({"input": images(), "output": torch.zeros(4, 6)}, reference)
    with pytest.raises(EncoderError, match="vectors of 5 numbers; required: 6"):
        open_program("mine", spec)


def test_a_reference_before_normalization_checks_the_normalization(scripted: Path, tmp_path: Path):
    raw = torch.from_numpy(crops(4, 3, 16))
    expected = Small().eval()(torch.from_numpy(rescaled(raw.numpy(), (2, 3)))).detach()
    reference = tmp_path / "reference.safetensors"
    save_file({"crops": raw, "output": expected}, reference)
    inputs = ("r", "g", "b")
    settings: dict[str, Any] = {
        **{"program": str(scripted), "size_px": 16, "reference": str(reference)},
        **{"inputs": inputs, "channels": {name: name for name in inputs}},
    }
    right = FeatureSet(**settings)
    open_program("mine", right)
    wrong = FeatureSet(**settings, normalization="standardized")
    with pytest.raises(EncoderError, match="differ from the reference"):
        open_program("mine", wrong)
