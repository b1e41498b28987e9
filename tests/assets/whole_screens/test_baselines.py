"""Designed feature sets beside the learned ones, and screens that borrow an encoder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import polars as pl
import pytest
import tifffile

from pcip_assets.assets import feature_sets as sets
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_core.errors import EncoderError
from pcip_core.features.designed.classic import classic_features
from pcip_core.models import deeploc, inpainting
from pcip_core.spec.loading import load_screen
from pcip_core.spec.training import EncoderConfig
from pcip_core.store.publish import connect
from pcip_core.store.vectors import features_of
from tests.assets.conftest import DESIGNED, QUICK, Finished, add_plate
from tests.conftest import write_spec

SETS = (
    *DESIGNED,
    *(f"autoencoder_conv{number}" for number in range(1, 6)),
    *("vgg16_protein_block1_conv2", "inpainting_conv3_by_plate", "inpainting_conv3_whitened"),
)


def test_every_set_is_scored_on_the_same_cells(compared: Finished) -> None:
    with connect(compared.workspace.published) as con:
        rows = con.execute(
            "SELECT feature_set, n, value FROM main.benchmarks WHERE label IS NULL AND parameter = 'k=3' "
            "AND metric = 'balanced_accuracy' AND protocol = 'leave_image_out'"
        ).fetchall()
        about = con.execute(
            "SELECT feature_set, n_cells, method, encoder_version FROM main.feature_sets"
        ).fetchall()
    supervised = {name for name, _, method, _ in about if method == "supervised"}
    assert len(supervised) == 10
    assert {name for name, _, _ in rows} == {name for name, _, _, _ in about} - supervised
    assert set(SETS) < {name for name, _, _ in rows}
    assert {n for _, n, _ in rows} == {72}
    assert {name for name, _, value in rows if value > 0.9} >= set(DESIGNED)  # in the nucleus or around it
    assert {method for name, _, method, _ in about if name in SETS} == {
        *(*DESIGNED, "autoencoder", "vgg16_protein"),
        *("inpainting_by_plate", "inpainting_whitened"),
    }
    made_by = {method: version for _, _, method, version in about}
    assert made_by["autoencoder"] == "tiny.autoencoder/1"
    assert made_by["inpainting"] == "tiny/1"


def test_errors_name_the_asset_that_writes_a_table(compared: Finished) -> None:
    writers = compared.writers()
    assert len(writers) > 60
    assert {table: pair for table, pair in writers.items() if pair[0] != pair[1]} == {}


def test_each_score_names_the_training_of_its_features(compared: Finished) -> None:
    tracking = Tracking(data=str(compared.workspace.data))
    tables = ("benchmarks", "benchmarks_yardsticks")
    rows = [row for table in tables for row in compared.store.read("tiny", table).to_dicts()]
    runs = {row["feature_set"].split("_")[0]: row["mlflow_run_id"] for row in rows}
    assert runs["autoencoder"] == tracking.champion("tiny.autoencoder").run_id
    assert runs["inpainting"] == tracking.champion("tiny").run_id
    assert runs["classic"] is runs["untrained"] is runs["intensity"] is None


def test_the_table_holds_what_core_gives(compared: Finished) -> None:
    store, screen = compared.store, compared.screen
    cells, crops = store.read_with_array(screen.name, "cells", "crops", "plate_2")
    low, high = (np.array(cells[f"intensity_{end}"].to_list(), np.float32) for end in ("min", "max"))
    channels = (screen.crop_channels, screen.structural, screen.protein)
    expected, _ = classic_features(np.asarray(crops), low, high, *channels, levels=8)
    table = store.read(screen.name, "cell_features_classic", shards=["plate_2"])
    assert table["cell_id"].to_list() == cells["cell_id"].to_list()
    assert np.array_equal(features_of(table), expected)


def test_classifiers_score_cells_they_were_not_fitted_on(compared: Finished) -> None:
    with connect(compared.workspace.published) as con:
        rows = con.execute(
            "SELECT classifier, protocol, parameter, value, low, high FROM main.benchmarks WHERE label IS NULL "
            "AND metric = 'balanced_accuracy' AND classifier <> 'knn' AND feature_set = 'classic' "
            "AND protocol <> 'held_images'"
        ).fetchall()
    expected = {("logistic", "C=1"), ("forest", "trees=5"), ("histogram_forest", "trees=5")}
    assert {(name, protocol) for name, protocol, *_ in rows} == {
        (name, protocol) for name, _ in expected for protocol in ("folds", "grouped_folds")
    }
    assert {(name, parameter) for name, _, parameter, *_ in rows} == expected
    assert all(low <= value <= high and value > 0.9 for *_, value, low, high in rows)


def test_again_makes_nothing(compared: Finished) -> None:
    before = compared.commits()
    assert compared.again(baselines=True).success
    assert compared.commits() == before


def test_a_new_plate_leaves_baselines_as_they_are_until_they_are_asked_for(
    finished: Finished, tmp_path: Path
) -> None:
    """One story, as a run costs seconds: new plates, too few shards, all shards, a new encoder."""
    made = finished.copied(tmp_path, baselines={"sets": ["classic", "autoencoder"], **QUICK})
    tracking = Tracking(data=str(made.workspace.data))
    assert made.again(baselines=True).success
    before = made.commits()
    add_plate(tmp_path / "images", "plate_1", "plate_3")
    (tmp_path / "images" / "plate_4").mkdir()  # and one on which nothing is to be found
    for channel in ("nucleus", "protein"):
        noise = np.random.default_rng(0).integers(90, 110, (160, 160)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "images" / "plate_4" / f"A01_f1_{channel}.tif", noise)
    outcome = made.again()
    assert outcome.success, outcome.error
    after = made.commits()
    old = {key for key in before if "classic" in key[0] or key[0].startswith(("benchmarks_", "umap_"))}
    assert {table for table, _ in old} == {
        "benchmarks_classifiers", "benchmarks_yardsticks", "cell_features_classic", "protein_features_classic",
        "benchmarks_pairwise", "benchmarks_retrieval", "umap_cells", "umap_proteins",
    }  # fmt: skip
    assert {key: after[key] for key in old} == {key: before[key] for key in old}
    assert _cells_scored(made, "inpainting_conv4") == 108

    outcome = made.again(baselines=True, shards=["plate_3"])
    assert not outcome.success
    assert "; classic without plate_4" in str(outcome.error)
    outcome = made.again(baselines=True)
    assert outcome.success, outcome.error
    assert _cells_scored(made, "classic") == _cells_scored(made, "autoencoder_conv1") == 108
    assert tracking.champion("tiny.autoencoder").version == "tiny.autoencoder/1"  # as the encoder is the same

    assert made.again(baselines=True, retrain=True).success
    assert tracking.champion("tiny.autoencoder").version == "tiny.autoencoder/2"


def test_an_export_of_cellprofiler_joins_by_place(finished: Finished, tmp_path: Path) -> None:
    table = {"source": "table", "table": "Nuclei.csv", "image": "{Metadata_Plate}_{Metadata_Well}"}
    made = finished.copied(
        tmp_path,
        baselines={"sets": ["cellprofiler"], "cellprofiler": table, **QUICK, "classifiers": ["intensity"]},
    )
    refused = made.again(baselines=True)
    assert not refused.success
    assert "Nuclei.csv: found no such file" in str(refused.error)
    cells = made.store.read("tiny", "cells").head(-1)  # CellProfiler has missed one
    _export(cells).write_csv(tmp_path / "images" / "Nuclei.csv")
    outcome = made.again(baselines=True)
    assert outcome.success, outcome.error
    found = made.store.read("tiny", "cell_features_cellprofiler")
    assert found["cell_id"].to_list() == cells["cell_id"].to_list()
    assert np.allclose(features_of(found)[:, 0], np.arange(len(cells)))
    assert _cells_scored(made, "cellprofiler") == 71
    assert _cells_scored(made, "inpainting_conv4") == 72


def _export(cells: pl.DataFrame) -> pl.DataFrame:
    """The cells as CellProfiler would list them, a little beside our centres."""
    plates = [image.rpartition("_") for image in cells["image_id"]]
    columns = {
        "Metadata_Plate": [plate for plate, _, _ in plates],
        "Metadata_Well": [well for *_, well in plates],
    }
    columns["Nuclei_Location_Center_Y"] = cells["y_px"].to_numpy() + 1.5
    columns["Nuclei_Location_Center_X"] = cells["x_px"].to_numpy() - 1.0
    columns["Nuclei_Texture_Contrast"] = np.arange(len(cells)) * 1.0
    return pl.DataFrame(columns).sample(fraction=1, shuffle=True, seed=0)


def test_a_screen_borrows_the_encoder_of_another_if_their_channels_are_alike(own: Finished) -> None:
    folder = own.spec.parent
    spec = write_spec(folder, name="early", root=str(folder / "images"), encoder_from="later")
    with pytest.raises(EncoderError, match=r"screen later: found no trained encoder.*pcip run later"):
        dataclasses.replace(own, spec=spec).again()
    assert "early" not in own.store.screens(), "before any work"
    spec = write_spec(folder, name="other", root=str(folder / "images"), encoder_from="tiny")
    outcome = dataclasses.replace(own, spec=spec).again(retrain=True)
    assert outcome.success, outcome.error
    assert not outcome.trained
    theirs = own.store.read("tiny", "cell_features_inpainting_conv3")
    ours = own.store.read("other", "cell_features_inpainting_conv3")
    assert set(ours["encoder_version"].to_list()) == {"tiny/1"}
    assert np.array_equal(features_of(ours), features_of(theirs))

    channels = {"dna": {"role": "structural", "named": "nucleus"}, "protein": {"role": "protein"}}
    options = {"method": "otsu", "options": {"channel": "dna", "min_area_px": 40}}
    spec = write_spec(
        folder,
        name="third",
        root=str(folder / "images"),
        encoder_from="tiny",
        channels=channels,
        segmentation=options,
    )
    outcome = dataclasses.replace(own, spec=spec).again()
    assert not outcome.success
    assert "encoder tiny/1" in str(outcome.error)
    assert "dna, protein" in str(outcome.error)


def _cells_scored(made: Finished, feature_set: str) -> int:
    with connect(made.workspace.published) as con:
        query = "SELECT DISTINCT n FROM main.benchmarks WHERE label IS NULL AND feature_set = ? AND classifier = 'knn'"
        ((n,),) = con.execute(query, [feature_set]).fetchall()
    return int(n)


def test_layers_are_named_alike_where_torch_is_loaded_and_where_it_is_not() -> None:
    assert sets.SUPERVISED_LAYERS == deeploc.LAYERS
    assert EncoderConfig().layers == inpainting.LAYERS
    assert inpainting.layers_of(7) == EncoderConfig(stages=7).layers


def test_tables_of_a_former_encoder_are_no_baselines(tmp_path: Path) -> None:
    encoder = {"task": "agreement"}
    screen = load_screen(write_spec(tmp_path, encoder=encoder))
    names = ("agreement_conv3", "untrained_conv3", "inpainting_conv3", "inpainting_agreement_conv5_by_plate")
    later = ("untrained_conv6", "classic", "agreement_conv3_by_plate", "autoencoder_conv2", "my_conv3")
    tables = [f"{sets.PREFIX}{name}" for name in (*names, *later)]
    store = SimpleNamespace(tables=lambda _: tables, shards=lambda *_: ["one"])
    library = cast(Library, SimpleNamespace(store=store))
    kept = ["classic", "agreement_conv3_by_plate", "autoencoder_conv2", "my_conv3"]
    assert sets.other_sets(library, screen) == kept
