"""Starts of trainings: filters go to the channels of their names, and wrong networks and files are refused."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from pcip_core.errors import EncoderError
from pcip_core.models.pairs import PairConfig, PairedCells, build_pairs
from pcip_core.models.starts import starting
from pcip_core.models.starts.starting import DIGESTS, started, weights_of
from pcip_core.spec.training import START_CHANNELS

FIRST = "source.blocks.0.convolution.weight"


def network(
    channels: tuple[str, ...] = ("nucleus", "protein"),
    *,
    width: float = 0.25,
    block: str = "norm_first",
    seed: int = 0,
) -> PairedCells:
    config = PairConfig(
        channels, channels[:-1], channels[-1:], 16, width, block, "torch", tasks=("agreement",)
    )
    return build_pairs(config, seed)


@pytest.mark.parametrize("name", DIGESTS)
def test_shipped_weights_are_whole_and_small(name: str) -> None:
    path = Path(starting.__file__).with_name(f"{name}.safetensors")
    assert path.stat().st_size < 2_000_000
    channels = (*START_CHANNELS[name], "protein")
    begun = started(network(channels), name)
    weights = weights_of(name)
    state = begun.state_dict()
    assert set(state) == set(weights)  # source encoder and projector
    assert all(torch.equal(state[key], weights[key]) for key in weights)
    assert all(torch.isfinite(values).all() for values in weights.values())


def test_channels_take_the_filters_of_their_names() -> None:
    weights = weights_of("simulated_human")[FIRST]
    begun = started(network(("actin", "microtubules", "gfp")), "simulated_human")
    first = begun.state_dict()[FIRST]
    assert not first[:, 0].any()  # the start does not know actin
    assert torch.equal(first[:, 1], weights[:, 1])
    assert torch.equal(first[:, 2], weights[:, 2])  # the protein channel, by its role


def test_a_channel_that_the_start_lacks_changes_nothing_until_it_is_trained() -> None:
    cells = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with_actin = started(network(("actin", "microtubules", "gfp"), seed=1), "simulated_human").eval()
    without = started(network(("microtubules", "gfp")), "simulated_human").eval()
    assert torch.allclose(with_actin.source(cells), without.source(cells[:, 1:]), atol=1e-5)
    with_actin.train().source(cells).square().sum().backward()
    gradient = with_actin.source.blocks[0].convolution.weight.grad
    assert gradient is not None
    assert gradient[:, 0].any()  # training reaches its filters


def test_another_projector_keeps_its_initial_weights() -> None:
    config = dataclasses.replace(network().config, projector=32)
    plain, begun = build_pairs(config, 0).state_dict(), started(build_pairs(config, 0), "simulated_human")
    state, weights = begun.state_dict(), weights_of("simulated_human")
    projector = [key for key in state if key.startswith("projector")]
    assert all(torch.equal(state[key], plain[key]) for key in projector)
    source = [key for key in state if key.startswith("source") and key != FIRST]
    assert all(torch.equal(state[key], weights[key]) for key in source)


def test_none_changes_nothing() -> None:
    plain, begun = network().state_dict(), started(network(), "none").state_dict()
    assert all(torch.equal(plain[key], begun[key]) for key in plain)


@pytest.mark.parametrize("wrong", [network(width=0.5), network(width=0.1)])
def test_other_shapes_are_refused(wrong: PairedCells) -> None:
    with pytest.raises(EncoderError, match=r"width 0.25, block norm_first, 5 stages"):
        started(wrong, "simulated_human")


def test_changed_and_missing_files_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(starting, "_FOLDER", tmp_path)
    with pytest.raises(EncoderError, match="no such file"):
        weights_of("simulated_human")
    content = save({"weights": torch.zeros(2)})
    (tmp_path / "simulated_human.safetensors").write_bytes(content)
    with pytest.raises(EncoderError, match="a file with SHA-256"):
        weights_of("simulated_human")
    monkeypatch.setitem(DIGESTS, "simulated_human", hashlib.sha256(content).hexdigest())
    assert weights_of("simulated_human")["weights"].tolist() == [0, 0]
