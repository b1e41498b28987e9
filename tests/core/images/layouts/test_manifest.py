"""Tables that list fields, one row per field or per file, with the column names of CellProfiler and Cytomining."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile

from pcip_core.errors import ImageFileError, RootError, SpecError
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash, read_field
from tests.core.images.writers import noise, screen_of

FILES = {"layout": "manifest", "table": "load_data.csv", "image_id": "{plate}_{well}"}
CHANNELS = {
    "nucleus": {"role": "structural", "named": "OrigDNA"},
    "protein": {"role": "protein", "named": "GFP"},
}


def _write(root: Path, count: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    (root / "p1" / "deep").mkdir(parents=True)
    written = []
    for number in range(count):
        planes = noise(number), noise(number + 100)
        for name, pixels in zip(("dna", "gfp"), planes, strict=True):
            tifffile.imwrite(root / "p1" / "deep" / f"{number}_{name}.tif", pixels)
        written.append(planes)
    return written


def _load_data(root: Path, *, folder: str = "p1/deep", count: int = 3) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "FileName_OrigDNA": [f"{n}_dna.tif" for n in range(count)],
            "PathName_OrigDNA": [folder] * count,
            "FileName_GFP": [f"{n}_gfp.tif" for n in range(count)],
            "PathName_GFP": [folder] * count,
            "Metadata_Plate": ["p1"] * count,
            "Metadata_Well": ["A01", "A01", "A02"][:count],
            "Metadata_Site": [1, 2, 1][:count],
            "Metadata_Strain": ["wt"] * count,
        }
    )


def _by_file(root: Path) -> pl.DataFrame:
    rows = [
        {"plate": "p1", "well": well, "field": site, "channel": channel, "path": f"p1/deep/{n}_{short}.tif"}
        for n, (well, site) in enumerate([("A01", 1), ("A01", 2), ("A02", 1)])
        for channel, short in (("OrigDNA", "dna"), ("GFP", "gfp"))
    ]
    return pl.DataFrame(rows)


@pytest.mark.parametrize(
    "kind", ["load_data.csv", "load_data.parquet", "load_data.tsv", "absolute", "by file"]
)
def test_every_form_of_table_gives_the_same_fields(tmp_path, kind):
    root = tmp_path / "images"
    written = _write(root)
    name = kind if kind.startswith("load") else "load_data.csv"
    table = _by_file(root) if kind == "by file" else _load_data(root)
    if kind == "absolute":
        table = _load_data(root, folder=str(root / "p1" / "deep"))
    if name.endswith("parquet"):
        table.write_parquet(root / name)
    else:
        table.write_csv(root / name, separator="\t" if name.endswith("tsv") else ",")
    (root / "p1" / "left.tif").write_bytes(b"x")
    screen = screen_of(root, FILES | {"table": name}, channels=CHANNELS)
    layout = scan(screen)
    assert [field.field_id for field in layout.fields] == ["p1_A01_1", "p1_A01_2", "p1_A02_1"]
    assert layout.unclaimed == ["p1/left.tif"]
    for field, (dna, gfp) in zip(layout.fields, written, strict=True):
        planes = read_field(screen, field)
        assert np.array_equal(planes["nucleus"], dna)
        assert np.array_equal(planes["protein"], gfp)


def test_other_columns_are_parts_for_templates(tmp_path):
    root = tmp_path / "images"
    _write(root)
    _load_data(root).write_csv(root / "load_data.csv")
    files = FILES | {"image_id": "{plate}_{well}_{Metadata_Strain}"}
    fields = scan(screen_of(root, files, channels=CHANNELS)).fields
    assert fields[0].image_id == "p1_A01_wt"
    assert fields[0].field_id == "p1_A01_1_wt"
    with pytest.raises(SpecError, match=r"image_id: found '\{gene\}'"):
        scan(screen_of(root, FILES | {"image_id": "{gene}"}, channels=CHANNELS))


def test_a_missing_file_and_an_empty_cell_of_the_table_are_refused_on_reading(tmp_path):
    root = tmp_path / "images"
    _write(root)
    table = _load_data(root)
    table[0, "FileName_GFP"] = "gone.tif"
    table[1, "FileName_GFP"] = None
    table.write_csv(root / "load_data.csv")
    screen = screen_of(root, FILES, channels=CHANNELS)
    gone, missing, good = scan(screen).fields
    assert len({content_hash(screen, field) for field in (gone, missing, good)}) == 3
    with pytest.raises(ImageFileError, match=r"gone\.tif: found no such file"):
        read_field(screen, gone)
    with pytest.raises(ImageFileError, match="no file for channel protein of field p1_A01_2"):
        read_field(screen, missing)
    read_field(screen, good)


def test_tables_that_list_no_field(tmp_path):
    root = tmp_path / "images"
    _write(root)
    with pytest.raises(SpecError, match="no such file"):
        scan(screen_of(root, FILES, channels=CHANNELS))
    (root / "load_data.csv").write_text("Metadata_Well,FileName_RFP\nA01,x.tif\n")
    with pytest.raises(RootError, match="FileName_<channel> for OrigDNA, GFP"):
        scan(screen_of(root, FILES, channels=CHANNELS))
    (root / "load_data.parquet").write_bytes(b"PAR1")
    with pytest.raises(SpecError, match="no Parquet"):
        scan(screen_of(root, FILES | {"table": "load_data.parquet"}, channels=CHANNELS))


def test_two_rows_for_one_field_are_refused(tmp_path):
    root = tmp_path / "images"
    _write(root)
    table = _load_data(root)
    table = table.with_columns(Metadata_Site=1)
    table.write_csv(root / "load_data.csv")
    with pytest.raises(RootError, match="for channel nucleus of field p1_A01_1 both"):
        scan(screen_of(root, FILES, channels=CHANNELS))
