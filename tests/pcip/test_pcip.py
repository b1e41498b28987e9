"""`import pcip`: its examples, its errors, and what it imports."""

from __future__ import annotations

import doctest
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import StandardScaler

import pcip
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import feature_table, features_of
from tests.conftest import REPOSITORY
from tests.core.store.small import SET, ask


@pytest.fixture
def screen(workspace: Path) -> pcip.Screen:
    return pcip.open(workspace).screen("tiny")


@pytest.mark.parametrize("name", ["workspace", "screen", "features", "crops", "nearest"])
def test_the_examples_hold(name: str, workspace: Path, screen: pcip.Screen) -> None:
    known = {
        "folder": workspace,
        "open": pcip.open,
        "pl": pl,
        "screen": screen,
        "features": screen.features(),
        "crops": screen.crops(screen.cells["cell_id"][:2]),
    }
    module = importlib.import_module(f"pcip.{name}")
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, extraglobs=known, optionflags=flags)
    assert result.failed == 0
    assert result.attempted > 1 or name == "nearest"


def test_the_page_on_python_holds(workspace: Path) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "use-from-python.md").read_text()
    names = {"my_workspace": str(workspace), "simulated_human": "tiny", "agreement_conv5": SET}
    for name, known in (names | {"SIMP005": "P0", "SIMP006": "P1"}).items():
        page = page.replace(name, known)
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) > 5
    exec("\n".join(blocks), {})


def test_import_is_light() -> None:
    heavy = (
        "torch",
        "duckdb",
        "dagster",
        "mlflow",
        "matplotlib",
        "sklearn",
        "scipy",
        "anndata",
        "h5py",
        "zarr",
    )
    code = f"import sys, pcip; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_vectors_are_those_of_the_store_in_the_order_of_the_cells(
    screen: pcip.Screen, workspace: Path
) -> None:
    stored = Store(workspace / "data" / "store").read("tiny", f"cell_features_{SET}")
    features = screen.features()
    assert np.array_equal(features.to_numpy(), features_of(stored))
    assert features.ids.to_list() == screen.cells["cell_id"].to_list() == stored["cell_id"].to_list()
    assert features.to_polars().equals(stored)
    assert features.lazy().collect().equals(stored)
    assert pl.concat(list(features.batches(rows=7))).equals(stored)
    assert len(features) == stored.height
    assert np.asarray(features, np.float64).dtype == np.float64
    scaled = StandardScaler().fit_transform(features)  # it takes the object itself
    assert np.allclose(scaled.mean(0), 0, atol=1e-6)


def test_tables_are_those_of_sql(screen: pcip.Screen, workspace: Path) -> None:
    published = workspace / "data" / "feature_store.duckdb"
    columns = "image_id, protein, well, n_cells"
    sql = f"SELECT {columns} FROM tiny.images ORDER BY image_id"
    assert screen.images.sort("image_id").select(columns.split(", ")).rows() == ask(published, sql)
    (scores,) = ask(published, "SELECT count(*) FROM main.benchmarks")
    assert screen.scores.height == scores[0]
    assert pcip.open(workspace).sql(sql).rows() == ask(published, sql)


def test_crops_come_in_the_order_of_their_ids(screen: pcip.Screen) -> None:
    ids = screen.cells["cell_id"].to_list()
    wanted = [ids[-1], ids[0], ids[-1]]
    crops = screen.crops(wanted)
    assert crops.cell_ids == wanted
    assert crops.channels == ("nucleus", "protein")
    assert np.asarray(crops).shape == (3, 2, 4, 4)
    assert screen.crops([]).pixels.shape == (0, 2, 4, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: pcip.open(w / "nowhere"), "found no results .*pcip run SCREEN"),
        (lambda w: pcip.open(w).screen("tinny"), "which may mean tiny; required: one of tiny"),
        (lambda w: pcip.open(w).screen("tiny").features("inpainting_conv"), f"one of {SET}"),
        (lambda w: pcip.open(w).screen("tiny").features(of="wells"), "cells or proteins"),
        (
            lambda w: pcip.open(w).screen("tiny").table("cels"),
            "which may mean cells; required: one of .*cells",
        ),
        (lambda w: pcip.open(w).screen("tiny").crops(["x"]), "no cell x .1 unknown cell."),
        (lambda w: pcip.open(w).screen("tiny").crops("x"), "no cell x .1 unknown cell."),
        (lambda w: pcip.open(w).screen("tiny").crops([1, 2]), "cells named by int"),
        (lambda w: pcip.open(w).screen("tiny").crops([None]), "no cell None"),
        (lambda w: pcip.open(w).screen("tiny").neighbours([None]), "no cell. named None"),
        (lambda w: pcip.open(w).screen("tiny").neighbours([]), "one or more seeds"),
        (lambda w: pcip.open(w).screen("tiny").to_anndata(where="1 = 0"), "no images that meet 1 = 0"),
        (lambda w: pcip.open(w).screen("tiny").crops([]).channel("dna"), "one of nucleus, protein"),
        (lambda w: pcip.open(w).screen("tiny").neighbours("P99"), "names of proteins, as P0"),
        (lambda w: pcip.open(w).screen("tiny").neighbours("P0", feature_set="x"), f"one of {SET}"),
        (lambda w: pcip.open(w).sql("SELECT nothing"), "a query that fails"),
    ],
)
def test_errors_list_what_exists(call, message: str, workspace: Path) -> None:
    with pytest.raises(pcip.PcipError, match=message):
        call(workspace)


def test_the_workspace_is_that_of_the_commands(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    monkeypatch.delenv("PCIP_DATA", raising=False)
    assert pcip.open().screens == ["tiny"]
    monkeypatch.chdir("/")
    with pytest.raises(pcip.PcipError, match="no results"):
        pcip.open()
    monkeypatch.setenv("PCIP_DATA", str(workspace / "data"))
    assert pcip.open().screens == ["tiny"]
    assert pcip.open(workspace / "data").screens == ["tiny"]


@pytest.fixture
def own(workspace: Path, tmp_path: Path) -> Path:
    """A copy of the workspace, to change."""
    return Path(shutil.copytree(workspace, tmp_path / "own"))


@pytest.mark.parametrize("rows", [7, 15])
def test_vectors_that_a_run_replaces_meanwhile_are_no_mixture(
    own: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of vectors is known, and then there are more, or fewer."""
    store, table = Store(own / "data" / "store"), f"cell_features_{SET}"
    shard = store.read("tiny", table, shards=["plate_1"])
    store.commit("tiny", {table: shard.head(22 - rows)}, shard="plate_1")
    counted = Store.batches

    def batches(self: Store, *names: str, **options: Any) -> Iterator[pl.DataFrame]:
        yield from counted(self, *names, **options)
        if options.get("columns") == ["encoder_version"]:
            store.commit("tiny", {table: shard.head(rows)}, shard="plate_1")

    monkeypatch.setattr(Store, "batches", batches)
    with pytest.raises(pcip.PcipError, match="another number of vectors"):
        pcip.open(own).screen("tiny").features().to_numpy()


def test_a_lazy_frame_of_a_table_that_changes(own: Path) -> None:
    """It has the present rows, and an error tells of vectors of another length and of a table that is gone."""
    store, table = Store(own / "data" / "store"), f"cell_features_{SET}"
    features = pcip.open(own).screen("tiny").features()
    lazy = features.lazy()
    shard = store.read("tiny", table, shards=["plate_1"])
    store.commit("tiny", {table: shard.head(7)}, shard="plate_1")
    assert lazy.collect().height == len(features.to_numpy()) == 22
    ids = {name: shard[name] for name in ("cell_id", "image_id", "encoder_version")}
    shorter = feature_table(ids, features_of(shard)[:, :4])
    store.commit("tiny", {table: shorter}, shard="plate_1")
    with pytest.raises(pcip.PcipError, match="columns of different types"):
        lazy.collect()
    with pytest.raises(pcip.PcipError, match=r"another number of vectors|columns of different types"):
        features.to_numpy()
    assert lazy.select("cell_id").collect().height == 30
    shutil.rmtree(store.root / "tiny" / table)
    for call in (lazy.collect, features.to_numpy):
        with pytest.raises(pcip.PcipError, match="no such partition"):
            call()


def test_a_workspace_that_was_moved_is_said_to_be_gone(own: Path) -> None:
    workspace = pcip.open(own)
    screen = workspace.screen("tiny")
    moved = own.rename(own.with_name("moved"))
    for call in (lambda: screen.images, lambda: workspace.screens, lambda: workspace.screen("tiny")):
        with pytest.raises(pcip.PcipError, match="If it was moved, open it again"):
            call()
    assert repr(workspace).endswith("of 0 screens: ")
    assert not own.exists()  # reading makes no folder
    assert pcip.open(moved).screen("tiny").images.height == 6
