"""Conditions in SQL over images."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pcip_core.errors import SpecError
from pcip_core.store.choosing import chosen_images

IMAGES = pl.DataFrame(
    {
        "image_id": ["a", "b", "c"],
        "localization": [["Vesicles"], ["Cytosol", "Vesicles"], []],
        "cell_line": ["U-2 OS", "HeLa", None],
    }
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("'Vesicles' IN localization", {"a", "b"}),
        ("localization = ['Vesicles']", {"a"}),
        ("cell_line = 'HeLa' OR len(localization) = 0 -- and a comment", {"b", "c"}),
        ("cell_line = 'nobody'", set()),
    ],
)
def test_images_are_those_that_it_is_true_of(condition: str, expected: set[str]) -> None:
    assert chosen_images(IMAGES, condition, "here") == expected


@pytest.mark.parametrize(
    "condition",
    [
        "localisation = 1",
        "'Vesicles' IN",
        "true) UNION SELECT 'x' FROM other WHERE (true",
        "true; DROP TABLE images",
    ],
)
def test_what_is_no_condition_is_an_error_that_names_the_columns(condition: str) -> None:
    with pytest.raises(SpecError, match=r"here: found .*required: .*image_id, localization, cell_line"):
        chosen_images(IMAGES, condition, "here")


def test_no_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("image_id\na\n")
    with pytest.raises(SpecError, match=r"secret\.csv"):
        chosen_images(IMAGES, f"image_id IN (SELECT image_id FROM '{tmp_path / 'secret.csv'}')", "here")
