"""The paper's order of feature sets: steps that hold, that do not, and that cannot be judged."""

from __future__ import annotations

from typing import Any

import polars as pl

from pcip_core.evaluation.checks.order import papers_order
from pcip_core.evaluation.paper import paper_numbers

HELD = "held_images"


def rows(
    scores: dict[str, float], *, protocol: str = "leave_image_out", k: int = 11, **other: Any
) -> pl.DataFrame:
    keys = {"classifier": "knn", "parameter": f"k={k}", "protocol": protocol, "metric": "balanced_accuracy"}
    return pl.DataFrame(
        [
            {"feature_set": name, "value": value, "label": None, "n": 90, **keys, **other}
            for name, value in scores.items()
        ],
        schema_overrides={"label": pl.String},
    )


USUAL = {"inpainting_conv3": 0.8, "inpainting_conv1": 0.1, "autoencoder_conv2": 0.7, "untrained_conv2": 0.6}
HELD_OUT = {"supervised_fc2": 0.95, "supervised_conv1": 0.2, "inpainting_conv3": 0.85, "classic": 0.99}


def test_the_papers_own_numbers_are_in_order() -> None:
    numbers = [
        number for number in paper_numbers("chong_labelled_cells") if number.source == "Supplementary Table 1"
    ]
    scores = {number.feature_set: number.value for number in numbers if number.parameter == "k=11"}
    unsupervised = rows({**scores, "untrained_conv4": 0.3}, protocol="leave_cell_out")
    order = papers_order(pl.concat([unsupervised, rows(scores, protocol=HELD)]), "leave_cell_out")
    assert order.reason == ""
    assert {row["feature_set"] for row in order.scores} >= {
        "supervised_fc2",
        "inpainting_conv4",
        "autoencoder",
    }


def test_the_best_layers_by_11_neighbours_decide() -> None:
    order = papers_order(pl.concat([rows(USUAL), rows(HELD_OUT, protocol=HELD)]), "leave_image_out")
    assert order.reason == ""
    assert [(row["protocol"], row["feature_set"], row["value"]) for row in order.scores] == [
        (HELD, "supervised_fc2", 0.95),
        (HELD, "inpainting_conv3", 0.85),
        ("leave_image_out", "inpainting_conv3", 0.8),
        ("leave_image_out", "autoencoder_conv2", 0.7),
        ("leave_image_out", "untrained_conv2", 0.6),
    ]
    noise = [
        rows({"autoencoder_conv3": 0.99}, k=1),
        rows({"autoencoder_conv3": 0.99}, label="Golgi", metric="recall"),
        rows({"autoencoder_conv3": 0.99}, protocol="leave_cell_out"),
        rows({"autoencoder_conv3": 0.99}, metric="batch_accuracy"),
        rows({"autoencoder_conv3_by_plate": 0.99}),
    ]
    table = pl.concat([rows(USUAL), rows(HELD_OUT, protocol=HELD), *noise])
    assert papers_order(table, "leave_image_out").violated == []


def test_steps_that_do_not_hold_are_named_with_their_scores() -> None:
    table = pl.concat(
        [rows({**USUAL, "untrained_conv2": 0.75}), rows({**HELD_OUT, "supervised_fc2": 0.3}, protocol=HELD)]
    )
    first, second = papers_order(table, "leave_image_out").violated
    assert "supervised_fc2 0.300 is below inpainting_conv3 0.850 (held_images, 90 cells)" in first
    assert "autoencoder_conv2 0.700 is below untrained_conv2 0.750" in second
    equal = papers_order(rows({**USUAL, "autoencoder_conv2": 0.8}), "leave_image_out")
    assert equal.violated == []
    assert "inpainting_conv3 0.800 equals autoencoder_conv2 0.800" in equal.not_judged[1]


def test_steps_without_scores_are_not_judged_and_name_the_remedy() -> None:
    order = papers_order(rows({"inpainting_conv3": 0.8, "untrained_conv1": 0.9}), "leave_image_out")
    assert len(order.violated) == 1  # without the autoencoder, inpainting is still compared with no training
    assert len(order.not_judged) == 3
    assert "materialize supervised_benchmark" in order.not_judged[0]
    assert "autoencoder (leave_image_out): name autoencoder in baselines.sets" in order.not_judged[1]
    nothing = papers_order(rows({"classic": 0.5}).clear(), "leave_image_out")
    assert len(nothing.not_judged) == 4
    assert nothing.scores == []


def test_without_11_neighbours_the_largest_number_decides() -> None:
    table = pl.concat([rows(USUAL, k=3), rows({name: 1 - value for name, value in USUAL.items()}, k=1)])
    assert len(papers_order(table, "leave_image_out").violated) == 0
    assert {row["parameter"] for row in papers_order(table, "leave_image_out").scores} == {"k=3"}
