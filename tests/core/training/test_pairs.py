"""Training on pairs by other tasks than inpainting, and by several together."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pcip_core.crops.pixels import ShardedPixels
from pcip_core.errors import EncoderError, ShapeError, TrainingError
from pcip_core.models.files import load_encoder, read_tasks, save_encoder
from pcip_core.models.inference import extract_features
from pcip_core.models.inpainting import NetworkConfig, PairedCellInpainting, build_network
from pcip_core.models.pairs import PairConfig, PairedCells, build_pairs
from pcip_core.models.starts.starting import weights_of
from pcip_core.spec.training import START_SHAPE, EncoderConfig
from pcip_core.training import precision
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
from pcip_core.training.tasks.agreement import agreement_loss
from pcip_core.training.tasks.inpainting import Inpainting
from pcip_core.training.tasks.pairs import Pairs
from pcip_core.training.tracker import SilentTracker
from tests.core.training.small import Listener

CHANNELS = ("dna", "protein")
PLAIN = NetworkConfig(CHANNELS, ("dna",), ("protein",), size_px=8, width=0.05)
CONFIG = EncoderConfig(
    epochs=2, batch_size=8, device="cpu", precision="float32", width=0.05, learning_rate=1e-3, validation_fraction=0.2
)  # fmt: skip
ALL = {"inpainting": 1.0, "agreement": 0.1, "identity": 0.2}


def config_of(task: object, **changes: object) -> EncoderConfig:
    return dataclasses.replace(CONFIG, task=task, **changes)


def shape_of(config: EncoderConfig, images: int = 5) -> PairConfig:
    identified = images if "identity" in config.tasks else 0
    return PairConfig(**vars(PLAIN), tasks=tuple(config.tasks), images=identified)


@pytest.fixture(scope="module")
def cells() -> CellSet:
    random = np.random.default_rng(0)
    image = np.repeat(np.arange(5), 8)
    bright = random.integers(20, 220, (5, 2, 1, 1))[image]  # the cells of an image are alike
    pixels = np.clip(bright + random.integers(-20, 20, (40, 2, 8, 8)), 0, 255).astype(np.uint8)
    return CellSet(pixels, image, CHANNELS)


def trained(cells: CellSet, config: EncoderConfig, folder: Path | None = None) -> PairedCells:
    task = train(cells, shape_of(config), config, task=Pairs, tracker=SilentTracker(), checkpoints=folder)
    return task.network


def test_the_loss_of_agreement_is_the_published_formula() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, 7, 3))
    expected = ((a - b) ** 2).mean()
    for z in (a, b):
        covariance = np.cov(z, rowvar=False)
        spread = [max(0.0, 1 - np.sqrt(covariance[j, j] + 1e-4)) for j in range(3)]
        expected += 0.5 * np.mean(spread)
        expected += sum(covariance[i, j] ** 2 for i in range(3) for j in range(3) if i != j) / 3 / 25
    assert float(agreement_loss(torch.from_numpy(np.stack([a, b], 1)))) == pytest.approx(expected, rel=1e-12)


def test_inpainting_alone_is_the_task_of_the_paper(cells: CellSet) -> None:
    config = config_of({"inpainting": 1})
    ours = trained(cells, config)
    paper = train(cells, PLAIN, config, task=Inpainting, tracker=SilentTracker()).network
    assert isinstance(paper, PairedCellInpainting)
    expected = paper.state_dict()
    for name, values in ours.state_dict().items():
        torch.testing.assert_close(values, expected[name], rtol=0, atol=1e-6)


def test_the_total_is_the_weighted_sum_of_the_tasks(cells: CellSet) -> None:
    config = config_of(ALL)
    task = Pairs(cells, shape_of(config), config, torch.device("cpu"))
    network = task.build().eval()
    batch = next(iter(task.batches(1)))
    with torch.no_grad():
        output = network(*batch.inputs)
    alone = {
        name: float(
            Pairs(cells, shape_of(config_of(name)), config_of(name), torch.device("cpu")).loss(output, batch)
        )
        for name in ALL
    }
    assert float(task.loss(output, batch)) == pytest.approx(
        sum(ALL[name] * alone[name] for name in ALL), rel=1e-6
    )
    assert batch.image is not None
    assert batch.image.tolist() == [int(n) for n in batch.image]  # numbers of images
    logits = output["identity"].log_softmax(1)
    by_hand = -torch.stack([row[image] for row, image in zip(logits, batch.image, strict=True)]).mean()
    assert alone["identity"] == pytest.approx(float(by_hand), rel=1e-6)


@pytest.mark.parametrize("task", ["agreement", "identity", ALL])
def test_each_task_learns_and_describes_cells(cells: CellSet, task: object, tmp_path: Path) -> None:
    config = config_of(task, epochs=6, block="norm_first")
    shape = dataclasses.replace(shape_of(config), block="norm_first", initial_weights="torch")
    result = train(cells, shape, config, task=Pairs, tracker=SilentTracker())
    losses = [epoch["loss"] for epoch in result.history]
    assert losses[-1] < losses[0]
    save_encoder(result.network, tmp_path)
    loaded = load_encoder(tmp_path)
    assert read_tasks(tmp_path) == tuple(config.tasks)
    assert isinstance(loaded, PairedCells)
    features = extract_features(loaded, cells.pixels, layers=("conv5",))["conv5"]
    np.testing.assert_array_equal(
        features, extract_features(result.network, cells.pixels, layers=("conv5",))["conv5"]
    )
    assert ("spread" in result.history[-1]) == ("agreement" in config.tasks)


def test_held_out_cells_are_targets_of_inpainting_and_sources_of_identity(cells: CellSet) -> None:
    config = config_of({"inpainting": 1.0, "identity": 0.2})
    work = Pairs(cells, shape_of(config), config, torch.device("cpu"))
    network, held = work.build().eval(), work.validation
    x = torch.from_numpy(cells.pixels).float() / 255
    others = torch.from_numpy(work._sources(held))
    image = torch.from_numpy(cells.image)
    with torch.no_grad():
        found = work.validate(network, torch.float32)["validation_loss"]
        painted = (network(x[others], x[held])["inpainting"] - x[held][:, 1:]).square().mean()
        named = torch.nn.functional.cross_entropy(network(x[held], x[others])["identity"], image[held])
    assert 0 < len(held) < len(x)
    assert not set(held) & set(work.training)
    assert found == pytest.approx(float(painted + 0.2 * named), rel=1e-5)


def test_harder_pairs_differ_more_in_shape_and_held_out_pairs_do_not_change(
    cells: CellSet, tmp_path: Path
) -> None:
    """In pairs of crops in RAM or in files; the shapes are those of the structural channel alone."""
    wide = np.random.default_rng(2).permutation(np.tile(np.arange(1, 9), 5))
    pixels = cells.pixels.copy()
    pixels[:, 0] = np.where(np.arange(8) < wide[:, None, None], 200, 10)
    plain, harder = config_of(ALL), config_of(ALL, hardest_of=8)
    files = []
    for number, part in enumerate(np.split(pixels, 2)):
        files.append(tmp_path / f"{number}.npy")
        np.save(files[-1], part)
    given = {"RAM": pixels, "files": ShardedPixels(files)}
    found = {}
    for name, crops in given.items():
        for config in (plain, harder):
            work = Pairs(CellSet(crops, cells.image, CHANNELS), shape_of(config), config, torch.device("cpu"))
            source, target = (
                torch.cat([batch.inputs[place] for batch in work.batches(1)]) for place in (0, 1)
            )
            bright = [(x[:, 0] > 0.5).float().mean((1, 2)) for x in (source, target)]
            found[name, config.hardest_of] = (
                float((bright[0] - bright[1]).abs().mean()),
                work._sources(work.validation).tolist(),
            )
    assert found["RAM", 1] == found["files", 1]
    assert found["RAM", 8] == found["files", 8]
    assert found["RAM", 8][0] > 1.3 * found["RAM", 1][0]
    assert found["RAM", 8][1] == found["RAM", 1][1]


def test_harder_pairs_train_repeatably_and_resume(cells: CellSet, tmp_path: Path) -> None:
    config = config_of("agreement", hardest_of=3, epochs=3)
    whole = trained(cells, config)
    trained(cells, dataclasses.replace(config, epochs=1), tmp_path)
    resumed = trained(cells, config, tmp_path)
    for name, values in whole.state_dict().items():
        assert torch.equal(values, resumed.state_dict()[name])
    other = trained(cells, dataclasses.replace(config, hardest_of=1))
    assert any(
        not torch.equal(values, other.state_dict()[name]) for name, values in whole.state_dict().items()
    )


def test_harder_pairs_of_cells_of_one_shape_are_refused(cells: CellSet) -> None:
    pixels = cells.pixels.copy()
    pixels[:, 0] = 0
    config = config_of("agreement", hardest_of=2)
    with pytest.raises(TrainingError, match=r"encoder.hardest_of: found the same shape in all 40 cells.*dna"):
        Pairs(CellSet(pixels, cells.image, CHANNELS), shape_of(config), config, torch.device("cpu"))


def test_images_that_the_network_does_not_tell_apart_are_refused(cells: CellSet) -> None:
    config = config_of("identity")
    with pytest.raises(TrainingError, match="image numbers from 0 to 4; required: 0 to 3"):
        Pairs(cells, shape_of(config, images=4), config, torch.device("cpu"))
    other = CellSet(cells.pixels, cells.image - 1, CHANNELS)
    with pytest.raises(TrainingError, match="image numbers from -1"):
        Pairs(other, shape_of(config), config, torch.device("cpu"))


def test_precisions_are_compared_on_many_pairs_of_agreement(
    cells: CellSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_WORK", 0.0)  # the fewest rows
    for task, rows in (("agreement", 16), (ALL, 16), ("identity", 2)):
        config = config_of(task, batch_size=32, validation_fraction=0.0)
        work = Pairs(cells, shape_of(config), config, torch.device("cpu"))
        network = work.build()
        batch, whole = precision._first_rows(work, network), next(work.batches(1))
        assert batch.image is not None
        assert whole.image is not None
        assert len(batch.truth) == len(batch.inputs[0]) == rows
        assert torch.equal(batch.image, whole.image[:rows])
        assert torch.isfinite(work.loss(network(*batch.inputs), batch))


def test_streamed_crops_and_previews(cells: CellSet, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", cells.pixels[:13])
    np.save(tmp_path / "b.npy", cells.pixels[13:])
    streamed = CellSet(ShardedPixels([tmp_path / "a.npy", tmp_path / "b.npy"]), cells.image, CHANNELS)
    config, listener = config_of(ALL, preview_every=1), Listener()
    first = train(cells, shape_of(config), config, task=Pairs, tracker=listener).network
    second = trained(streamed, dataclasses.replace(config, memory_fraction=0.0))
    assert all(torch.equal(first.state_dict()[name], value) for name, value in second.state_dict().items())
    shown = listener.previews[2]
    assert shown.prediction.shape == (len(shown.source), 1, 8, 8)
    truth = torch.from_numpy(shown.target)
    expected = first.predict(torch.from_numpy(shown.source), truth[:, :1]).detach().numpy()
    np.testing.assert_allclose(shown.prediction, expected, atol=1e-5)
    nothing = Listener()
    alone = config_of("agreement", preview_every=1)
    train(cells, shape_of(alone), alone, task=Pairs, tracker=nothing)
    assert nothing.previews == {}


def test_the_projector_has_the_width_that_is_asked_for(cells: CellSet, tmp_path: Path) -> None:
    config = config_of("agreement", projector=96)
    shape = dataclasses.replace(shape_of(config), projector=config.projector)
    network = train(cells, shape, config, task=Pairs, tracker=SilentTracker()).network
    x = torch.from_numpy(cells.pixels[:3]).float() / 255
    assert network(x, x)["agreement"].shape == (3, 2, 96)
    save_encoder(network, tmp_path)
    assert load_encoder(tmp_path).config == shape
    written = tmp_path / "config.json"
    saved = json.loads(written.read_text())
    assert saved["network"].pop("projector") == 96
    written.write_text(json.dumps(saved))  # as written before there was a choice: 64
    with pytest.raises(EncoderError, match="other layers"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("pairs", ["same_protein", "mixed"])
def test_pairs_of_different_images_have_one_protein(cells: CellSet, pairs: str, tmp_path: Path) -> None:
    config = config_of(ALL, pairs=pairs)
    marked = cells.pixels.copy()
    marked[:, 0, 0, 0] = marked[:, 0, 7, 0] = marked[:, 0, 0, 7] = marked[:, 0, 7, 7] = (
        cells.image
    )  # at any flip
    protein = np.array(["A", "B", "A", "B", "A"])[cells.image]
    data = CellSet(marked, cells.image, CHANNELS, protein)
    work = Pairs(data, shape_of(config), config, torch.device("cpu"))
    source, target = [], []
    for batch in work.batches(1):
        images = [(x[:, 0, 0, 0] * 255).round().long() for x in batch.inputs]
        assert batch.image is not None
        assert torch.equal(images[0], batch.image)
        source.append(images[0])
        target.append(images[1])
    first, second = torch.cat(source), torch.cat(target)
    assert bool((first % 2 == second % 2).all())
    assert 0 < float((first != second).float().mean()) <= 1
    assert bool((first != second).all()) == (pairs == "same_protein")
    whole = trained(data, config).state_dict()
    trained(data, dataclasses.replace(config, epochs=1), tmp_path)
    resumed = trained(data, config, tmp_path).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_pairs_of_one_protein_need_proteins_and_images(cells: CellSet) -> None:
    config, cpu = config_of("agreement", pairs="same_protein"), torch.device("cpu")
    with pytest.raises(TrainingError, match=r"encoder\.pairs same_protein: found cells without proteins"):
        Pairs(cells, shape_of(config), config, cpu)
    protein = np.array(["A", "A", "B", "C", "C"])[cells.image]
    with pytest.raises(TrainingError, match="protein B: found one image"):
        Pairs(CellSet(cells.pixels, cells.image, CHANNELS, protein), shape_of(config), config, cpu)
    with pytest.raises(ShapeError, match=r"protein \(3,\)"):
        CellSet(cells.pixels, cells.image, CHANNELS, protein[:3])
    with pytest.raises(TrainingError, match="pairs same_protein"):
        Inpainting(cells, PLAIN, config_of("inpainting", pairs="same_protein"), cpu)


def test_an_interrupted_training_equals_an_uninterrupted_one(cells: CellSet, tmp_path: Path) -> None:
    config = config_of(ALL)
    whole = trained(cells, config).state_dict()
    trained(cells, dataclasses.replace(config, epochs=1), tmp_path)
    resumed = trained(cells, config, tmp_path).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_collapsed_vectors_end_the_training(cells: CellSet, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("agreement")

    def collapsed(self: Pairs) -> PairedCells:
        network = build_pairs(shape_of(config), 0)
        last = network.projector.layers[-1]
        assert isinstance(last, torch.nn.Linear)
        torch.nn.init.zeros_(last.weight)
        last.weight.requires_grad = False
        return network

    monkeypatch.setattr(Pairs, "build", collapsed)
    with pytest.raises(TrainingError, match="collapsed"):
        train(cells, shape_of(config), config, task=Pairs, tracker=SilentTracker())


def test_agreement_needs_two_pairs_in_each_process(cells: CellSet) -> None:
    config = config_of("agreement", batch_size=3, processes=2)
    with pytest.raises(TrainingError, match="4 or more per batch"):
        Pairs(cells, shape_of(config), config, torch.device("cpu"))


@pytest.mark.parametrize(("kind", "factor"), [("torch", 1.0), (0.5, 0.5)])
def test_initial_weights_have_the_variance_that_they_name(kind: str | float, factor: float) -> None:
    shape = dataclasses.replace(PLAIN, width=0.5, initial_weights=kind)
    weights = build_network(shape, seed=3).source.blocks[2].convolution.weight.detach()  # type: ignore[union-attr]
    inputs = weights[0].numel()  # type: ignore[index]
    assert float(weights.var() * inputs) == pytest.approx(factor**2 / 3, rel=0.02)  # type: ignore[operator]
    assert float(weights.abs().max()) <= factor / inputs**0.5  # type: ignore[operator]


def test_norm_first_takes_features_after_the_norm() -> None:
    shape = dataclasses.replace(PLAIN, block="norm_first")
    network = build_network(shape, seed=0).eval()
    x = torch.rand(3, 2, 8, 8)
    block = network.source.blocks[0]
    first = next(network.activations(x.clone()))
    torch.testing.assert_close(first, torch.relu(block.norm(block.convolution(x))))  # type: ignore[operator, union-attr]
    last = list(network.activations(x.clone()))[-1]
    torch.testing.assert_close(last, network.source(x))


def test_no_epoch_takes_the_start_as_it_is(cells: CellSet) -> None:
    config = config_of("agreement", **START_SHAPE, start="simulated_human", epochs=0)
    shape = dataclasses.replace(shape_of(config), width=0.25, block="norm_first")
    result = train(cells, shape, config, task=Pairs, tracker=SilentTracker())
    state, weights = result.network.state_dict(), weights_of("simulated_human")
    assert result.history == []
    layer = "source.blocks.4.convolution.weight"
    assert torch.equal(state[layer], weights[layer])


def test_a_training_leaves_its_start(cells: CellSet) -> None:
    config = config_of({"inpainting": 1}, **START_SHAPE, start="simulated_human", epochs=1)
    shape = dataclasses.replace(PLAIN, width=0.25, block="norm_first")
    result = train(cells, shape, config, task=Inpainting, tracker=SilentTracker())
    state, weights = result.network.state_dict(), weights_of("simulated_human")
    changes = {
        key: float((state[key] - weights[key]).abs().max()) for key in ("source.blocks.4.convolution.weight",)
    }
    assert all(0 < value < 0.1 for value in changes.values())
