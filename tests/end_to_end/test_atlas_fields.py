"""Whole fields of the Human Protein Atlas through the platform: our nuclei, and the atlas's own cells."""

from __future__ import annotations

import csv
import shutil

import imagecodecs
import numpy as np
import pytest
import yaml

from pcip_assets.cli.run import run_screen
from pcip_assets.workspace import Workspace
from pcip_core.crops.shard import cut_shard
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from pcip_core.segmentation import segmenter
from pcip_core.segmentation.matching import overlaps
from pcip_core.spec.screen import Screen
from pcip_core.spec.templates import TEMPLATES
from pcip_core.store.publish import connect
from tests.assets.conftest import in_memory
from tests.conftest import real_folder

USED = ("HPA008797_174_G3_1", "HPA065779_1235_D6_1")  # one protein by two antibodies
SILENCED = "HPA044227_si31_G12_2"


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, Screen]]:
    """Both shipped specs on a folder with three of the fields."""
    real, folder = real_folder("human_antibodies"), tmp_path_factory.mktemp("atlas")
    for field in (*USED, SILENCED):
        shutil.copytree(real / "fields" / field, folder / "images" / "fields" / field)
    with (real / "fields.csv").open() as table, (folder / "images" / "fields.csv").open("w") as part:
        part.writelines(line for line in table if line.startswith(("field,", *USED, SILENCED)))
    workspace, loaded = Workspace(folder / "data"), {}
    for name in ("human_antibodies", "human_antibodies_masks"):
        spec = yaml.safe_load((TEMPLATES[name]).read_text())
        spec["name"] = f"{name}_quick"
        if "encoder_from" in spec:
            spec["encoder_from"] = "human_antibodies_quick"
        else:
            spec["encoder"] |= {"precision": "float32"}
            spec["benchmark"]["label"] = "localization"  # two terms: no cell has a label
        (folder / f"{name}_quick.yaml").write_text(yaml.safe_dump(spec))
        loaded[name] = workspace.find(str(folder / f"{name}_quick.yaml"), root=str(folder / "images"))
    return workspace, loaded


def truth(field: str) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the atlas's cells and the parts of cells, by another reader."""
    (path,) = (real_folder("human_antibodies") / "fields" / field).glob("*_segmentation.png")
    cells, parts = imagecodecs.png_decode(path.read_bytes()).transpose(2, 0, 1)
    return cells, parts


def test_the_atlas_cells_are_read_as_they_were_written(screens: tuple[Workspace, dict[str, Screen]]) -> None:
    screen = screens[1]["human_antibodies_masks"]
    for field in scan(screen).fields[:1]:
        planes, (cells, _) = read_field(screen, field), truth(field.image_id)
        assert np.array_equal(planes["cells"], cells)
        labels = segmenter("labels")(planes, **screen.segmentation.options)
        areas = np.bincount(cells.ravel())[1:]
        assert labels.max() == (areas >= 400).sum()
        first = int(np.flatnonzero(areas >= 400)[0]) + 1
        assert np.array_equal(labels == 1, cells == first)


def test_most_nuclei_are_those_of_the_atlas(screens: tuple[Workspace, dict[str, Screen]]) -> None:
    screen = screens[1]["human_antibodies"]
    for field in scan(screen).fields[:1]:
        cells, parts = truth(field.image_id)
        nuclei = np.unique(np.where(parts == 1, cells, 0), return_inverse=True)[1].reshape(cells.shape)
        ours = segmenter(screen.segmentation.method)(read_field(screen, field), **screen.segmentation.options)
        assert (overlaps(nuclei, ours) > 0.5).any(axis=1).mean() >= 0.85


def test_the_atlas_cells_are_cut(screens: tuple[Workspace, dict[str, Screen]]) -> None:
    screen = screens[1]["human_antibodies_masks"]
    cut = cut_shard(screen, scan(screen).fields[:1])
    assert cut.found == (np.bincount(truth(USED[0])[0].ravel())[1:] >= 400).sum()
    assert len(cut.pixels) >= 4
    assert cut.pixels.shape[1:] == (3, 64, 64)  # the mask is not part of a crop


def test_fields_become_features(screens: tuple[Workspace, dict[str, Screen]]) -> None:
    workspace, loaded = screens
    screen = loaded["human_antibodies"]
    with (real_folder("human_antibodies") / "fields.csv").open() as file:
        rows = {row["field"]: row for row in csv.DictReader(file)}
    outcome = run_screen(workspace, screen, instance=in_memory(workspace))
    assert outcome.success, outcome.error
    with connect(workspace.published) as con:
        images = con.sql(
            f"SELECT image_id, protein, antibody, cell_line, localization, n_cells FROM {screen.name}.images"
        ).fetchall()
        reasons = con.sql(
            f"SELECT image_id, reason FROM {screen.name}.quarantine WHERE stage = 'fields'"
        ).fetchall()
        query = f"SELECT count(*) FROM {screen.name}.cell_features_agreement_conv5"
        ((described,),) = con.sql(query).fetchall()
    assert {image_id for image_id, *_ in images} == set(USED)
    for image_id, protein, antibody, line, terms, n_cells in images:
        row = rows[image_id]
        assert (protein, antibody, line) == (row["protein"], row["antibody"], row["cell_line"])
        assert terms == row["localization"].split("|")
        assert n_cells >= 4
    assert described == sum(row[-1] for row in images)
    assert reasons == [(SILENCED, "sirna is 1, not 0 (images.only)")]
