"""Files of terms and annotations that are small on disk and large in memory are refused with few bytes read."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from pcip_core.errors import AnnotationError
from pcip_core.ontology import lines, ontology
from pcip_core.ontology.ontology import Ontology, Term, read_gaf, read_obo

ROW = "DB\tP{n}\tS\t\tGO:{n}\tR\tIDA\t\tC\tN\t{synonyms}\tprotein\ttaxon\t20200101\tX\n"


def test_one_endless_line_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.obo.gz"
    path.write_bytes(gzip.compress(b"x" * 100_000_000, 1))
    tracemalloc.start()
    with pytest.raises(AnnotationError, match=r"line 1: found a line of more than 1,048,576 characters"):
        read_obo(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("name", ["a.obo", "a.obo.gz", "a.gaf", "a.gaf.gz"])
def test_a_file_of_any_length_is_read_to_the_limit(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setattr(lines, "MAX_BYTES", 10_000)
    line = "! é comment\n"  # counts four bytes a character
    data = (line * 300).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with pytest.raises(AnnotationError, match=r"line 209: found more than 0 MiB when unpacked"):
        (read_obo if "obo" in name else read_gaf)(tmp_path / name)


@pytest.mark.parametrize(
    ("limit", "text", "message"),
    [
        ("MAX_TERMS", "".join(f"[Term]\nid: T:{n}\n" for n in range(9)), "over 8 terms"),
        ("MAX_PARENTS", "[Term]\nid: T:0\n" + "".join(f"is_a: T:{n}\n" for n in range(9)), "or 8 parents"),
        ("_MAX_TAGS", "[Term]\nid: T:0\n" + "name: x\n" * 9, "a part of more than 8 lines"),
    ],
)
def test_terms_are_counted(tmp_path: Path, monkeypatch, limit: str, text: str, message: str) -> None:
    monkeypatch.setattr(ontology, limit, 8)
    (tmp_path / "a.obo").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_obo(tmp_path / "a.obo")


def test_ancestors_are_counted(monkeypatch) -> None:
    terms = {str(n): Term(str(n), "", "c", is_a=(str(n - 1),) if n else ()) for n in range(50)}
    monkeypatch.setattr(ontology, "MAX_ANCESTORS", 50 * 51 // 2)
    assert len(Ontology(terms).ancestors()["49"]) == 50
    monkeypatch.setattr(ontology, "MAX_ANCESTORS", 50 * 51 // 2 - 1)
    with pytest.raises(AnnotationError, match="ancestors together"):
        Ontology(terms).ancestors()


def test_products_synonyms_and_terms_are_counted(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.gaf"
    path.write_text("".join(ROW.format(n=n, synonyms="a|b") for n in range(5)) * 3)
    monkeypatch.setattr(ontology, "MAX_NAMES", 5 * (1 + 2 + 1))
    assert read_gaf(path).rows == 15
    monkeypatch.setattr(ontology, "MAX_NAMES", 5 * (1 + 2 + 1) - 1)
    with pytest.raises(AnnotationError, match="line 5: found over 19 products, synonyms and terms"):
        read_gaf(path)
