"""Features by VGG16 against naive loops over cells, pictures and layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from pcip_core.errors import EncoderError, ShapeError, SpecError
from pcip_core.features.transfer import FEATURE_LAYERS, feature_set_name, vgg16_features
from pcip_core.models.vgg16 import CONVOLUTIONS, VGG16, assemble, random_weights

CHANNELS = ("rfp", "brightfield", "gfp")
WIDTH = 1 / 16


def network(layout: str = "keras", *, connected: bool = False) -> VGG16:
    return assemble(random_weights(layout, width=WIDTH, connected=connected), where="test", width=WIDTH)


def crops(n: int = 5, side: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 3, side, side)).astype(np.uint8)


def shown(layout: str, red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> torch.Tensor:
    """One picture as each publisher's own documentation prepares it."""
    if layout == "keras":
        planes = [blue - 103.939, green - 116.779, red - 123.68]
    else:
        planes = [(red / 255 - 0.485) / 0.229, (green / 255 - 0.456) / 0.224, (blue / 255 - 0.406) / 0.225]
    return torch.from_numpy(np.stack(planes).astype(np.float32))[None]


@pytest.mark.parametrize("layout", ["keras", "torchvision"])
@pytest.mark.parametrize("strategy", ["protein", "channels", "rgb"])
@torch.no_grad()
def test_each_strategy_against_a_loop(strategy: str, layout: str) -> None:
    model, pixels = network(layout), crops()
    found = vgg16_features(
        model,
        pixels,
        CHANNELS,
        strategy=strategy,
        layers=CONVOLUTIONS,
        protein=["gfp"],
        rgb={"red": "rfp", "green": "gfp"},
        batch_size=2,
    )
    assert tuple(found) == CONVOLUTIONS
    for n, crop in enumerate(pixels.astype(float)):
        rfp, brightfield, gfp = crop
        pictures = {
            "protein": [(gfp, gfp, gfp)],
            "channels": [(plane, plane, plane) for plane in (rfp, brightfield, gfp)],
            "rgb": [(rfp, gfp, np.zeros_like(gfp))],
        }[strategy]
        expected: dict[str, list[float]] = {layer: [] for layer in CONVOLUTIONS}
        for picture in pictures:
            for layer, activation in model.activations(shown(layout, *picture)):
                expected[layer] += [float(plane.max()) for plane in activation[0]]
        for layer in CONVOLUTIONS:
            assert found[layer].dtype == np.float32
            assert np.allclose(found[layer][n], expected[layer], rtol=1e-4, atol=1e-3), (n, layer)


@torch.no_grad()
def test_resized_crops_and_the_last_fully_connected_layer() -> None:
    model, pixels = network(connected=True), crops(2, 64)
    found = vgg16_features(
        model,
        pixels,
        CHANNELS,
        strategy="protein",
        layers=("fc2", "block4_conv1"),
        protein=["gfp"],
        resized=True,
    )
    for n, crop in enumerate(pixels):
        plane = Image.fromarray(crop[2].astype(np.float32)).resize((224, 224), Image.Resampling.BILINEAR)
        grey = np.asarray(plane, float)
        truth = dict(model.activations(shown("keras", grey, grey, grey)))
        fc2 = truth["fc2"][0].numpy()
        assert np.allclose(found["fc2"][n], fc2, rtol=1e-3, atol=1e-4 * fc2.max())
        assert (found["fc2"][n] >= 0).all()
        strongest = truth["block4_conv1"][0].flatten(1).max(1).values.numpy()
        assert np.allclose(found["block4_conv1"][n], strongest, rtol=1e-3)


def test_no_layer_beyond_the_last_is_computed() -> None:
    model, computed = network(), []
    for name in CONVOLUTIONS:
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: computed.append(name))
    vgg16_features(model, crops(), CHANNELS, strategy="protein", protein=["gfp"], layers=["block4_conv1"])
    assert computed == list(CONVOLUTIONS[:8])
    assert computed[-1] == "block4_conv1"


def test_several_proteins_progress_no_cells_and_names() -> None:
    done: list[int] = []
    both = vgg16_features(
        network(),
        crops(),
        CHANNELS,
        strategy="protein",
        protein=["gfp", "rfp"],
        batch_size=2,
        progress=done.append,
    )["block4_conv1"]
    assert done == [2, 4, 5]
    for name, half in (("rfp", both[:, :32]), ("gfp", both[:, 32:])):  # in the order of the channels
        alone = vgg16_features(network(), crops(), CHANNELS, strategy="protein", protein=[name])
        truth = alone["block4_conv1"]  # other batches: float32 sums in another order, of terms of all sizes
        assert np.allclose(half, truth, atol=1e-5 * truth.max())
    none = vgg16_features(network(), crops(0), CHANNELS, strategy="channels", layers=["block1_conv2"])
    assert none["block1_conv2"].shape == (0, 3 * 4)
    assert feature_set_name("protein", "block4_conv1") == "vgg16_protein_block4_conv1"
    assert feature_set_name("protein", "fc2", resized=True) == "vgg16_protein_224_fc2"
    assert FEATURE_LAYERS[-1] == "fc2"


def test_invalid_arguments_raise() -> None:
    model, pixels = network(), crops()
    with pytest.raises(ShapeError, match="found float64"):
        vgg16_features(model, pixels / 255, CHANNELS, strategy="channels")
    with pytest.raises(ShapeError, match=r"uint8 \(n, 2, S, S\)"):
        vgg16_features(model, pixels, CHANNELS[:2], strategy="channels")
    with pytest.raises(ShapeError, match="found crops of 12 px; required: 16 px or more"):
        vgg16_features(model, crops(1, 12), CHANNELS, strategy="channels", layers=["block5_conv1"])
    with pytest.raises(SpecError, match="found 'grey'; required: one of protein, channels, rgb"):
        vgg16_features(model, pixels, CHANNELS, strategy="grey")
    with pytest.raises(SpecError, match="strategy protein"):
        vgg16_features(model, pixels, CHANNELS, strategy="protein", protein=["yfp"])
    with pytest.raises(SpecError, match="strategy protein"):
        vgg16_features(model, pixels, CHANNELS, strategy="protein")
    with pytest.raises(SpecError, match=r"each under one of \['red', 'green', 'blue'\]"):
        vgg16_features(model, pixels, CHANNELS, strategy="rgb", rgb={"purple": "gfp"})
    with pytest.raises(SpecError, match="found predictions"):
        vgg16_features(model, pixels, CHANNELS, strategy="channels", layers=["predictions"])
    with pytest.raises(SpecError, match="resized=True"):
        vgg16_features(model, pixels, CHANNELS, strategy="channels", layers=["fc2"])
    with pytest.raises(EncoderError, match="fc2 of VGG16: found weights of the convolutional layers only"):
        vgg16_features(model, pixels, CHANNELS, strategy="channels", layers=["fc2"], resized=True)
