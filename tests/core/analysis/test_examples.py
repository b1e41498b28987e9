"""Which cells are shown of proteins, against loops over cells."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pcip_core.analysis.examples import evenly, examples_along, rows_of_proteins

RANKED = pl.DataFrame(
    {"protein": ["P3", "P1", "P1", "P0"], "cell_line": ["A", "B", "A", "A"], "rank": [1, 2, 3, 4]}
)


def cells() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    names = {"protein": rng.choice(["P0", "P1", "P2", "P3"], 200), "cell_line": rng.choice(["A", "B"], 200)}
    return pl.DataFrame({"cell_id": [f"cell {row}" for row in range(200)], **names})


def test_items_at_equal_steps_include_both_ends() -> None:
    assert evenly(range(100), 4) == [0, 33, 66, 99]
    assert evenly("abc", 5) == ["a", "b", "c"]
    assert evenly([], 3) == []


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
def test_rows_of_proteins_are_those_of_a_loop(kind: type[pl.DataType]) -> None:
    names = cells().rows()
    typed = cells().with_columns(pl.col("protein", "cell_line").cast(kind))
    for ranked, rows in zip(RANKED.rows(), rows_of_proteins(typed, RANKED), strict=True):
        expected = [row for row, name in enumerate(names) if name[1:] == ranked[:2]]
        assert rows.tolist() == expected
        assert len(expected) > 10


def test_examples_lie_along_the_order() -> None:
    place = np.random.default_rng(1).normal(size=200)
    place[::3] = np.nan
    place[[1, 2]] = 0.5  # the same place: the earlier cell first
    examples = examples_along(cells(), place, RANKED, proteins=3, each=4)
    assert examples.drop("cell_ids").equals(RANKED.select("rank", "protein", "cell_line").head(3))
    for _, *ranked, cell_ids in examples.rows():
        members = [
            (place[row], row)
            for row, name in enumerate(cells().rows())
            if list(name[1:]) == ranked and row % 3
        ]
        ordered = [f"cell {row}" for _, row in sorted(members)]
        assert cell_ids == [ordered[int(step * (len(ordered) - 1) / 3)] for step in range(4)]
        assert (cell_ids[0], cell_ids[-1]) == (ordered[0], ordered[-1])


def test_a_protein_without_a_place_has_no_example() -> None:
    examples = examples_along(cells(), np.full(200, np.nan), RANKED)
    assert examples["cell_ids"].to_list() == [[]] * 4
