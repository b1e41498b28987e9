"""Names of a screen's proteins find the gene product that they mean, or are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcip_core.errors import AnnotationError, SpecError
from pcip_core.ontology.identifiers import map_proteins, read_names
from pcip_core.ontology.ontology import GeneProduct, read_gaf
from tests.core.ontology.go_files import gaf_file

HUMAN = {
    "P60709": GeneProduct("ACTB", frozenset({"BETA-ACTIN", "P1TMPS"})),
    "P63261": GeneProduct("ACTG1", frozenset({"ACTG"})),
    "Q00001": GeneProduct("MT1", frozenset({"OLD"})),
    "Q00002": GeneProduct("MT2", frozenset({"OLD", "MT1"})),
    "A0A024RBG1": GeneProduct("NUDT4B", frozenset()),
}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("P60709", "P60709"),
        ("p60709", "P60709"),
        ("P60709-2", "P60709"),
        ("A0A024RBG1-1", "A0A024RBG1"),
        ("ACTB", "P60709"),
        ("actb", "P60709"),
        (" ACTB ", "P60709"),
        ("beta-actin", "P60709"),
        ("ACTB;P60709", "P60709"),  # two names of one
        ("MT1", "Q00001"),  # a symbol wins over a synonym
    ],
)
def test_a_name_is_found_by_id_symbol_or_synonym(name: str, found: str) -> None:
    assert map_proteins([name], HUMAN).ids == {name: found}


def test_yeast_names_are_found_by_orf_sgd_id_and_gene(tmp_path: Path) -> None:
    products = read_gaf(gaf_file(tmp_path)).products
    mapped = map_proteins(["YFL039C", "S2", "nup1", "YDL014W", "YXX999W"], products)
    assert mapped.ids == {"YFL039C": "S1", "S2": "S2", "nup1": "S3", "YDL014W": "S2"}
    assert mapped.unmapped == ["YXX999W"]
    assert mapped.shared == 2
    assert mapped.annotations({"S1": {"a"}, "S2": {"b"}, "S3": set()}) == {
        "YFL039C": {"a"},
        "S2": {"b"},
        "YDL014W": {"b"},
    }


def test_what_means_two_is_counted_and_left_out() -> None:
    mapped = map_proteins(["OLD", "ACTB;ACTG1", "ACTB", "x1", "ACTB"], HUMAN)
    assert mapped.ids == {"ACTB": "P60709"}
    assert mapped.ambiguous == {"OLD": ["Q00001", "Q00002"], "ACTB;ACTG1": ["P60709", "P63261"]}
    assert str(mapped) == (
        "4 names = 1 mapped + 1 not mapped (x1) + 2 ambiguous (OLD, ACTB;ACTG1); 0 share an id with another"
    )


def test_the_first_names_that_are_not_mapped_are_told() -> None:
    told = str(map_proteins([f"x{number}" for number in range(9)], HUMAN))
    assert told.startswith("9 names = 0 mapped + 9 not mapped (x0, x1, x2, x3, x4, ...) + 0 ambiguous")


def test_where_case_is_all_that_differs_it_decides() -> None:
    fly = {"F1": GeneProduct("h"), "F2": GeneProduct("H")}
    assert map_proteins(["h", "H"], fly).ids == {"h": "F1", "H": "F2"}
    two = {"F1": GeneProduct("Abc"), "F2": GeneProduct("aBC")}
    assert map_proteins(["abc"], two).ambiguous == {"abc": ["F1", "F2"]}


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_table_of_names_comes_first(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"names{suffix}"
    rows = ["ensembl,uniprot", "ENSG00000075624,P60709", "ACTB,ACTG1", "ENSG00000184009,", "E2,MT1;MT2"]
    path.write_text("\n".join(row.replace(",", "\t") if suffix == ".tsv" else row for row in rows))
    table = read_names(path)
    assert table == {"ENSG00000075624": {"P60709"}, "ACTB": {"ACTG1"}, "E2": {"MT1", "MT2"}}
    names = ["ENSG00000075624.17", "ensg00000075624", "ACTB", "ENSG00000184009", "E2"]
    mapped = map_proteins(names, HUMAN, table=table)
    assert mapped.ids == {
        "ENSG00000075624.17": "P60709",
        "ensg00000075624": "P60709",
        "ACTB": "P63261",
    }
    assert mapped.unmapped == ["ENSG00000184009"]
    assert mapped.ambiguous == {"E2": ["Q00001", "Q00002"]}


def test_two_columns_of_a_wide_table_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "proteinatlas.tsv"
    path.write_text("Gene\tEnsembl\tUniprot\nACTB\tENSG00000075624\tP60709\n")
    assert read_names(path, columns=("Ensembl", "Uniprot")) == {"ENSG00000075624": {"P60709"}}
    with pytest.raises(AnnotationError, match="found columns Gene, Ensembl, Uniprot; required: two columns"):
        read_names(path)
    with pytest.raises(AnnotationError, match="required: columns Ensembl and HGNC"):
        read_names(path, columns=("Ensembl", "HGNC"))


def test_a_table_without_names_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("a,b\nx,\n")
    with pytest.raises(AnnotationError, match="no row with two names"):
        read_names(path)
    with pytest.raises(SpecError, match="no such file"):
        read_names(tmp_path / "none.csv")
