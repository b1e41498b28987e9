"""The files of a simulation: reproducible, marked as simulated, and either complete or absent."""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import re
import time
import zlib
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pydantic import TypeAdapter

from pcip_core.errors import SpecError
from pcip_core.simulate import simulate_screen
from pcip_core.simulate.plan import CELL_LINES, CLASSES, channels, plan_screen
from pcip_core.simulate.screen import TRUTH, write_screen
from pcip_core.spec.simulation import Simulation

DOCS = Path(__file__).resolve().parents[3] / "docs" / "reference"
SMALL = Simulation(
    "yeast",
    plates=2,
    proteins_per_class=1,
    fields_per_image=1,
    mixed_proteins=1,
    variable_proteins=1,
    field_size_px=112,
)


def bytes_of(folder: Path) -> dict[str, str]:
    """File -> hash of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", params=["yeast", "human"])
def screen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Simulation, Path]:
    """A small screen of each organism."""
    size = {"yeast": 112, "human": 200}[request.param]
    simulation = replace(SMALL, organism=request.param, field_size_px=size, fields_per_image=2)
    folder = tmp_path_factory.mktemp(request.param) / "screen"
    write_screen(simulation, folder)
    return simulation, folder


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        simulate_screen(SMALL, tmp_path / name, workers=workers)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_another_seed_gives_other_images(tmp_path: Path) -> None:
    write_screen(SMALL, tmp_path / "zero")
    write_screen(replace(SMALL, seed=1), tmp_path / "one")
    first, second = (bytes_of(tmp_path / name) for name in ("zero", "one"))
    pictures = {name for name in first if name.endswith(".tif")}
    assert len(pictures) == 2 * len(plan_screen(SMALL))
    assert pictures <= set(second)
    assert not [name for name in pictures if first[name] == second[name]]


def test_images_that_are_no_simulation_are_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "my_images"
    (folder / "plate_1").mkdir(parents=True)
    (folder / "plate_1" / "A01.tif").write_bytes(b"of a microscope")
    with pytest.raises(SpecError, match="Remove the section `simulation`"):
        write_screen(Simulation("yeast", plates=1, proteins_per_class=1, field_size_px=96), folder)
    assert (folder / "plate_1" / "A01.tif").read_bytes() == b"of a microscope"
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["my_images"]


def test_every_file_of_the_plan_exists(screen: tuple[Simulation, Path]) -> None:
    simulation, folder = screen
    images = plan_screen(simulation)
    wanted = {
        f"{image.plate}/{image.well}_f{field}_{channel}.tif"
        for image in images
        for field in (1, 2)
        for channel in channels(simulation)
    }
    tables = {"images.csv", "truth_images.csv", "truth_cells.csv", "SIMULATED.md", "simulation.json"}
    assert set(bytes_of(folder)) == wanted | tables
    size = simulation.field_size_px
    picture = tifffile.imread(folder / sorted(wanted)[0])
    assert picture.shape == (size, size)
    assert picture.dtype == np.uint16


def test_all_files_state_that_they_are_simulated(screen: tuple[Simulation, Path]) -> None:
    simulation, folder = screen
    for path in folder.rglob("*.tif"):
        with tifffile.TiffFile(path) as file:
            assert file.pages[0].description.startswith("SIMULATED image")
    assert "These images are simulated" in (folder / "SIMULATED.md").read_text()
    parameters = json.loads((folder / "simulation.json").read_text())
    version = str(parameters.pop("version"))
    assert TypeAdapter(Simulation).validate_python(parameters) == simulation
    assert {row["simulator_version"] for row in rows_of(folder / "truth_images.csv")} == {version}
    assert all(row["protein"].startswith("SIMP") for row in rows_of(folder / "images.csv"))
    assert all(line.startswith("sim-") for lines in CELL_LINES.values() for line in lines)


def test_the_tables_agree_with_each_other_and_with_the_plan(screen: tuple[Simulation, Path]) -> None:
    simulation, folder = screen
    known, truth, cells = (
        rows_of(folder / f"{name}.csv") for name in ("images", "truth_images", "truth_cells")
    )
    plan = plan_screen(simulation)
    assert (
        [row["image_id"] for row in known]
        == [row["image_id"] for row in truth]
        == [image.image_id for image in plan]
    )
    for image, row, true in zip(plan, known, truth, strict=True):
        assert row["localization"] == true["localization"] == ";".join(image.fractions)
        image_cells = [cell for cell in cells if cell["image_id"] == image.image_id]
        assert int(true["n_cells"]) == len(image_cells)
        assert {cell["cell_line"] for cell in image_cells} <= {image.cell_line}
        for cell in image_cells:
            state = dict(part.split("=") for part in cell["state"].split(";"))
            assert set(state) <= set(image.fractions)
            assert sum(map(float, state.values())) == pytest.approx(1)
            assert len(state) == (2 if image.kind == "mixed" else 1)
            assert 0 <= float(cell["y_px"]) < simulation.field_size_px
            assert 0 <= float(cell["x_px"]) < simulation.field_size_px
    assert len(cells) > len(plan)
    places = [(cell["image_id"], cell["field"], cell["cell_number"]) for cell in cells]
    assert len(set(places)) == len(places)


def test_the_documentation_names_every_column_of_the_truth(screen: tuple[Simulation, Path]) -> None:
    _, folder = screen
    page = (DOCS / "simulation.md").read_text()
    for table in TRUTH:
        with (folder / f"{table}.csv").open() as file:
            header = file.readline().strip().split(",")
        section = page.split(f"## `{table}.csv`")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == header
    for organism, names in CLASSES.items():
        section = page.split(f"## Compartments: {organism}")[1].split("\n## ")[0]
        assert re.findall(r"^\| ([A-Z][\w ]+) \|", section, re.MULTILINE) == list(names)


# -- the plan ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("organism", CLASSES)
def test_classes_proteins_and_cell_lines(organism: str) -> None:
    plan = plan_screen(Simulation(organism))
    assert len(CLASSES[organism]) >= 9
    assert len({(image.plate, image.well) for image in plan}) == len(plan)
    assert len({image.protein for image in plan}) == len(plan)
    for name in CLASSES[organism]:
        members = [image for image in plan if image.kind == "single" and set(image.fractions) == {name}]
        assert len(members) >= 4
        assert {image.cell_line for image in members} == set(CELL_LINES[organism])
        assert len({image.plate for image in members}) >= 4  # a plate can be left out
    kinds = [image.kind for image in plan]
    assert (kinds.count("mixed"), kinds.count("variable")) == (8, 6)
    for image in plan:
        assert sum(image.fractions.values()) == pytest.approx(1)
        assert (image.rate > 0) == (image.kind == "variable")


@pytest.mark.parametrize("organism", CLASSES)
def test_default_mixtures_are_drawn_independently(organism: str) -> None:
    simulation = Simulation(organism, seed=3)
    words = [zlib.crc32(word.encode()) for word in (organism, "plan")]
    rng = np.random.default_rng([3, *words])
    for image in plan_screen(simulation)[-14:]:
        first, second = rng.choice(CLASSES[organism], 2, replace=False)
        share = rng.choice([0.25, 0.4, 0.5])
        assert dict(image.fractions) == {first: 1 - share, second: share}


def test_mixtures_of_given_compartments_and_shares() -> None:
    pairs = (("Cytoplasm", "Nucleus"), ("Vacuole", "Punctate"))
    shares = (0.1, 0.3, 0.9)
    simulation = Simulation(
        "yeast", plates=10, mixed_proteins=90, variable_proteins=60, pairs=pairs, shares=shares
    )
    plan = plan_screen(simulation)
    assert plan[:40] == plan_screen(Simulation("yeast", plates=10))[:40]
    for kind, count in (("mixed", 90), ("variable", 60)):
        members = [image for image in plan if image.kind == kind]
        assert [tuple(image.fractions) for image in members].count(pairs[0]) == count / 2
        for pair in pairs:
            of_pair = [image for image in members if tuple(image.fractions) == pair]
            assert len(of_pair) == count / 2
            assert {image.cell_line for image in of_pair} == set(CELL_LINES["yeast"])
            assert len({image.plate for image in of_pair}) == 10
        assert {image.fractions[tuple(image.fractions)[1]] for image in members} == set(shares)
        assert all(
            image.rate == (image.fractions[tuple(image.fractions)[1]] if kind == "variable" else 0)
            for image in members
        )


def test_a_rare_class_among_many() -> None:
    plan = plan_screen(
        Simulation(
            "yeast", proteins_per_class=12, rare={"Nucleolus": 2}, mixed_proteins=0, variable_proteins=0
        )
    )
    count = Counter(tuple(image.fractions) for image in plan)
    assert count == {(name,): 2 if name == "Nucleolus" else 12 for name in CLASSES["yeast"]}
    rare = [image for image in plan if tuple(image.fractions) == ("Nucleolus",)]
    assert len({image.plate for image in rare}) == 2


def test_every_key_is_documented() -> None:
    for page, text in (("simulation.md", "`{}`"), ("spec.md", "{}")):
        section = (DOCS / page).read_text()
        if page == "spec.md":
            section = next(line for line in section.splitlines() if line.startswith("| `simulation` |"))
        for key in fields(Simulation):
            assert text.format(key.name) in section, (page, key.name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"organism": "mouse"}, r"simulation\.organism: found 'mouse'; required: one of human, yeast"),
        ({"plates": 0}, "found plates 0"),
        ({"proteins_per_class": 0}, "found proteins_per_class 0"),
        ({"fields_per_image": -1}, "found fields_per_image -1"),
        ({"mixed_proteins": -2}, "found mixed_proteins -2"),
        ({"variable_proteins": -1}, "found variable_proteins -1"),
        ({"seed": -1}, "found seed -1"),
        ({"field_size_px": 50}, "found field_size_px 50; .*fields of 96 to 1500 px"),
        ({"organism": "human", "field_size_px": 4000}, "found field_size_px 4000"),
        ({"plates": 1, "proteins_per_class": 10}, "found 114 proteins on one of 1 plate; required: 96"),
        ({"plates": 1, "mixed_proteins": 90}, "proteins on one of 1 plate"),
        ({"plates": 1, "rare": {"Nucleus": 80}}, "found 130 proteins on one of 1 plate"),
        (
            {"pairs": (("Nucleus", "Cytosol"),)},
            r"simulation\.pairs: found \('Nucleus', 'Cytosol'\); required: two",
        ),
        (
            {"pairs": (("Nucleus", "Nucleus"),)},
            r"simulation\.pairs: found \('Nucleus', 'Nucleus'\); required: two different",
        ),
        ({"shares": ()}, r"simulation\.shares: found \(\); required: one share or more"),
        ({"shares": (0.5, 1.0)}, r"simulation\.shares: found 1\.0; required: shares between 0 and 1"),
        ({"shares": (float("nan"),)}, r"simulation\.shares: found nan"),
        ({"rare": {"Cytosol": 3}}, r"simulation\.rare: found 'Cytosol'; required: one of Cytoplasm"),
        ({"rare": {"Nucleus": 0}}, r"simulation\.rare\.Nucleus: found 0; required: 1 protein or more"),
    ],
)
def test_invalid_parameters_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        write_screen(replace(Simulation("yeast"), **changes), tmp_path / "screen")
    assert not list(tmp_path.iterdir())


# -- interruptions -----------------------------------------------------------------------------------------


def interrupt(done: int, total: int) -> None:
    if done > total // 3:
        raise KeyboardInterrupt


def test_an_interruption_leaves_no_incomplete_folder(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "screen"
    with pytest.raises(KeyboardInterrupt):
        write_screen(SMALL, folder, progress=interrupt)
    assert [path.name for path in folder.parent.iterdir()] == [".screen.lock"]
    write_screen(SMALL, folder)
    before = bytes_of(folder)
    with pytest.raises(KeyboardInterrupt):
        write_screen(replace(SMALL, seed=1), folder, progress=interrupt)
    assert bytes_of(folder) == before


def test_the_same_screen_is_kept_and_another_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "screen"
    write_screen(SMALL, folder)
    made = folder.stat().st_ino
    write_screen(SMALL, folder, progress=interrupt)
    assert folder.stat().st_ino == made
    write_screen(replace(SMALL, mixed_proteins=0), folder)
    assert len(rows_of(folder / "images.csv")) == len(CLASSES["yeast"]) + 1
    assert {path.name for path in tmp_path.iterdir()} == {"screen", ".screen.lock"}


def stay(done: int, total: int) -> None:
    time.sleep(3600)


def test_after_a_kill_two_processes_can_request_the_screen(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    folder = tmp_path / "screen"
    killed = context.Process(target=write_screen, args=(SMALL, folder), kwargs={"progress": stay})
    killed.start()
    end = time.monotonic() + 300
    while not list(tmp_path.rglob("*.tif")):
        assert time.monotonic() < end
        time.sleep(0.01)
    killed.kill()
    killed.join()
    assert not folder.exists()
    both = [context.Process(target=write_screen, args=(SMALL, folder)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(600)
        assert process.exitcode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"screen", ".screen.lock"}
    assert len(list(folder.rglob("*.tif"))) == 2 * len(plan_screen(SMALL))
