"""Vocabularies from images, tables and the Gene Ontology, and the terms of clusters against SciPy."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from scipy.stats import hypergeom

from pcip_core.errors import PcipError
from pcip_core.ontology.vocabularies import Vocabulary, enriched_terms, read_vocabularies
from pcip_core.spec.analyses import Analyses, GeneOntology
from tests.core.ontology.go_files import gaf_file, obo_file

PROTEINS = {"ACT1", "NOP1", "NUP1", "nothing"}
IMAGES = pl.DataFrame(
    {
        "protein": ["ACT1", "ACT1", "NOP1", "elsewhere", "NUP1"],
        "localization": [["actin"], ["bud"], ["nucleolus"], ["actin"], None],
    }
)


def test_each_source_has_the_terms_of_the_clustered_proteins(tmp_path: Path) -> None:
    (tmp_path / "complexes.csv").write_text("protein,complex\nACT1,one;two\nNUP1,pore\nelsewhere,one\n")
    (tmp_path / "nothing.csv").write_text("protein,complex\nelsewhere,one\n")
    settings = Analyses(
        annotations={name: str(tmp_path / f"{name}.csv") for name in ("complexes", "nothing")},
        ontology=GeneOntology(str(obo_file(tmp_path)), str(gaf_file(tmp_path))),
    )
    vocabularies = read_vocabularies(PROTEINS, IMAGES, settings)
    annotations = {name: each.annotations for name, each in vocabularies.by_name.items()}
    assert annotations.pop("go") == {
        "ACT1": {
            f"GO:000000{number}" for number in (1, 2, 3, 4, 5)
        },  # nucleolus and membrane, with all above
        "NOP1": {f"GO:000000{number}" for number in (1, 2, 3)},
        "NUP1": {f"GO:000000{number}" for number in (1, 2, 3, 5, 6)},
    }
    assert annotations == {
        "localization": {"ACT1": {"actin", "bud"}, "NOP1": {"nucleolus"}},
        "complexes": {"ACT1": {"one", "two"}, "NUP1": {"pore"}},
    }
    terms = vocabularies.by_name["go"].terms
    assert terms is not None
    assert terms["GO:0000004"].name == "nucleolus"
    names = "4 names = 3 mapped + 1 not mapped (nothing) + 0 ambiguous; 0 share an id with another"
    assert vocabularies.notes == {
        "complexes: clustered proteins in the table": "2 of 4",
        "nothing: clustered proteins in the table": "0 of 4",
        "not_tested: nothing": "no clustered protein is in the first column of nothing.csv",
        **{"go: names": names, "go: terms_unknown": 0, "go: terms_obsolete": 0},
    }


def test_notes_say_which_sources_are_missing(tmp_path: Path) -> None:
    vocabularies = read_vocabularies({"NUP1"}, IMAGES, Analyses())
    assert vocabularies.by_name == {}
    assert list(vocabularies.notes) == ["not_tested: localization", "not_tested: go"]
    missing = GeneOntology(str(tmp_path / "nowhere.obo"), str(tmp_path / "nowhere.gaf"))
    with pytest.raises(PcipError, match=r"nowhere\.obo: found no such file"):
        read_vocabularies(PROTEINS, IMAGES, Analyses(ontology=missing))


def test_terms_are_tested_in_each_solution_and_vocabulary() -> None:
    proteins = [f"P{number}" for number in range(12)]
    nodes = {"ward": ["1"] * 5 + ["2"] * 7, "average": ["1"] * 9 + ["2"] * 3}
    clusters = pl.concat(
        pl.DataFrame({"solution": solution, "node": node, "protein": proteins}, strict=False)
        for solution, node in nodes.items()
    )
    vocabularies = {
        "a": Vocabulary(
            {name: {"early"} if number < 4 else {"late"} for number, name in enumerate(proteins)}
        ),
        "b": Vocabulary({name: {"even"} for name in proteins[::2]} | {"P1": {"rare"}}),
    }
    table, left_out = enriched_terms(clusters, vocabularies, min_size=3)
    keys = table.select("solution", "vocabulary", "node", "term").rows()
    expected = set()
    for solution, node in nodes.items():
        for name, vocabulary in vocabularies.items():
            known = set(vocabulary.annotations)
            for cluster in ("1", "2"):
                members = {p for p, of in zip(proteins, node, strict=True) if of == cluster} & known
                for term in ("early", "late", "even"):
                    having = {p for p in known if term in vocabulary.annotations[p]}
                    if hits := len(members & having):
                        expected.add((solution, name, cluster, term))
                        row = table.filter(solution=solution, vocabulary=name, node=cluster, term=term)
                        p = hypergeom.sf(hits - 1, len(known), len(having), len(members))
                        assert row["p"].item() == pytest.approx(p)
    assert len(keys) == len(expected)
    assert set(keys) == expected
    assert left_out["b: proteins_without_annotation"] == 5
    assert left_out["b: terms_with_few_proteins"] == 1


def test_without_a_vocabulary_there_is_no_row() -> None:
    clusters = pl.DataFrame({"solution": ["ward"], "node": ["1"], "protein": ["P"]})
    table, left_out = enriched_terms(clusters, {})
    assert table.is_empty()
    assert left_out == {}
