"""`docs/reproduce.md`: its commands, settings, numbers and estimates; and archives of the paper's layouts are read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import h5py
import numpy as np
import yaml

from benchmarks.accuracy.reproduce import PAGE, SCREENS, commands, settings, write_specs
from benchmarks.common.archives import LABELS, write_chong, write_cyclops
from pcip_assets.cli.bench.costs import duration
from pcip_assets.cli.main import cli
from pcip_assets.workspace import REPOSITORY
from pcip_core.evaluation.paper import all_paper_numbers
from pcip_core.images.layout import scan
from pcip_core.spec.loading import load_screen
from pcip_core.spec.templates import TEMPLATES

TEXT = PAGE.read_text()
RATES = {  # what the page calls a rate -> benchmark, and the figure
    "`pcip bench cropping`: cells, 2 processes": ("cropping", r"576 fields .*: cells, 2 processes"),
    "`pcip bench training`: training loop, width 1": ("training", r"training loop, width 1, .*"),
    "`pcip bench extraction`: conv1 to conv5, width 1": (
        "extraction",
        r"extraction of .*, width 1, .*, which pcip takes here, on cpu",
    ),
}


def test_every_command_of_the_page_exists_with_its_options_and_screens() -> None:
    lines = re.findall(r"^pcip .*$", TEXT, re.MULTILINE)
    assert len(lines) > 12
    for line in lines:
        group: click.Command = cli
        words = line.split()[1:]
        while isinstance(group, click.Group):
            found = group.get_command(click.Context(group), words.pop(0))
            assert found is not None, line
            group = found
        known = {name for parameter in group.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
        screens = [word for word in words if word.islower() and "." not in word and not word.startswith("-")]
        assert [name for name in screens if name not in TEMPLATES] == [], line
    for name in re.findall(r"`pcip bench (\w+)`", TEXT):
        assert list((REPOSITORY / "benchmarks").glob(f"*/{name}.py")), name


def test_the_settings_of_the_page_are_valid_keys_of_the_shipped_specs(tmp_path: Path) -> None:
    added = settings(TEXT)
    assert set(added) == {
        "cyclops_wt2",
        "nop1pr_gfp",
        "nup49_rfp",
        "chong_labelled_cells",
        "human_protein_atlas",
    }
    for name, sections in added.items():
        spec = yaml.safe_load(TEMPLATES[name].read_text()) | sections
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(spec))
        assert load_screen(path).name == name


def test_the_numbers_of_the_paper_are_those_that_it_prints() -> None:
    printed = {number.printed for number in all_paper_numbers()}
    table = TEXT.split("## 4.")[1].split("The paper's accuracies")[0]
    numbers = re.findall(
        r"(?<![\w.])-?\d+\.\d+", "\n".join(line.split("|")[-2] for line in table.splitlines() if "|" in line)
    )
    assert len(numbers) > 25
    assert [number for number in numbers if number not in printed] == []


def test_the_estimates_follow_from_the_reference_results() -> None:
    rows = re.findall(r"^\| (.+?) \| ([\d,]+) \| (\d+) \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 8
    for step, cells, passes, rate, estimate in rows:
        benchmark, figure = RATES[rate]
        record = json.loads((REPOSITORY / "benchmarks" / "results" / f"{benchmark}.json").read_text())
        (value,) = {row["value"] for row in record["rows"] if re.fullmatch(figure, row["what"])}
        assert duration(int(cells.replace(",", "")) * int(passes) / value) == estimate, step


def test_the_trial_runs_the_yeast_commands_by_the_pages_settings(tmp_path: Path) -> None:
    assert commands(TEXT, SCREENS) == [
        "pcip fetch check cyclops_wt2 CYCLOPS",
        "pcip fetch check chong_labelled_cells CHONG",
        "pcip init --from cyclops_wt2 --from chong_labelled_cells",
        "pcip run cyclops_wt2 --root CYCLOPS",
        "pcip run cyclops_wt2 --baselines",
        "pcip run chong_labelled_cells --root CHONG",
        "pcip run chong_labelled_cells --baselines",
    ]
    write_specs(tmp_path)
    screen = load_screen(tmp_path / "data" / "screens" / "chong_labelled_cells.yaml")
    assert screen.baselines.sets == ("designed", "cellprofiler", "autoencoder", "supervised")
    assert load_screen(tmp_path / "data" / "screens" / "cyclops_wt2.yaml").encoder.width == 0.1


def test_simulated_labelled_cells_have_the_archives_layout_and_17_classes(tmp_path: Path) -> None:
    assert write_chong(tmp_path, cells_per_class=1, field_size_px=160, sets=("valid",)) == len(LABELS)
    with h5py.File(tmp_path / "Chong_valid_set.hdf5") as file:
        assert file["data1"].shape == (18, 2 * 64 * 64)
        assert np.array_equal(file["Index1"][()].sum(1), np.ones(18))
        assert file["Info1"].shape == (18, len(file["Info1_columns"]))
    screen = load_screen(TEMPLATES["chong_labelled_cells"], root=str(tmp_path))
    found = scan(screen)
    assert len(found.fields) == 18
    terms = screen.images.terms
    classes = {terms.get(field.parts["class"], field.parts["class"]) for field in found.fields}
    assert len(classes) == 17


def test_simulated_plates_have_the_layout_of_cyclops(tmp_path: Path) -> None:
    n_proteins = write_cyclops(tmp_path, proteins_per_class=1, field_size_px=96)
    screen = load_screen(TEMPLATES["cyclops_wt2"], root=str(tmp_path))
    found = scan(screen)
    assert len(found.fields) == 4 * n_proteins == 40
    assert {tuple(field.files) for field in found.fields} == {("cytosol", "protein")}
