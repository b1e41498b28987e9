"""Localization tables in all published forms give the same result; unmatched images and proteins are counted."""

from __future__ import annotations

import gzip
import zipfile

import pytest

from pcip_core.errors import SpecError
from pcip_core.images.annotations import ImageRecord
from pcip_core.images.localization import Located, annotate, read_localization

ATLAS = (
    "Gene\tGene name\tReliability\tMain location\tAdditional location\tExtracellular location\tEnhanced\t"
    "Supported\tApproved\tUncertain\tSingle-cell variation intensity\tGO id\n"
    "ENSG00000000001\tALPHA1\tSupported\tNucleoplasm;Cytosol\tRods & Rings\t\t\tNucleoplasm\tCytosol\t\t\t\n"
    "ENSG00000000002\tBETA2\tUncertain\tMitochondria\t\t\t\t\t\tMitochondria\t\t\n"
)


def _record(image_id: str, terms: tuple[str, ...] = (), **values: str | None) -> ImageRecord:
    return ImageRecord(image_id, "shard", 1, list(terms), values)


def test_the_atlas_table_with_main_and_additional_locations(tmp_path):
    path = tmp_path / "subcellular_location.tsv"
    path.write_text(ATLAS)
    alpha, beta = read_localization(path)
    assert alpha == Located("ALPHA1", "ENSG00000000001", "", "", ("Nucleoplasm", "Cytosol", "Rods & Rings"))
    assert beta.localization == ("Mitochondria",)
    assert read_localization(path, main_only=True)[0].localization == ("Nucleoplasm", "Cytosol")
    certain = read_localization(path, reliabilities=("Enhanced", "Supported", "Approved"))
    assert [protein.localization for protein in certain] == [alpha.localization, ()]


def test_the_older_atlas_table_has_its_terms_under_their_reliability(tmp_path):
    path = tmp_path / "subcellular_location.tsv"
    path.write_text(
        "Gene\tGene name\tReliability\tEnhanced\tSupported\tApproved\tUncertain\tGO id\n"
        "ENSG00000000001\tALPHA1\tApproved\tNucleoli\t\tCytosol\tVesicles\t\n"
    )
    (record,) = read_localization(path)
    assert record.localization == ("Nucleoli", "Cytosol", "Vesicles")
    (record,) = read_localization(path, reliabilities=("Enhanced", "Supported", "Approved"))
    assert record.localization == ("Nucleoli", "Cytosol")


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("Subcellular location", "Nucleoplasm<br>Cytosol"),
        ("Subcellular main location\tSubcellular additional location", "Nucleoplasm\tCytosol"),
    ],
)
def test_the_atlas_table_of_all_genes_gives_uniprot_ids_too(tmp_path, header, cells):
    path = tmp_path / "proteinatlas.tsv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        text = f"Gene\tGene synonym\tEnsembl\tUniprot\t{header}\nALPHA1\tA1\tENSG00000000001\tP1\t{cells}\n"
        archive.writestr("proteinatlas.tsv", text)
    assert read_localization(path) == [
        Located("ALPHA1", "ENSG00000000001", "", "P1", ("Nucleoplasm", "Cytosol"))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "ORF,gene,terms\nYLR027C,AAT2,cytoplasm;nucleus\n",
        'yORF,Gene name,localization summary\nYLR027C,AAT2,"cytoplasm, nucleus"\n',
        "# from a paper\nGene\tORF\tKnown\tGFP localization\nAAT2\tYLR027C\t_\tcytoplasm|nucleus\n",
        "Systematic name\tStandard name\tCompartment\nYLR027C\tAAT2\tcytoplasm\nYLR027C\tAAT2\tnucleus\n",
    ],
)
def test_yeast_tables_as_they_are_published(tmp_path, text):
    path = tmp_path / "yeast.txt"
    path.write_text(text)
    assert read_localization(path) == [Located("AAT2", "", "YLR027C", "", ("cytoplasm", "nucleus"))]


def test_a_gzipped_csv_with_one_id(tmp_path):
    path = tmp_path / "mine.csv.gz"
    path.write_bytes(gzip.compress("﻿protein,localization\nAAC1,mitochondrion\n,nucleus\n".encode()))
    assert read_localization(path) == [Located("AAC1", localization=("mitochondrion",))]


@pytest.mark.parametrize(
    ("text", "message"),
    [("gene,colour\nA,red\n", "columns gene, colour"), ("terms\nx\n", "columns terms"), ("\n", "no line")],
)
def test_a_table_without_ids_or_terms_names_its_columns(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(SpecError, match=message):
        read_localization(path)


def test_the_remedy_of_a_table_without_ids_or_terms(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("accession number,found in\nP1,Cytosol\n")
    with pytest.raises(SpecError) as caught:
        read_localization(path)
    assert (
        caught.value.remedy
        == "Rename the column of ids to one of gene, orf, ensembl, uniprot, and that of terms to "
        "`localization`."
    )
    for name in ("gene", "orf", "ensembl", "uniprot"):
        path.write_text(f"{name},localization\nP1,Cytosol\n")
        assert read_localization(path) == [Located(**{name: "P1"}, localization=("Cytosol",))]


def test_a_missing_table_and_a_table_that_is_not_text(tmp_path):
    with pytest.raises(SpecError, match="no such file"):
        read_localization(tmp_path / "no.tsv")
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "a.csv").write_bytes(b"gene,terms\n\x81\x8d\n")
    for name in ("a.zip", "a.csv"):
        with pytest.raises(SpecError, match="no readable text"):
            read_localization(tmp_path / name)


def test_images_are_matched_by_the_first_id_and_the_others_are_counted():
    table = [
        Located("ALPHA1", "ENSG1", "", "P1", ("Cytosol",)),
        Located("BETA2", "", "YBR001C", "", ("nucleus",)),
        Located("TWIN", "ENSG2", localization=("a",)),
        Located("TWIN", "ENSG3", localization=("b",)),
        Located("UNSEEN", "ENSG4", localization=("c",)),
    ]
    records = [
        _record("1", protein="x", ensembl="ensg1", gene=None),
        _record("2", protein="ybr001c"),
        _record("3", protein="TWIN", ensembl="ENSG3"),
        _record("4", gene="twin", protein="TWIN"),
        _record("5", protein="NOBODY"),
        _record("6", ("Vesicles",), protein="P0", uniprot="P9;P1"),
    ]
    out = annotate(records, table)
    assert [record.image_id for record in out.records] == ["1", "2", "3", "4", "5", "6"]
    assert [record.localization for record in out.records] == [
        ["Cytosol"],
        ["nucleus"],
        ["b"],
        [],
        [],
        ["Vesicles"],
    ]
    assert (out.matched, out.ambiguous, out.unmatched, out.unused) == (4, ["4"], ["5"], ["TWIN", "UNSEEN"])
    assert (
        str(out) == "6 images = 4 matched + 1 unmatched + 1 ambiguous; 2 proteins of the table have no image"
    )
    assert out.records[0].values == {"protein": "x", "ensembl": "ensg1", "gene": "ALPHA1", "uniprot": "P1"}
    assert annotate(records[5:], table, overwrite=True).records[0].localization == ["Cytosol"]
