"""The real tables of localization, as a user gets them, joined to the proteins of real images."""

from __future__ import annotations

import csv
import functools
import re

import pytest

from pcip_core.images.layout import scan
from pcip_core.images.localization import NO_COMPARTMENTS, annotated_images, read_localization
from tests.conftest import real_folder
from tests.core.images.writers import screen_of

HPA, OPENCELL = "hpa_subcellular_location.tsv", "opencell_localization_annotations.csv"
BREKER, HUH = "yeast_localization_annotations.csv", "huh2003_allOrfData.tsv"
# table -> the columns of its ids, its columns of terms, and what separates them
COLUMNS = {
    HPA: (("Gene", "Gene name"), ("Main location", "Additional location"), ";"),
    OPENCELL: (("ensg_id", "target_name"), ("annotations_grade_3", "annotations_grade_2"), ";"),
    BREKER: (("ORF", "Gene"), ("control Localization",), ":"),
    HUH: (("yORF", "gene name"), ("localization summary",), ","),
}


@functools.cache
def _rows(name: str) -> list[dict[str, str]]:
    with (real_folder("annotation_tables") / name).open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream, delimiter="\t" if name.endswith("tsv") else ","))


def _terms(name: str, row: dict[str, str]) -> list[str]:
    _, columns, separator = COLUMNS[name]
    pieces = [piece.strip() for column in columns for piece in row[column].split(separator)]
    return list(dict.fromkeys(piece for piece in pieces if piece))


@pytest.mark.parametrize("name", list(COLUMNS))
def test_each_table_is_read_whole(name):
    rows, (ids, _, _) = _rows(name), COLUMNS[name]
    located = read_localization(real_folder("annotation_tables") / name)
    expected = {row[ids[0]]: (row[ids[1]], _terms(name, row)) for row in rows}
    assert len(expected) == len(located)
    read = {protein.ensembl or protein.orf: (protein.gene, list(protein.localization)) for protein in located}
    assert read == expected


@pytest.mark.parametrize(
    ("name", "images"),
    [
        (HPA, "human_livecell_proteins"),
        (OPENCELL, "human_livecell_proteins"),
        (BREKER, "yeast_reference_strains"),
        (HUH, "yeast_reference_strains"),
    ],
)
def test_the_proteins_of_real_images_are_found_and_the_others_named(tmp_path, name, images):
    with (real_folder(images) / "labels.csv").open() as stream:
        proteins = sorted({re.sub(r"\W", "-", row["protein"]) for row in csv.DictReader(stream)})
    root = tmp_path / "images"
    root.mkdir()
    for protein in [*proteins, "blank"]:
        for channel in ("nucleus", "protein"):
            (root / f"{protein}_{channel}.tif").touch()
    (root / name).symlink_to(real_folder("annotation_tables") / name)
    files = {"pattern": "{protein}_{channel}.tif", "image_id": "{protein}"}
    screen = screen_of(root, files, images={"annotations": name}, shards={"buckets": 1})
    annotated = annotated_images(screen, scan(screen).fields)
    expected: dict[str, list[list[str]]] = {}  # naively: the rows in which a protein is any of the ids
    for row in _rows(name):
        ids = {row[column].upper() for column in COLUMNS[name][0]}
        for protein in ids & {protein.upper() for protein in proteins}:
            expected.setdefault(protein, []).append(_terms(name, row))
    (matching,) = annotated.matchings
    assert sorted(protein.upper() for protein in matching.row_of) == sorted(
        protein for protein, rows in expected.items() if len(rows) == 1
    )
    assert {"blank", *proteins} == {*matching.row_of, *matching.without_row}
    assert (
        len(matching.unused)
        == matching.n_rows - len(matching.row_of)
        == len(_rows(name)) - len(matching.row_of)
    )
    for record in annotated.records:
        if record.image_id in matching.row_of:
            (terms,) = expected[record.image_id.upper()]
            assert record.localization == [term for term in terms if term not in NO_COMPARTMENTS]
    few = len(matching.without_row) <= 0.1 * matching.n_images
    assert few == (matching.problems() == [])
    print(f"{name} for {images}: {matching}; left out: {annotated.left_out}")
