"""An exported encoder: its program runs without pcip and is a feature set of pcip, and its folder loads again."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pcip_core.errors import WriteError
from pcip_core.exports.encoder import export_encoder
from pcip_core.features.programs import open_program, program_features
from pcip_core.models.files import load_encoder, save_encoder
from pcip_core.models.inference import extract_features, untrained_network
from pcip_core.models.pairs import PairConfig
from pcip_core.spec.loading import load_screen
from tests.conftest import write_spec

ORIGIN = {"screen": "tiny", "encoder_version": "tiny/1"}
_WITHOUT_PCIP = """
import sys, json
sys.path = [place for place in sys.path if place not in ("", sys.argv[2])]
import torch
crops = torch.randint(0, 256, (3, 2, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
crops[:, :, 0, 0], crops[:, :, -1, -1] = 0, 255
features = torch.export.load(sys.argv[1]).module()(crops.float() / 255)
assert not any(name.startswith("pcip") for name in sys.modules)
json.dump({layer: values.tolist() for layer, values in features.items()}, sys.stdout)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    network = untrained_network(
        PairConfig(("nucleus", "protein"), ("nucleus",), ("protein",), 16, 0.05), seed=1
    )
    save_encoder(network, folder / "source", extra={"screen": "tiny"})
    (folder / "source" / "README.md").write_text("# tiny: agreement\n\n## Licence\n\nMine.\n")
    export_encoder(folder / "source", folder / "out", layer="conv4", origin=ORIGIN)
    return folder / "out"


def crops() -> np.ndarray:
    generator = torch.Generator().manual_seed(1)
    crops = torch.randint(0, 256, (3, 2, 16, 16), generator=generator, dtype=torch.uint8).numpy()
    crops[:, :, 0, 0], crops[:, :, -1, -1] = 0, 255  # as pcip rescales them
    return crops


def test_the_program_gives_the_features_without_pcip(exported: Path) -> None:
    repository = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _WITHOUT_PCIP, str(exported / "encoder.pt2"), repository],
        capture_output=True, text=True, check=True, cwd=exported,
    )  # fmt: skip
    given, expected = json.loads(done.stdout), extract_features(load_encoder(exported), crops())
    assert list(given) == list(expected)
    for layer, values in expected.items():
        assert np.abs(np.array(given[layer]) - values).max() < 1e-5


def test_the_program_is_a_feature_set_of_pcip(exported: Path, tmp_path: Path) -> None:
    section = yaml.safe_load((exported / "features.yaml").read_text())
    spec = load_screen(write_spec(exported, root=".", features=section["features"]))
    (chosen,) = spec.features.values()
    program = open_program("tiny_encoder", chosen)  # also compares it with its reference
    vectors = program_features(program, [crops().astype(np.float32)], chosen)
    expected = extract_features(load_encoder(exported), crops())["conv4"]
    assert np.allclose(vectors, expected, atol=1e-5)
    (exported / "tiny.yaml").unlink()


def test_the_card_says_what_it_takes_and_the_folder_is_complete(exported: Path) -> None:
    card = (exported / "README.md").read_text()
    assert card.startswith("# tiny: agreement")
    assert "(n, 2, 16, 16) float32 from 0 to 1, channels in this order: nucleus, protein" in card
    assert json.loads((exported / "provenance.json").read_text()) == ORIGIN
    with pytest.raises(WriteError, match="--overwrite"):
        export_encoder(exported, exported, layer="conv4", origin=ORIGIN)


def test_of_an_encoder_that_cannot_be_written_nothing_is_left(exported: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (exported / "encoder.safetensors").stat().st_size
    assert size < (exported / "encoder.pt2").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(WriteError, match="out: found file too large"):
            export_encoder(exported, tmp_path / "out", layer="conv4", origin=ORIGIN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
