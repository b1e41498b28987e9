"""The command `pcip`: every command is there and documented, help answers without heavy imports, errors are short."""

from __future__ import annotations

import importlib
import os
import sys

import click
import pytest
from click.testing import CliRunner

import pcip_assets
from pcip_assets.cli.main import COMMANDS, cli, main
from tests.assets.imports import HEAVY, imported_packages

NEEDED_BY_RUNS = {"dagster", "numpy", "polars", "pyarrow", "duckdb", "rich"}  # and by no help text


def test_help_imports_no_command_and_nothing_heavy() -> None:
    packages = imported_packages(
        "from pcip_assets.cli.main import cli; cli(['--help'], standalone_mode=False)"
    )
    assert "pcip_assets" in packages
    assert not packages & (HEAVY | NEEDED_BY_RUNS)


def test_help_of_a_run_does_not_import_dagster() -> None:
    packages = imported_packages(
        "from pcip_assets.cli.main import cli; cli(['run', '--help'], standalone_mode=False)"
    )
    assert not packages & (HEAVY | NEEDED_BY_RUNS)


def commands(group: click.Group, *names: str) -> dict[tuple[str, ...], click.Command]:
    """Every command and subcommand under a group."""
    context = click.Context(group)
    everything: dict[tuple[str, ...], click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        everything[*names, name] = command
        if isinstance(command, click.Group):
            everything |= commands(command, *names, name)
    return everything


def test_the_commands_and_options_that_users_rely_on_are_there() -> None:
    options = {
        " ".join(name): {
            option for parameter in command.params for option in parameter.opts if option[0] == "-"
        }
        for name, command in commands(cli).items()
    }
    expected = {
        "demo": {"--small"},
        "init": {
            *("--from", "--list"),
            *("--name", "--protein", "--structural", "--organism", "--diameter", "--layout", "--pattern"),
            *("--exclude", "--picture", "--yes", "--force"),
        },
        "check": {"--root", "--all", "--limit", "--picture"},
        "run": {"--root", "--shards", "--retrain", "--baselines", "--analyses"},
        "like": {"-n", "--by"},
        "sql": set(),
        "browse": {"--labels", "--as", "--port", "--allow-host"},
        "napari": {"--features"},
        "export": {"--to", "--features", "--where", "--out", "--overwrite"},
        "units": set(),
        "publish": {"--rebuild"},
        "ui": {"--dagster-port", "--mlflow-port"},
        "bench": {"--json", "--all", "--summary", "--medium", "--long"},
        "fetch": set(),
        "fetch check": set(),
        "fetch hpa": {
            *("--proteins", "--to", "--column", "--genes-table", "--base-url", "--image-base-url"),
            *("--channels", "--format", "--rate", "--connections", "--attempts"),
        },
    }
    assert set(options) == set(expected)
    for name, least in expected.items():
        assert least <= options[name], name


def test_every_command_and_option_has_a_help_text() -> None:
    listed = CliRunner().invoke(cli, ["--help"]).output
    for line in COMMANDS.values():
        assert line in listed
    for name, command in commands(cli).items():
        assert command.help, name
        assert command.name == name[-1]
        for parameter in command.params:
            assert isinstance(parameter, click.Argument) or parameter.help, (name, parameter)  # type: ignore[attr-defined]


def test_options_keep_their_former_names_as_errors() -> None:
    result = CliRunner().invoke(cli, ["run", "tiny", "--yardsticks"])
    assert result.exit_code == 2
    assert "--yardsticks is now called --baselines" in result.output
    assert "yardsticks" not in CliRunner().invoke(cli, ["run", "--help"]).output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 2, "No such command 'nothing'"),
        (["run"], 2, "Missing argument 'SCREEN'"),
        (["run", "nowhere.yaml"], 1, "pcip: nowhere.yaml: found no such file"),
    ],
)
def test_errors_end_in_one_message(
    arguments: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["pcip", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err + printed.out


def test_ctrl_c_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pcip_assets.cli.bench.run.print_benchmarks", interrupt)
    monkeypatch.setattr(sys, "argv", ["pcip", "bench"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 130
    assert "stopped" in capsys.readouterr().err


def test_usage_data_is_switched_off_before_mlflow_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    importlib.reload(pcip_assets)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
