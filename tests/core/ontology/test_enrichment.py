"""Enrichment against closed forms, a naive loop over all draws, Fisher's test, SciPy and goatools."""

from __future__ import annotations

from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.ontology.enrichment import (
    annotations_from_columns,
    enrichment,
    false_discovery_rates,
    upper_tail,
)
from pcip_core.ontology.ontology import propagate, read_obo
from tests.core.ontology.go_files import CC, obo_file

Row = dict[str, Any]


def random_screen(
    *, proteins: int = 120, clusters: int = 4, seed: int = 0
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Clusters, and terms t0..t9 of which t<c> is frequent in cluster c; each tenth protein has no term."""
    rng = np.random.default_rng(seed)
    members: dict[str, set[str]] = {f"c{number}": set() for number in range(clusters)}
    annotations: dict[str, set[str]] = {}
    for number in range(proteins):
        cluster = int(rng.integers(clusters))
        members[f"c{cluster}"].add(f"p{number}")
        if number % 10:
            chance = [0.7 if term == cluster else 0.08 for term in range(10)]
            annotations[f"p{number}"] = {f"t{term}" for term in range(10) if rng.random() < chance[term]}
    return members, annotations


def by_key(table: pl.DataFrame) -> dict[tuple[str, str], Row]:
    return {(row["cluster"], row["term"]): row for row in table.iter_rows(named=True)}


def naive_fdr(p: list[float]) -> list[float]:
    """The least p * m / rank of all p as large or larger; ranks from the least, ties the last."""
    m = len(p)
    return [
        min(1.0, *(one * m / sum(other <= one for other in p) for one in p if one >= value)) for value in p
    ]


def test_closed_forms() -> None:
    one = upper_tail(
        np.array([0, 1, 3, 5]), np.array([4, 4, 3, 5]), np.array([5, 5, 3, 5]), np.array([10] * 4)
    )
    expected = [1, 1 - comb(5, 4) / comb(10, 4), 1 / comb(10, 3), 1 / comb(10, 5)]
    assert one == pytest.approx(expected, rel=1e-12)


def test_small_values_are_exact() -> None:
    """As small as those of Table 3: exact integers beside it."""
    for hits, drawn, with_term, total in [(752, 1383, 3500, 11995), (230, 564, 1000, 11995)]:
        ways = sum(
            comb(with_term, k) * comb(total - with_term, drawn - k)
            for k in range(hits, min(drawn, with_term) + 1)
        )
        args = (np.array([number]) for number in (hits, drawn, with_term, total))
        assert upper_tail(*args)[0] == pytest.approx(ways / comb(total, drawn), rel=1e-9, abs=0)


def test_p_is_the_share_of_all_draws_with_as_many_hits() -> None:
    annotations = {f"p{number}": {"all", "t"} if number < 4 else {"all"} for number in range(9)}
    found = by_key(enrichment({"c": {"p0", "p1", "p5"}, "rest": set(annotations)}, annotations).table)
    draws = list(combinations(range(9), 3))
    share = sum(sum(one < 4 for one in draw) >= 2 for draw in draws) / len(draws)
    row = found["c", "t"]
    assert row["p"] == pytest.approx(share, rel=1e-12)
    assert (row["hits"], row["annotated"], row["background_hits"], row["background"]) == (2, 3, 4, 9)
    assert row["fold"] == pytest.approx((2 / 3) / (4 / 9))
    assert found["c", "all"]["p"] == 1
    assert found["rest", "t"]["p"] == 1


@pytest.mark.parametrize("family", ["cluster", "all"])
def test_all_figures_are_those_of_a_naive_loop(family: str) -> None:
    members, annotations = random_screen()
    found = enrichment(members, annotations, family=family)  # type: ignore[arg-type]
    background = [name for proteins in members.values() for name in proteins if annotations.get(name)]
    naive: dict[tuple[str, str], tuple[float, tuple[int, int, int, int]]] = {}
    for cluster, proteins in members.items():
        for term in sorted({term for name in background for term in annotations[name]}):
            inside = [term in annotations[name] for name in background if name in proteins]
            outside = [term in annotations[name] for name in background if name not in proteins]
            table = [[sum(inside), len(inside) - sum(inside)], [sum(outside), len(outside) - sum(outside)]]
            counts = (sum(inside), len(inside), sum(inside) + sum(outside), len(background))
            naive[cluster, term] = (stats.fisher_exact(table, alternative="greater")[1], counts)
    families = [[key for key in naive if family == "all" or key[0] == name] for name in members]
    q = {
        key: value
        for keys in families
        for key, value in zip(keys, naive_fdr([naive[key][0] for key in keys]), strict=True)
    }
    ours = by_key(found.table)
    assert set(ours) == {key for key, (_, counts) in naive.items() if counts[0]}
    for key, row in ours.items():
        assert (row["hits"], row["annotated"], row["background_hits"], row["background"]) == naive[key][1]
        assert row["p"] == pytest.approx(naive[key][0], rel=1e-9)
        assert row["q"] == pytest.approx(q[key], rel=1e-9)
        assert row["tests"] == (40 if family == "all" else 10)
    assert all(ours[f"c{number}", f"t{number}"]["q"] < 1e-4 for number in range(4))


def test_by_chance_few_terms_are_found() -> None:
    """Clusters that have nothing to do with terms: under 5% of the families have a q below 0.05 (+ 3 s.d.)."""
    found = 0
    for seed in range(40):
        members, annotations = random_screen(seed=seed)
        names = sorted(annotations)
        shuffled = dict(
            zip(np.random.default_rng(seed).permutation(names), annotations.values(), strict=True)
        )
        rows = enrichment(members, shuffled).table.to_dicts()
        found += len({row["cluster"] for row in rows if row["q"] < 0.05})
    assert found / 160 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 160)


def test_rates_are_those_of_a_naive_loop() -> None:
    rng = np.random.default_rng(1)
    for p in (rng.random(50), rng.random(50) ** 4, np.array([0.01, 0.01, 0.02, 1.0, 0.02]), np.array([0.3])):
        q = false_discovery_rates(p)
        assert q == pytest.approx(naive_fdr(list(p)), rel=1e-12)
        padded = naive_fdr([*p, *[1.0] * 30])[: len(p)]
        assert false_discovery_rates(p, tests=len(p) + 30) == pytest.approx(padded, rel=1e-12)
    assert false_discovery_rates(np.array([])).shape == (0,)
    with pytest.raises(ShapeError, match="found 1; required: at least the number of values, 2"):
        false_discovery_rates(np.array([0.1, 0.2]), tests=1)


def test_goatools_finds_the_same(tmp_path: Path) -> None:
    pytest.importorskip("goatools", reason="goatools (extra dev) is the independent truth")
    from goatools.go_enrichment import GOEnrichmentStudy
    from goatools.obo_parser import GODag

    path = obo_file(tmp_path)
    rng = np.random.default_rng(2)
    direct = {f"g{n}": {f"GO:{t:07d}" for t in rng.choice(6, 2) + 1} for n in range(60)}
    members = {"a": {f"g{n}" for n in range(20)}, "b": {f"g{n}" for n in range(20, 60)}}
    members["a1"] = {name for name in members["a"] if "GO:0000004" in direct[name]}
    ontology = read_obo(path)
    ours = enrichment(members, propagate(direct, ontology).annotations, terms=ontology.terms, min_size=1)

    dag = GODag(str(path), optional_attrs={"relationship"}, prt=None)
    study = GOEnrichmentStudy(
        set(direct),
        {gene: set(terms) for gene, terms in direct.items()},
        dag,
        propagate_counts=True,
        relationships={"part_of"},
        methods=["fdr_bh"],
        alternative="greater",
        log=None,
    )
    theirs = {
        (name, one.GO): one
        for name, proteins in members.items()
        for one in study.run_study(proteins, prt=None)
        if one.study_count
    }
    rows = by_key(ours.table)
    assert set(rows) == set(theirs)
    for key, one in theirs.items():
        row = rows[key]
        assert (row["hits"], row["annotated"]) == one.ratio_in_study
        assert (row["background_hits"], row["background"]) == one.ratio_in_pop
        assert row["p"] == pytest.approx(one.p_uncorrected, rel=1e-9)
        assert row["q"] == pytest.approx(one.p_fdr_bh, rel=1e-9)
        assert row["name"] == one.name


def test_each_namespace_is_a_family(tmp_path: Path) -> None:
    terms = read_obo(obo_file(tmp_path)).terms
    cellular, biological = ["GO:0000003", "GO:0000005"], ["GO:0000007"]
    annotations = {f"p{n}": {cellular[n % 2], *biological[: n % 3]} for n in range(12)}
    members = {"c": {"p0", "p2", "p4"}, "d": {"p1", "p3"}}
    rows = enrichment(members, annotations, terms=terms, min_size=1).table.to_dicts()
    assert {row["namespace"]: row["tests"] for row in rows} == {CC: 2, "biological_process": 1}
    both = enrichment(members, annotations, terms=terms, min_size=1, family="all").table.to_dicts()
    assert {row["namespace"]: row["tests"] for row in both} == {CC: 4, "biological_process": 2}
    assert {row["tests"] for row in enrichment(members, annotations, min_size=1).table.to_dicts()} == {3}


def test_rows_stand_by_cluster_and_p_and_name_their_terms(tmp_path: Path) -> None:
    terms = read_obo(obo_file(tmp_path)).terms
    annotations = {f"p{n}": {"GO:0000001", "GO:0000003"} if n < 3 else {"GO:0000001"} for n in range(6)}
    rows = enrichment(
        {"z": {"p0", "p1", "p2"}, "a": {"p3", "p4", "p5"}}, annotations, terms=terms
    ).table.to_dicts()
    assert [(row["cluster"], row["name"]) for row in rows] == [("z", "nucleus"), ("z", "cell"), ("a", "cell")]


def test_exclusions_are_counted() -> None:
    annotations = {f"p{n}": {"common"} | ({"few"} if n < 2 else set()) for n in range(8)} | {"p8": set()}
    members = {"c": {"p0", "p1", "p8"}, "d": {f"p{n}" for n in range(2, 8)} | {"p9"}, "none": {"p8", "p9"}}
    found = enrichment(members, annotations)
    assert found.left_out == {
        "proteins_without_annotation": 2,
        "terms_with_few_proteins": 1,
        "terms_with_many_proteins": 0,
        "clusters_without_annotation": 1,
    }
    assert {row["term"] for row in found.table.to_dicts()} == {"common"}
    first = found.table.row(0, named=True)
    assert (first["hits"], first["annotated"], first["cluster_size"], first["background"]) == (2, 2, 3, 8)
    bounded = enrichment(members, annotations, min_size=1, max_size=5)
    assert bounded.left_out["terms_with_many_proteins"] == 1
    assert {row["term"] for row in bounded.table.to_dicts()} == {"few"}
    assert enrichment(members, annotations, max_size=5).table.is_empty()


def test_a_wider_background_counts_its_annotated_proteins() -> None:
    annotations = {f"p{n}": {"t"} if n < 4 else {"u"} for n in range(10)}
    narrow = enrichment({"c": {"p0", "p1", "p4"}}, annotations, min_size=1).table.row(0, named=True)
    wide = by_key(
        enrichment(
            {"c": {"p0", "p1", "p4"}}, annotations, background={*annotations, "bare"}, min_size=1
        ).table
    )["c", "t"]
    assert narrow["background"] == 3
    assert (wide["background"], wide["background_hits"]) == (10, 4)


@pytest.mark.parametrize(
    ("members", "options", "match"),
    [
        ({}, {}, "found no cluster"),
        ({"a": {"p0"}, "b": set()}, {}, r"found 1 empty clusters \(b\)"),
        (
            {"a": {"p0", "x"}},
            {"background": {"p0"}},
            r"cluster a: found 1 protein outside the background \(x\)",
        ),
        ({"a": {"x", "y"}}, {}, "found no term for any of 2 proteins"),
        ({"a": {"p0"}}, {"min_size": 0}, "1 <= min_size <= max_size"),
        ({"a": {"p0"}}, {"min_size": 5, "max_size": 4}, "found 5, 4"),
    ],
)
def test_errors_say_what_is_wrong(members: dict[str, set[str]], options: dict[str, Any], match: str) -> None:
    with pytest.raises(EvaluationError, match=match):
        enrichment(members, {"p0": {"t"}}, **options)


def test_terms_come_from_columns_of_images() -> None:
    proteins = ["A", "A", "B", "C", None]
    lists = [["Nucleus", "Cytosol"], ["Nucleoli"], ["Nucleus", " Cytosol", ""], None, ["Nucleus"]]
    texts = ["Nucleus; Cytosol", "Nucleoli", "Nucleus; Cytosol;", None, "Nucleus"]
    expected = {"A": {"Nucleus", "Cytosol", "Nucleoli"}, "B": {"Nucleus", "Cytosol"}, "C": set()}
    for terms in (lists, texts):
        table = pl.DataFrame({"protein": proteins, "localization": terms})
        assert annotations_from_columns(table) == expected
    other = pl.DataFrame({"gene": ["A"], "class": ["x"]})
    assert annotations_from_columns(other, protein="gene", terms="class") == {"A": {"x"}}
    with pytest.raises(EvaluationError, match="found columns gene, class; required: a column protein"):
        annotations_from_columns(other)
