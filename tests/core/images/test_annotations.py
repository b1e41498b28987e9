"""Annotations of images: platemaps, localization tables and renamed terms, in their order of precedence."""

from __future__ import annotations

import pytest
import tifffile

from pcip_core.errors import SpecError
from pcip_core.images.annotations import describe_images, match_tables
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


def _matching(screen):
    (matching,) = match_tables(screen, scan(screen).fields).matchings
    return matching


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
    assert _matching(screen).without_row == [
        image_id for image_id, gene in zip(("p1_A01", "p1_A02", "p2_A01"), genes, strict=True) if gene is None
    ]


def test_a_platemap_without_wells_and_its_remedy(root):
    (root / "platemap.csv").write_text("place,gene\nA1,X\n")
    screen = screen_of(root, FILES, images={"platemap": "platemap.csv"})
    with pytest.raises(SpecError, match=r"columns place, gene.*Rename the column of wells to `well`"):
        _values(screen, "gene")
    for name in ("well", "Well ID", "Well Name", "wellPosition", "Destination Well"):
        (root / "platemap.csv").write_text(f"{name},gene\nA1,X\n")
        assert _values(screen, "gene") == ["X", None, "X"]


def test_rows_of_several_plates_and_the_remedy(root):
    (root / "platemap.csv").write_text("batch,well,gene\np1,A1,X\np2,A1,Y\n")
    screen = screen_of(root, FILES, images={"platemap": "platemap.csv"})
    with pytest.raises(
        SpecError, match="If the rows are of several plates, call the column of plates `plate`"
    ):
        _values(screen, "gene")
    (root / "platemap.csv").write_text("plate,well,gene\np1,A1,X\np2,A1,Y\n")
    assert _values(screen, "gene") == ["X", None, "Y"]


def test_a_table_of_images_without_ids_and_its_remedies(root):
    (root / "t.csv").write_text("plate,well,id,gene\np1,A1,p1_A01,X\n")
    with pytest.raises(SpecError) as caught:
        _values(screen_of(root, FILES, images={"table": "t.csv"}), "gene")
    assert "Name the right column as images.key in the spec" in caught.value.remedy
    assert "name the table as images.platemap" in caught.value.remedy
    for images in ({"table": "t.csv", "key": "id"}, {"platemap": "t.csv"}):
        assert _values(screen_of(root, FILES, images=images), "gene") == ["X", None, None]


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
        (
            "well,gene\nA01,X\n#\n\nA1,Y\n",
            r"two rows for well A01: line 2 \(well A01, gene X\); line 5 \(well A1, gene Y\)",
        ),
        (
            "plate,well,gene\np1,A01,X\n,A02,Y\n,A03,\n",
            r"2 of 3 rows without plate: line 3 \(well A02, gene Y\), line 4 \(well A03\); also 1 without gene",
        ),
        (
            "plate,well,gene\np1,A01,X\np1,,Y\n",
            r"1 of 2 rows without well: line 3 \(plate p1, gene Y\)",
        ),
        ("well,gene\nA01,2-Mar\n", r"2-Mar \(probably MARCH2 .* in the column gene"),
        ("well,Gene,gene\nA01,X,Y\n", "the columns Gene and gene, which differ; required: one column gene"),
    ],
)
def test_platemaps_with_rows_that_cannot_be_told(root, text, message):
    (root / "platemap.csv").write_text(text)
    with pytest.raises(SpecError, match=message):
        _values(screen_of(root, FILES, images={"platemap": "platemap.csv"}), "gene")


def test_a_row_given_twice_is_one_and_is_named(root):
    (root / "platemap.csv").write_text("well;gene\nA01;X\nA1;X\n")
    screen = screen_of(root, FILES, images={"platemap": "platemap.csv"})
    assert _values(screen, "gene") == ["X", None, "X"]
    assert (
        _matching(screen).problems()[-1] == "platemap.csv: rows that stand twice (1): line 3 repeats line 2"
    )


def test_a_column_given_twice_is_one(root):
    (root / "platemap.csv").write_text("Metadata_Well,well_position,Gene,gene\nA01,A01,X,X\n")
    assert _values(screen_of(root, FILES, images={"platemap": "platemap.csv"}), "gene") == ["X", None, "X"]


def test_a_table_of_images_finds_wells_in_any_writing_and_lists_what_does_not_match(root):
    (root / "images.csv").write_text("image_id,gene\np1_A1,X\np2_A - 01,Y\np7_A01,Z\n")
    screen = screen_of(root, FILES, images={"table": "images.csv"})
    assert _values(screen, "gene") == ["X", None, "Y"]
    matching = _matching(screen)
    assert (matching.without_row, matching.unused) == (["p1_A02"], ["p7_A01"])
    assert matching.problems() == [
        "images.csv: no row for 1 of 3 images: p1_A02",
        "images.csv: 1 of 3 rows matches none of the images: p7_A01",
    ]


@pytest.mark.parametrize("second", ["p1_A01", "p1_A1", "p1_a-1"])
def test_a_table_of_images_names_each_once(root, second):
    (root / "images.csv").write_text(f"image_id,gene\np1_A01,X\n{second},Y\n")
    screen = screen_of(root, FILES, images={"table": "images.csv"})
    message = rf"two rows for image_id p1_A01: line 2 \(image_id p1_A01, gene X\); line 3 \(image_id {second}, gene Y\)"
    with pytest.raises(SpecError, match=message) as caught:
        _values(screen, "gene")
    assert "Remove the wrong row" in caught.value.remedy
    (root / "images.csv").write_text("image_id,gene\np1_A01,X\n")
    assert _values(screen, "gene")[0] == "X"


def test_plates_in_another_writing_are_found_unless_two_could_be_meant(root):
    (root / "platemap.csv").write_text("plate,well,gene\nP01,A01,X\nP 2,A-1,Y\n")
    screen = screen_of(root, FILES, images={"platemap": "platemap.csv"})
    assert _values(screen, "gene") == ["X", None, "Y"]
    assert _matching(screen).rewritten == ["p1_A01 (P01 A01 in the table)", "p2_A01 (P 2 A-1 in the table)"]
    (root / "platemap.csv").write_text("plate,well,gene\nP01,A01,X\nP-1,A01,Y\n")
    assert _values(screen, "gene") == [None] * 3
    assert _matching(screen).doubts == ["p1_A01 (could be P01 A01 or P-1 A01)"]


def test_the_row_of_another_image_is_not_taken(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("1_A01", "01_A01"):
        for channel in ("nucleus", "protein"):
            tifffile.imwrite(folder / f"{name}_1_{channel}.tif", noise(1))
    (folder / "images.csv").write_text("image_id,gene\n1_A1,X\n")
    screen = screen_of(folder, FILES, images={"table": "images.csv"})
    fields = scan(screen).fields
    genes = {record.image_id: record.values.get("gene") for record in describe_images(screen, fields)}
    assert genes == {"1_A01": "X", "01_A01": None}
    one = [field for field in fields if field.image_id == "01_A01"]
    assert describe_images(screen, one, match_tables(screen, fields))[0].values.get("gene") is None
    assert _matching(screen).doubts == ["01_A01 (or 1_A1, which another image has)"]


def test_an_image_without_a_protein_is_named_where_others_have_one(root):
    (root / "platemap.csv").write_text("well,protein\nA01,AAC1\nA02,\n")  # the rest of a merged cell
    screen = screen_of(root, FILES, images={"platemap": "platemap.csv"})
    assert annotated_images(screen, scan(screen).fields).problems() == [
        "1 of 3 images has no protein; such an image counts as a protein of its own: p1_A02"
    ]
    (root / "platemap.csv").write_text("well,protein\nA01,AAC1\nA02,AAH1\n")
    assert annotated_images(screen, scan(screen).fields).problems() == []


@pytest.mark.parametrize("name", ["Cell line", "CellLine", "CELL_LINE", "cell-line"])
def test_known_columns_are_found_in_any_writing(root, name):
    """Also in a table of images, whose column of ids keeps its name; columns that are not known keep theirs."""
    (root / "platemap.csv").write_text(f"Well,Protein,{name},Dose (uM)\nA1,X,HeLa,5\n")
    (root / "images.csv").write_text(f"Protein,{name},Dose (uM)\np1_A01,HeLa,5\np2_A01,HeLa,5\n")
    for images in ({"platemap": "platemap.csv"}, {"table": "images.csv", "key": "Protein"}):
        screen = screen_of(root, FILES, images=images)
        assert _values(screen, "cell_line") == ["HeLa", None, "HeLa"]
        assert _values(screen, "Dose (uM)") == ["5", None, "5"]
        assert _values(screen, name) == [None] * 3
    screen = screen_of(root, FILES, images={"platemap": "platemap.csv"})
    assert _values(screen, "protein") == [
        "X",
        "p1_A02",
        "X",
    ]  # without a row, the image stands for its protein


def test_a_gene_stands_for_the_protein_that_nothing_names(root):
    for column in ("gene", "Gene name", "Metadata_Gene_Symbol"):
        (root / "platemap.csv").write_text(f"plate,well,{column}\np1,A01,NOP1\np2,A01,NOP1\np1,A02,\n")
        screen = screen_of(root, FILES, images={"platemap": "platemap.csv"})
        assert _values(screen, "gene") == ["NOP1", None, "NOP1"]
        assert _values(screen, "protein") == ["NOP1", "p1_A02", "NOP1"]
    (root / "platemap.csv").write_text("well,gene,Gene name,Protein name\nA01,YDL014W,fibrillarin,Nop1\n")
    assert _values(screen, "gene") == ["YDL014W", None, "YDL014W"]  # the name itself goes before another word
    assert _values(screen, "Gene name") == ["fibrillarin", None, "fibrillarin"]
    assert _values(screen, "protein") == ["Nop1", "p1_A02", "Nop1"]


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
    assert _matching(screen).problems() == []
    assert _values(
        screen_of(folder, files, images={"platemap": "platemap.csv"}, shards={"buckets": 1}), "gene"
    ) == [
        "X",
        "Y",
    ]
    (folder / "platemap.csv").write_text("Row,Column,gene\nA,1,X\n2,12,Y\n")
    assert _values(screen, "gene") == ["X", "Y"]


def test_plates_of_a_platemap_that_the_files_do_not_name_and_the_remedies(root):
    (root / "platemap.csv").write_text("plate,well,gene\nBR1,A01,X\n")
    files = {"pattern": "{batch}_{well}_{field}_{channel}.tif", "image_id": "{batch}_{well}"}
    images = {"platemap": "platemap.csv"}
    screen = screen_of(root, files, images=images, shards={"buckets": 1})
    with pytest.raises(SpecError, match=r"a column of plates \(BR1\)") as caught:
        _values(screen, "gene")
    assert "images.values: {plate: 'BR1'}; or remove the column" in caught.value.remedy
    with_plate = images | {"values": {"plate": "BR1"}}
    assert _values(screen_of(root, files, images=with_plate, shards={"buckets": 1}), "gene") == [
        "X",
        None,
        "X",
    ]
    (root / "platemap.csv").write_text("well,gene\nA01,X\n")
    assert _values(screen, "gene") == ["X", None, "X"]
    (root / "platemap.csv").write_text("plate,well,gene\np1,A01,X\n")
    assert _values(screen_of(root, FILES, images=images), "gene") == ["X", None, None]


def test_an_image_whose_wells_have_different_rows_is_in_doubt(root):
    (root / "platemap.csv").write_text("plate,well,gene\np1,A01,X\np1,A02,Y\np2,A01,X\n")
    files = {"pattern": "{plate}_{well}_{field}_{channel}.tif", "image_id": "{plate}"}
    screen = screen_of(root, files, images={"platemap": "platemap.csv"})
    assert _values(screen, "gene") == [None, "X"]
    matching = _matching(screen)
    assert matching.doubts == ["p1 (its fields have different rows, p1 A01 and p1 A02)"]
    assert matching.unused == []
    (root / "platemap.csv").write_text("plate,well,gene\np1,A01,X\np1,A02,X\np2,A01,X\n")
    assert _values(screen, "gene") == ["X", "X"]


@pytest.mark.parametrize("column", ["Barcode", "Assay_Plate_Barcode", "Plate ID", "Destination Plate Name"])
def test_a_column_that_names_plates_is_that_of_plates(root, column):
    (root / "m.csv").write_text(f"{column},well,gene\nP1,A01,X\np2,A02,Y\n")
    screen = screen_of(root, FILES, images={"platemap": "m.csv"})
    assert _values(screen, "gene") == ["X", None, None]  # A02 of p2 is not that of p1
    (root / "m.csv").write_text(f"{column},well,gene\n7,A01,X\n8,A02,Y\n")  # of something else
    assert _values(screen, "gene") == ["X", "Y", "X"]


def test_proteins_that_may_be_missing_values_are_named(root):
    (root / "m.csv").write_text("plate,well,protein\np1,A01,nan\np1,A02,nan\np2,A01,AAC1\n")
    screen = screen_of(root, FILES, images={"platemap": "m.csv"})
    assert annotated_images(screen, scan(screen).fields).problems() == [
        "2 images have the protein nan, which may stand for a missing value: leave the cell empty"
    ]


def test_a_row_that_two_images_could_mean_is_that_of_neither(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for plate in ("001", "01"):
        for channel in ("nucleus", "protein"):
            tifffile.imwrite(root / f"{plate}_A01_1_{channel}.tif", noise(1))
    (root / "m.csv").write_text("plate,well,gene\n1,A01,X\n")
    screen = screen_of(root, FILES, images={"platemap": "m.csv"})
    assert _values(screen, "gene") == [None, None]
    assert _matching(screen).doubts == [
        f"{plate}_A01 (or another image, for the row 1 A01)" for plate in ("001", "01")
    ]


def _problems(root, **images):
    screen = screen_of(root, FILES, images=images)
    return annotated_images(screen, scan(screen).fields).problems()


def test_tables_that_disagree_are_named_and_the_later_one_is_used(root):
    (root / "wells.csv").write_text("well,protein,gene\nA1,X,G1\nA2,Y,G2\n")
    (root / "images.csv").write_text("image_id,protein,gene\np1_A01,Other,g1\np1_A02,Y,\np2_A01,,\n")
    tables = {"platemap": "wells.csv", "table": "images.csv"}
    assert _problems(root, **tables) == [
        "wells.csv and images.csv disagree about 1 value of images, and images.csv is used: "
        "p1_A01 (protein X and Other)"
    ]
    screen = screen_of(root, FILES, images=tables)
    assert _values(screen, "protein") == ["Other", "Y", "X"]
    assert _values(screen, "gene") == [
        "g1",
        "G2",
        "G1",
    ]  # an empty cell does not erase what another table says


def test_a_table_that_disagrees_with_the_names_of_files_is_named(root):
    files = {"pattern": "{plate}_{protein}_{field}_{channel}.tif", "image_id": "{plate}_{protein}"}
    (root / "images.csv").write_text("image_id,protein\np1_A01,\np1_A02,X\np2_A01,a01\n")
    screen = screen_of(root, files, images={"table": "images.csv"})
    assert annotated_images(screen, scan(screen).fields).problems()[0] == (
        "the names of files and images.csv disagree about 1 value of images, and images.csv is used: "
        "p1_A02 (protein A02 and X)"
    )
    assert _values(screen, "protein") == ["A01", "X", "a01"]


def test_defaults_of_the_spec_disagree_with_nothing(root):
    (root / "images.csv").write_text("image_id,protein,cell_line\np1_A01,X,mutant\np1_A02,Y,\np2_A01,Z,\n")
    values = {"table": "images.csv", "values": {"cell_line": "wild type"}}
    assert _problems(root, **values) == []
    screen = screen_of(root, FILES, images=values)
    assert _values(screen, "cell_line") == ["mutant", "wild type", "wild type"]


def test_names_of_a_protein_that_differ_in_writing_are_a_problem(root):
    (root / "images.csv").write_text("image_id,protein\np1_A01,Hsp 90\np1_A02,HSP-90\np2_A01,YAL001C-A\n")
    (problem,) = _problems(root, table="images.csv")
    assert problem.endswith("each taken for a protein of its own: HSP-90 and Hsp 90")
    (root / "images.csv").write_text("image_id,protein\np1_A01,P1-1\np1_A02,P11\np2_A01,P1_1\n")
    assert _problems(root, table="images.csv") == []  # numbers
