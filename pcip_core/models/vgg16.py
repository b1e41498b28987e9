"""VGG16 (Simonyan & Zisserman 2015, configuration D), with published weights from a file that the user provides.

Layers have the names in Keras, as in the paper: `block1_conv1` to `block5_conv3`, `fc1`, `fc2`, `predictions`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from pcip_core.errors import EncoderError
from pcip_core.models.network import scaled
from pcip_core.models.weights import check_digest, read_weights

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # numbers of filters and convolutions per block
CONVOLUTIONS = tuple(
    f"block{block}_conv{number}" for block, (_, n) in enumerate(_BLOCKS, 1) for number in range(1, n + 1)
)
CONNECTED = ("fc1", "fc2", "predictions")
SIDE_PX = 224  # side of the images that the fully connected layers require
LAST_SIDE = SIDE_PX // 2 ** len(_BLOCKS)  # 7, after the last pooling
_HIDDEN, _CLASSES = 4096, 1000
_KERAS_MD5 = {  # the digests that keras.applications.vgg16 checks
    "vgg16_weights_tf_dim_ordering_tf_kernels.h5": "64373286793e3c8b2b4e3219cbf3544b",
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5": "6d6bbae143d832006294945121d1f1fc",
}
_POSITIONS = (
    0,
    2,
    5,
    7,
    10,
    12,
    14,
    17,
    19,
    21,
    24,
    26,
    28,
)  # positions in torchvision's list, which also contains ReLUs and pooling
_TORCHVISION_NAMES = dict(zip(CONVOLUTIONS, (f"features.{n}" for n in _POSITIONS), strict=True))
_TORCHVISION_NAMES |= {"fc1": "classifier.0", "fc2": "classifier.3", "predictions": "classifier.6"}
_REMEDY = "Download the weights as described in docs/how-to/use-vgg16.md, and pass that file."


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing that weights require: (x / scale - mean) / deviation, with a given order of colours.

    Attributes:
        layout: layout of the files of these weights, `torchvision` or `keras`.
        scale: divisor of the values 0..255.
        order: positions of the network's colours among red, green, blue.
        mean, deviation: one value per colour, in the order of the network.

    >>> KERAS(torch.zeros(1, 3, 1, 1)).flatten()
    tensor([-103.9390, -116.7790, -123.6800])
    """

    layout: str
    scale: float
    order: tuple[int, int, int]
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def __call__(self, rgb: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float32 red, green, blue in 0..255 -> the network's input of the same shape."""
        mean, deviation = (rgb.new_tensor(values)[:, None, None] for values in (self.mean, self.deviation))
        return (rgb[:, list(self.order)] / self.scale - mean) / deviation


TORCHVISION = Preprocessing("torchvision", 255, (0, 1, 2), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KERAS = Preprocessing("keras", 1, (2, 1, 0), (103.939, 116.779, 123.68), (1, 1, 1))


class VGG16(nn.Module):
    """The VGG16 network.

    Args:
        preprocessing: the preprocessing that its weights require.
        width: factor on the numbers of filters and hidden units; other than 1 only in tests.
        connected: whether the network has the fully connected layers.
    """

    def __init__(self, preprocessing: Preprocessing, *, width: float = 1.0, connected: bool = True) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        shapes = layer_shapes(width, connected=connected)
        self.layers = tuple(shapes)
        for name, shape in shapes.items():
            outputs, inputs = shape[:2]
            layer = (
                nn.Conv2d(inputs, outputs, 3, padding=1) if len(shape) == 4 else nn.Linear(inputs, outputs)
            )
            self.add_module(name, layer)

    def size(self, layer: str) -> int:
        """Return the number of filters or units of a layer."""
        return self.get_parameter(f"{layer}.bias").numel()

    def activations(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Compute the layers one after the other, each on demand.

        Args:
            x: (B, 3, H, W) preprocessed; 224 x 224 px for the fully connected layers.

        Yields:
            The name and (B, filters, h, w) after ReLU and before pooling; for `fc1` and `fc2` (B, units) after ReLU;
            for `predictions` (B, classes) before the softmax.
        """
        for name in self.layers:
            if name in CONVOLUTIONS[1:] and name.endswith("conv1"):
                x = functional.max_pool2d(x, 2)
            elif name == CONNECTED[0]:
                x = functional.max_pool2d(x, 2).flatten(1)  # (B, C * 7 * 7)
            x = self.get_submodule(name)(x)
            if name != CONNECTED[-1]:
                x = torch.relu(x)
            yield name, x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the activation of the last layer for (B, 3, H, W) preprocessed."""
        *_, (_, last) = self.activations(x)
        return last


def layer_shapes(width: float = 1.0, *, connected: bool = True) -> dict[str, tuple[int, ...]]:
    """Return layer -> shape of its weights in torch's order: (out, in, 3, 3), or (out, in).

    >>> layer_shapes()["block1_conv1"], layer_shapes()["fc2"]
    ((64, 3, 3, 3), (4096, 4096))
    """
    counts = [scaled(filters, width) for filters, n in _BLOCKS for _ in range(n)]
    shapes: dict[str, tuple[int, ...]] = {
        name: (after, before, 3, 3)
        for name, before, after in zip(CONVOLUTIONS, [3, *counts[:-1]], counts, strict=True)
    }
    if connected:
        hidden = scaled(_HIDDEN, width)
        shapes |= {"fc1": (hidden, counts[-1] * LAST_SIDE**2), "fc2": (hidden, hidden)}
        shapes["predictions"] = (_CLASSES, hidden)
    return shapes


def load_vgg16(path: Path, sha256: str | None = None, *, width: float = 1.0) -> VGG16:
    """Load the network from a file of weights, in evaluation mode.

    Args:
        path: torchvision's state dict (`.pth`, or safetensors with its keys) or Keras' HDF5, each with or without the
            fully connected layers. The format is detected from the content.
        sha256: SHA-256 of the file in hex, verified if given. Published files are also verified by their names: the
            name of torchvision's file contains the first digits of its SHA-256, and the MD5 of Keras' files is known.
        width: width of the network in the file; other than 1 only in tests.

    Raises:
        EncoderError: the file is missing or damaged, differs from the file published under its name, or contains
            another network.
    """
    if sha256 is not None:
        check_digest(path, "sha256", sha256)
    if named := re.fullmatch(r"vgg16-([0-9a-f]{8})\.\w+", path.name):
        check_digest(path, "sha256", named[1])
    if path.name in _KERAS_MD5:
        check_digest(path, "md5", _KERAS_MD5[path.name])
    return assemble(read_weights(path), where=path, width=width)


def assemble(weights: Mapping[str, torch.Tensor], *, where: object, width: float = 1.0) -> VGG16:
    """Build the network from weights with the keys and shapes of a file.

    Args:
        weights: key -> tensor, in the layout of torchvision or Keras.
        where: the origin of the weights, for errors.
        width: width of the network.

    Raises:
        EncoderError: a key or a shape does not match VGG16.

    >>> network = assemble(random_weights("keras", width=0.05, connected=False), where="example", width=0.05)
    >>> network.preprocessing.layout, network.size("block1_conv1")
    ('keras', 3)
    """
    firsts = {_keys(style.layout, CONVOLUTIONS[0])[0]: style for style in (TORCHVISION, KERAS)}
    style = next((style for first, style in firsts.items() if first in weights), None)
    if style is None:
        required = f"a key {' or '.join(firsts)}"
        raise EncoderError(where, found=_listed(weights), required=required, remedy=_REMEDY)
    layout = style.layout
    connected = any(key in weights for name in CONNECTED for key in _keys(layout, name))
    state, known = {}, set()
    for name, shape in layer_shapes(width, connected=connected).items():
        kernel, bias = _keys(layout, name)
        known |= {kernel, bias}
        values = _required(weights, kernel, _stored_shape(layout, shape), where)
        state[f"{name}.weight"] = _from_keras(name, values) if layout == "keras" else values
        state[f"{name}.bias"] = _required(weights, bias, shape[:1], where)
    if others := [key for key in weights if key not in known]:
        also = f"also {_listed(others)}"
        raise EncoderError(where, found=also, required="only the layers of VGG16", remedy=_REMEDY)
    with torch.device("meta"):  # no memory until the weights are assigned
        network = VGG16(style, width=width, connected=connected)
    network.load_state_dict(state, assign=True)
    return network.eval()


def random_weights(layout: str, *, width: float, connected: bool = True) -> dict[str, torch.Tensor]:
    """Draw fixed random weights for tests and benchmarks, with the keys and shapes of a layout.

    Kernels have the standard deviation of He et al., sqrt(2 / inputs), so that activations neither vanish nor grow
    with depth.
    """
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in layer_shapes(width, connected=connected).items():
        kernel, bias = _keys(layout, name)
        values = torch.randn(_stored_shape(layout, shape), generator=generator)
        weights[kernel] = values * (2 / math.prod(shape[1:])) ** 0.5
        weights[bias] = torch.randn(shape[:1], generator=generator) * 0.1
    return weights


def _keys(layout: str, layer: str) -> tuple[str, str]:
    """Return the keys of the kernel and the bias of a layer in a file."""
    if layout == "keras":
        return f"{layer}/{layer}_W_1:0", f"{layer}/{layer}_b_1:0"
    return f"{_TORCHVISION_NAMES[layer]}.weight", f"{_TORCHVISION_NAMES[layer]}.bias"


def _stored_shape(layout: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a kernel in a file; Keras has (3, 3, in, out) and (in, out)."""
    return (*shape[2:], shape[1], shape[0]) if layout == "keras" else shape


def _from_keras(layer: str, kernel: torch.Tensor) -> torch.Tensor:
    """Convert a kernel to torch's order. In `fc1`, Keras orders inputs by position, then channel; torch by channel."""
    if layer == CONNECTED[0]:
        kernel = kernel.reshape(LAST_SIDE, LAST_SIDE, -1, kernel.shape[1])
        return kernel.permute(3, 2, 0, 1).flatten(1)
    return kernel.permute(3, 2, 0, 1).contiguous() if kernel.ndim == 4 else kernel.T.contiguous()


def _required(
    weights: Mapping[str, torch.Tensor], key: str, shape: tuple[int, ...], where: object
) -> torch.Tensor:
    """Return the tensor of a key, or raise an EncoderError if it is missing or has another shape."""
    value = weights.get(key)
    if value is None or tuple(value.shape) != shape or not value.is_floating_point():
        raise EncoderError(
            where,
            found=f"{key} as {value.dtype} {tuple(value.shape)}" if value is not None else f"no {key}",
            required=f"{key} as floats {shape}",
            remedy=_REMEDY,
        )
    return value.float()


def _listed(keys: Iterable[str]) -> str:
    """List the first four keys."""
    keys = list(keys)
    return f"keys {', '.join(keys[:4])}{', ...' if len(keys) > 4 else ''}" if keys else "no keys"
