"""Phenotypes of chosen proteins of a screen, against known states and loops over cells."""

from __future__ import annotations

import dataclasses
import string
from collections import Counter
from itertools import product

import numpy as np
import polars as pl
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from pcip_core.analysis.examples import rows_of_proteins
from pcip_core.analysis.protein_phenotypes import (
    ProteinPhenotypes,
    chosen_proteins,
    fullest_fields,
    letters,
    protein_phenotypes,
)
from pcip_core.errors import EvaluationError, SpecError
from pcip_core.features.blocks import columns_of
from pcip_core.spec.analyses import Phenotyping

SIZES = (30, 15, 10)  # the states of P1 in the line A


def screen() -> tuple[np.ndarray, pl.DataFrame, np.ndarray]:
    """Features, cells, and the state of each cell: P1 has three in the line A, all other cells one."""
    rng = np.random.default_rng(0)
    groups = [("P1", "A", sum(SIZES)), ("P1", "B", 8), ("P2", "A", 40), ("P0", "", 20)]
    protein, line = (np.repeat([group[name] for group in groups], [n for *_, n in groups]) for name in (0, 1))
    state = np.concatenate([np.repeat([0, 1, 2], SIZES), np.zeros(68, int)])
    features = rng.normal(size=(len(state), 12))
    features[:, :9] += 9 * np.repeat(np.eye(3), 3, axis=1)[state]
    order = rng.permutation(len(state))
    names = {"cell_id": [f"cell_{row:03d}" for row in order], "image_id": [f"i{row % 7}" for row in order]}
    cells = pl.DataFrame({**names, "protein": protein[order], "cell_line": line[order]})
    categories = pl.col("image_id", "protein", "cell_line").cast(pl.Categorical)
    return features[order].astype(np.float32), cells.with_columns(categories), state[order]


def clustered(most_cells: int = 5000, seed: int = 0, **settings: int) -> ProteinPhenotypes:
    features, cells, _ = screen()
    (rows,) = rows_of_proteins(cells, pl.DataFrame({"protein": ["P1"], "cell_line": ["A"]}))
    return protein_phenotypes(
        features, cells, rows, columns=columns_of(features), settings=Phenotyping(**settings), seed=seed,
        most_cells=most_cells,
    )  # fmt: skip


def test_rows_have_the_true_states_and_describe_scipys_tree() -> None:
    features, cells, state = screen()
    result = clustered()
    table = result.table
    row_of = {name: row for row, name in enumerate(cells["cell_id"])}
    rows = [row_of[name] for name in table["cell_id"]]
    assert table.select("protein", "cell_line").unique().rows() == [("P1", "A")]
    assert table["image_id"].to_list() == cells["image_id"].gather(rows).to_list()
    assert len(rows) == sum(SIZES)
    assert adjusted_rand_score(state[rows], table["phenotype"]) == 1
    points = StandardScaler().fit_transform(features.astype(np.float64))[rows]
    assert adjusted_rand_score(fcluster(linkage(points, "ward"), 3, "maxclust"), table["phenotype"]) == 1
    for phenotype, size in enumerate(SIZES, 1):
        own = table.filter(phenotype=phenotype)
        assert own.height == size
        assert own["share"].unique().to_list() == [size / sum(SIZES)]
    assert table["leaf"].sort().to_list() == list(range(sum(SIZES)))
    by_leaf = table.sort("leaf")["phenotype"]
    assert np.count_nonzero(np.diff(by_leaf)) == 2  # each phenotype is one stretch of the leaves
    assert result.result.leaves.tolist() == [table["leaf"].to_list().index(leaf) for leaf in range(len(rows))]
    assert result.summary["proportions"] == [0.545, 0.273, 0.182]
    assert (result.summary["phenotypes"], result.summary["cells"]) == (3, 55)
    assert "sampled_of" not in result.summary


def test_crops_are_those_of_the_medoids_from_left_to_right() -> None:
    features, cells, _ = screen()
    result = clustered()
    table = result.table
    row_of = {name: row for row, name in enumerate(cells["cell_id"])}
    points = StandardScaler().fit_transform(features.astype(np.float64))
    points = points[[row_of[name] for name in table["cell_id"]]]
    for phenotype in (1, 2, 3):
        members = np.flatnonzero(table["phenotype"] == phenotype)
        cost = {m: sum(np.linalg.norm(points[m] - points[o]) for o in members) for m in members.tolist()}
        assert result.shown[phenotype] == sorted(cost, key=lambda m: cost[m])[:3]
    drawn = {cell for own in result.shown.values() for cell in own}
    assert {row for row, shown in enumerate(table["representative"]) if shown} == drawn
    leaf = table["leaf"].to_list()
    assert list(result.captions) == sorted(drawn, key=lambda cell: leaf[cell])
    assert list(result.captions.values()) == list("abcdefghi")
    many = clustered(clusters=8)
    assert [len(own) for own in many.shown.values()] == [1] * 8  # at most 12 crops
    assert many.summary["silhouette"] is None  # no number was tried


def test_of_many_cells_a_sample_is_clustered() -> None:
    samples = [clustered(most_cells=20, seed=seed) for seed in (0, 0, 1)]
    names = [set(sample.table["cell_id"]) for sample in samples]
    assert [len(each) for each in names] == [20] * 3
    assert names[0] == names[1] != names[2]
    assert names[0] < set(clustered().table["cell_id"])
    assert samples[0].summary["sampled_of"] == sum(SIZES)
    with pytest.raises(EvaluationError, match="2 cells"):
        clustered(most_cells=2)


def test_named_proteins_come_in_the_order_named_in_each_cell_line() -> None:
    _, cells, _ = screen()
    settings = Phenotyping(proteins=("P2", "P1", "P2"))
    chosen = chosen_proteins(cells, None, settings, "proteins")
    assert chosen.columns == ["protein", "cell_line", "n_cell_lines"]
    assert chosen.rows() == [("P2", "A", 1), ("P1", "A", 2), ("P1", "B", 2)]
    with pytest.raises(SpecError, match=r"found no cells of P9.*some of 3 proteins: P0, P1, P2[.]"):
        chosen_proteins(cells, None, dataclasses.replace(settings, proteins=("P1", "P9")), "proteins")


def test_otherwise_the_most_variable_with_enough_cells_are_chosen() -> None:
    _, cells, _ = screen()
    ranked = pl.DataFrame(
        {
            "protein": ["P0", "P1", "P2", "P1"],
            "cell_line": ["", "B", "A", "A"],
            "n": [20, 8, 40, 55],
            "rank": [4, 1, 2, 3],
        }
    )
    for most, expected in (
        (2, [("P2", "A", 1), ("P1", "A", 2)]),
        (9, [("P2", "A", 1), ("P1", "A", 2), ("P0", "", 1)]),
    ):
        settings = Phenotyping(most_variable=most, least_cells=20)
        assert chosen_proteins(cells, ranked, settings, "proteins").rows() == expected
    assert chosen_proteins(cells, ranked, Phenotyping(least_cells=100), "proteins").is_empty()


def test_the_fields_with_most_cells_with_the_values_of_their_cells() -> None:
    rng = np.random.default_rng(0)
    cells = pl.DataFrame(
        {"image_id": rng.choice(["a", "b", "c"], 60), "field": rng.choice(["1", "2"], 60), "x": np.arange(60)}
    )
    counts = Counter(cells.select("image_id", "field").rows())
    most = sorted(counts, key=lambda key: (-counts[key], key))[:4]
    fields = fullest_fields(cells, most=4)
    assert fields.select("image_id", "field").rows() == sorted(most)
    for image, field, x in fields.rows():
        assert x == [row for row, name in enumerate(cells.rows()) if name[:2] == (image, field)]


def test_letters_are_those_of_a_spreadsheet() -> None:
    alphabet = string.ascii_lowercase
    expected = [*alphabet, *map("".join, product(alphabet, repeat=2)), "aaa"]
    assert [letters(number) for number in range(len(expected))] == expected
