"""A second round of training, which leaves out the proteins that vary most in the first one."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from benchmarks.common.assets import call_asset
from pcip_assets.assets.analyses.cell_scores import build_variability
from pcip_assets.assets.encoders.encoder import Training, build_encoder
from pcip_assets.assets.encoders.left_out import LeftOut, images_left_out
from pcip_assets.cli.check import command as check
from pcip_assets.definitions import build_definitions
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from pcip_core.analysis.variability import variability
from pcip_core.errors import SpecError, TrainingError
from pcip_core.models.files import read_extra
from pcip_core.simulate.plan import plan_screen
from pcip_core.spec.screen import Screen
from pcip_core.spec.simulation import Simulation
from pcip_core.store import schemas
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store
from tests.assets.conftest import Finished
from tests.conftest import TINY_SPEC, write_spec

FIRST = {"variable_in": "first", "share": 0.25}
RANKED = ["P21", "P10", "P99", "P13", "P22"]  # in the first round; P99 is not in the tiny screen


def write_ranking(workspace: Workspace, proteins: list[str], *, line: str = "line") -> None:
    """The ranking of a screen `first`, the most variable protein first."""
    numbers = {name: [0.0] * len(proteins) for name in schemas.VARIABILITY.types}
    keys = {"protein": proteins, "cell_line": [line] * len(proteins), "n": [9] * len(proteins)}
    table = pl.DataFrame({**numbers, **keys, "rank": list(range(1, len(proteins) + 1))})
    provenance = {"feature_set": "inpainting_conv3", "encoder_version": "first/3"}
    tables = {"variability": schemas.VARIABILITY.checked(table)}
    Store(workspace.store).commit("first", tables, provenance=provenance)


def second(workspace: Workspace, **leave_out: object) -> Screen:
    """A spec of a second round."""
    encoder = {**TINY_SPEC["encoder"], "leave_out": {**FIRST, **leave_out}}
    return workspace.load(write_spec(workspace.data.parent, name="second", encoder=encoder))


def left_out(workspace: Workspace, screen: Screen, images: dict[str, str]) -> LeftOut:
    """Left out of images, given as id -> protein."""
    table = {"image_id": list(images), "protein": list(images.values()), "cell_line": ["line"] * len(images)}
    chosen = images_left_out(workspace, screen, pl.DataFrame(table))
    assert chosen is not None
    return chosen


def test_a_training_leaves_out_the_images_of_variable_proteins_and_says_so(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One story, as a training costs seconds. Two of the four ranked proteins of the screen are in one image each."""
    encoder = {**finished.screen.resolved()["encoder"], "leave_out": {**FIRST, "share": 0.5}}
    made = finished.copied(tmp_path, encoder=encoder)
    with pytest.raises(TrainingError, match="no screen first"):
        made.again(retrain=True)
    write_ranking(made.workspace, RANKED)
    resources = {
        "library": Library(data=str(made.workspace.data)),
        "tracking": Tracking(data=str(made.workspace.data)),
    }
    result = call_asset(build_encoder(made.screen), [], config=Training(), **resources)

    text = (
        "2 images of the most variable 2 of 4 proteins ranked in first (by inpainting_conv3 of first/3): "
        "P21 line, P10 line"
    )
    champion = resources["tracking"].champion("tiny")
    assert champion.version == "tiny/2", "other images are other inputs"
    assert champion.tags["left_out"] == text
    kept = read_extra(champion.folder)["left_out"]
    assert kept["images"] == ["plate_1_A01", "plate_2_A02"]
    cells = made.store.read("tiny", "cells")
    n_out = cells.filter(pl.col("image_id").is_in(kept["images"])).height
    assert kept["cells"] == n_out > 0
    assert f"- Left out: {text}" in (champion.folder / "README.md").read_text()
    assert result.metadata["left_out"] == text
    assert result.metadata["cells"] == cells.height - n_out
    held = read_extra(champion.folder)["held_out_crops"]
    hashes = cells.filter(pl.col("image_id").is_in(kept["images"]))["pixel_hash"]
    assert not set(hashes) & set(held)

    monkeypatch.setenv("PCIP_DATA", str(made.workspace.data))
    printed = CliRunner().invoke(check, [str(made.spec)], catch_exceptions=False)
    assert f"leaves out {text}" in printed.output
    assert printed.exit_code == 0

    write_ranking(made.workspace, ["P10", "P21", *RANKED[2:]])
    again = call_asset(build_encoder(made.screen), [], config=Training(), **resources)
    assert again.metadata["up_to_date"], "another order of the same images"


def test_the_ranking_of_a_first_round_is_used_as_it_is_stored(own: Finished) -> None:
    """The remedy of the error is executed: the analysis of the first round."""
    analyses = {"least_cells": 4}
    first = own.workspace.load(write_spec(own.spec.parent, root=own.screen.root, analyses=analyses))
    round_two = second(own.workspace, variable_in="tiny")
    images = Images.of(own.store, "tiny").frame
    with pytest.raises(TrainingError, match=r"no ranking of proteins in tiny.*`pcip run tiny --analyses`"):
        images_left_out(own.workspace, round_two, images)
    call_asset(build_variability(first), [], library=Library(data=str(own.workspace.data)))
    chosen = images_left_out(own.workspace, round_two, images)
    assert chosen is not None
    ranked = own.store.read("tiny", "variability").sort("rank")
    assert chosen.ranked == ranked.height == 8
    assert [protein for protein, _ in chosen.proteins] == ranked["protein"].head(2).to_list()
    assert chosen.scored_by == "inpainting_conv3 of tiny/1"


def test_what_cannot_be_left_out_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data")
    images = {"a": "P21", "b": "P10", "c": "P1"}
    with pytest.raises(TrainingError, match="no screen first"):
        left_out(workspace, second(workspace), images)
    write_ranking(workspace, [])
    with pytest.raises(TrainingError, match=r"an empty ranking.*least_cells of first"):
        left_out(workspace, second(workspace), images)
    write_ranking(workspace, RANKED, line="another")
    with pytest.raises(TrainingError, match="none of the 5 proteins ranked in first"):
        left_out(workspace, second(workspace), images)
    write_ranking(workspace, RANKED)
    with pytest.raises(TrainingError, match=r"all 2 images.*Lower encoder\.leave_out\.share \(now 0\.9\)"):
        left_out(workspace, second(workspace, share=0.9), {"a": "P21", "b": "P10"})
    assert left_out(workspace, second(workspace, share=0.5), images).images == ("a",)
    assert left_out(workspace, second(workspace, share=0.01), images).images == ("a",), "at least one protein"


def test_a_round_that_depends_on_itself_is_refused(tmp_path: Path) -> None:
    """Alone, through another screen, and through a screen that borrows the encoder; others stay."""
    workspace = Workspace(tmp_path / "data")
    workspace.screens_folder.mkdir(parents=True)

    def write(name: str, variable_in: str | None = None, **keys: object) -> Path:
        encoder = {
            **TINY_SPEC["encoder"],
            **({"leave_out": {"variable_in": variable_in}} if variable_in else {}),
        }
        return write_spec(workspace.screens_folder, name=name, encoder=encoder, **keys)

    write("first")
    path = write("second", "first")
    write("third", "second")
    assert set(workspace.screens()[0]) == {"first", "second", "third"}
    with pytest.raises(SpecError, match=r"names the screen itself.*it is the first round"):
        workspace.load(write("alone", "alone"))
    with pytest.raises(SpecError, match=r"variable_in '\.\./other'; required: the name of another screen"):
        workspace.load(write("alone", "../other"))
    (workspace.screens_folder / "alone.yaml").unlink()
    write("first", "third")
    screens, problems = workspace.screens()
    assert set(screens) == set()
    assert "first needs third needs second needs first" in str(problems[0])
    with pytest.raises(SpecError, match=r"depends on itself.*spec of the first round"):
        workspace.find(str(path))
    write("first", encoder_from="second")
    screens, problems = workspace.screens()
    assert set(screens) == {"first", "third"}
    assert "second needs first needs second" in str(problems[0])


def test_the_graph_shows_where_the_ranking_comes_from(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data")
    screens = [workspace.load(write_spec(tmp_path, name="first")), second(workspace)]
    graph = build_definitions(workspace, screens).resolve_asset_graph()
    parents = graph.get(dg.AssetKey(["second", "encoder"])).parent_keys
    assert parents == {dg.AssetKey(["second", "crops"]), dg.AssetKey(["first", "variability"])}


def test_proteins_that_vary_by_design_are_left_out(tmp_path: Path) -> None:
    """Cells of a planned simulated screen, described by where their protein is: 6 of 50 proteins vary."""
    plan = plan_screen(
        Simulation("human", proteins_per_class=4, variable_proteins=6, mixed_proteins=0, shares=(0.5,))
    )
    rng, places = np.random.default_rng(0), sorted({name for image in plan for name in image.fractions})
    rows, features = [], []
    for image in plan:
        names, shares = list(image.fractions), list(image.fractions.values())
        for name in rng.choice(names, 40, p=shares):
            rows.append((image.protein, image.cell_line))
            features.append(3 * np.eye(len(places))[places.index(name)] + rng.normal(0, 1, len(places)))
    cells = pl.DataFrame(rows, schema=["protein", "cell_line"], orient="row")
    ranked = variability(np.array(features, np.float32), cells, np.ones(len(rows))).table
    workspace = Workspace(tmp_path / "data")
    Store(workspace.store).commit(
        "first", {"variability": schemas.VARIABILITY.checked(ranked)}, provenance={}
    )
    images = pl.DataFrame([vars(image) | {"image_id": image.image_id} for image in plan])
    chosen = images_left_out(workspace, second(workspace, share=6 / 50), images)
    assert chosen is not None
    assert set(chosen.images) == {image.image_id for image in plan if image.kind == "variable"}
