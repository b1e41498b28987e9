"""Does the network follow its source: table, check and MLflow, through Dagster, compared with numpy."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from pcip_assets.tracking import Tracking
from pcip_core.models.files import load_encoder
from pcip_core.models.inpainting import build_network
from pcip_core.store.publish import connect
from pcip_core.training.sampling import hold_out
from tests.assets.conftest import EMBEDDED, Finished, add_plate, run_tiny
from tests.conftest import write_spec

CHECK = "follows_its_source"
LEARNS = {
    **{"width": 0.1, "epochs": 12, "batch_size": 4, "learning_rate": 3e-3, "preview_every": 12},
    **{"validation_fraction": 0.15, "precision": "float32"},
}
QUICK: dict[str, Any] = {"baselines": {"sets": []}, "analyses": {"feature_set": "intensity"}}


def checked(made: Finished, run_id: str) -> Any:
    """The result of the check in a run."""
    records = made.dagster.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    results = [record.dagster_event.asset_check_evaluation_data for record in records]  # type: ignore[union-attr]
    (result,) = [result for result in results if result.check_name == CHECK]
    return result


def metadata_of(made: Finished, screen: str) -> dict[str, Any]:
    """The metadata of the latest materialization of `mismatch`."""
    event = made.dagster.get_latest_materialization_event(dg.AssetKey([screen, "mismatch"]))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A tiny screen whose encoder has learned its two compartments, after a plain run; look, do not touch."""
    made = run_tiny(tmp_path_factory.mktemp("followed"), encoder=LEARNS, **QUICK)
    assert made.outcome.success, made.outcome.error
    return made


def pairs_of(made: Finished, network: str) -> list[dict[str, Any]]:
    rows = made.store.read("tiny", "mismatch").to_dicts()
    return [row for row in rows if row["network"] == network]


def run_with(finished: Finished, folder: Path, **changes: object) -> Finished:
    """Train on the tiny screen's images under another spec."""
    made = finished.copied(folder, **QUICK, **changes)
    shutil.rmtree(made.workspace.mlflow_folder)
    outcome = made.again()
    assert outcome.success, outcome.error
    return dataclasses.replace(made, outcome=outcome)


class Cells:
    """Cells of plates in the order of the shards, with what the tests ask of them."""

    def __init__(self, made: Finished, plates: tuple[str, ...] = ("plate_1", "plate_2")) -> None:
        parts = [made.store.read_with_array("tiny", "cells", "crops", plate) for plate in plates]
        self.pixels = np.concatenate([crops for _, crops in parts])
        self.ids = [name for table, _ in parts for name in table["cell_id"].to_list()]
        self.images = np.array([name for table, _ in parts for name in table["image_id"].to_list()])
        rows = made.store.read("tiny", "images").to_dicts()
        label_of = {row["image_id"]: row["localization"][0] for row in rows}
        self.labels = np.array([label_of[image] for image in self.images])
        config = made.screen.encoder
        numbers = np.unique(self.images, return_inverse=True)[1]
        self.held = hold_out(numbers, fraction=config.validation_fraction, seed=config.seed)

    def predict(self, network: torch.nn.Module, source: int, target: int) -> np.ndarray:
        x = torch.tensor(self.pixels[[source]] / 255, dtype=torch.float32)
        markers = torch.tensor(self.pixels[[target], :1] / 255, dtype=torch.float32)  # nucleus, protein
        with torch.no_grad():
            return network(x, markers)[0, 0].numpy()


def r(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize("network", ["encoder", "untrained"])
def test_correlations_are_those_of_predictions_made_by_hand(followed: Finished, network: str) -> None:
    champion = Tracking(data=str(followed.workspace.data)).champion("tiny")
    trained = load_encoder(champion.folder)
    own = trained if network == "encoder" else build_network(trained.config, 0).eval()  # type: ignore[arg-type]
    cells, rows = Cells(followed), pairs_of(followed, network)
    assert {row["encoder_version"] for row in rows} == {
        "tiny/1" if network == "encoder" else "untrained, seed 0"
    }
    by_hand = 0
    for row in rows:
        source, target = (cells.ids.index(row[f"{end}_cell"]) for end in ("source", "target"))
        assert cells.held[source]
        assert cells.held[target]
        assert (cells.labels[source], cells.labels[target]) == (row["source_label"], row["target_label"])
        assert row["source_label"] != row["target_label"]
        prediction, truth = cells.predict(own, source, target), cells.pixels[target, 1]
        assert row["r_truth"] == pytest.approx(r(prediction, truth), abs=1e-4)
        assert row["resembles_source"] == (row["r_source"] > max(row["r_target"], row["r_truth"]) + 1e-6)
        same, matching = (
            np.flatnonzero(
                cells.held & (cells.labels == cells.labels[cell]) & (cells.images != cells.images[cell])
            )
            for cell in (source, target)
        )
        for name, pool in (("r_source", same), ("r_target", matching)):
            every = [cells.predict(own, int(cell), target) for cell in pool]
            if len(pool) == row["n_references"]:  # all there are: nothing was drawn
                assert row[name] == pytest.approx(r(prediction, np.mean(every, axis=0)), abs=1e-4)
                by_hand += 1
    assert by_hand > 0


def test_a_network_that_has_learned_passes_and_mlflow_has_its_numbers(followed: Finished) -> None:
    check = checked(followed, followed.outcome.run_id)
    assert (check.passed, check.severity) == (True, dg.AssetCheckSeverity.WARN)
    said = {name: value.value for name, value in check.metadata.items()}
    made = metadata_of(followed, "tiny")
    assert made["follows_its_source"] is True
    assert {name: made[name] for name in said} == said
    assert said["cells"] == "held out of the training"
    assert said["references_are_of_another"] == "image"
    assert EMBEDDED in said["mismatch"]
    client = mlflow.MlflowClient(followed.workspace.mlflow_uri)
    run_id = Tracking(data=str(followed.workspace.data)).champion("tiny").run_id
    logged = client.get_run(run_id).data.metrics
    assert "mismatch.png" in {file.path for file in client.list_artifacts(run_id)}
    with connect(followed.workspace.published) as con:
        found = con.execute(
            "SELECT network, count(*), avg(r_source - r_target), avg((r_truth < r_matched)::int), "
            "avg(resembles_source::int) FROM tiny.mismatch GROUP BY network ORDER BY network"
        ).fetchall()
    assert [network for network, *_ in found] == ["encoder", "untrained"]
    for (_, n, *values), ending in zip(found, ("", "_untrained"), strict=True):
        assert n == said["pairs"]
        names = ("margin", "share_worse_than_matched", "share_resembling_source")
        for name, value in zip(names, values, strict=True):
            assert said[name + ending] == pytest.approx(value, abs=1e-6)
            if name != "share_resembling_source":
                assert said[name + ending] == logged[f"mismatch_{name}{ending}"]
    assert said["margin"] > said["margin_untrained"]
    votes: dict[str, list[float]] = {}
    for row in pairs_of(followed, "encoder"):
        votes.setdefault(row["target_cell"], []).append(row["r_matched"] - row["r_truth"])
    worse = sum(sum(gaps) > 0 for gaps in votes.values())
    assert said["p"] == pytest.approx(binomtest(worse, len(votes), alternative="greater").pvalue)
    assert said["p"] < 0.05
    assert said["target_cells"] == len(votes)


def test_pairs_are_compared_once_for_the_same_encoder_and_cells(followed: Finished) -> None:
    picture = followed.workspace.figure("tiny", "mismatch")
    assert picture.read_bytes().startswith(b"\x89PNG")
    before = followed.store.provenance("tiny", "mismatch")
    outcome = followed.again(analyses=True)
    assert outcome.success, outcome.error
    assert followed.store.provenance("tiny", "mismatch") == before
    again, first = (checked(followed, run_id) for run_id in (outcome.run_id, followed.outcome.run_id))
    assert again.passed
    assert again.metadata == first.metadata


def test_another_untrained_network_is_compared_with_anew(finished: Finished, tmp_path: Path) -> None:
    encoder = {**finished.screen.resolved()["encoder"], "seed": 1}
    made = finished.copied(tmp_path, encoder=encoder, **QUICK)
    before = pairs_of(made, "untrained")
    outcome = made.again()
    assert outcome.success, outcome.error
    after = pairs_of(made, "untrained")
    assert {row["encoder_version"] for row in after} == {"untrained, seed 1"}
    assert [row["r_source"] for row in after] != [row["r_source"] for row in before]


def test_two_epochs_are_not_enough_and_say_why(finished: Finished) -> None:
    check = checked(finished, finished.outcome.run_id)
    assert finished.outcome.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    why = check.description
    assert f"of {check.metadata['target_cells'].value} target cells are predicted worse" in why


def test_cells_of_a_new_plate_are_not_taken_for_held_out(finished: Finished, tmp_path: Path) -> None:
    """Nor are the old ones drawn anew, although they stand in other places among all cells."""
    made = finished.copied(tmp_path, **QUICK)
    before, commit = pairs_of(made, "encoder"), made.commits()["mismatch", None]
    add_plate(tmp_path / "images", "plate_1", "plate_0")  # comes before the others
    outcome = made.again()
    assert outcome.success, outcome.error
    assert not outcome.trained
    assert made.commits()["mismatch", None] == commit
    assert made.again(analyses=True).success
    assert Cells(made, ("plate_0",)).ids
    cells = Cells(made)
    after = pairs_of(made, "encoder")
    held = {name for name, out in zip(cells.ids, cells.held, strict=True) if out}
    assert after
    assert {row[f"{end}_cell"] for row in after for end in ("source", "target")} <= held
    assert (
        {row["encoder_version"] for row in after} == {row["encoder_version"] for row in before} == {"tiny/1"}
    )


def test_without_labels_the_table_is_empty_and_the_check_says_what_is_needed(
    finished: Finished, tmp_path: Path
) -> None:
    made = run_with(finished, tmp_path, images={"values": {"protein": "{well}"}})
    check = checked(made, made.outcome.run_id)
    assert check.passed
    needed = check.metadata["not_judged"].value
    assert "0 labels with two images or more, of 0" in needed
    assert "column localization of images" in needed
    run = mlflow.MlflowClient(made.workspace.mlflow_uri).get_run(
        Tracking(data=str(made.workspace.data)).champion("tiny").run_id
    )
    assert not [name for name in run.data.metrics if name.startswith("mismatch")]
    assert made.store.read("tiny", "mismatch").is_empty()
    assert not made.workspace.figure("tiny", "mismatch").exists()  # not even that of the first training
    logged = [entry.user_message for entry in made.dagster.all_logs(made.outcome.run_id)]
    (line,) = [text for text in logged if text.startswith("tiny/mismatch: ")]
    assert line.startswith("tiny/mismatch: 0 rows in ")
    assert line.endswith(f" s: {needed}")
    assert needed == metadata_of(made, "tiny")["not_judged"]


def test_fields_stand_for_images_where_each_label_has_one(finished: Finished, tmp_path: Path) -> None:
    made = run_with(
        finished,
        tmp_path,
        files={"pattern": "{plate}/{field}_f{site}_{channel}.tif", "image_id": "{plate}"},
        images={"values": {"protein": "{plate}"}},
        benchmark={"ks": [1], "label": "protein", "protocols": ["leave_field_out"]},
    )
    assert set(made.store.read("tiny", "cells")["image_id"]) == {"plate_1", "plate_2"}, (
        "cells of the new images"
    )
    said = checked(made, made.outcome.run_id).metadata
    assert said["references_are_of_another"].value == "field"
    assert said["pairs"].value > 0


def test_an_encoder_of_another_screen_is_compared_on_all_cells_and_has_no_check(own: Finished) -> None:
    folder = own.spec.parent
    spec = write_spec(folder, name="other", root=str(folder / "images"), encoder_from="tiny", **QUICK)
    other = dataclasses.replace(own, screen=own.workspace.find(str(spec)), spec=spec)
    outcome = other.again(analyses=True)
    assert outcome.success, outcome.error
    assert metadata_of(other, "other")["cells"] == "all, as the encoder was trained on tiny"
    rows = own.store.read("other", "mismatch").to_dicts()
    assert {row["n_references"] for row in rows} == {5}
    records = own.dagster.all_logs(outcome.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    assert CHECK not in str(records)
