"""The page of the quality of fields: values by well, and what the page says of plates, flags and illumination."""

from __future__ import annotations

import numpy as np
import polars as pl

from pcip_core.report.quality import QualityRows, quality_page, well_values
from pcip_core.store import schemas

MEASURES = {"focus_slope": -1.5, "focus_laplacian": 0.1, "background": 100.0, "signal_to_noise": 50.0}


def rows_of(**changes: object) -> QualityRows:
    """Two plates: two wells with two fields each, and an image that is no well."""
    images = pl.DataFrame(
        {
            "image_id": ["p1_A01", "p1_B12", "p2_x"],
            "plate": ["p1", "p1", None],
            "well": ["A01", "B12", None],
            "shard": ["p1", "p1", "bucket_0"],
        }
    )
    fields = [(image, str(number)) for image in images["image_id"] for number in (1, 2)]
    quality = [
        {
            **MEASURES,
            "field_id": f"{image}_{number}",
            "image_id": image,
            "field": number,
            "channel": "dna",
            "saturated": 0.3 if (image, number) == ("p1_B12", "2") else 0.0,
            "flags": ["saturated"] if (image, number) == ("p1_B12", "2") else [],
        }
        for image, number in fields
    ]
    values = {
        "title": "mine",
        "screen": "mine",
        "simulated": False,
        "images": images,
        "fields": pl.DataFrame(
            [
                {"field_id": f"{image}_{number}", "image_id": image, "field": number}
                for image, number in fields
            ]
        ),
        "quality": schemas.FIELD_QUALITY.frame(quality),
        "cells": pl.DataFrame({"image_id": ["p1_A01"] * 2, "field": ["1", "2"], "n_cells": [4, 5]}),
        "illumination": schemas.ILLUMINATION.empty(),
        "excluded": 3,
    }
    return QualityRows(**(values | changes))  # type: ignore[arg-type]


def test_a_well_has_its_worst_saturation_its_mean_slope_and_all_its_cells() -> None:
    values = well_values(rows_of())
    of_well = {(row["plate"], row["well"], row["measure"]): row for row in values.iter_rows(named=True)}
    assert of_well["p1", "B12", "saturated"]["value"] == 0.3
    assert of_well["p1", "B12", "saturated"]["flagged"]
    assert not of_well["p1", "A01", "saturated"]["flagged"]
    assert not of_well["p1", "B12", "focus_slope"]["flagged"]
    assert of_well["p1", "A01", "focus_slope"]["value"] == -1.5
    assert of_well["p1", "A01", "cells"]["value"] == 9
    assert of_well["p1", "B12", "cells"]["value"] == 0
    assert of_well["bucket_0", "p2_x", "background"]["value"] == 100


def test_the_page_shows_plates_flags_and_illumination() -> None:
    light = {
        **{"channel": "dna", "method": "estimated", "gain_min": 0.8, "gain_max": 1.1, "n_fields": 64},
        **{"error": 0.01, "shard": "p1", "mean_before": [1.0] * 16, "mean_after": np.ones(16).tolist()},
    }
    html, figures = quality_page(rows_of(illumination=schemas.ILLUMINATION.frame([light])), made_from="ab12")
    assert list(figures) == ["p1"], "the plate with a flagged well comes first"
    assert html.count("<img") == 3
    for text in (
        "Maps of plate p1",
        "Maps of plate bucket_0",
        "p1_B12_2",
        "0.800 to 1.100",
        "3 in quarantine",
        *(f"{name}: " for name in MEASURES),
    ):
        assert text in html
    assert "SIMULATED" not in html
    simulated, _ = quality_page(rows_of(simulated=True), made_from="ab12")
    assert "SIMULATED" in simulated


def test_a_screen_of_single_cells_has_a_page_too() -> None:
    html, _ = quality_page(rows_of(quality=schemas.FIELD_QUALITY.empty(), cells=None), made_from="ab12")
    assert "not measured where fields are single cells" in html
    assert (
        "No field is flagged"
        in quality_page(
            rows_of(quality=rows_of().quality.with_columns(flags=pl.lit([], pl.List(pl.String)))),
            made_from="ab12",
        )[0]
    )


def test_a_screen_without_wells_or_plates_says_what_is_drawn_instead() -> None:
    rows = rows_of()
    assert "This screen has no" not in quality_page(rows, made_from="")[0]
    images = rows.images.with_columns(plate=pl.lit(None, pl.String), well=pl.lit(None, pl.String))
    html = quality_page(rows_of(images=images), made_from="")[0]
    assert "no wells and no plates: squares are images and what is headed as a plate is a shard." in html
    without_plates = rows.images.with_columns(plate=pl.lit(None, pl.String))
    html = quality_page(rows_of(images=without_plates), made_from="")[0]
    assert "This screen has no plates: what is headed as a plate is a shard." in html
