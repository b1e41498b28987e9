"""What MLflow shows of a network: its card, its signature, and its features without a pickle."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest

from pcip_assets.records.card import model_card, with_scores
from pcip_assets.records.dataset import Crops
from pcip_assets.records.model import describe_model
from pcip_assets.records.scores import best_scores, overall
from pcip_core.models.files import load_encoder, save_encoder
from pcip_core.models.inference import extract_features, untrained_network
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.spec.loading import load_screen
from pcip_core.spec.training import Augmentation, EncoderConfig
from pcip_core.store import schemas
from tests.conftest import write_spec

CROPS = Crops("tiny", "0123", ("nucleus", "protein"), 16, cells=1200, images=4, shards=2)


def test_mlflow_computes_the_features_of_the_store(tmp_path: Path) -> None:
    network = untrained_network(NetworkConfig(CROPS.channels, ("nucleus",), ("protein",), 16, 0.03), seed=1)
    crops = np.random.default_rng(0).integers(0, 255, (3, 2, 16, 16), dtype=np.uint8)
    save_encoder(network, tmp_path)
    describe_model(tmp_path, load_encoder(tmp_path), crops[:2], "# a card")
    model = mlflow.pyfunc.load_model(str(tmp_path))
    features, expected = model.predict(crops), extract_features(network, crops)
    assert features.keys() == expected.keys()
    assert all(np.array_equal(features[layer], expected[layer]) for layer in expected)
    assert np.array_equal(model.input_example, crops[:2])
    assert [(each.name, each.shape[1]) for each in model.metadata.signature.outputs.inputs] == [
        (layer, values.shape[1]) for layer, values in expected.items()
    ]
    with pytest.raises(mlflow.exceptions.MlflowException, match="dtype"):
        model.predict(crops.astype(np.float32))
    assert not [file for file in tmp_path.iterdir() if file.suffix in (".pkl", ".pickle", ".pt", ".pth")]


def test_a_card_says_what_a_user_asks(tmp_path: Path) -> None:
    screen = load_screen(write_spec(tmp_path))
    card = model_card(
        screen, "paired cell inpainting", "tiny", screen.encoder, CROPS,
        overrides={"epochs": 5}, left_out="2 images of P1", metrics={"loss": 0.25, "pairs_per_s": 9.0},
    )  # fmt: skip
    for text in (
        "1,200 cells of 4 images in 2 shards",
        "nucleus, protein",
        "width=0.05, epochs=2",
        "epochs 2 → 5",
        "- Left out: 2 images of P1",
        "loss=0.25",
        'load_model("models:/tiny@champion")',
        "## Licence",
        "Not scored yet",
    ):
        assert text in card, text
    assert "pairs_per_s" not in card
    scored = with_scores(card, CROPS, {"best_leave_image_out": 0.75}, "")
    again = with_scores(scored, CROPS, {"best_leave_image_out": 0.5}, "")
    assert "| best_leave_image_out | 0.750 |" in scored
    assert "0.750" not in again
    assert again.startswith(card.partition("## Scores")[0])
    assert len(again) < 5000, "a description in MLflow's database"


def test_a_card_names_each_setting_that_is_not_the_default(tmp_path: Path) -> None:
    """Of an encoder: an autoencoder has no pairs."""
    screen = load_screen(write_spec(tmp_path))
    config = EncoderConfig(
        task="agreement", hardest_of=4, pairs="mixed", augment=Augmentation(turns=True), epochs=7
    )
    cards = [
        model_card(screen, kind, "tiny", each, CROPS, overrides={}, left_out="", metrics={})
        for kind, each in (("agreement", config), ("autoencoder", config), ("inpainting", EncoderConfig()))
    ]
    lines = [line for line in cards[0].splitlines() if "defaults" in line]
    assert lines == [
        "- Other than the defaults: task={'agreement': 1.0}, pairs=mixed, hardest_of=4, augment.turns=True"
    ]
    assert not any("defaults" in card for card in cards[1:])


def test_the_best_scores_are_those_of_the_best_layer_with_11_neighbours() -> None:
    def row(feature_set: str, k: int, value: float, **other: object) -> dict[str, object]:
        return {
            "feature_set": feature_set, "task": "localization", "protocol": "leave_image_out", "classifier": "knn",
            "parameter": f"k={k}", "label": None, "metric": "balanced_accuracy", "value": value, "n": 9, **other,
        }  # fmt: skip

    rows = [
        row("inpainting_conv3", 11, 0.6),
        row("inpainting_conv4", 11, 0.7),
        row("inpainting_conv4", 21, 0.9),
        row("inpainting_conv5", 21, 0.8),
        row("untrained_conv2", 11, 0.5),
        row("intensity", 11, 0.95),
        row("inpainting_conv4", 11, 0.2, label="Cytosol", metric="recall"),
        row("inpainting_conv3", 11, 0.4, protocol="leave_cell_out"),
    ]
    metrics, note = best_scores(schemas.BENCHMARKS.frame(rows), "inpainting")
    assert metrics == {
        "best_leave_cell_out": 0.4,
        "best_leave_image_out": 0.7,
        "untrained_leave_image_out": 0.5,
    }
    assert "leave_image_out: inpainting_conv4 0.700" in note
    assert len(overall(rows)) == len(rows) - 1
    assert best_scores(schemas.BENCHMARKS.frame([]), "inpainting") == ({}, "")
    assert isinstance(schemas.BENCHMARKS.frame([]), pl.DataFrame)
