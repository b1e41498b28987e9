"""Real cells, as microscopes gave them: from files to crops, features and benchmark, through the platform."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import pytest
import tifffile
import yaml

from pcip_assets.cli.run import run_screen
from pcip_assets.workspace import Workspace
from pcip_core.spec.templates import TEMPLATES
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect
from tests.assets.conftest import in_memory
from tests.conftest import real_folder


def quick_spec(name: str, folder: Path) -> Path:
    """The shipped spec with a training of one short epoch."""
    spec = yaml.safe_load((TEMPLATES[name]).read_text())
    spec["name"] = f"{name}_quick"
    spec["encoder"] |= {"start": "none", "width": 0.05, "epochs": 1, "precision": "float32"}
    spec["baselines"] = {
        **{"sets": ["classic", "supervised"], "folds": 2, "trees": 5, "corrections": ["by_plate"]},
        "umap": {"cells": 60},
    }
    if name.startswith("human"):  # no plate is known of its montages
        del spec["baselines"]["corrections"]
    path = folder / f"{spec['name']}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def run_quick(name: str, folder: Path) -> tuple[str, Path, Workspace]:
    """The name of the screen, the folder of its images, and the workspace of its first run."""
    root, workspace = real_folder(name), Workspace(folder / "data")
    screen = workspace.find(str(quick_spec(name, folder)), root=str(root))
    outcome = run_screen(workspace, screen, instance=in_memory(workspace))
    assert outcome.success, outcome.error
    return screen.name, root, workspace


@pytest.fixture(scope="module")
def human_labelled_cells(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Workspace]:
    return run_quick("human_labelled_cells", tmp_path_factory.mktemp("human_labelled_cells"))


@pytest.fixture(scope="module")
def yeast_cells(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Workspace]:
    return run_quick("yeast_cells", tmp_path_factory.mktemp("yeast_cells"))


@pytest.fixture(params=["human_labelled_cells", "yeast_cells"])
def ran(request: pytest.FixtureRequest) -> tuple[str, Path, Workspace]:
    return request.getfixturevalue(request.param)


def test_every_cell_is_used_or_in_quarantine(ran: tuple[str, Path, Workspace]) -> None:
    name, root, workspace = ran
    files = Counter(path.suffix for path in root.rglob("*") if path.suffix in (".png", ".tif"))
    channels = 3 if name.startswith("human") else 2
    with connect(workspace.published) as con:
        (cells,) = con.sql(f"SELECT count(*) FROM {name}.cells").fetchall()[0]
        query = f"SELECT count(*) FROM {name}.quarantine WHERE what IN ('cell', 'file')"
        (kept_out,) = con.sql(query).fetchall()[0]
    assert cells + kept_out == sum(files.values()) / channels
    assert cells > 0.9 * sum(files.values()) / channels


def test_crops_are_the_pixels_of_the_files(ran: tuple[str, Path, Workspace]) -> None:
    """A yeast cell is stored as it lies on disk, each channel by its own extremes."""
    name, root, workspace = ran
    if not name.startswith("yeast"):
        pytest.skip("human cells are made smaller, yeast cells are not")
    cells, crops = Store(workspace.store).read_with_array(name, "cells", "crops", "AAC1")
    for row in (0, len(crops) // 2, len(crops) - 1):
        cell = cells.row(row, named=True)
        stem = cell["cell_id"].rsplit("_", 1)[0].split("_")  # protein, field, cell
        for channel, marker in enumerate(("rfp", "gfp")):
            path = root / stem[0] / f"{stem[0]}_{stem[1]}_rfp_{stem[2]}_{marker}.tif"
            plane = tifffile.imread(path)
            unit = (plane - plane.min()) / (plane.max() - plane.min())
            assert abs(crops[row, channel] / 255 - unit).max() < 0.003
            assert cell["intensity_max"][channel] == pytest.approx(float(plane.max()))


def test_labels_and_scores(ran: tuple[str, Path, Workspace]) -> None:
    name, root, workspace = ran
    with connect(workspace.published) as con:
        scored = con.sql(
            "SELECT DISTINCT protocol, n FROM main.benchmarks "
            "WHERE label IS NULL AND feature_set = 'intensity' AND metric = 'balanced_accuracy'"
        ).fetchall()
        query = "SELECT count(DISTINCT label) FROM main.benchmarks WHERE metric = 'recall'"
        classes = con.sql(query).fetchall()[0][0]
        if name.startswith("human"):
            terms = dict(con.sql(f"SELECT image_id, localization[1] FROM {name}.images").fetchall())
            with (root / "labels.csv").open() as file:
                assert terms == {row["image"]: row["localization"] for row in csv.DictReader(file)}
    grouped = "leave_image_out" if name.startswith("human") else "leave_field_out"
    assert {protocol for protocol, _ in scored} == {grouped, "leave_cell_out"}
    assert classes == (5 if name.startswith("human") else 3)


def test_montages_are_compared_with_a_supervised_network(
    human_labelled_cells: tuple[str, Path, Workspace],
) -> None:
    """Real labelled cells by every kind of score; a montage is never on both sides."""
    name, root, workspace = human_labelled_cells
    screen = workspace.find(str(workspace.data.parent / f"{name}.yaml"), root=str(root))
    outcome = run_screen(workspace, screen, baselines=True, analyses=True, instance=in_memory(workspace))
    assert outcome.success, outcome.error
    with connect(workspace.published) as con:
        ((members,),) = con.sql(f"SELECT count(DISTINCT protein) FROM {name}.clusters").fetchall()
        ways = con.sql(
            "SELECT DISTINCT classifier, protocol FROM main.benchmarks WHERE classifier <> 'knn' AND label IS NULL"
        ).fetchall()
        held = con.sql(f"SELECT held, count(*) FROM {name}.supervised_images GROUP BY ALL").fetchall()
        mapped = con.sql(f"SELECT feature_set, count(*) FROM {name}.umap_cells GROUP BY ALL").fetchall()
    honest = {(way, protocol) for way in ("logistic", "forest") for protocol in ("grouped_folds", "folds")}
    assert honest | {("end_to_end", "held_images"), ("retrieval", "leave_protein_out")} <= set(ways)
    assert dict(held)[True] >= 5  # of five classes
    assert members == sum(n for _, n in held)  # no protein is named: each montage stands for one
    assert len(mapped) >= 4
    assert {n for _, n in mapped} == {60}
    page = workspace.benchmark_report(name).read_text()
    assert "SIMULATED" not in page
    assert "The paper has no numbers for this screen" in page


def test_archives_of_labelled_yeast_cells_through_every_score(
    yeast_cells: tuple[str, Path, Workspace], tmp_path: Path
) -> None:
    """36 cells, two classes of one cell: what can be scored is, the rest is counted. A test of the format."""
    root, encoder = real_folder("yeast_labelled_crops"), yeast_cells[0]
    workspace = Workspace(Path(shutil.copytree(yeast_cells[2].data, tmp_path / "data")))
    instance = in_memory(workspace)
    spec = yaml.safe_load((TEMPLATES["chong_labelled_cells"]).read_text())
    spec |= {"name": "labelled_quick", "encoder_from": encoder}
    spec["files"]["pattern"] = "Schuldiner_{set}_set.hdf5"
    spec["baselines"] = {"sets": ["designed"], "folds": 2, "trees": 5}
    path = tmp_path / "labelled_quick.yaml"
    path.write_text(yaml.safe_dump(spec))
    screen = workspace.find(str(path), root=str(root))
    outcome = run_screen(workspace, screen, baselines=True, instance=instance)
    assert outcome.success, outcome.error
    with connect(workspace.published) as con:
        n = con.sql(
            "SELECT DISTINCT parameter, n FROM main.benchmarks WHERE screen = 'labelled_quick' AND label IS NULL "
            "AND classifier = 'knn' ORDER BY ALL"
        ).fetchall()
        reasons = con.sql("SELECT DISTINCT reason, n FROM labelled_quick.exclusions").fetchall()
        ((alone,),) = con.sql(
            "SELECT count(*) FROM labelled_quick.quarantine WHERE reason LIKE '%required%2%'"
        ).fetchall()
    assert n == [("k=1", 34), ("k=11", 34), ("k=25", 34), ("k=5", 34)]
    assert ("ks_above_neighbours_left", 1) in reasons  # 50 of 33
    assert ("classes_smaller_than_k", 7) in reasons
    assert alone >= 2

    spec["baselines"] |= {"sets": ["designed", "supervised"]}
    path.write_text(yaml.safe_dump(spec))
    screen = workspace.find(str(path), root=str(root))
    outcome = run_screen(workspace, screen, baselines=True, instance=instance)
    assert not outcome.success
    assert "no class with an image to spare" in str(outcome.error)
