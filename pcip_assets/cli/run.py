"""`pcip run`: a screen from images to features and scores, as Dagster runs in this process.

Dagster is imported inside the functions that need it, because importing it takes longer than `pcip run --help` should.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcip_assets.servers.instance import open_instance
from pcip_assets.workspace import DEFINITIONS, LOCATION, Workspace
from pcip_core.errors import PcipError, SpecError
from pcip_core.spec.screen import Screen
from pcip_core.words import escaped, escaped_lines

if TYPE_CHECKING:
    import dagster as dg


@click.command("run")
@click.argument("screen")
@click.option("--root", metavar="FOLDER", help="Folder of the screen's images; pcip remembers it.")
@click.option(
    "--shards", metavar="A,B,...", help="Process only these shards, which must be neighbours; default: all."
)
@click.option("--retrain", is_flag=True, help="Train a new encoder, even if the screen has one.")
@click.option(
    "--epochs", type=int, metavar="N", help="Train a new encoder with this number of epochs, this time."
)
@click.option("--width", type=float, metavar="X", help="Train a new encoder of this width, for this run.")
@click.option(
    "--learning-rate",
    type=float,
    metavar="X",
    help="Train a new encoder with this learning rate, for this run.",
)
@click.option("--baselines", is_flag=True, help="Also compute and score the baseline feature sets.")
@click.option("--analyses", is_flag=True, help="Also cluster the proteins, and analyse clusters and cells.")
@click.option("--yardsticks", is_flag=True, hidden=True, help="The former name of --baselines.")
def command(
    screen: str,
    root: str | None,
    shards: str | None,
    *,
    retrain: bool,
    baselines: bool,
    analyses: bool,
    yardsticks: bool,
    **settings: float | None,
) -> None:
    """Take SCREEN from images to single-cell features and scores.

    SCREEN is the path of a spec, or the name of a known screen. Results that are up to date are kept. An encoder
    is trained if the screen has none. --epochs, --width and --learning-rate hold for one training; the spec stays as
    it is. The table of scores is printed at the end.
    """
    from pcip_assets.cli.results import feature_set_used, print_results
    from pcip_assets.cli.simulated import ensure_simulated

    if yardsticks:
        raise click.UsageError("the option --yardsticks is now called --baselines")
    workspace = Workspace.current()
    workspace.require_writable()
    if not workspace.data.exists() and Path(screen).is_file():
        click.echo(f"new workspace: all results are written under {workspace.data}")
    loaded = workspace.find(screen, root=root)
    ensure_simulated(loaded)
    chosen = shards.split(",") if shards else None
    given = {name: value for name, value in settings.items() if value is not None}
    bring_up_to_date(
        workspace,
        loaded,
        shards=chosen,
        retrain=retrain,
        settings=given,
        baselines=baselines,
        analyses=analyses,
    )
    print_results(workspace, [loaded.name], {loaded.name: feature_set_used(loaded)})


def bring_up_to_date(
    workspace: Workspace,
    screen: Screen,
    *,
    shards: Sequence[str] | None = None,
    retrain: bool = False,
    settings: Mapping[str, float] | None = None,
    baselines: bool = False,
    analyses: bool = False,
) -> None:
    """`run_screen`, with what it does printed.

    Raises:
        click.ClickException: the run failed.
    """
    title = " ".join((screen.description or screen.organism).split())
    click.secho(f"{screen.name}: {escaped(title)}", bold=True)
    start = time.perf_counter()
    outcome = run_screen(
        workspace,
        screen,
        shards=shards,
        retrain=retrain,
        settings=settings,
        baselines=baselines,
        analyses=analyses,
    )
    for warning in outcome.warnings:
        click.secho(f"  {escaped(warning)}", fg="yellow")
    if not outcome.success:
        raise click.ClickException(f"{escaped_lines(str(outcome.error))}\n(Dagster run {outcome.run_id})")
    click.echo(f"  done in {time.perf_counter() - start:.0f} s (Dagster run {outcome.run_id})")


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        run_id: the last Dagster run.
        success: whether all runs succeeded.
        trained: whether an encoder was trained.
        error: the message of the error that stopped the run.
        warnings: what `pcip check` says of the listing of files, and the messages of failed checks that do not stop a
            run, each once.
    """

    run_id: str
    success: bool
    trained: bool
    error: str | None = None
    warnings: tuple[str, ...] = ()


def run_screen(
    workspace: Workspace,
    screen: Screen,
    *,
    shards: Sequence[str] | None = None,
    retrain: bool = False,
    settings: Mapping[str, float] | None = None,
    baselines: bool = False,
    analyses: bool = False,
    instance: "dg.DagsterInstance | None" = None,
) -> RunOutcome:
    """Bring a screen up to date. Results that are up to date are kept; an encoder is trained if there is none.

    Args:
        workspace: the folders of all results.
        screen: the screen to run.
        shards: the shards to process; by default every shard under the screen's root.
        retrain: train a new encoder on the crops of all shards.
        settings: train a new encoder with these settings of `encoder` instead of the spec's.
        baselines: also compute and score the baseline feature sets.
        analyses: also cluster the proteins and analyse clusters and cells.
        instance: the Dagster instance, by default that of the workspace.

    Raises:
        SpecError: a shard or the segmentation method does not exist, an option of the method is invalid, or the
            shards are not neighbours.
        RootError: the screen has no root, or no file matches.
        KeyboardInterrupt: the user stopped it.
    """
    from pcip_assets.dagster_compat import partition_range_tags, shown_on_timeline
    from pcip_assets.definitions import build_definitions
    from pcip_assets.partitions import register_shards
    from pcip_assets.recovery.killed_runs import process_tags
    from pcip_core.images.layout import scan
    from pcip_core.segmentation import check_segmentation

    check_segmentation(screen)
    layout = scan(screen)
    warnings = layout.listing(screen).lines()
    instance = instance or open_instance(workspace)
    existing = register_shards(instance, screen, layout)
    registered = instance.get_dynamic_partitions(f"{screen.name}_shards")
    first, last = _range_of(screen, existing if shards is None else shards, existing, registered)
    jobs = _jobs(
        workspace, screen, retrain=retrain, settings=settings or {}, baselines=baselines, analyses=analyses
    )
    definitions = build_definitions(workspace, [screen])
    if baselines and not screen.compares:
        warnings.append("no baselines to compute: the spec has no `baselines.sets` and no `features`")
    for job, config in jobs.items():
        run_id = str(uuid.uuid4())
        with shown_on_timeline(instance, LOCATION, DEFINITIONS):
            result = definitions.resolve_job_def(f"{screen.name}_{job}").execute_in_process(
                instance=instance,
                run_config={"loggers": {"console": {}}, **config},
                tags=partition_range_tags(first, last) | process_tags(run_id),
                run_id=run_id,
                raise_on_error=False,
            )
        if _was_interrupted(result):
            click.echo("  what is complete is kept: the same command goes on from there", err=True)
            raise KeyboardInterrupt
        warnings += _warnings(result)
        if not result.success:
            break
    error = None if result.success else _reason(result)
    return RunOutcome(result.run_id, result.success, "all" in jobs, error, tuple(dict.fromkeys(warnings)))


def _jobs(
    workspace: Workspace,
    screen: Screen,
    *,
    retrain: bool,
    settings: Mapping[str, float],
    baselines: bool,
    analyses: bool,
) -> dict[str, dict[str, Any]]:
    """Job -> its run configuration, in the order in which they run. The job `all` trains an encoder.

    Raises:
        SpecError: `settings` has an invalid value, or the screen borrows its encoder.
        EncoderError: the screen borrows an encoder that is not trained.
        TrainingError: proteins are to be left out of the training, and nothing ranks them.
    """
    from pcip_assets.assets.encoders.left_out import require_ranking
    from pcip_assets.tracking import Tracking

    if settings:
        _check_settings(screen, settings)
    tracking = Tracking(data=str(workspace.data))
    if screen.encoder_from is not None:
        tracking.require_champion(screen.encoder_from)
    train = screen.encoder_from is None and (
        retrain or bool(settings) or not tracking.has_champion(screen.name)
    )
    if train and screen.encoder.leave_out is not None:
        require_ranking(workspace, screen)
    force = {"ops": {f"{screen.name}__encoder": {"config": {"force": retrain, **settings}}}}
    jobs: dict[str, dict[str, Any]] = {"all": force} if train else {"features": {}}
    if baselines and screen.compares:
        jobs["baselines"] = {}
    if analyses:
        jobs["analyses"] = {}
    return jobs


def _check_settings(screen: Screen, settings: Mapping[str, float]) -> None:
    """Check settings of one training before any work.

    Raises:
        SpecError: the screen borrows its encoder, or a value is invalid.
    """
    from pcip_core.spec.loading import encoder_config

    if screen.encoder_from is not None:
        raise SpecError(
            f"screen {screen.name}",
            found=f"an encoder that it borrows from {screen.encoder_from}",
            required="a screen that trains its own encoder",
            remedy=f"Give the options to `pcip run {screen.encoder_from}`.",
        )
    encoder_config(screen.section("encoder")["encoder"] | dict(settings), f"screen {screen.name}")


def _range_of(
    screen: Screen, chosen: Sequence[str], existing: Sequence[str], registered: Sequence[str]
) -> tuple[str, str]:
    """The first and the last of the chosen shards in Dagster's order; one run covers one range of partitions."""
    unknown = [shard for shard in chosen if shard not in existing]
    if unknown:
        raise SpecError(
            f"screen {screen.name}",
            found=f"no shard {', '.join(unknown)}",
            required=f"some of {', '.join(existing)}",
            remedy="Correct --shards.",
        )
    order = [shard for shard in registered if shard in chosen]
    span = registered[registered.index(order[0]) : registered.index(order[-1])]
    between = [shard for shard in span if shard not in order]
    if between:
        raise SpecError(
            f"screen {screen.name}",
            found=f"--shards {','.join(order)} without {', '.join(between)}, which lies between them",
            required="shards that follow each other, because one run covers one range",
            remedy=f"Add {', '.join(between)}, or run the shards one after the other.",
        )
    return order[0], order[-1]


def _warnings(result: "dg.ExecuteInProcessResult") -> list[str]:
    """The messages of failed checks that do not stop the run."""
    import dagster as dg

    return [
        f"{check.asset_key.to_user_string()}: the check {check.check_name} warns: "
        + (check.description or str(check.metadata["first_offenders"].value))
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    ]


def _was_interrupted(result: "dg.ExecuteInProcessResult") -> bool:
    """Whether Ctrl-C or SIGTERM ended a step: Dagster turns both into an error of the step."""
    errors = (event.step_failure_data.error for event in result.all_events if event.is_step_failure)
    return any(error is not None and error.cls_name == "DagsterExecutionInterruptedError" for error in errors)


def _reason(result: "dg.ExecuteInProcessResult") -> str:
    """Why a run failed: the failed check and its offenders, or the user's error behind the first failed step."""
    import dagster as dg

    for check in result.get_asset_check_evaluations():
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
            offenders = check.metadata["first_offenders"].value
            return f"{check.asset_key.to_user_string()}: the check {check.check_name} failed: {offenders}"
    user_errors = {error.__name__ for error in _subclasses(PcipError)}
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None:
                if error.cls_name in user_errors or error.cause is None:
                    return f"{event.step_key}: {error.message.strip()}"
                error = error.cause
    return "the run failed; its log is in the Dagster UI (pcip ui)"


def _subclasses(cls: type[PcipError]) -> set[type[PcipError]]:
    """A class and all classes derived from it."""
    return {cls}.union(*(_subclasses(derived) for derived in cls.__subclasses__()))
