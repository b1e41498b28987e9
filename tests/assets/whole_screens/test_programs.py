"""Feature sets of the user beside the others: their vectors, their lineage, and what makes them anew."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import save_file
from sklearn.neighbors import KNeighborsClassifier

from pcip_assets.definitions import screen_assets
from pcip_assets.resources import Library
from pcip_core.models.programs.loading import digest_of
from pcip_core.store.publish import connect
from pcip_core.store.vectors import features_of
from tests.assets.conftest import Finished, write_program


def stored(compared: Finished, name: str, shard: str = "plate_2") -> np.ndarray:
    return features_of(compared.store.read("tiny", f"cell_features_{name}", shards=[shard]))


def test_vectors_of_stored_crops(compared: Finished) -> None:
    """Each crop spans its extremes, so that the maximum of a plane is 1, and 0 of an empty one."""
    found = stored(compared, "mine")
    assert found.shape[1] == 6
    assert np.allclose(found[:, :3], [1, 0, 1])
    _, crops = compared.store.read_with_array("tiny", "cells", "crops", "plate_2")
    means = np.asarray(crops)[:, ::-1].mean((2, 3)) / 255  # protein first; resizing keeps the mean nearly
    assert np.abs(found[:, [3, 5]] - means).max() < 0.05


def test_vectors_of_cells_that_are_cut_again(compared: Finished) -> None:
    """A window of 48 px of the fields, halved and rescaled: for channels alone, three copies of each."""
    found = stored(compared, "wide").reshape(-1, 2, 2, 3)  # cells, channels, maximum and mean, copies
    cells = compared.store.read("tiny", "cells", shards=["plate_2"])
    root = Path(compared.screen.folder())
    for row, cell in zip(found, cells.iter_rows(named=True), strict=True):
        well = cell["image_id"].removeprefix("plate_2_")
        top, left = round(cell["y_px"]) - 24, round(cell["x_px"]) - 24
        for channel, name in enumerate(("protein", "nucleus")):
            plane = tifffile.imread(root / "plate_2" / f"{well}_f1_{name}.tif").astype(float)
            if top < 0 or left < 0 or top + 48 > 160 or left + 48 > 160:
                continue
            window = plane[top : top + 48, left : left + 48]
            mean = (window.mean() - window.min()) / (window.max() - window.min())
            assert np.allclose(row[channel, 0], 1)
            assert np.abs(row[channel, 1] - mean).max() < 0.05


def test_a_combination_gives_each_set_the_same_share(compared: Finished) -> None:
    sets = [
        np.concatenate([stored(compared, name, f"plate_{n}") for n in (1, 2)]) for name in ("classic", "mine")
    ]
    both = np.concatenate([stored(compared, "both", f"plate_{n}") for n in (1, 2)])
    expected = []
    for values in sets:
        centred = values.astype(np.float64) - values.mean(0, dtype=np.float64)
        spread = centred.std(0)
        expected.append(
            np.where(spread > 0, centred / np.where(spread > 0, spread, 1), 0) / len(spread) ** 0.5
        )
    assert np.allclose(both, np.concatenate(expected, 1), atol=1e-4)


def test_neighbours_of_a_combination_are_weighted(compared: Finished) -> None:
    """By scikit-learn on the stored vectors, leaving out each image."""
    with connect(compared.workspace.published) as con:
        rows = con.execute(
            "SELECT f.features, f.image_id, i.localization[1] FROM tiny.cell_features_both f "
            "JOIN tiny.images i USING (image_id)"
        ).fetchall()
        ((score,),) = con.execute(
            "SELECT value FROM main.benchmarks WHERE feature_set = 'both' AND classifier = 'knn' AND label IS NULL "
            "AND metric = 'balanced_accuracy' AND parameter = 'k=3' AND protocol = 'leave_image_out'"
        ).fetchall()
    points, images, labels = (np.array(column) for column in zip(*rows, strict=True))
    right = np.zeros(len(labels), bool)
    for image in np.unique(images):
        rest = images != image
        model = KNeighborsClassifier(3, algorithm="brute").fit(points[rest], labels[rest])
        right[~rest] = model.predict(points[~rest]) == labels[~rest]
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    assert score == pytest.approx(np.mean(recalls))


def test_the_store_names_the_file_and_its_digest(compared: Finished) -> None:
    digest = digest_of(compared.spec.parent / "mine.ts", "here")
    with connect(compared.workspace.published) as con:
        rows = con.execute(
            "SELECT feature_set, method, dim, encoder_version, mlflow_run_id FROM main.feature_sets "
            "WHERE feature_set IN ('mine', 'wide', 'both') ORDER BY ALL"
        ).fetchall()
        nearest = con.execute(
            "SELECT distance FROM tiny.similar_cells('mine', (SELECT min(cell_id) FROM tiny.cells), 2)"
        ).fetchall()
    version = f"mine.ts, SHA-256 {digest[:12]}"
    assert rows[1:] == [("mine", "mine", 6, version, None), ("wide", "wide", 12, version, None)]
    assert rows[0][3].endswith(f", {version}")
    assert nearest[0] == (0.0,)


MINE = {"program": "mine.ts", "channels": ["protein"], "size_px": 16}


def materialize(made: Finished, noun: str) -> tuple[bool, str]:
    """Materialize one asset of one shard: whether it succeeded, and its error."""
    (asset,) = (asset for asset in screen_assets(made.screen) if asset.key.path[-1] == noun)
    assert made.instance is not None
    result = dg.materialize(
        [asset],
        partition_key="plate_1",
        instance=made.instance,
        resources={"library": Library(data=str(made.workspace.data))},
        raise_on_error=False,
    )
    failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    causes = [error.cause.message if error and error.cause else str(error) for error in failures]
    return result.success, " ".join(causes)


def test_a_program_that_cannot_be_used_gives_a_named_error_and_no_table(
    finished: Finished, tmp_path: Path
) -> None:
    """One story, as a copy of a workspace costs time: no file, another reference, the right one, a combination."""
    features = {
        "mine": {**MINE, "reference": "reference.safetensors"},
        "both": {"combine": ["mine", "absent"]},
    }
    made = finished.copied(tmp_path, features=features)
    success, error = materialize(made, "mine_features")
    assert not success
    assert f"features.mine ({tmp_path / 'mine.ts'}): found no file that can be read" in error
    write_program(tmp_path / "mine.ts")
    images = torch.rand(2, 3, 16, 16)
    truth = torch.cat([images.amax((2, 3)), images.mean((2, 3))], 1)
    save_file({"input": images, "output": truth + 0.1}, tmp_path / "reference.safetensors")
    success, error = materialize(made, "mine_features")
    assert not success
    assert "found numbers that differ from the reference by 0.09" in error
    assert "cell_features_mine" not in made.store.tables("tiny")
    save_file({"input": images, "output": truth}, tmp_path / "reference.safetensors")
    assert materialize(made, "mine_features") == (True, "")
    first = made.commits()["cell_features_mine", "plate_1"]
    assert materialize(made, "mine_features")[0]
    assert made.commits()["cell_features_mine", "plate_1"] == first  # up to date
    with (tmp_path / "mine.ts").open("ab") as file:
        file.write(b"\0")  # another digest is another program
    assert materialize(made, "mine_features")[0]
    assert made.commits()["cell_features_mine", "plate_1"] != first
    success, error = materialize(made, "both_features")
    assert not success
    assert "tiny: features.both.combine: found absent; required: feature sets that exist" in error
