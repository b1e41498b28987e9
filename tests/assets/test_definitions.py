"""The definitions of all known screens, as Dagster loads them, and the jobs of one screen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from pcip_assets.cli.init.workspace import add_template
from pcip_assets.definitions import build_definitions, screen_assets
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.spec.loading import load_screen
from tests.assets.conftest import EVERYTHING, FEATURES
from tests.assets.imports import HEAVY, imported_packages
from tests.conftest import write_spec


def test_the_code_location_imports_nothing_heavy() -> None:
    packages = imported_packages("from pcip_assets.definitions import defs; defs()")
    assert "pcip_assets" in packages
    assert not packages & HEAVY


def as_line(asset: dg.AssetsDefinition) -> str:
    """Noun, group, partitions, pool, kinds and what an asset reads."""
    (spec,) = asset.specs
    reads = {
        dep.asset_key.path[-1] + "*" * isinstance(dep.partition_mapping, dg.AllPartitionMapping)
        for dep in spec.deps
    }
    partitions = asset.partitions_def
    assert (partitions is None) == (asset.backfill_policy is None)  # one run makes many shards
    assert list(spec.owners) == ["team:pcip"]
    assert spec.description
    columns = [
        spec.key.path[-1],
        spec.group_name,
        partitions.name if isinstance(partitions, dg.DynamicPartitionsDefinition) else None,
        asset.op.pool,  # type: ignore[union-attr]
        " ".join(sorted(spec.kinds)),
        " ".join(sorted(reads)),
    ]
    return " | ".join(column or "-" for column in columns)


def test_the_graph_of_a_screen_is_the_documented_one(tmp_path: Path) -> None:
    screen = load_screen(write_spec(tmp_path, baselines=EVERYTHING, features=FEATURES))
    _, *lines = Path(__file__).with_name("graph_of_a_screen.txt").read_text().splitlines()
    assert sorted(map(as_line, screen_assets(screen))) == lines


def jobs_of(folder: Path, **changes: object) -> dict[str, set[str]]:
    """Name of a job -> the nouns of the assets that it materializes."""
    screen = load_screen(write_spec(folder, **changes))
    definitions = build_definitions(Workspace(folder), [screen])
    return {
        job.name: {key.path[-1] for key in job.asset_layer.executable_asset_keys}
        for job in definitions.resolve_all_job_defs()
        if job.name.startswith("tiny_")
    }


def test_each_job_materializes_what_its_name_says(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path)
    assert set(jobs) == {
        f"tiny_{name}" for name in ("shards", "features", "analyses", "baselines", "training", "all")
    }
    assert jobs["tiny_shards"] == {"fields", "crops", "cell_features", "control_features"}
    assert jobs["tiny_training"] == {"encoder", "mismatch"}  # its check warns of an encoder that cheats
    assert "mismatch" in jobs["tiny_features"]
    assert jobs["tiny_features"] == jobs["tiny_all"] - {"encoder"}
    assert {"yardstick_benchmark", "yardstick_protein_features"} < jobs["tiny_baselines"]
    assert {"clusters", "maps", "mismatch", "analysis_report"} < jobs["tiny_analyses"]


def test_a_screen_that_borrows_its_encoder_has_no_training(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, encoder_from="other", baselines={"sets": []})
    assert set(jobs) == {"tiny_shards", "tiny_features", "tiny_analyses"}
    assert not {"encoder", "mismatch"} & jobs["tiny_features"]


def test_features_alone_are_compared(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, baselines={"sets": []}, features={"mine": FEATURES["mine"]})
    assert {"mine_features", "yardstick_benchmark", "umap"} < jobs["tiny_baselines"]
    assert "designed_features" not in jobs["tiny_baselines"]


def test_a_remembered_spec_with_a_former_key_is_left_out_with_a_warning(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data")
    add_template(workspace, "simulated_human")
    spec = write_spec(tmp_path)
    workspace.find(str(spec))
    spec.write_text(yaml.safe_dump({**yaml.safe_load(spec.read_text()), "yardsticks": {"sets": ["classic"]}}))
    code = (
        "from pcip_assets.definitions import defs; "
        "print(*sorted({key.path[0] for key in defs().resolve_all_asset_keys()}))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, "PCIP_DATA": str(workspace.data)},
        capture_output=True,
        text=True,
        check=True,
    )
    screens = process.stdout.split()
    assert screens == ["simulated_human"]  # and none of the other screens that come with pcip
    assert "screen left out" in process.stderr
    assert "Rename `yardsticks:` to `baselines:`" in process.stderr


def test_a_dagster_instance_with_a_former_job_name_goes_on(tmp_path: Path) -> None:
    """Runs and materializations of the job `<screen>_yardsticks` stay; the job is `<screen>_baselines` now."""
    key = dg.AssetKey(["tiny", "yardstick_benchmark"])

    @dg.asset(key=key, group_name="tiny_yardsticks")
    def former() -> None:
        pass

    former_job = dg.define_asset_job("tiny_yardsticks", dg.AssetSelection.groups("tiny_yardsticks"))
    definitions = build_definitions(Workspace(tmp_path), [load_screen(write_spec(tmp_path))])
    with dg.instance_for_test() as instance:
        run = dg.Definitions([former], jobs=[former_job]).resolve_job_def("tiny_yardsticks")
        run_id = run.execute_in_process(instance=instance).run_id
        event = instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.run_id == run_id
    assert key in {asset.key for asset in definitions.assets or () if isinstance(asset, dg.AssetsDefinition)}
    with pytest.raises(dg.DagsterInvariantViolationError, match="tiny_yardsticks"):
        definitions.resolve_job_def("tiny_yardsticks")
