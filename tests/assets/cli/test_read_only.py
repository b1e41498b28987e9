"""Data that cannot be written: the commands say so in words, before any work, and `pcip like` still lists."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from matplotlib.figure import Figure

from pcip_assets.cli.main import main
from pcip_assets.workspace import Workspace
from pcip_core.errors import StoreError, WriteError
from pcip_core.spec.templates import TEMPLATES


def ended(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of a command."""
    monkeypatch.setattr(sys, "argv", ["pcip", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data on which nothing can be written, also for root."""
    data = tmp_path / "data"
    (data / "store").mkdir(parents=True)
    (data / "screens").mkdir()
    (data / "screens" / "simulated_yeast.yaml").write_bytes(TEMPLATES["simulated_yeast"].read_bytes())
    monkeypatch.setenv("PCIP_DATA", str(data))
    real = os.access

    def access(path: Path, mode: int) -> bool:
        return real(path, mode) and not (mode & os.W_OK and str(path).startswith(str(data)))

    monkeypatch.setattr("pcip_assets.workspace.os.access", access)
    return data


@pytest.mark.parametrize("command", [["run", "simulated_yeast"], ["demo"], ["init"]])
def test_run_demo_and_init_say_so_before_any_work(command, read_only, monkeypatch, capsys) -> None:
    before = sorted(read_only.rglob("*"))
    assert ended(command, monkeypatch) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"pcip: {read_only}: found {read_only} without permission to write")
    assert "PCIP_DATA" in message
    assert sorted(read_only.rglob("*")) == before


def test_a_folder_that_does_not_exist_yet_is_judged_by_its_parent(read_only: Path) -> None:
    with pytest.raises(WriteError, match=f"{read_only / 'new'}: found {read_only} without permission"):
        Workspace(read_only / "new").require_writable()


def test_a_writable_folder_passes_and_stays_as_it_is(tmp_path: Path) -> None:
    Workspace(tmp_path / "data").require_writable()
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_not_mounted_is_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "store").symlink_to(tmp_path / "mount")
    with pytest.raises(StoreError, match=r"store: found a link to .*mount, which is not there"):
        Workspace(tmp_path).require_writable()
    (tmp_path / "mount").mkdir()
    Workspace(tmp_path).require_writable()


def test_a_file_with_a_url_need_not_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").write_text("s3://bucket/prefix")
    real = os.access
    monkeypatch.setattr(
        "pcip_assets.workspace.os.access", lambda path, mode: path.name != "store" and real(path, mode)
    )
    Workspace(tmp_path).require_writable()


def test_a_database_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow").mkdir()
    database = tmp_path / "mlflow" / "mlflow.db"
    database.touch()
    real = os.access
    monkeypatch.setattr(
        "pcip_assets.workspace.os.access", lambda path, mode: path != database and real(path, mode)
    )
    with pytest.raises(WriteError, match=r"mlflow\.db"):
        Workspace(tmp_path).require_writable()


def test_like_lists_and_says_that_the_gallery_is_not_written(
    read_only: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nearest = SimpleNamespace(table=pl.DataFrame({"protein": ["AAC1"], "distance": [0.5]}), figure=Figure())
    monkeypatch.setattr("pcip_assets.assets.analyses.nearest.find_nearest", lambda *args, **kwargs: nearest)

    def refuse(figure: Figure, path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path.parent))

    monkeypatch.setattr("pcip_core.plots.pictures.save_png", refuse)
    assert ended(["like", "simulated_yeast", "SIMP001"], monkeypatch) == 1
    printed = capsys.readouterr()
    assert "AAC1" in printed.out
    assert "reports/simulated_yeast: found read-only file system" in printed.err


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_an_error_of_writing_ends_any_command_in_one_message(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise OSError(number, os.strerror(number), "/data/x")

    monkeypatch.setattr("pcip_assets.cli.fetch.print_sources", refuse)
    assert ended(["fetch"], monkeypatch) == 1
    assert capsys.readouterr().err.startswith(
        f"pcip: /data/x: found {os.strerror(number).lower()}; required: perm"
    )
