"""The known screens of a workspace, and what it remembers of them."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
import yaml

from pcip_assets.workspace import Workspace
from pcip_core.errors import DuplicateScreenError, SpecError
from tests.conftest import write_spec


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data")


def test_a_spec_from_elsewhere_and_its_root_are_remembered(workspace: Workspace, tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    assert workspace.find(str(spec), root=str(tmp_path)).root == str(tmp_path)
    again = Workspace(workspace.data)
    assert again.screens()[0]["tiny"].root == str(tmp_path)
    assert again.spec_path(spec.stem) == spec
    spec.unlink()
    assert "tiny" not in again.screens()[0]


def test_what_lies_in_a_workspace_is_remembered_relative_to_it(workspace: Workspace, tmp_path: Path) -> None:
    (inside := workspace.data / "raw").mkdir(parents=True)
    workspace.find(str(write_spec(inside)), root=str(inside))
    moved = Workspace(workspace.data.rename(tmp_path / "moved"))
    assert moved.spec_path("tiny") == moved.data / "raw" / "tiny.yaml"
    assert moved.find("tiny").root == str(moved.data / "raw")


@pytest.mark.parametrize("original_stays", [True, False])
def test_what_lies_beside_the_data_folder_moves_with_it(tmp_path: Path, *, original_stays: bool) -> None:
    """A spec and images in the workspace, but not under `data/`: found in a copy, and in the original."""
    former, copy = tmp_path / "former", tmp_path / "copy"
    (former / "images").mkdir(parents=True)
    Workspace(former / "data").find(str(write_spec(former)), root=str(former / "images"))
    shutil.copytree(former, copy)
    if not original_stays:
        shutil.rmtree(former)
    moved = Workspace(copy / "data")
    assert moved.spec_path("tiny") == copy / "tiny.yaml"
    assert moved.find("tiny").root == str(copy / "images")
    if original_stays:
        assert Workspace(former / "data").find("tiny").root == str(former / "images")


def test_data_copied_alone_still_finds_what_lay_beside_it(tmp_path: Path) -> None:
    former = tmp_path / "former"
    (former / "images").mkdir(parents=True)
    Workspace(former / "data").find(str(write_spec(former)), root=str(former / "images"))
    shutil.copytree(former / "data", tmp_path / "alone" / "data")
    alone = Workspace(tmp_path / "alone" / "data")
    assert alone.find("tiny").root == str(former / "images")


def test_the_current_folder_is_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PCIP_DATA", raising=False)
    assert Workspace.current().data == tmp_path / "data"
    assert Workspace.current().screens() == ({}, [])
    monkeypatch.setenv("PCIP_DATA", "elsewhere")
    assert Workspace.current().data == tmp_path / "elsewhere"


def test_processes_that_remember_specs_at_the_same_time_lose_none(
    workspace: Workspace, tmp_path: Path
) -> None:
    specs = []
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        specs.append(write_spec(tmp_path / str(number), name=f"tiny_{number}"))
    threads = [threading.Thread(target=workspace.find, args=[str(spec)]) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {f"tiny_{number}" for number in range(4)} <= set(workspace.screens()[0])


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(workspace: Workspace) -> None:
    with pytest.raises(SpecError, match="simulated_yeast"):
        workspace.find("simulated_yest")


def test_a_folder_in_place_of_a_spec_is_named_with_the_command_for_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "my plates"
    folder.mkdir()
    with pytest.raises(SpecError, match="my plates: found a folder") as refused:
        workspace.find(str(folder))
    assert f"`pcip init '{folder}'` proposes a spec" in refused.value.remedy


def test_a_screen_is_known_by_its_name_and_by_its_file(workspace: Workspace, tmp_path: Path) -> None:
    spec = write_spec(tmp_path).rename(tmp_path / "plates_2026.yaml")
    workspace.find(str(spec))
    assert workspace.spec_path("tiny") == workspace.spec_path("plates_2026") == spec
    assert workspace.find("tiny").name == workspace.find("plates_2026").name == "tiny"
    with pytest.raises(SpecError, match=r"tiny \(plates_2026.yaml\)"):
        workspace.spec_path("plates")
    (tmp_path / "second").mkdir()
    other = write_spec(tmp_path / "second", name="plates_2026").rename(tmp_path / "other.yaml")
    workspace.find(str(other))
    with pytest.raises(SpecError) as clash:
        workspace.spec_path("plates_2026")
    assert "plates_2026.yaml (name: tiny)" in clash.value.found
    assert "other.yaml (name: plates_2026)" in clash.value.found
    assert "Give the path of the spec" in clash.value.remedy
    assert workspace.find(str(other)).name == "plates_2026"
    assert workspace.spec_path("tiny") == spec
    other.unlink()
    spec.write_text("not: [a spec")  # damaged: only its file has a name
    assert workspace.spec_path("plates_2026") == spec


def test_two_specs_of_one_name(workspace: Workspace, tmp_path: Path) -> None:
    workspace.find(str(write_spec(tmp_path)))
    (tmp_path / "other").mkdir()
    with pytest.raises(DuplicateScreenError, match="found the name 'tiny'"):
        workspace.find(str(write_spec(tmp_path / "other")))


def test_a_remembered_spec_with_a_former_key_is_named_and_stops_no_other_screen(
    workspace: Workspace, tmp_path: Path
) -> None:
    spec = write_spec(tmp_path)
    workspace.find(str(spec))
    known = set(workspace.screens()[0])
    spec.write_text(yaml.safe_dump({**yaml.safe_load(spec.read_text()), "yardsticks": {"sets": ["classic"]}}))
    screens, problems = workspace.screens()
    assert set(screens) == known - {"tiny"}
    (problem,) = problems
    assert str(spec) in str(problem)
    assert "Rename `yardsticks:` to `baselines:`" in str(problem)
    with pytest.raises(SpecError, match="baselines"):
        workspace.find(spec.stem)


def test_an_encoder_is_borrowed_from_a_screen_that_trains_one(workspace: Workspace) -> None:
    """Borrowers in a circle, and one behind another, are errors of the specs; what the remedy names works."""

    def write(name: str, lender: str | None) -> str:
        return str(
            write_spec(workspace.screens_folder, name=name, **({"encoder_from": lender} if lender else {}))
        )

    workspace.screens_folder.mkdir(parents=True)
    write("trains", None)
    write("first", "trains")
    path = write("second", "first")
    assert set(workspace.screens()[0]) == {"trains", "first"}
    with pytest.raises(
        SpecError, match=r"second borrows from first borrows from trains.*`encoder_from: trains`"
    ):
        workspace.find(path)
    write("first", "second")
    screens, problems = workspace.screens()
    assert set(screens) == {"trains"}
    assert "first borrows from second borrows from first" in str(problems[0])
    with pytest.raises(SpecError, match=r"Remove encoder_from from .* that shall train: second or first\."):
        workspace.find(path)
    write("first", None)
    assert set(workspace.screens()[0]) == {"trains", "first", "second"}
    assert workspace.find(write("third", "not_there_yet")).encoder_screen == "not_there_yet"
