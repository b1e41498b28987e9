"""Running a screen from the command line: one Dagster run in this process, on the shared instance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from pcip_assets.definitions import build_definitions
from pcip_assets.partitions import register_shards
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.errors import PcipError, SpecError
from pcip_core.segmentation import segmenter
from pcip_core.spec.screen import Screen

_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass(frozen=True)
class RunOutcome:
    """What a run did: the Dagster run, the user's error if one stopped it, and what checks warn of."""

    run_id: str
    success: bool
    trained: bool
    error: str | None = None
    warnings: tuple[str, ...] = ()


def dagster_home(workspace: Workspace) -> Path:
    """The Dagster home of a workspace: the repository's dagster.yaml with its paths made absolute."""
    home = workspace.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    settings["storage"]["sqlite"]["base_dir"] = str(home)
    settings["compute_logs"]["config"]["base_dir"] = str(home / "compute_logs")
    settings["local_artifact_storage"]["config"]["base_dir"] = str(home)
    text = yaml.safe_dump(settings)
    target = home / "dagster.yaml"
    if not target.is_file() or target.read_text() != text:
        target.write_text(text)
    return home


def open_instance(workspace: Workspace) -> dg.DagsterInstance:
    """The Dagster instance of a workspace; the one that `dagster dev` opens at the repository's root."""
    return dg.DagsterInstance.from_config(str(dagster_home(workspace)))


def run_screen(
    workspace: Workspace,
    screen: Screen,
    *,
    shards: Sequence[str] | None = None,
    retrain: bool = False,
    baselines: bool = False,
    analyses: bool = False,
    instance: dg.DagsterInstance | None = None,
) -> RunOutcome:
    """Bring a screen up to date: what is fresh is left; an encoder is trained when there is none.

    Args:
        workspace: where everything lies.
        screen: what to run.
        shards: only these; by default every shard under the screen's root.
        retrain: train again, on the crops of all shards.
        baselines: make the other feature sets too, and score them beside the learned ones.
        analyses: cluster the proteins too, and find what the clusters are known for.
        instance: another instance than the workspace's own, for tests.

    Raises:
        SpecError: a shard that is asked for, or the segmentation method, is not there.
        RootError: the screen has no root, or nothing matches.
    """
    segmenter(screen.segmentation.method)
    instance = instance or open_instance(workspace)
    found = register_shards(instance, screen)
    chosen = list(shards) if shards is not None else found
    unknown = [shard for shard in chosen if shard not in found]
    if unknown:
        raise SpecError(
            f"screen {screen.name}",
            found=f"no shard {', '.join(unknown)}",
            required=f"some of {', '.join(found)}",
            remedy="Correct --shards.",
        )
    order = [key for key in instance.get_dynamic_partitions(f"{screen.name}_shards") if key in chosen]
    _require_neighbours(order, instance.get_dynamic_partitions(f"{screen.name}_shards"), screen)
    train = screen.encoder_from is None and (
        retrain or not Tracking(data=str(workspace.data)).has_champion(screen.name)
    )
    definitions = build_definitions(workspace, [screen])
    force = {"ops": {f"{screen.name}__encoder": {"config": {"force": retrain}}}}
    jobs: dict[str, dict[str, Any]] = {"all": force} if train else {"features": {}}
    if baselines and screen.baselines.sets:
        jobs["baselines"] = {}
    if analyses:
        jobs["analyses"] = {}
    warnings: list[str] = []
    for name, config in jobs.items():
        result = definitions.resolve_job_def(f"{screen.name}_{name}").execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {}}, **config},
            tags={_RANGE[0]: order[0], _RANGE[1]: order[-1]},
            raise_on_error=False,
        )
        warnings += _warned(result)
        if not result.success:
            break
    error = None if result.success else _why(result)
    return RunOutcome(result.run_id, result.success, train, error, tuple(warnings))


def _require_neighbours(order: list[str], known: Sequence[str], screen: Screen) -> None:
    """One Dagster run covers one range of partitions."""
    between = [key for key in known[known.index(order[0]) : known.index(order[-1])] if key not in order]
    if between:
        raise SpecError(
            f"screen {screen.name}",
            found=f"--shards {','.join(order)} without {', '.join(between)}, between them",
            required="shards that follow each other, as one run covers one range",
            remedy=f"Name {', '.join(between)} too, or run the shards one after the other.",
        )


def _warned(result: dg.ExecuteInProcessResult) -> list[str]:
    """What the checks that stop nothing have found."""
    return [
        f"{check.asset_key.to_user_string()}: the check {check.check_name} warns: "
        + (check.description or str(check.metadata["first_offenders"].value))
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    ]


def _why(result: dg.ExecuteInProcessResult) -> str:
    """The check that failed and its offenders; else the user's own error of the first failed step, or any."""
    for check in result.get_asset_check_evaluations():
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
            offenders = check.metadata["first_offenders"].value
            return f"{check.asset_key.to_user_string()}: the check {check.check_name} failed: {offenders}"
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None:
                if error.cls_name in {cls.__name__ for cls in _all_errors()} or error.cause is None:
                    return f"{event.step_key}: {error.message.strip()}"
                error = error.cause
    return "the run failed; see its log in the Dagster UI"


def _all_errors() -> set[type[PcipError]]:
    todo, found = [PcipError], {PcipError}
    while todo:
        for cls in todo.pop().__subclasses__():
            found.add(cls)
            todo.append(cls)
    return found
