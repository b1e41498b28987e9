"""A new workspace: its files, the screens that come with pcip, and what an error tells to do."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from pcip_assets.cli.init.workspace import add_template, create
from pcip_assets.cli.main import cli
from pcip_assets.servers.instance import dagster_home
from pcip_assets.workspace import REPOSITORY, SETTINGS, Workspace
from pcip_core.errors import DuplicateScreenError, PcipError, SpecError, WriteError
from pcip_core.spec.loading import load_screen
from pcip_core.spec.templates import TEMPLATES
from pcip_core.store.partitions import Store
from tests.conftest import write_spec
from tests.core.store import small

Pcip = Callable[..., Result]


@pytest.fixture
def pcip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pcip:
    """`pcip` in an empty folder, without PCIP_DATA."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PCIP_DATA", raising=False)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_repository_is_a_workspace_as_init_makes_it() -> None:
    for path in SETTINGS.iterdir():
        assert (REPOSITORY / path.name).read_bytes() == path.read_bytes()
    for path in (REPOSITORY / "data" / "screens").glob("simulated_*.yaml"):
        assert TEMPLATES[path.stem].read_bytes() == path.read_bytes()


def test_a_new_folder_has_the_chosen_screens_alone(pcip: Pcip, tmp_path: Path) -> None:
    done = pcip("init", "my screens", "--from", "cyclops_wt2")
    assert done.exit_code == 0, done.output
    assert set(files(tmp_path / "my screens")) == {
        "dagster.yaml",
        "dg.toml",
        "workspace.yaml",
        "data/screens/cyclops_wt2.yaml",
    }
    screens, problems = Workspace(tmp_path / "my screens" / "data").screens()
    assert (list(screens), problems) == (["cyclops_wt2"], [])
    assert "cd 'my screens'" in done.output
    assert "pcip run cyclops_wt2 --root FOLDER_OF_ITS_IMAGES" in done.output


def test_what_is_there_is_kept_and_said(pcip: Pcip, tmp_path: Path) -> None:
    pcip("init", "--from", "nup49_rfp")
    for name in ("dagster.yaml", "data/screens/nup49_rfp.yaml"):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "# mine\n")
    before = files(tmp_path)
    done = pcip("init", "--from", "nup49_rfp")
    assert files(tmp_path) == before
    assert "new" not in done.output
    assert "kept as it was: data/screens/nup49_rfp.yaml" in done.output


def test_a_screen_brings_the_one_whose_encoder_it_borrows(tmp_path: Path) -> None:
    workspace, _ = create(tmp_path)
    made = add_template(workspace, "chong_labelled_cells")
    assert [path.stem for path in made] == ["cyclops_wt2", "chong_labelled_cells"]


def test_a_name_that_another_spec_has_is_refused(tmp_path: Path) -> None:
    workspace, _ = create(tmp_path / "workspace")
    workspace.find(str(write_spec(tmp_path, name="cyclops_wt2")))
    with pytest.raises(DuplicateScreenError, match=str(tmp_path / r"cyclops_wt2\.yaml")):
        add_template(workspace, "cyclops_wt2")


def test_with_pcip_data_only_the_specs_are_written(
    pcip: Pcip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PCIP_DATA", str(tmp_path / "elsewhere"))
    assert pcip("init", "--from", "yeast_cells").exit_code == 0
    assert set(files(tmp_path)) == {"elsewhere/screens/yeast_cells.yaml"}
    with pytest.raises(PcipError, match="Unset PCIP_DATA to make"):
        create(tmp_path / "another")


@pytest.mark.parametrize("name", ["taken", "taken/below"])
def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(WriteError, match=r"taken.*required: a folder, or a name that is free"):
        create(tmp_path / name)


def test_the_list_describes_every_template(pcip: Pcip) -> None:
    lines = pcip("init", "--list").output.splitlines()
    assert [line.split()[0] for line in lines] == list(TEMPLATES)
    assert all(len(line.split()) > 4 for line in lines)


@pytest.mark.parametrize("command", ["run", "check", "like"])
def test_a_screen_without_its_spec_is_found_by_the_remedy(pcip: Pcip, command: str, tmp_path: Path) -> None:
    seeds = ["P1"] if command == "like" else []
    error = pcip(command, "yeast_cells", *seeds).exception
    assert isinstance(error, SpecError)
    assert error.found == f"no spec of this name in {tmp_path / 'data' / 'screens'}"
    (remedy,) = (part for part in str(error).split("`") if part.startswith("pcip "))
    assert pcip(*shlex.split(remedy)[1:]).exit_code == 0
    assert Workspace.current().find("yeast_cells").name == "yeast_cells"


def test_results_without_a_spec_are_named_with_the_remedy(tmp_path: Path) -> None:
    workspace, _ = create(tmp_path)
    small.fill(Store(workspace.store), "simulated_yeast", "mine", "tiny")
    spec = write_spec(tmp_path)
    workspace.find(str(spec))
    spec.unlink()
    screens, problems = workspace.screens()
    assert screens == {}
    assert [Path(problem.where).name for problem in problems] == ["mine", "simulated_yeast", "tiny"]
    assert [problem.remedy for problem in problems] == [
        "Put its spec there, or remove the results.",
        "`pcip init --from simulated_yeast` adds the spec of this name that comes with pcip.",
        "Put its spec there, or remove the results.",
    ]
    assert f"nor at {spec}" in problems[2].found
    add_template(workspace, "simulated_yeast")
    assert len(workspace.screens()[1]) == 2


def test_changed_settings_of_dagster_hold_but_not_its_places(tmp_path: Path) -> None:
    workspace, _ = create(tmp_path)
    settings = tmp_path / "dagster.yaml"
    changed = yaml.safe_load(settings.read_text()) | {
        "storage": {"sqlite": {"base_dir": "elsewhere"}},
        "nux": {"enabled": True},
    }
    settings.write_text(yaml.safe_dump(changed))
    written = yaml.safe_load((dagster_home(workspace) / "dagster.yaml").read_text())
    assert written["storage"] == {"sqlite": {"base_dir": str(workspace.dagster_home)}}
    assert written["nux"] == {"enabled": True}
    assert written["run_launcher"]["class"] == "WatchedRunLauncher"
    settings.write_text("- a list\n")
    with pytest.raises(SpecError, match=r"dagster\.yaml: found no settings"):
        dagster_home(workspace)


def test_the_small_demo_is_a_screen_of_two_plates() -> None:
    screen = load_screen(TEMPLATES["simulated_small"])
    assert screen.simulation is not None
    assert screen.simulation.plates == 2


def test_the_version_is_printed(pcip: Pcip) -> None:
    assert pcip("--version").output.startswith("pcip 0.")
