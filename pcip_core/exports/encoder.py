"""A trained network for use elsewhere: its files, its card, and a program of torch.export that runs without pcip.

encoder.safetensors, config.json    weights and settings, as `load_encoder` reads them
encoder.pt2                         the program: crops -> features of each layer
reference.safetensors               crops, and the features that the program gives for them
features.yaml                       a feature set by the program, for the spec of another screen
README.md                           the card, with what the program takes and gives
provenance.json
"""

from __future__ import annotations

import io
import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
import yaml
from safetensors.torch import save
from torch import nn

from pcip_core.errors import EncoderError
from pcip_core.exports.target import MARK, new_target
from pcip_core.models.files import CONFIG, WEIGHTS, load_encoder
from pcip_core.models.inference import extract_features
from pcip_core.models.network import CellNetwork

PROGRAM, REFERENCE, CARD = "encoder.pt2", "reference.safetensors", "README.md"
TOLERANCE = 1e-5
"""Largest deviation of the program's features from pcip's, both in float32, as a share of the largest feature."""
_EXAMPLES = 4  # crops of noise in the reference: pictures of cells stay where they are


def export_encoder(
    source: Path, path: Path, *, layer: str, origin: Mapping[str, str], overwrite: bool = False
) -> None:
    """Write a trained network.

    Args:
        source: the folder of the network, of `save_encoder`, with its card if it has one.
        path: the folder to write.
        layer: the layer of the reference and of the feature set in `features.yaml`. The program has all layers.
        origin: texts for `provenance.json`, with `screen` and `encoder_version` among them.
        overwrite: replace an earlier export.

    Raises:
        EncoderError: the network cannot be read, or the program gives other features.
        WriteError: the folder exists, or cannot be written.
    """
    network = load_encoder(source)
    with new_target(path, overwrite=overwrite, folder=True) as temporary:
        temporary.mkdir()
        (temporary / MARK).touch()
        for name in (WEIGHTS, CONFIG):
            shutil.copyfile(source / name, temporary / name)
        _write_program(network, layer, temporary)
        card = source / CARD
        text = card.read_text() if card.is_file() else f"# {origin['encoder_version']}\n"
        (temporary / CARD).write_text(f"{text}\n{_contract(network, layer)}")
        of_spec = {"features": {f"{origin['screen']}_encoder": _feature_set(network, layer)}}
        (temporary / "features.yaml").write_text(yaml.safe_dump(of_spec, sort_keys=False))
        (temporary / "provenance.json").write_text(json.dumps(dict(origin), indent=1) + "\n")


class _Program(nn.Module):
    """All layers of a network: (B, C, S, S) float32 in [0, 1] -> layer -> (B, filters)."""

    def __init__(self, network: CellNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        values = zip(self.network.layers, self.network.activations(images), strict=True)
        return {layer: value.amax(dim=(2, 3)) if value.ndim == 4 else value for layer, value in values}


def _write_program(network: CellNetwork, layer: str, folder: Path) -> None:
    """Write the program and its reference, and compare what the written file gives with pcip's features."""
    side, generator = network.config.size_px, torch.Generator().manual_seed(0)
    shape = (_EXAMPLES, len(network.config.channels), side, side)
    crops = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    expected = extract_features(network, crops.numpy())
    network = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    images = crops.float() / 255
    with _quiet():
        exported = torch.export.export(
            _Program(network), (images,), dynamic_shapes=({0: torch.export.Dim("batch")},)
        )
        archive = io.BytesIO()  # torch crashes the process when its own file cannot be written
        torch.export.save(exported, archive)
        (folder / PROGRAM).write_bytes(archive.getvalue())
        program = torch.export.load(folder / PROGRAM).module()
    with torch.inference_mode():
        given = program(images)
    features = {name: torch.from_numpy(values) for name, values in expected.items()}
    for name, values in features.items():
        deviation = float((given[name] - values).abs().max() / values.abs().max().clamp(min=1e-30))
        if not deviation <= TOLERANCE:
            raise EncoderError(
                folder / PROGRAM,
                found=f"features of {name} that differ from pcip's by {deviation:.2g} of the largest",
                required=f"at most {TOLERANCE:g}",
                remedy="Report this with your version of torch; the weights are not at fault.",
            )
    reference = {"input": images, "output": features[layer].clone(), **features}
    (folder / REFERENCE).write_bytes(save(reference))


def _feature_set(network: CellNetwork, layer: str) -> dict[str, object]:
    """The settings of a feature set by the program, for channels of the same names."""
    channels = list(network.config.channels)
    return {
        "program": PROGRAM,
        "inputs": channels,
        "channels": {name: name for name in channels},
        "size_px": network.config.size_px,
        "normalization": "minmax",
        "output": layer,
        "reference": REFERENCE,
        "tolerance": 1e-4,
    }


def _contract(network: CellNetwork, layer: str) -> str:
    """What the program takes and gives, as Markdown."""
    channels, side = network.config.channels, network.config.size_px
    shape = f"(n, {len(channels)}, {side}, {side})"
    return f"""## Program

`{PROGRAM}` needs torch {torch.__version__.partition("+")[0]} or newer, and neither pcip nor its packages.

- It takes crops, {shape} float32 from 0 to 1, channels in this order: {", ".join(channels)}.
  Each channel of each crop is rescaled from its least to its greatest value. pcip's crops are uint8: divide by 255.
- It returns a dictionary of all layers: {", ".join(network.layers)}. Each is (n, numbers) float32.
- It computes in float32. A screen whose encoder has the precision bf16 has features that were rounded.

```python
import torch

program = torch.export.load("{PROGRAM}").module()
features = program(crops.float() / 255)["{layer}"]           # crops: a uint8 tensor
```

`{REFERENCE}` holds `input`, crops of noise, and the features of each layer; `output` is {layer}. In
pcip, another screen with these channels uses the program by `features.yaml`, whose lines belong into its spec.
"""


@contextmanager
def _quiet() -> Iterator[None]:
    """No messages of torch about its own format."""
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
