"""Annotations of images: platemaps, localization tables and renamed terms, in their order of precedence."""

from __future__ import annotations

import pytest
import tifffile

from pcip_core.errors import SpecError
from pcip_core.images.annotations import describe_images, unlisted
from pcip_core.images.layout import scan
from pcip_core.images.localization import annotated_images
from tests.core.images.writers import noise, screen_of

FILES = {"pattern": "{plate}_{well}_{field}_{channel}.tif", "image_id": "{plate}_{well}"}


@pytest.fixture
def root(tmp_path):
    """Three wells on two plates."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("p1_A01", "p1_A02", "p2_A01"):
        for channel in ("nucleus", "protein"):
            tifffile.imwrite(folder / f"{name}_1_{channel}.tif", noise(1))
    return folder


def _values(screen, column):
    return [record.values.get(column) for record in describe_images(screen, scan(screen).fields)]


@pytest.mark.parametrize(
    ("text", "genes"),
    [
        ("well_position,gene\nA1,X\nA02,Y\n", ["X", "Y", "X"]),
        (
            "Metadata_Plate\tMetadata_Well\tMetadata_Gene\tstrain\np1\ta1\tX\twt\np2\tA01\tZ\twt\n",
            ["X", None, "Z"],
        ),
        ("plate,Well,gene\np1,A01,X\n".replace("Well", "well"), ["X", None, None]),
    ],
)
def test_wells_are_joined_by_plate_where_there_is_one(root, text, genes):
    (root / "platemap.txt").write_text(text)
    screen = screen_of(root, FILES, images={"platemap": "platemap.txt", "values": {"cell_line": "wt"}})
    assert _values(screen, "gene") == genes
    assert _values(screen, "cell_line") == ["wt"] * 3
    assert unlisted(screen, scan(screen).fields)["platemap.txt"] == [
        image_id for image_id, gene in zip(("p1_A01", "p1_A02", "p2_A01"), genes, strict=True) if gene is None
    ]


def test_a_platemap_without_wells(root):
    (root / "platemap.csv").write_text("position,gene\nA1,X\n")
    with pytest.raises(SpecError, match="columns position, gene"):
        _values(screen_of(root, FILES, images={"platemap": "platemap.csv"}), "gene")


def test_the_table_of_images_wins_over_the_platemap_and_terms_are_renamed(root):
    (root / "platemap.csv").write_text("well,gene,localization\nA1,X,Spindle Pole;Spindle;Cytosol\n")
    (root / "images.csv").write_text("image_id,gene\np2_A01,T\n")
    images = {"platemap": "platemap.csv", "table": "images.csv", "terms": {"Spindle Pole": "Spindle"}}
    screen = screen_of(root, FILES, images=images)
    assert _values(screen, "gene") == ["X", None, "T"]
    records = describe_images(screen, scan(screen).fields)
    assert [record.localization for record in records] == [["Spindle", "Cytosol"], [], ["Spindle", "Cytosol"]]


def test_annotations_give_terms_to_images_without_any(root):
    (root / "platemap.csv").write_text("well,gene,localization\nA1,AAT2,\nA2,ABC1,vacuole\n")
    (root / "terms.csv").write_text("gene,ORF,terms\nAAT2,YLR027C,cytoplasm|nuclei\nABC1,YXX,nuclei\n")
    images = {"platemap": "platemap.csv", "annotations": "terms.csv", "terms": {"nuclei": "nucleus"}}
    screen = screen_of(root, FILES, images=images)
    annotated = annotated_images(screen, scan(screen).fields)
    terms = [record.localization for record in annotated.records]
    assert terms == [["cytoplasm", "nucleus"], ["vacuole"], ["cytoplasm", "nucleus"]]
    assert annotated.records[0].values["orf"] == "YLR027C"
    assert annotated.matched == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("well,gene\nA01,X\nA1,Y\n", "two rows for well A01: gene X; gene Y"),
        (
            "plate,well,gene\np1,A01,X\n,A02,Y\n,A03,Z\n",
            "2 rows in which plate or well is empty, the first with A02, Y",
        ),
        (
            "plate,well,gene\np1,A01,X\np1,,Y\n",
            "1 rows in which plate or well is empty, the first with p1, Y",
        ),
        ("well,gene\nA01,2-Mar\n", "2-Mar in the column gene"),
        ("well,Gene,gene\nA01,X,Y\n", "the columns Gene and gene, which differ; required: one column gene"),
    ],
)
def test_platemaps_with_rows_that_cannot_be_told(root, text, message):
    (root / "platemap.csv").write_text(text)
    with pytest.raises(SpecError, match=message):
        _values(screen_of(root, FILES, images={"platemap": "platemap.csv"}), "gene")


def test_a_row_given_twice_is_one(root):
    (root / "platemap.csv").write_text("well;gene\nA01;X\nA1;X\n")
    assert _values(screen_of(root, FILES, images={"platemap": "platemap.csv"}), "gene") == ["X", None, "X"]


def test_a_column_given_twice_is_one(root):
    (root / "platemap.csv").write_text("Metadata_Well,well_position,Gene,gene\nA01,A01,X,X\n")
    assert _values(screen_of(root, FILES, images={"platemap": "platemap.csv"}), "gene") == ["X", None, "X"]


def test_a_table_of_images_names_each_once_and_what_it_lacks_is_listed(root):
    (root / "images.csv").write_text("image_id,gene\np1_A1,X\np2_A01,Y\n")
    screen = screen_of(root, FILES, images={"table": "images.csv"})
    assert unlisted(screen, scan(screen).fields) == {"images.csv": ["p1_A01", "p1_A02"]}
    (root / "images.csv").write_text("image_id,gene\np1_A01,X\np1_A01,Y\n")
    with pytest.raises(SpecError, match="two rows for image_id p1_A01: gene X; gene Y"):
        _values(screen, "gene")


def test_a_well_of_two_parts_is_found_in_the_platemap(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("A - 01", "B - 12"):
        for channel in ("nucleus", "protein"):
            tifffile.imwrite(folder / f"{name}(fld 1 wv {channel}).tif", noise(1))
    (folder / "platemap.csv").write_text("well,gene\nA1,X\nB12,Y\n")
    files = {"pattern": "{row} - {col}(fld {field:d} wv {channel}).tif", "image_id": "{row}{col}"}
    images = {"platemap": "platemap.csv", "values": {"well": "{row}{col}"}}
    screen = screen_of(folder, files, images=images, shards={"buckets": 1})
    assert _values(screen, "gene") == ["X", "Y"]
    assert unlisted(screen, scan(screen).fields) == {"platemap.csv": []}
