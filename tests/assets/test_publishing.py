"""A result that cannot be published fails its run, in whichever way the run was started."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from pcip_assets.cli.run import open_instance
from pcip_assets.definitions import build_definitions
from pcip_assets.partitions import register_shards
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect
from tests.assets.cli.test_run import pcip
from tests.conftest import write_tiny_screen


def block(workspace: Workspace) -> None:
    """Make it impossible to replace the published file: a folder is in its place."""
    (workspace.published / "x").mkdir(parents=True)


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Step -> the messages of its error and of its causes."""
    messages = {}
    for event in result.get_step_failure_events():
        error, texts = event.step_failure_data.error, []
        while error is not None:
            texts.append(error.message)
            error = error.cause
        messages[str(event.step_key)] = "".join(texts)
    return messages


def test_a_result_that_is_not_published_fails_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One workspace for all: assets from the UI, a job as a sensor or a backfill starts it, and the command line."""
    spec = write_tiny_screen(tmp_path, plates=1, images=2)
    workspace = Workspace(tmp_path / "data")
    screen = workspace.find(str(spec))
    instance = open_instance(workspace)
    register_shards(instance, screen)
    block(workspace)
    monkeypatch.setattr(Tracking, "has_champion", lambda *_: True)  # the run fails before it needs a network
    definitions = build_definitions(workspace, [screen])
    fields = dg.AssetKey(["tiny", "fields"])
    for job, selection in (
        (definitions.resolve_implicit_global_asset_job_def(), [fields]),
        (definitions.resolve_job_def("tiny_shards"), None),
    ):
        result = job.execute_in_process(
            instance=instance, asset_selection=selection, partition_key="plate_1", raise_on_error=False
        )
        assert not result.success
        assert list(failures(result)) == ["tiny__fields"]
        assert "feature_store.duckdb: found that it cannot be written" in failures(result)["tiny__fields"]
        assert "tiny.fields plate_1" in failures(result)["tiny__fields"]
        assert "then: pcip publish" in failures(result)["tiny__fields"]
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.FAILURE
    assert Store(workspace.store).has("tiny", "fields", "plate_1"), "the result itself is kept"

    assert pcip(monkeypatch, tmp_path, "run", str(spec)) == 1
    printed = capsys.readouterr()
    assert "then: pcip publish" in printed.err
    assert "done" not in printed.out
    assert pcip(monkeypatch, tmp_path, "publish") == 1
    assert "then: pcip publish" in capsys.readouterr().err

    shutil.rmtree(workspace.published)
    assert pcip(monkeypatch, tmp_path, "publish") == 0
    assert "partitions loaded, 0 dropped" in capsys.readouterr().out
    assert pcip(monkeypatch, tmp_path, "publish") == 0
    assert "no changes" in capsys.readouterr().out
    assert pcip(monkeypatch, tmp_path, "publish", "--rebuild") == 0
    assert "partitions loaded, 0 dropped" in capsys.readouterr().out
    with connect(workspace.published) as con:
        assert con.sql("SELECT count(*) FROM tiny.fields").fetchall() == [(2,)]


def test_an_error_of_the_asset_itself_is_not_hidden(tmp_path: Path) -> None:
    library = Library(data=str(tmp_path / "data"))
    block(library.workspace)
    with (
        pytest.raises(ValueError, match="of the asset") as failed,
        library.publishing(dg.build_asset_context().log),
    ):
        raise ValueError("of the asset")
    assert "then: pcip publish" in failed.value.__notes__[0]
