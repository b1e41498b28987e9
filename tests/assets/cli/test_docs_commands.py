"""`docs/reference/commands.md` and the pages it links name every command, option and make target."""

from __future__ import annotations

import re

import click
import pytest

from pcip_assets.cli.main import COMMANDS, cli
from pcip_assets.workspace import REPOSITORY

PAGE = (REPOSITORY / "docs" / "reference" / "commands.md").read_text()
FETCHING = (REPOSITORY / "docs" / "reference" / "fetching.md").read_text()


def command(name: str) -> click.Command:
    """The command of that name."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def options_of(of: click.Command) -> set[str]:
    """The first name of each option of a command that its help lists."""
    return {
        parameter.opts[0]
        for parameter in of.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    }


def test_every_command_has_a_section() -> None:
    assert set(re.findall(r"^## `pcip (\w+)", PAGE, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "fetch"])
def test_the_table_of_a_command_has_its_options(name: str) -> None:
    section = re.split(rf"^## `pcip {name}\b", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(--?[\w-]+)` \|", section, re.MULTILINE)) == options_of(command(name))


def test_the_table_of_fetch_hpa_has_its_options() -> None:
    fetch = command("fetch")
    assert isinstance(fetch, click.Group)
    named = set(re.findall(r"^\| `(--[\w-]+)` \|", FETCHING, re.MULTILINE))
    assert named == options_of(fetch.commands["hpa"])
    assert "`pcip fetch check NAME FOLDER`" in PAGE


def test_every_make_target_is_listed() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)) - {"help"}
    assert set(re.findall(r"^\| `make (\w+)` \|", PAGE, re.MULTILINE)) == targets
