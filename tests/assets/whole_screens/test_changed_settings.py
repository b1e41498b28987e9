"""A spec that changed after the training, and a training with other settings than the spec's, through Dagster."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from pcip_assets.cli.check import command as check
from pcip_assets.records.settings import trained_as
from pcip_assets.tracking import Tracking
from pcip_core.errors import SpecError
from pcip_core.store.publish import connect
from tests.assets.conftest import QUICK, Finished


def test_a_changed_section_is_noticed_and_one_run_may_differ_from_the_spec(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One story, as a run costs seconds."""
    encoder = {**finished.screen.resolved()["encoder"], "width": 0.1}
    made = finished.copied(tmp_path, encoder=encoder, baselines={"sets": [], **QUICK})
    tracking, before = Tracking(data=str(made.workspace.data)), made.commits()
    outcome = made.again()
    assert outcome.success, outcome.error
    assert not outcome.trained
    (warning,) = [text for text in outcome.warnings if "trained_as_the_spec_says" in text]
    assert "tiny/1 was trained otherwise than the spec says now: width 0.05 → 0.1" in warning
    assert "pcip run tiny --retrain" in warning
    after = made.commits()
    controls = {key for key in before if key[0].startswith("cell_features_untrained")}
    assert controls
    assert {key: after[key] for key in controls} == {key: before[key] for key in controls}, (
        "as wide as the encoder"
    )

    monkeypatch.setenv("PCIP_DATA", str(made.workspace.data))
    printed = CliRunner().invoke(check, [str(made.spec)], catch_exceptions=False)
    assert printed.exit_code == 0
    assert "width 0.05 → 0.1" in printed.output

    outcome = made.again(settings={"epochs": 1, "width": 0.1})
    assert outcome.success, outcome.error
    assert outcome.trained
    assert any("epochs 1 → 2" in text for text in outcome.warnings)
    champion = tracking.champion("tiny")
    assert champion.version == "tiny/2"
    assert champion.tags["overrides"] == "epochs=1", "the width is the spec's"
    trained = trained_as(made.workspace, made.screen)
    assert trained is not None
    assert (trained.settings.epochs, trained.overrides) == (1, {"epochs": 1})
    client = MlflowClient(made.workspace.mlflow_uri)
    run = client.get_run(champion.run_id)
    assert run.info.run_name.endswith("(epochs=1)")
    assert (run.data.params["epochs"], run.data.params["width"]) == ("1", "0.1")
    with connect(made.workspace.published) as con:
        rows = con.sql("SELECT feature_set, encoder_overrides FROM main.feature_sets").fetchall()
    assert {text for name, text in rows if name.startswith("inpainting")} == {"epochs=1"}
    assert {text for name, text in rows if name.startswith(("untrained", "intensity"))} == {None}
    features = client.search_runs([run.info.experiment_id], "tags.overrides = 'epochs=1'")
    assert {each.data.tags["kind"] for each in features} == {"training", "extraction", "evaluation"}

    for settings, message in (({"width": 9.0}, "width 9.0"), ({"epochs": -1}, "epochs -1")):
        with pytest.raises(SpecError, match=message):
            made.again(settings=settings)
