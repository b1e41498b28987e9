"""`pcip sql`: an argument, the standard input, a prompt, and what DuckDB refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pcip_assets.cli.queries import sql
from pcip_assets.workspace import Workspace
from pcip_core.errors import StoreError
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from tests.core.store import small


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data with a published screen `scr`."""
    workspace = Workspace(tmp_path_factory.mktemp("sql"))
    store = Store(workspace.store)
    small.fill(store, "scr", plates=1)
    publish(store, workspace.published)
    return workspace.data


def run(data: Path, *arguments: str, lines: str = "") -> Result:
    result = CliRunner().invoke(sql.command, arguments, input=lines, env={"PCIP_DATA": str(data)})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def numbers(output: str) -> list[int]:
    """The numbers that stand alone in the rows of printed tables."""
    return [int(number) for number in re.findall(r"│ +(\d+) │", output)]


def test_an_argument_and_the_standard_input(data: Path, tmp_path: Path) -> None:
    count = len(Store(data / "store").read("scr", "cells"))
    assert numbers(run(data, "SELECT count(*) FROM scr.cells").output) == [count]
    for comment in ("-- how many\n", "--how many\n"):  # which is no option
        assert numbers(run(data, f"{comment}SELECT count(*) FROM scr.cells").output) == [count]
    assert run(data, "--nothing").exit_code == 2
    assert numbers(run(data, lines="SELECT 1 -- 'é';\n;\n-- two\nSELECT 2").output) == [1, 2]
    run(data, f"COPY (FROM scr.cells) TO '{tmp_path / 'cells.csv'}'")
    assert len((tmp_path / "cells.csv").read_text().splitlines()) == count + 1


def test_nothing_can_be_written_and_the_remedy_lists_the_tables(data: Path) -> None:
    for query in ("DELETE FROM scr.cells", "SELEC 1", "FROM scr.nothing", "FROM scr.like_cells('x', 3)"):
        with pytest.raises(StoreError) as refused:
            run(data, query)
    (remedy,) = re.findall(r'pcip sql "([^"]+)"', refused.value.remedy)
    listed = set(re.findall(r"│ scr +│ (\w+) +│", run(data, remedy).output))
    assert {"cells", "images", "quarantine", "protein_features_inpainting_conv4"} <= listed  # whole names
    assert "image_id" in run(data, "DESCRIBE scr.cells").output
    assert "cells" in run(data, "SHOW TABLES FROM scr").output


def test_a_prompt_goes_on_after_an_error(
    data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = ["SELEC 1;", "", "SELECT", "7;"]

    def answered(_: str) -> str:
        if not lines:
            raise EOFError
        return lines.pop(0)

    monkeypatch.setenv("PCIP_DATA", str(data))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answered)
    assert sql.command.callback is not None
    sql.command.callback(None)
    printed = capfd.readouterr()
    assert "syntax error" in printed.err
    assert numbers(printed.out) == [7]
