"""What is known of images, with what is not known; and conditions in SQL over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pcip_core.errors import SpecError
from pcip_core.store import conditions, schemas
from pcip_core.store.feature_blocks import StoredFeatures, mean_by_protein
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store

IMAGES = schemas.IMAGES.frame(
    {
        "image_id": ["a", "b", "c"],
        "protein": ["P", None, "P"],
        "localization": [["Vesicles"], ["Cytosol", "Vesicles"], None],
        "cell_line": ["U-2 OS", "HeLa", None],
        "drug": [None, "x", "y"],
    }
)


def test_an_image_without_a_protein_is_a_protein_of_its_own() -> None:
    images = Images(IMAGES)
    assert images.protein_of == {"a": "P", "b": "b", "c": "P"}
    assert images.cell_line_of == {"a": "U-2 OS", "b": "HeLa", "c": ""}
    assert images.terms_of == {"a": ["Vesicles"], "b": ["Cytosol", "Vesicles"], "c": []}
    assert images.labels_of("localization") == images.terms_of
    assert images.labels_of("protein") == {"a": ["P"], "b": ["b"], "c": ["P"]}
    assert images.labels_of("cell_line") == {"a": ["U-2 OS"], "b": ["HeLa"], "c": []}
    assert images.labels_of("drug") == {"a": [], "b": ["x"], "c": ["y"]}
    assert images.classes_of("localization") == ["Vesicles"]  # the only label of an image
    assert images.classes_of("drug") == ["x", "y"]
    assert images.rows(["c", "b", "c"]).select("image_id", "protein").rows() == [
        ("c", "P"),
        ("b", "b"),
        ("c", "P"),
    ]
    assert images.table.equals(IMAGES)


def test_columns_of_nothing_but_nulls() -> None:
    nothing = pl.DataFrame(
        {"image_id": ["a"], "protein": [None], "cell_line": [None], "localization": [None]}
    )
    assert Images(nothing).frame.rows() == [("a", "a", "", [])]


def test_means_by_protein_have_a_row_for_an_image_without_a_protein(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit("scr", {"images": IMAGES}, shard="p1")
    vectors = np.array([[1, 0], [3, 0], [5, 1], [7, 2]], np.float32)
    cells = {
        "cell_id": list("wxyz"),
        "image_id": ["a", "b", "c", "b"],
        "encoder_version": ["v"] * 4,
        "features": vectors,
    }
    store.commit("scr", {"cell_features_x": schemas.CELL_FEATURES.frame(cells)}, shard="p1")
    assert StoredFeatures(store, "scr", "cell_features_x").images == ["a", "b", "c"]
    means = mean_by_protein(store, "scr", "x").select("protein", "n_cells", "features")
    assert means.rows() == [("P", 2, [3.0, 0.5]), ("b", 2, [5.0, 1.0])]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("'Vesicles' IN localization", {"a", "b"}),
        ("cell_line IS NULL OR protein IS NULL -- and a comment", {"b", "c"}),
    ],
)
def test_images_are_those_that_it_is_true_of(condition: str, expected: set[str]) -> None:
    assert Images(IMAGES).chosen(condition, "here") == expected


@pytest.mark.parametrize(
    "condition",
    [
        "localisation = 1",
        "true) UNION SELECT 'x' FROM other WHERE (true",
    ],
)
def test_what_is_no_condition_is_an_error_that_names_the_columns(condition: str) -> None:
    with pytest.raises(SpecError, match=r"here: found .*required: .*image_id, protein, .*localization"):
        Images(IMAGES).chosen(condition, "here")


def test_no_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("image_id\na\n")
    with pytest.raises(SpecError, match=r"secret\.csv"):
        Images(IMAGES).chosen(f"image_id IN (SELECT image_id FROM '{tmp_path / 'secret.csv'}')", "here")


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("(SELECT count(*) FROM range(1000000000000)) > 0", "more than 1 s"),
        (
            "levenshtein(repeat('a', 1000000), repeat('b', 1000000)) > 0",
            "more than 1 s",
        ),  # is not interrupted
        ("length(repeat('a', 4000000000)) > 0", "Out of Memory"),  # is not under DuckDB's own limit
    ],
)
def test_a_condition_has_limits_of_time_and_memory(condition: str, message: str, monkeypatch) -> None:
    monkeypatch.setattr(conditions, "LONGEST_S", 1.0 if "1 s" in message else 10.0)
    with pytest.raises(SpecError, match=rf"here: found .*{message}"):
        Images(IMAGES).chosen(condition, "here")
