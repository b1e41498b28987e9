"""Settings of a champion and of the spec: what is noticed, from which files, and what a user is told to do."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pcip_assets.records.settings import OVERRIDES, SETTINGS, trained_as
from pcip_assets.tracking import Encoder, Tracking
from pcip_assets.workspace import Workspace
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from tests.conftest import write_spec


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    return load_screen(write_spec(tmp_path))


def registered(folder: Path, screen: Screen, *, extra: dict[str, Any], spec: Any = None) -> Workspace:
    """A workspace with one champion whose file has these values; `spec` is logged as earlier versions of pcip did."""
    workspace, files = Workspace(folder / "data"), folder / "files"
    tracking = Tracking(data=str(workspace.data))
    files.mkdir()
    (files / "encoder.safetensors").write_bytes(b"weights")
    (files / "config.json").write_text(json.dumps({"extra": extra}))
    run_id = tracking.log_extraction(screen.name, Encoder("tiny/0", "", files, {}), params={}, metrics={})
    if spec is not None:
        tracking.log_document(run_id, "resolved_spec.json", spec)
    tracking.register(screen.name, screen.name, run_id, files, {})
    return workspace


def changed(screen: Screen, **settings: Any) -> Screen:
    return dataclasses.replace(screen, encoder=dataclasses.replace(screen.encoder, **settings))


def test_a_changed_section_names_what_differs_and_how_to_train_again(tmp_path: Path, screen: Screen) -> None:
    saved = {**screen.section("encoder")["encoder"], "epochs": 5}
    workspace = registered(tmp_path, screen, extra={SETTINGS: saved, OVERRIDES: {"epochs": 5}})
    trained = trained_as(workspace, screen)
    assert trained is not None
    assert trained.differs(changed(screen, epochs=5, processes=3, device="cpu", preview_every=9)) is None
    text = trained.differs(changed(screen, width=0.25, task={"inpainting": 1, "agreement": 0.1}))
    assert text is not None
    for part in (
        "tiny/1",
        "epochs 5 → 2",
        "width 0.05 → 0.25",
        "task {'inpainting': 1.0} → ",
        "epochs=5 for this",
    ):
        assert part in text
    assert text.endswith("pcip run tiny --retrain")

    moved = Workspace(workspace.data.rename(tmp_path / "moved"))
    assert trained_as(moved, screen) == trained, "before MLflow's database knows of it"
    borrower = dataclasses.replace(screen, name="other", encoder_from="tiny")
    assert trained_as(moved, borrower) == trained


def test_networks_of_earlier_versions_have_the_settings_of_their_spec(tmp_path: Path, screen: Screen) -> None:
    saved = screen.resolved()
    del saved["encoder"]["augment"]  # a setting that did not exist
    workspace = registered(tmp_path, screen, extra={"screen": "tiny"}, spec=saved)
    trained = trained_as(workspace, screen)
    assert trained is not None
    assert trained.settings == screen.encoder
    assert "width 0.05 → 1.0" in str(trained.differs(changed(screen, width=1.0)))


@pytest.mark.parametrize(
    "extra", [{}, {SETTINGS: {"width": "wide"}}, {SETTINGS: {"a key of a later version": 1}}]
)
def test_nothing_is_claimed_where_no_file_says_it(
    tmp_path: Path, screen: Screen, extra: dict[str, Any]
) -> None:
    assert trained_as(Workspace(tmp_path / "nothing"), screen) is None
    assert trained_as(registered(tmp_path, screen, extra=extra), screen) is None
