"""From a list of proteins to a folder of images with tables, with a fake atlas."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pcip_core.errors import FetchError, SpecError
from pcip_core.fetch.hpa import Source, fetch_hpa
from pcip_core.fetch.hpa_entry import read_entry
from pcip_core.fetch.pace import Policy
from pcip_core.fetch.proteins import read_gene_ids, read_proteins, to_ensembl
from tests.fake_atlas import ALPHA, BETA, HUMAN, FakeAtlas, fill, jpg, page, serving

QUICK = Policy(rate_per_s=500, connections=4, attempts=2, backoff_s=0.02, stall_s=60)


@pytest.fixture
def atlas(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAtlas]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        fill(server)
        yield server


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _images(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*_*_*") if path.is_file()}


def test_composites_as_in_version_18(atlas, tmp_path):
    result = fetch_hpa([ALPHA, BETA], tmp_path, Source(base_url=atlas.url), QUICK)
    assert result.complete
    assert (result.n_images, result.n_fields) == (3, 5)
    assert str(result.pages) == "2 found = 2 fetched + 0 already present + 0 failed"
    assert str(result.files) == "5 found = 5 fetched + 0 already present + 0 failed"
    assert dict(result.left_out) == {"ciliated cell lines": 1, "mouse": 1, "unknown form of name": 1}
    composite = "blue_red_green.jpg"
    assert _images(tmp_path) == {
        *(f"{ALPHA}/HPA000001/{name}_{composite}" for name in ("410_D12_1", "410_D12_2", "411_D12_1")),
        *(f"{BETA}/CAB000002/{name}_{composite}" for name in ("762_F2_1", "762_F2_2")),
    }
    path = tmp_path / f"{ALPHA}/HPA000001/410_D12_1_{composite}"
    assert path.read_bytes() == atlas.files[f"/36770/410_D12_1_{composite}"]


def test_the_tables_describe_gene_antibody_and_cell_line(atlas, tmp_path):
    fetch_hpa([ALPHA, BETA], tmp_path, Source(base_url=atlas.url), QUICK)
    images = {row["image_id"]: row for row in _rows(tmp_path / "images.csv")}
    assert list(images) == [
        f"{ALPHA}_HPA000001_A-431",
        f"{ALPHA}_HPA000001_U-2-OS",
        f"{BETA}_CAB000002_U-251-MG",
    ]
    assert images[f"{ALPHA}_HPA000001_U-2-OS"] == {
        "image_id": f"{ALPHA}_HPA000001_U-2-OS",
        "protein": "ALPHA1",
        "gene": "ALPHA1",
        "ensembl": ALPHA,
        "uniprot": "P00001",
        "antibody": "HPA000001",
        "cell_line": "U-2 OS",
        "localization": "Nucleoplasm;Cytosol",
    }
    assert images[f"{ALPHA}_HPA000001_A-431"]["localization"] == "Rods & Rings"
    fields = _rows(tmp_path / "fields.csv")
    assert len(fields) == 5
    assert {row["image_id"] for row in fields} == set(images)
    assert all((tmp_path / row["path"]).is_file() for row in fields)
    assert {(row["plate"], row["well"], row["field"]) for row in fields if row["ensembl"] == BETA} == {
        ("762", "F2", "1"),
        ("762", "F2", "2"),
    }


@pytest.mark.parametrize("extension", ["jpg", "tif.gz"])
def test_one_file_per_channel_with_the_er_channel(atlas, tmp_path, extension):
    channels = ("blue", "red", "green", "yellow")
    source = Source(base_url=atlas.url, channels=channels, extension=extension)
    result = fetch_hpa([BETA], tmp_path, source, QUICK)
    assert str(result.files) == "8 found = 8 fetched + 0 already present + 0 failed"
    for channel in channels:
        path = f"{BETA}/CAB000002/762_F2_2_{channel}.{extension}"
        assert (tmp_path / path).read_bytes() == atlas.files[f"/36770/762_F2_2_{channel}.{extension}"]
    assert {row["channel"] for row in _rows(tmp_path / "fields.csv")} == set(channels)


def test_a_second_run_downloads_nothing_and_a_longer_list_only_new_files(atlas, tmp_path):
    source = Source(base_url=atlas.url)
    fetch_hpa([ALPHA], tmp_path, source, QUICK)
    asked = len(atlas.log)
    again = fetch_hpa([ALPHA], tmp_path, source, QUICK).files
    assert (len(again.fetched), len(again.there)) == (0, 3)
    assert len(atlas.log) == asked
    result = fetch_hpa([BETA], tmp_path, source, QUICK)
    assert str(result.files) == "2 found = 2 fetched + 0 already present + 0 failed"
    assert {row["ensembl"] for row in _rows(tmp_path / "images.csv")} == {ALPHA, BETA}
    assert len(_rows(tmp_path / "fields.csv")) == 5


def test_failures_are_listed_and_the_next_run_tries_again(atlas, tmp_path):
    gone = "/36770/411_D12_1_blue_red_green.jpg"
    body = atlas.files.pop(gone)
    atlas.moods[f"/{BETA}.xml"] = ["html"] * QUICK.attempts
    source = Source(base_url=atlas.url)
    result = fetch_hpa([ALPHA, BETA], tmp_path, source, QUICK)
    assert not result.complete
    assert (str(result.pages), str(result.files)) == (
        "2 found = 1 fetched + 0 already present + 1 failed",
        "3 found = 2 fetched + 0 already present + 1 failed",
    )
    failures = _rows(tmp_path / "failures.csv")
    assert {row["path"]: row["reason"] for row in failures} == {
        f"xml/{BETA}.xml": f"a web page instead of the file ({QUICK.attempts} attempts)",
        f"{ALPHA}/HPA000001/411_D12_1_blue_red_green.jpg": "HTTP 404 Not Found",
    }
    atlas.files[gone] = body
    assert fetch_hpa([ALPHA, BETA], tmp_path, source, QUICK).complete
    assert not (tmp_path / "failures.csv").exists()


def test_gene_names_are_looked_up_in_the_table_of_the_site_or_of_the_user(atlas, tmp_path):
    source = Source(base_url=atlas.url)
    result = fetch_hpa(["alpha1", "OLDA", "NOSUCH", f"{BETA}.3"], tmp_path / "a", source, QUICK)
    assert (result.listed, result.unknown, result.repeated, result.pages.found) == (4, ["NOSUCH"], 1, 2)
    assert not result.complete
    table = tmp_path / "subcellular_location.tsv"
    table.write_text(f"Gene\tGene name\tReliability\n{BETA}\tBETA2\tApproved\n")
    asked = len(atlas.log)
    assert fetch_hpa(["BETA2"], tmp_path / "b", replace(source, genes_table=table), QUICK).complete
    assert "/download/proteinatlas.tsv.zip" not in [path for _, path, *_ in atlas.log[asked:]]
    del atlas.files["/download/proteinatlas.tsv.zip"]
    with pytest.raises(FetchError, match="--genes-table"):
        fetch_hpa(["BETA2"], tmp_path / "c", source, QUICK)


def test_a_mirror_replaces_the_addresses_on_the_pages(atlas, tmp_path):
    atlas.files |= {path.replace("/36770/", "/mirror/36770/"): body for path, body in atlas.files.items()}
    source = Source(base_url=atlas.url, image_base_url=f"{atlas.url}/mirror/")
    assert fetch_hpa([BETA], tmp_path, source, QUICK).complete
    assert all(path.startswith(("/ENSG", "/mirror/36770/")) for _, path, *_ in atlas.log)


def test_channels_listed_separately_on_the_page_are_one_field(atlas, tmp_path):
    names = [f"500_A1_1_{colour}.jpg" for colour in ("blue", "red", "green")]
    atlas.files[f"/{BETA}.xml"] = page(
        atlas.url, BETA, "BETA2", {"HPA1": [(HUMAN, "HeLa", ["cytosol"], names)]}
    ).encode()
    atlas.files |= {f"/36770/{name}": jpg(seed) for seed, name in enumerate(names)}
    result = fetch_hpa([BETA], tmp_path, Source(base_url=atlas.url, channels=("blue", "red", "green")), QUICK)
    assert (result.n_images, result.n_fields, len(result.files.fetched)) == (1, 1, 3)


def test_a_page_with_a_path_out_of_the_folder_writes_no_file(atlas, tmp_path):
    for ensembl, antibody in (("../../evil", "HPA1"), (BETA, "../../evil")):
        entry = page(
            atlas.url, ensembl, "X", {antibody: [(HUMAN, "HeLa", [], ["1_A1_1_blue_red_green.jpg"])]}
        )
        atlas.files[f"/{BETA}.xml"] = entry.encode()
        result = fetch_hpa(
            [BETA], tmp_path / antibody.replace("/", "_") / "root", Source(base_url=atlas.url), QUICK
        )
        assert result.files.found == 0
        assert result.failures or result.left_out
    assert not list(tmp_path.rglob("*evil*.jpg"))


def test_xml_that_is_not_a_page_is_fetched_again_by_the_next_run(atlas, tmp_path):
    whole = atlas.files[f"/{BETA}.xml"]
    atlas.files[f"/{BETA}.xml"] = b"<maintenance/>"
    result = fetch_hpa([BETA], tmp_path, Source(base_url=atlas.url), QUICK)
    assert str(result.pages) == "1 found = 0 fetched + 0 already present + 1 failed"
    assert "no usable Ensembl id" in _rows(tmp_path / "failures.csv")[0]["reason"]
    atlas.files[f"/{BETA}.xml"] = whole
    assert fetch_hpa([BETA], tmp_path, Source(base_url=atlas.url), QUICK).complete


def test_a_page_with_a_name_space_and_thousands_of_tissues_is_read(tmp_path):
    text = page(
        "http://x", ALPHA, "ALPHA1", {"HPA1": [(HUMAN, "HeLa", ["cytosol"], ["1_A1_1_blue_red_green.jpg"])]}
    )
    tissues = (
        "<tissueExpression><data>" + "<patient><sample/></patient>" * 5000 + "</data></tissueExpression>"
    )
    text = text.replace("<proteinAtlas", '<proteinAtlas xmlns="http://www.proteinatlas.org"')
    path = tmp_path / "a.xml"
    path.write_text(text.replace("<antibody", tissues + "<antibody", 1))
    entry = read_entry(path)
    assert [(field.gene, field.cell_line, field.localization) for field in entry.fields] == [
        ("ALPHA1", "HeLa", ("Cytosol",))
    ]
    path.write_text("<html/>")
    with pytest.raises(FetchError, match="no usable Ensembl id"):
        read_entry(path)


@pytest.mark.parametrize("wrong", [{"channels": ("blau",)}, {"channels": ()}, {"extension": "gif"}])
def test_unknown_channels_and_extensions_are_refused_before_any_request(atlas, tmp_path, wrong):
    with pytest.raises(FetchError, match=f"{next(iter(wrong))}: found (blau|none|gif)"):
        fetch_hpa([ALPHA], tmp_path, Source(base_url=atlas.url, **wrong), QUICK)
    assert not atlas.log


@pytest.mark.parametrize(
    "text",
    [
        f"{ALPHA}\n# a remark\n\n{BETA}\n",
        f"ensembl\n{ALPHA}\n{BETA}\n",
        f"number,name,id\n1,A,{ALPHA}\n2,B,{BETA}.2\n",
        f"Gene\tGene name\n{ALPHA}\tALPHA1\n{BETA}\tBETA2\n",
        "name,Gene\nx,ALPHA1\ny,BETA2\n",
        "﻿ALPHA1\r\nBETA2\r\n",
    ],
)
def test_lists_of_proteins_in_common_forms(tmp_path, text):
    path = tmp_path / "proteins.txt"
    path.write_text(text)
    mapped = to_ensembl(read_proteins(path), {"ALPHA1": [ALPHA], "BETA2": [BETA]})
    assert (mapped.ensembl, mapped.unknown) == ([ALPHA, BETA], [])


def test_unusable_lists_and_tables_are_refused(tmp_path):
    path = tmp_path / "proteins.csv"
    for text, message in (("", "no protein"), ("a,b\n1,2\n", "columns a, b"), ("gene\n", "no protein")):
        path.write_text(text)
        with pytest.raises(FetchError, match=message):
            read_proteins(path)
    path.write_text("a,b\nALPHA1,2\n")
    assert read_proteins(path, column="a") == ["ALPHA1"]
    with pytest.raises(FetchError, match="a column 'c'"):
        read_proteins(path, column="c")
    with pytest.raises(FetchError, match="columns a, b"):
        read_gene_ids(path)


def test_lists_of_genes_in_other_formats(tmp_path):
    (tmp_path / "genes.csv").write_text("gene;note\nALPHA1;a, b\nBETA2;\n")
    assert read_proteins(tmp_path / "genes.csv") == ["ALPHA1", "BETA2"]
    pl.DataFrame({"gene": ["ALPHA1", "BETA2"]}).write_excel(tmp_path / "genes.xlsx")
    assert read_proteins(tmp_path / "genes.xlsx") == ["ALPHA1", "BETA2"]
    (tmp_path / "genes.txt").write_bytes("ALPHA1\n1-Sep\n".encode("utf-16"))
    with pytest.raises(SpecError, match=r"1-Sep \(probably SEPT1 .*\) in the column gene"):
        read_proteins(tmp_path / "genes.txt")
