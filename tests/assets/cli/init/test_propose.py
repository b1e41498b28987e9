"""`pcip init FOLDER`: with options alone, with questions, and what it refuses before it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pcip_assets.cli.init import command, propose
from pcip_assets.workspace import Workspace
from pcip_core.errors import DuplicateScreenError, PcipError, RootError, SpecError
from pcip_core.images.proposal.naming.words import name_of_folder
from tests.core.images.proposal.test_proposal import discs, plate, write


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("PCIP_DATA", str(tmp_path / "workspace" / "data"))
    return Workspace.current()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write(tmp_path / "My plates", *plate(channels=("ch1", "ch2")), pixels=discs(side=250))


def run(*arguments: object, answers: str = "") -> Result:
    result = CliRunner().invoke(command, list(map(str, arguments)), input=answers)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_options_alone(workspace: Workspace, images: Path) -> None:
    result = run(images, "--yes", "--protein", "ch2", "--structural", "nucleus=ch1", "--organism", "human")
    assert result.exit_code == 0, result.output
    screen = workspace.load(workspace.data / "screens" / "my_plates.yaml")
    assert screen.channels["nucleus"].named == "ch1"
    assert "no problem found" in result.output
    assert (workspace.reports("my_plates") / "contact_sheet.png").stat().st_size > 0
    assert "pcip run my_plates" in result.output


def test_a_folder_of_the_workspace_is_named_relative_to_the_spec(workspace: Workspace) -> None:
    images = write(workspace.data.parent / "images", *plate(), pixels=discs(side=150))
    run(images, "--yes")
    (spec,) = (workspace.data / "screens").glob("*.yaml")
    assert 'root: "../../images"' in spec.read_text()
    assert spec.stem == name_of_folder(workspace.data.parent) != "images"


def test_a_link_in_the_workspace_keeps_its_name_and_moves_with_it(workspace: Workspace, images: Path) -> None:
    """README: copy or link the folder into the workspace."""
    workspace.data.parent.mkdir(parents=True)
    link = workspace.data.parent / "linked"
    link.symlink_to(images)
    run(link, "--yes", "--protein", "ch2", "--structural", "nucleus=ch1")
    spec = workspace.data / "screens" / "linked.yaml"
    assert 'root: "../../linked"' in spec.read_text()
    assert workspace.load(spec).folder().samefile(images)


def test_questions(workspace: Workspace, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propose, "_is_terminal", lambda: True)
    result = run(images, answers="nucleus\nprotein\n\nmine\n")
    assert result.exit_code == 0, result.output
    assert "organism, by which cells are found [Homo sapiens]" in result.output
    screen = workspace.load(workspace.data / "screens" / "mine.yaml")
    assert (screen.structural, screen.protein) == (("nucleus",), ("protein",))


def test_other_words_for_a_structure_choose_what_its_name_chooses(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dye and a molecule in place of `nucleus` and `microtubules`; w1 alone says nothing that could be proposed."""
    monkeypatch.setattr(propose, "_is_terminal", lambda: True)
    folder = write(tmp_path / "mine", *plate(channels=("w1", "w2", "w3")), pixels=discs(side=250))
    result = run(folder, answers="\nDAPI\nprotein\ntubulin\n\n\n")
    assert result.exit_code == 0, result.output
    assert "No name tells what this channel shows" in result.output
    assert "w1 is nucleus in the spec" in result.output
    assert "organism, by which cells are found [Homo sapiens]" in result.output
    screen = workspace.load(workspace.data / "screens" / "mine.yaml")
    assert {name: channel.named for name, channel in screen.channels.items()} == {
        "nucleus": "w1",
        "microtubules": "w3",
        "protein": "w2",
    }
    assert (screen.segmentation.method, screen.segmentation.options["channel"]) == ("nuclei", "nucleus")
    assert (screen.encoder.start, screen.encoder.epochs) == ("simulated_human", 0)
    text = (workspace.data / "screens" / "mine.yaml").read_text()
    assert "few images, so it takes an encoder of simulated cells" in text
    assert "width: 1.0" not in text


def test_slips_are_asked_for_again_and_no_answer_is_lost(
    workspace: Workspace, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer, a slip in `protein`, the dye of the protein; a name that is taken."""
    run(images, "--yes", "--name", "taken", "--protein", "ch2", "--structural", "nucleus=ch1")
    before = (workspace.data / "screens" / "taken.yaml").read_text()
    monkeypatch.setattr(propose, "_is_terminal", lambda: True)
    result = run(images, answers="\nprotien\nGFP\nnucleus\nprotein\n\ntaken\nMain\n")
    assert result.exit_code == 0, result.output
    assert "No name tells what this channel shows" in result.output
    assert "Did you mean `protein`?" in result.output
    assert "`GFP` would be a structure, the same in all images. If it is the protein, type" in result.output
    assert "A spec of that name: " in result.output
    screen = workspace.load(workspace.data / "screens" / "main_screen.yaml")
    assert {name: channel.named for name, channel in screen.channels.items()} == {
        "nucleus": "ch1",
        "protein": "ch2",
    }
    assert (workspace.data / "screens" / "taken.yaml").read_text() == before
    result = run(images, answers="protien\nprotien\nprotein\n\nmeant_so\n")
    assert workspace.load(workspace.data / "screens" / "meant_so.yaml").structural == ("protien",)


def test_nothing_is_written_without_an_answer(workspace: Workspace, images: Path) -> None:
    with pytest.raises(SpecError, match="nothing tells what ch1, ch2 show;"):
        run(images, "--yes")
    assert not workspace.data.exists()


def test_a_misspelt_folder_does_not_become_a_workspace_where_nothing_is_asked(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, message in (("empty", "an empty folder"), ("imagse", "no such folder")):
        with pytest.raises(RootError, match=message):
            run(tmp_path / name, "--yes")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_images_do_not_become_a_workspace_and_a_workspace_is_not_taken_for_images(
    workspace: Workspace, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(images.rglob("*"))
    for options, message in ((), "holds images"), (("--force",), "copies a spec as it is"):
        refused = run(images, "--from", "yeast_opera", *options)
        assert refused.exit_code == 2
        assert message in refused.output
    assert sorted(images.rglob("*")) == files
    write(workspace.data / "raw", *plate(), pixels=discs(side=150))
    workspace.screens_folder.mkdir()
    monkeypatch.delenv("PCIP_DATA")
    assert "workspace: " in run(workspace.data.parent, "--yes").output


def test_a_spec_of_that_name_stays(workspace: Workspace, images: Path) -> None:
    run(images, "--yes", "--protein", "ch2", "--name", "mine")
    path = workspace.data / "screens" / "mine.yaml"
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(SpecError, match="a spec of that name"):
        run(images, "--yes", "--protein", "ch2", "--name", "mine")
    assert path.read_text().endswith("# mine\n")
    run(images, "--yes", "--protein", "ch2", "--name", "mine", "--force")
    assert not path.read_text().endswith("# mine\n")


def test_names_are_checked_before_files_are_listed(workspace: Workspace, images: Path) -> None:
    with pytest.raises(SpecError, match="--name my_plates"):
        run(images, "--yes", "--name", "My plates")
    with pytest.raises(SpecError, match="'main'") as refused:
        run(images, "--yes", "--protein", "ch2", "--name", "main")
    remedy = refused.value.remedy.split()[-1]
    assert run(images, "--yes", "--protein", "ch2", "--name", remedy).exit_code == 0
    other = workspace.data / "screens" / "other.yaml"
    run(images, "--yes", "--protein", "ch2", "--name", "mine")
    (workspace.data / "screens" / "mine.yaml").rename(other)
    with pytest.raises(DuplicateScreenError, match="--name OTHER_NAME"):
        run(images, "--yes", "--protein", "ch2", "--name", "mine")
    assert issubclass(DuplicateScreenError, PcipError)


def test_a_spec_whose_cells_are_not_found_is_kept_and_the_exit_code_is_1(
    workspace: Workspace, tmp_path: Path
) -> None:
    images = write(tmp_path / "small", *plate(), pixels=discs(side=150))
    result = run(images, "--yes", "--diameter", "200")
    assert result.exit_code == 1
    assert "cannot run: no cell of the sampled fields can be used" in result.output
    assert "pcip check small --picture" in result.output
