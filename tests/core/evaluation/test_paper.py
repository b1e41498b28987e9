"""The paper's numbers: complete by table, in our units, none twice."""

from __future__ import annotations

from collections import Counter

import pytest

from pcip_core.evaluation.paper import all_paper_numbers, paper_numbers


def test_every_table_is_complete() -> None:
    count = Counter(number.source for number in all_paper_numbers())
    assert count["Table 1"] == 5
    assert count["Table 2"] == 5 * 3
    assert count["Supplementary Table 1"] == 6 * 5
    assert count["Supplementary Table 2"] == 6 * 2 + 1
    assert count["Figure 2B, in the text"] == 5


def test_values_are_what_is_printed_in_our_units() -> None:
    for number in all_paper_numbers():
        scale = 100 if number.metric == "balanced_accuracy" else 1
        assert number.value * scale == pytest.approx(float(number.printed))
        assert number.metric != "balanced_accuracy" or 0 < number.value < 1


def test_numbers_are_unique_and_tables_agree() -> None:
    numbers = all_paper_numbers()
    assert len({(one.source, one.row, one.column) for one in numbers}) == len(numbers)
    conv4 = {
        one.printed
        for one in numbers
        if (one.feature_set, one.classifier, one.parameter) == ("inpainting_conv4", "knn", "k=11")
    }
    assert conv4 == {"87.98"}  # Table 1 and Supplementary Table 1
    table_2 = {(one.row, one.protocol): one.value for one in numbers if one.source == "Table 2"}
    for row in {row for row, _ in table_2}:
        drop = table_2[row, "different_line"] - table_2[row, "same_line"]
        assert drop == pytest.approx(table_2[row, "different_minus_same_line"])


def test_only_the_papers_screens_have_numbers() -> None:
    assert paper_numbers("simulated_yeast") == []
    assert {one.metric for one in paper_numbers("human_protein_atlas")} == {"normalized_pairwise_distance"}
    assert len(paper_numbers("chong_labelled_cells")) + len(paper_numbers("human_protein_atlas")) == len(
        all_paper_numbers()
    )
