"""An encoder that learns other tasks than inpainting, from the spec to the feature sets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pcip_assets.assets.main.features import require_same_tasks
from pcip_assets.workspace import Workspace
from pcip_core.errors import EncoderError
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.store.publish import connect
from tests.assets.conftest import Finished
from tests.conftest import write_spec

TASK = {"inpainting": 1, "agreement": 0.1}
ENCODER = {
    "task": TASK,
    "block": "norm_first",
    "initial_weights": "torch",
    "projector": 16,
    "augment": {"turns": True, "scale": 0.1},
    "pairs": "mixed",  # each protein of the tiny screen has one image: pairs are of one image after all
    "schedule": "cosine",
    "warm_up": 0.5,
    "epochs": 1,
    "batch_size": 8,
    "width": 0.1,
    "precision": "float32",
}
LAYERS = [f"conv{number}" for number in range(1, 6)]


@pytest.fixture(scope="module")
def changed(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A finished screen whose spec now asks for another task."""
    return finished.copied(tmp_path_factory.mktemp("tasks"), encoder=ENCODER)


def test_another_task_needs_another_training(changed: Finished) -> None:
    outcome = changed.again()
    assert not outcome.success
    assert "encoder tiny/1: found an encoder trained by inpainting" in str(outcome.error)
    assert "pcip run tiny --retrain" in str(outcome.error)


def test_feature_sets_are_named_after_the_tasks_of_the_encoder(changed: Finished) -> None:
    outcome = changed.again(retrain=True)
    assert outcome.success, outcome.error
    made = {table for table in changed.store.tables("tiny") if "inpainting_agreement" in table}
    named = [f"inpainting_agreement_{layer}" for layer in LAYERS]
    assert made == {f"{kind}_features_{name}" for kind in ("cell", "protein") for name in named}
    with connect(changed.workspace.published) as con:
        query = (
            "SELECT DISTINCT feature_set FROM main.benchmarks WHERE starts_with(feature_set, 'inpainting_a')"
        )
        assert sorted(name for (name,) in con.execute(query).fetchall()) == named


def test_a_borrowed_encoder_brings_its_settings(changed: Finished) -> None:
    folder = changed.spec.parent
    spec = write_spec(
        folder, name="other", root=str(folder / "images"), encoder_from="tiny", encoder={"width": 0.5}
    )
    workspace = Workspace(folder / "data")
    borrowed = workspace.load(spec)
    assert borrowed.encoder == workspace.load(changed.spec).encoder
    assert borrowed.feature_set == "inpainting_agreement_conv5"


def test_an_encoder_of_other_stages_is_refused(tmp_path: Path) -> None:
    screen = Workspace(tmp_path).load(write_spec(tmp_path, name="plain"))
    shape = NetworkConfig(screen.crop_channels, screen.structural, screen.protein, 16, 0.05)
    require_same_tasks(shape, screen, "tiny/1")
    with pytest.raises(EncoderError, match=r"of 6 stages; required: .* of 5 stages.*--retrain"):
        require_same_tasks(dataclasses.replace(shape, stages=6), screen, "tiny/1")


def test_a_layer_that_fits_the_tasks_is_analysed_unless_the_spec_names_one(tmp_path: Path) -> None:
    def feature_set(name: str, **keys: object) -> str:
        return Workspace(tmp_path).load(write_spec(tmp_path, name=name, **keys)).feature_set

    assert feature_set("plain") == "inpainting_conv3"
    assert feature_set("agreeing", encoder={"task": "agreement"}) == "agreement_conv5"
    assert feature_set("large", encoder={"stages": 6}) == "inpainting_conv4"
    assert feature_set("chosen", analyses={"feature_set": "classic"}) == "classic"
