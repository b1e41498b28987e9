"""`pcip export`: every format of a finished screen, and what is refused before any work."""

import shutil
from pathlib import Path

import anndata
import numpy as np
import polars as pl
import pytest
import torch
from click.testing import CliRunner, Result

from pcip_assets.cli.main import cli
from pcip_core.errors import EncoderError, EvaluationError, WriteError
from pcip_core.store.vectors import features_of
from tests.assets.conftest import Finished


@pytest.fixture
def export(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PCIP_DATA", str(finished.workspace.data))

    def run(*options: str, to: str, out: str = "x") -> Result:
        return CliRunner().invoke(cli, ["export", "tiny", "--to", to, "--out", str(tmp_path / out), *options])

    return run


def test_every_format_of_cells_has_the_features_of_the_store(
    export, finished: Finished, tmp_path: Path
) -> None:
    chosen = finished.screen.feature_set
    stored = features_of(finished.store.read("tiny", f"cell_features_{chosen}"))
    for to in ("h5ad", "zarr", "parquet", "csv"):
        done = export(to=to, out=to)
        assert done.exit_code == 0, done.output
        assert f"{len(stored)} cells x {stored.shape[1]} features of {chosen}" in done.output
    parquet, csv = pl.read_parquet(tmp_path / "parquet"), pl.read_csv(tmp_path / "csv")
    assert np.array_equal(anndata.read_h5ad(tmp_path / "h5ad").X, stored)
    assert np.array_equal(anndata.read_zarr(tmp_path / "zarr").X, stored)
    assert np.array_equal(parquet.select(pl.col("^Cells_.*$")).to_numpy(), stored)
    assert np.allclose(csv.select(pl.col("^Cells_.*$")).to_numpy(), stored, rtol=1e-6)
    assert set(csv["Metadata_Well"]) == {"A01", "A02", "A03", "A04"}


def test_the_encoder_gives_the_features_of_the_store_elsewhere(
    export, finished: Finished, tmp_path: Path
) -> None:
    done = export(to="encoder")
    assert done.exit_code == 0, done.output
    chosen, layer = finished.screen.feature_set, finished.screen.feature_set.rpartition("_")[2]
    _, crops = finished.store.read_with_array("tiny", "cells", "crops", "plate_1")
    program = torch.export.load(tmp_path / "x" / "encoder.pt2").module()
    given = program(torch.from_numpy(np.array(crops)).float() / 255)[layer].detach().numpy()
    stored = finished.store.read("tiny", f"cell_features_{chosen}", shards=["plate_1"])
    assert np.abs(given - features_of(stored)).max() < 1e-5
    card = (tmp_path / "x" / "README.md").read_text()
    assert "# tiny: " in card
    assert "torch.export.load" in card


def test_crops_and_the_default_place(export, finished: Finished, tmp_path: Path) -> None:
    done = export("--where", "well = 'A01'", to="ome-zarr")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "x" / "tiny_crops.yaml").is_file()
    assert len(list((tmp_path / "x").glob("*/*.ome.zarr"))) == 2
    assert CliRunner().invoke(cli, ["export", str(finished.spec), "--to", "csv"]).exit_code == 0
    assert (finished.workspace.data / "exports" / "tiny" / f"{finished.screen.feature_set}.csv").is_file()
    shutil.rmtree(finished.workspace.data / "exports")  # other tests share the workspace


def test_what_cannot_be_is_refused(export, finished: Finished, tmp_path: Path) -> None:
    assert "crops have no features" in export("--features", "intensity", to="ome-zarr").output
    assert "an encoder has no images" in export("--where", "true", to="encoder").output
    unknown = export("--features", "intensities", to="csv").exception
    assert isinstance(unknown, EvaluationError)
    assert "which may mean intensity" in str(unknown)
    untrained = export("--features", "intensity", to="encoder").exception
    assert isinstance(untrained, EncoderError)
    assert "without a trained network" in str(untrained)
    (tmp_path / "x").write_text("mine")
    assert isinstance(export(to="csv").exception, WriteError)
    assert (tmp_path / "x").read_text() == "mine"
    published = finished.workspace.published
    before = published.read_bytes()
    done = CliRunner().invoke(
        cli, ["export", str(finished.spec), "--to", "csv", "--out", str(published), "--overwrite"]
    )
    assert isinstance(done.exception, WriteError)
    assert "among the results of the workspace" in str(done.exception)
    assert published.read_bytes() == before
