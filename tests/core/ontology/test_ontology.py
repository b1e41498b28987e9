"""Reading OBO and GAF files: as by hand, as goatools does, and what is wrong with a file is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcip_core.errors import AnnotationError
from pcip_core.ontology.ontology import EXPERIMENTAL, Gaf, Ontology, Term, propagate, read_gaf, read_obo
from tests.core.ontology.go_files import BP, CC, OBO, ROWS, gaf_file, gaf_row, obo_file


def go(*numbers: int) -> set[str]:
    return {f"GO:{number:07d}" for number in numbers}


@pytest.mark.parametrize("name", ["go-basic.obo", "go-basic.obo.gz"])
def test_terms_are_read_with_parents_and_former_ids(tmp_path: Path, name: str) -> None:
    ontology = read_obo(obo_file(tmp_path, name=name))
    assert set(ontology.terms) == go(*range(1, 10))
    assert ontology.terms["GO:0000004"] == Term(
        "GO:0000004", "nucleolus", CC, is_a=("GO:0000002",), part_of=("GO:0000003",)
    )
    assert ontology.terms["GO:0000003"].alt_ids == ("GO:0000033", "GO:0000034")
    assert ontology.alt_ids == {"GO:0000033": "GO:0000003", "GO:0000034": "GO:0000003"}
    assert ontology.terms["GO:0000008"].namespace == BP
    assert [term.id for term in ontology.terms.values() if term.obsolete] == ["GO:0000009"]


def test_a_term_without_namespace_has_that_of_the_file(tmp_path: Path) -> None:
    text = OBO.replace("namespace: biological_process\n", "")
    assert read_obo(obo_file(tmp_path, text=text)).terms["GO:0000007"].namespace == "gene_ontology"


def test_ancestors_go_by_is_a_and_part_of_but_not_by_regulates(tmp_path: Path) -> None:
    ontology = read_obo(obo_file(tmp_path))
    above = ontology.ancestors()
    assert above["GO:0000004"] == go(4, 3, 2, 1)
    assert above["GO:0000006"] == go(6, 5, 3, 2, 1)
    assert above["GO:0000008"] == go(8)
    assert "GO:0000009" not in above
    assert ontology.ancestors(relations=("is_a",))["GO:0000004"] == go(4, 2, 1)


def test_a_long_way_up_is_no_recursion() -> None:
    terms = {
        str(number): Term(str(number), "", CC, is_a=(str(number + 1),) if number < 3999 else ())
        for number in range(4000)
    }
    assert len(Ontology(terms).ancestors()["3000"]) == 1000


@pytest.mark.parametrize(("name", "version"), [("a.gaf", "2.2"), ("a.gaf.gz", "2.1")])
def test_annotations_are_read_without_not_and_without_no_data(
    tmp_path: Path, name: str, version: str
) -> None:
    gaf = read_gaf(gaf_file(tmp_path, name=name, version=version))
    assert gaf.annotations == {
        "S1": go(4, 5),
        "S2": go(33),
        "S3": go(6),
        "S5": go(2),
        "S6": go(8),
        "S7": go(9),
        "S8": go(9999),
    }
    assert gaf.rows == len(ROWS)
    assert gaf.left_out == {"NOT": 1, "evidence": 1, "source": 0}
    assert gaf.products["S1"].symbol == "ACT1"
    assert gaf.products["S1"].synonyms == {"YFL039C", "ABY1"}
    assert "S4" in gaf.products  # known, though without an annotation


def test_evidence_and_sources_can_be_chosen(tmp_path: Path) -> None:
    path = gaf_file(tmp_path)
    assert "S3" not in read_gaf(path, evidence=EXPERIMENTAL).annotations
    assert set(read_gaf(path, evidence=("IEA", "ND")).annotations) == {"S3", "S4"}
    without = read_gaf(path, without_sources=("HPA",))
    assert "S5" not in without.annotations
    assert without.left_out == {"NOT": 1, "evidence": 1, "source": 1}


def test_not_is_seen_beside_other_qualifiers(tmp_path: Path) -> None:
    rows = [gaf_row("S1", "A", "GO:0000001", qualifier=text) for text in ("NOT", "NOT|part_of", "not")]
    rows += [gaf_row("S2", "NOTCH1", "GO:0000001", qualifier="located_in")]
    assert read_gaf(gaf_file(tmp_path, rows)).annotations == {"S2": {"GO:0000001"}}


def test_genes_get_the_terms_above_their_own(tmp_path: Path) -> None:
    ontology, gaf = read_obo(obo_file(tmp_path)), read_gaf(gaf_file(tmp_path))
    found = propagate(gaf.annotations, ontology)
    assert found.annotations == {
        "S1": go(4, 3, 2, 1, 5),
        "S2": go(3, 2, 1),
        "S3": go(6, 5, 3, 2, 1),
        "S5": go(2, 1),
        "S6": go(8),
    }
    assert found.unknown == {"GO:0009999": 1}
    assert found.obsolete == {"GO:0000009": 1}
    assert set(propagate(gaf.annotations, ontology, namespaces=[BP]).annotations) == {"S6"}


def test_goatools_reads_and_propagates_the_same(tmp_path: Path) -> None:
    pytest.importorskip("goatools", reason="goatools (extra dev) is the independent truth")
    from goatools.anno.gaf_reader import GafReader
    from goatools.obo_parser import GODag

    obo, path = obo_file(tmp_path), gaf_file(tmp_path)
    ontology, gaf = read_obo(obo), read_gaf(path)
    theirs = GODag(str(obo), optional_attrs={"relationship"}, prt=None)
    above = ontology.ancestors()
    for term, ours in above.items():
        by_part = theirs[term].get_all_upper() if term != "GO:0000008" else set()  # they go by regulates too
        assert ours == by_part | {term}
        assert (ontology.terms[term].name, ontology.terms[term].namespace) == (
            theirs[term].name,
            theirs[term].namespace,
        )
        assert set(ontology.terms[term].is_a) == {parent.id for parent in theirs[term].parents}
    assert gaf.annotations == GafReader(str(path), prt=None).get_id2gos_nss()


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (
            "name: membrane\n",
            "membrane\n",
            r"go-basic.obo, line 35: found 'membrane'; required: `tag: value`",
        ),
        ("[Typedef]", "[Typedef", r"line 64: found '\[Typedef'"),
        ("id: GO:0000005\n", "", "line 33: found a term with 0 ids"),
        ("id: GO:0000005\n", "id: GO:0000004\n", r"found GO:0000004 a second time \(first in line 26\)"),
        (
            "is_a: GO:0000005 ! membrane",
            "is_a: GO:0000055",
            "line 39: found GO:0000006 with the parent GO:0000055",
        ),
        ("is_a: GO:0000005 ! membrane", "is_a: GO:0000009", "with the parent GO:0000009, which is missing"),
        ("relationship: part_of GO:0000003 ! nucleus", "relationship: part_of", "`relationship: how ID`"),
        ("[Term]", "[Instance]", r"found no \[Term\]"),
        (
            "namespace: cellular_component\ndef",
            "namespace: cellular_component\nis_a: GO:0000004\ndef",
            "a cycle, GO:0000001 -> GO:0000004 -> GO:0000002 -> GO:0000001; required: terms without cycles",
        ),
    ],
)
def test_a_damaged_ontology_is_an_error(tmp_path: Path, old: str, new: str, match: str) -> None:
    assert old in OBO
    with pytest.raises(AnnotationError, match=match) as caught:
        read_obo(obo_file(tmp_path, text=OBO.replace(old, new)))
    assert "Download the file again" in str(caught.value)


def test_a_term_above_itself_is_a_cycle(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="a cycle, A -> A"):
        read_obo(obo_file(tmp_path, text="[Term]\nid: A\nis_a: A\n"))


def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="found no such file"):
        read_obo(tmp_path / "none.obo")
    (tmp_path / "a.gaf.gz").write_bytes(b"not gzipped")
    with pytest.raises(AnnotationError, match="no readable text"):
        read_gaf(tmp_path / "a.gaf.gz")


@pytest.mark.parametrize(
    ("rows", "version", "match"),
    [
        ([ROWS[0], "SGD\tS1\tACT1"], "2.2", "sgd.gaf, line 4: found 3 columns; required: 15 or more"),
        ([ROWS[0].replace("GO:0000004", "")], "2.2", "line 3: found an empty column 2 or 5"),
        (ROWS, "1.0", "line 1: found GAF version 1.0; required: GAF 2.1 or 2.2"),
        ([], "2.2", "found no row"),
    ],
)
def test_damaged_annotations_are_an_error(tmp_path: Path, rows: list[str], version: str, match: str) -> None:
    with pytest.raises(AnnotationError, match=match):
        read_gaf(gaf_file(tmp_path, rows, version=version))


def test_fifteen_columns_are_enough(tmp_path: Path) -> None:
    row = "\t".join(ROWS[0].split("\t")[:15])
    assert isinstance(read_gaf(gaf_file(tmp_path, [row])), Gaf)


def test_unknown_codes_namespaces_and_ontologies_are_errors(tmp_path: Path) -> None:
    ontology = read_obo(obo_file(tmp_path))
    with pytest.raises(AnnotationError, match="evidence: found XYZ"):
        read_gaf(gaf_file(tmp_path), evidence=["IDA", "XYZ"])
    with pytest.raises(
        AnnotationError, match="found compartment; required: some of biological_process, cell"
    ):
        propagate({"a": {"GO:0000001"}}, ontology, namespaces=["compartment"])
    with pytest.raises(AnnotationError, match="1 term, such as HP:1, none of them in the ontology"):
        propagate({"a": {"HP:1"}}, ontology)
