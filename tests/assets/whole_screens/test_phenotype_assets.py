"""Phenotypes through Dagster, on a tiny screen with one protein that is nuclear in the left of its fields alone."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import tifffile

from pcip_assets.cli.run import run_screen
from pcip_assets.definitions import build_definitions
from pcip_assets.workspace import Workspace
from pcip_core.spec.screen import Screen
from pcip_core.store.publish import connect
from tests.assets.conftest import EMBEDDED, Finished, in_memory
from tests.conftest import draw_field, write_tiny_screen

SET = "inpainting_conv2"
LEFT_PX = 57  # cells lie at about 35, 80 and 125
SETTINGS = {"proteins": ["P11", "P12"], "least_cells": 10}


def draw_two_phenotypes(folder: Path) -> None:
    """Two fields of P11 with the same cells as ever, whose protein is in the nucleus left of `LEFT_PX` only."""
    for field in (1, 2):
        inside, around = (
            draw_field(np.random.default_rng(field), in_nucleus=where) for where in (True, False)
        )
        planes = {
            name: np.where(np.arange(160) < LEFT_PX, inside[name], around[name])
            for name in ("nucleus", "protein")
        }
        for name, plane in planes.items():
            tifffile.imwrite(folder / "images" / "plate_1" / f"A02_f{field}_{name}.tif", plane)


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny screen with the phenotypes of two proteins asked for; look, do not touch."""
    folder = tmp_path_factory.mktemp("clustered")
    options: dict[str, Any] = {
        "baselines": {"sets": []},
        "analyses": {"feature_set": SET, "least_cells": 5, "phenotypes": SETTINGS},
    }
    spec = write_tiny_screen(folder, **options)
    draw_two_phenotypes(folder)
    workspace = Workspace(folder / "data")
    screen = workspace.find(str(spec))
    instance = in_memory(workspace)
    outcome = run_screen(workspace, screen, analyses=True, instance=instance)
    assert outcome.success, outcome.error
    return Finished(workspace, screen, spec, outcome, instance)


def table(made: Finished) -> list[dict[str, Any]]:
    return made.store.read("tiny", "phenotypes").to_dicts()


def metadata(made: Finished) -> dict[str, Any]:
    """The metadata of the newest materialization."""
    event = made.dagster.get_latest_materialization_event(dg.AssetKey(["tiny", "phenotypes"]))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def changed(made: Finished, *, segmented: str | None = None, root: str | None = None, **settings: Any) -> Any:
    """Make the phenotypes alone, by other settings; returns Dagster's result."""
    analyses = made.screen.analyses
    screen: Screen = dataclasses.replace(
        made.screen,
        root=root or made.screen.root,
        segmentation=dataclasses.replace(
            made.screen.segmentation, method=segmented or made.screen.segmentation.method
        ),
        analyses=dataclasses.replace(
            analyses, phenotypes=dataclasses.replace(analyses.phenotypes, **settings)
        ),
    )
    return (
        build_definitions(made.workspace, [screen])
        .resolve_job_def("tiny_analyses")
        .execute_in_process(
            instance=made.dagster,
            asset_selection=[dg.AssetKey(["tiny", "phenotypes"])],
            raise_on_error=False,
        )
    )


def test_phenotypes_are_the_true_ones_and_lie_where_they_were_drawn(clustered: Finished) -> None:
    with connect(clustered.workspace.published) as con:
        rows = con.execute(
            "SELECT phenotype, share, x_px FROM tiny.phenotypes JOIN tiny.cells USING (cell_id) "
            "WHERE protein = 'P11' AND cell_line = 'line'"
        ).fetchall()
    assert len(rows) == 18
    nuclear = [x < LEFT_PX for *_, x in rows]
    assert sum(nuclear) == 6
    assert [phenotype for phenotype, *_ in rows] == [2 if one else 1 for one in nuclear]
    assert {(phenotype, share) for phenotype, share, _ in rows} == {(1, 12 / 18), (2, 6 / 18)}


def test_the_summary_is_in_the_metadata(clustered: Finished) -> None:
    rows = table(clustered)
    summary = dict(metadata(clustered)["P11 line"])
    assert -1 < summary.pop("silhouette") < 1
    assert summary == {"phenotypes": 2, "cells": 18, "proportions": [0.667, 0.333]}
    shown = Counter(row["phenotype"] for row in rows if row["representative"])
    assert shown == {1: 3, 2: 3}


def test_a_protein_with_few_cells_is_left_out(clustered: Finished) -> None:
    assert metadata(clustered)["left_out: P12 line"] == "9 cells, fewer than 10"
    assert {row["protein"] for row in table(clustered)} == {"P11"}


def test_pictures_of_the_tree_and_of_the_fields(clustered: Finished) -> None:
    for name in ("phenotypes_P11", "phenotypes_P11_fields"):
        assert clustered.workspace.figure("tiny", name).read_bytes().startswith(b"\x89PNG")
        assert EMBEDDED in metadata(clustered)[name]
    assert "fields_without_picture" not in metadata(clustered)["P11 line"]
    assert not clustered.workspace.figure("tiny", "phenotypes_P12").exists()


def test_again_makes_nothing(clustered: Finished) -> None:
    before = clustered.commits()
    assert clustered.again(analyses=True).success
    assert clustered.commits() == before


@pytest.fixture(scope="module")
def other(clustered: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A copy to change."""
    import shutil

    folder = tmp_path_factory.mktemp("other")
    shutil.copytree(clustered.workspace.data, folder / "data")
    return dataclasses.replace(clustered, workspace=Workspace(folder / "data"))


def test_without_names_the_most_variable_are_clustered(other: Finished) -> None:
    assert changed(other, proteins=(), most_variable=2, least_cells=9).success
    ranked = sorted(other.store.read("tiny", "variability").to_dicts(), key=lambda row: row["rank"])
    assert {row["protein"] for row in table(other)} == {row["protein"] for row in ranked[:2]}

    assert changed(other, proteins=(), least_cells=100).success
    assert table(other) == []
    assert "no protein with enough cells" in metadata(other)["not_clustered"]


def test_an_unknown_protein_is_an_error_that_names_known_ones(other: Finished) -> None:
    result = changed(other, proteins=("P11", "P99"))
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    message = failure.step_failure_data.error.cause.message
    assert "found no cells of P99" in message
    assert "some of 8 proteins: P10, P11, P12" in message


def test_fields_that_cannot_be_read_any_more_are_drawn_without_picture(
    other: Finished, tmp_path: Path
) -> None:
    assert changed(other, root=str(tmp_path), clusters=3).success
    (first, second) = metadata(other)["P11 line"]["fields_without_picture"]
    assert "A02_f1" in first
    assert "A02_f2" in second
    assert len({row["phenotype"] for row in table(other)}) == 3
    assert metadata(other)["P11 line"]["silhouette"] is None  # nothing was tried


def test_cells_that_come_cropped_have_no_fields(other: Finished) -> None:
    assert changed(other, segmented="whole", clusters=4).success
    assert metadata(other)["P11 line"]["fields"].startswith("not drawn: the images are single cells")
    assert "phenotypes_P11_fields" not in metadata(other)
