"""The section of batch effects: kNN by plate beside kNN by label, shares with their chance, reasons for gaps."""

from __future__ import annotations

from typing import Any

from pcip_core.report.batch_effects import _shown, batch_effects
from pcip_core.report.page import Picture, Table, Text
from pcip_core.report.score_rows import BenchmarkRows


def row(name: str, value: float, **keys: Any) -> dict[str, Any]:
    usual = {"task": "localization", "classifier": "knn", "parameter": "k=11", "protocol": "leave_image_out"}
    return {
        "feature_set": name,
        "value": value,
        "label": None,
        "metric": "balanced_accuracy",
        "n": 90,
        **usual,
        **keys,
    }


def by_plate(name: str, value: float) -> list[dict[str, Any]]:
    keys = {"task": "plate", "protocol": "leave_protein_out"}
    chance = row(name, 0.25, metric="batch_accuracy_by_chance", **keys)
    return [row(name, value, metric="batch_accuracy", **keys), chance]


def share(name: str, factor: str, value: float, chance: float) -> list[dict[str, Any]]:
    keys = {"task": factor, "classifier": "variance", "parameter": "groups=4", "protocol": "all_cells"}
    return [
        row(name, value, metric="variance_share", **keys),
        row(name, chance, metric="variance_share_by_chance", **keys),
    ]


SETS = {"inpainting_conv2": 0.8, "inpainting_conv3": 0.7, "inpainting_conv3_by_plate": 0.75, "classic": 0.4}
PLATES = {"inpainting_conv2": 0.6, "inpainting_conv3": 0.5, "inpainting_conv3_by_plate": 0.3, "classic": 0.2}


def screen(benchmarks: list[dict[str, Any]], exclusions: list[dict[str, Any]] | None = None) -> BenchmarkRows:
    return BenchmarkRows(
        title="screen_1",
        description="",
        simulated=True,
        screen="screen_1",
        label="localization",
        benchmarks=benchmarks,
        confusion=[],
        exclusions=exclusions or [],
        feature_sets=[],
    )


def table_of(rows: BenchmarkRows) -> list[list[str]]:
    section = batch_effects(rows)
    assert section is not None
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert table.caption == "SIMULATED images"
    return [list(table.columns), *([getattr(cell, "text", cell) for cell in line] for line in table.rows)]


def test_scores_by_plate_stand_beside_those_by_label_with_the_corrected_set_and_its_source() -> None:
    rows = [row(name, value) for name, value in SETS.items()]
    for name, value in PLATES.items():
        rows += [*by_plate(name, value), *share(name, "plate", value / 2, 0.1)]
    given = screen(rows)
    assert table_of(given) == [
        ["feature set", "kNN by localization", "kNN by plate", "plate explains"],
        ["inpainting_conv2", "0.800", "0.600 (0.250)", "0.300 (0.100)"],
        ["inpainting_conv3_by_plate", "0.750", "0.300 (0.250)", "0.150 (0.100)"],
        ["inpainting_conv3", "0.700", "0.500 (0.250)", "0.250 (0.100)"],
        ["classic", "0.400", "0.200 (0.250)", "0.100 (0.100)"],
    ]
    section = batch_effects(given)
    assert section is not None
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    best = [[cell.text for cell in line[1:] if cell.best] for line in table.rows]  # type: ignore[union-attr]
    assert best == [["0.800"], [], [], []]
    assert sum(isinstance(block, Picture) for block in section.blocks) == 1
    assert any(
        isinstance(block, Text) and "predicting the localization (leave_image_out" in block.text
        for block in section.blocks
    )


def test_a_screen_without_labels_and_plates_has_the_other_shares_and_the_reasons() -> None:
    rows = [*share("classic", "protein", 0.5, 0.4), *share("intensity", "protein", 0.2, 0.1)]
    left_out = [
        {"task": "plate", "classifier": "variance", "reason": "cells_without_plate", "n": 1234},
        {"task": "protein", "classifier": "variance", "reason": "cells_without_protein", "n": 3},
        {"task": "plate", "classifier": "knn", "reason": "cells_without_plate", "n": 1234},
    ]
    given = screen(rows, left_out)
    assert table_of(given) == [
        ["feature set", "protein explains"],
        ["classic", "0.500 (0.400)"],
        ["intensity", "0.200 (0.100)"],
    ]
    section = batch_effects(given)
    assert section is not None
    notes = [block.text for block in section.blocks if isinstance(block, Text) and block.note]
    assert notes == [
        "No kNN by plate: 1,234 cells without plate.",
        "No share of plate: 1,234 cells without plate.",
    ]
    assert batch_effects(screen([row("classic", 0.5)])) is None


def test_feature_sets_of_equal_score_are_in_the_order_of_their_names() -> None:
    names = ["intensity", "classic", "vgg16_protein_block1_conv2", "designed"]
    assert _shown(dict.fromkeys(names, 0.5) | {"agreement_conv5": 0.9}) == ["agreement_conv5", *sorted(names)]


def test_a_share_of_proteins_with_one_image_each_is_not_shown_beside_a_chance_that_equals_it() -> None:
    rows = [row("classic", 0.4), *share("classic", "protein", 0.3, 0.3), *share("classic", "image", 0.3, 0.1)]
    given = screen(rows)
    assert table_of(given)[0] == ["feature set", "kNN by localization", "image explains"]
    section = batch_effects(given)
    assert section is not None
    assert any(
        "each protein has one image" in block.text for block in section.blocks if isinstance(block, Text)
    )
    several = [
        row("classic", 0.4),
        *share("classic", "protein", 0.2, 0.1),
        *share("classic", "image", 0.3, 0.1),
    ]
    assert "protein explains" in table_of(screen(several))[0]
