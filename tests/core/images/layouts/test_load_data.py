"""LoadData tables of other machines: planes of files, Windows paths and URLs. Each remedy is followed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pcip_core.errors import ImageFileError, PcipError, RootError, SpecError
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from tests.core.images.layouts.test_manifest import CHANNELS, FILES
from tests.core.images.writers import noise, screen_of

NAMES = ("A01_dna.tif", "A01_gfp.tif")


@pytest.fixture
def root(tmp_path):
    """A folder `images/screens/plate 1` with a file per channel, and a file of two planes for each of two wells."""
    folder = tmp_path / "images" / "screens" / "plate 1"
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        tifffile.imwrite(folder / name, noise(number))
    for number, well in enumerate(("A01", "A02")):
        planes = np.stack([noise(10 + number), noise(20 + number)])
        tifffile.imwrite(folder / f"{well}_both.tif", planes, photometric="minisblack")
    return tmp_path / "images"


def _table(root: Path, folder: str, header: str = "PathName_OrigDNA,PathName_GFP") -> None:
    dna, gfp = NAMES
    rows = f'{dna},{gfp},P1,A01,1,"{folder}","{folder}"'
    (root / "load_data.csv").write_text(
        f"FileName_OrigDNA,FileName_GFP,Metadata_Plate,Metadata_Well,Metadata_Site,{header}\n{rows}\n"
    )


def _read(root: Path):
    screen = screen_of(root, FILES, channels=CHANNELS)
    (field,) = scan(screen).fields
    planes = read_field(screen, field)
    return [planes[name] for name in ("nucleus", "protein")]


FOLDERS = [
    *(r"screens\plate 1", r"screens\gone\..\plate 1", r".\screens\plate 1", "screens//plate 1"),
    *(r"Z:\data\screens\plate 1", r"Z:\plate 1\screens\plate 1", "Z:/data/screens/plate 1"),
    *(r"\\server\share\screens\plate 1", "//server/share/screens/plate 1"),
    *("/home/someone else/screens/plate 1", "/screens/plate 1/"),
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_paths_of_other_machines_are_read(root, folder):
    _table(root, folder)
    for number, plane in enumerate(_read(root)):
        assert np.array_equal(plane, noise(number))


@pytest.mark.parametrize(
    "folder",
    [
        *("file:///Z:/data/screens/plate%201", "file:/Z:/screens/plate%201", r"file:Z:\screens\plate 1"),
        *("file:///home/x/screens/plate%201", "file://server/share/screens/plate%201"),
        *(
            "file://localhost/screens/plate%201",
            "screens/plate 1",
            r"Z:\screens\plate 1",
            "FILE:///screens/plate%201",
        ),
    ],
)
def test_urls_of_files_are_read(root, folder):
    separator = "\\" if "\\" in folder else "/"
    dna, gfp = (f"{folder}{separator}{name}" for name in NAMES)
    (root / "load_data.csv").write_text(
        f"URL_OrigDNA,URL_GFP,Metadata_Plate,Metadata_Well,Metadata_Site\n{dna},{gfp},P1,A01,1\n"
    )
    for number, plane in enumerate(_read(root)):
        assert np.array_equal(plane, noise(number))


def test_an_image_set_listing_with_names_and_urls(root):
    dna, gfp = (f"file:///Z:/screens/plate%201/{name}" for name in NAMES)
    header = "FileName_OrigDNA,FileName_GFP,URL_OrigDNA,URL_GFP,Series_OrigDNA,Frame_OrigDNA,plate,well"
    (root / "load_data.csv").write_text(f"{header}\n{','.join(NAMES)},{dna},{gfp},0,0,P1,A01\n")
    assert np.array_equal(_read(root)[0], noise(0))


def test_the_folder_that_is_read_instead_is_logged_once(root, caplog):
    _table(root, r"Q:\data\plate 1")
    (root / "plate 1").symlink_to(root / "screens" / "plate 1")
    for _ in range(2):
        scan(screen_of(root, FILES, channels=CHANNELS))
    texts = [record.getMessage() for record in caplog.records if "plate 1" in record.getMessage()]
    assert texts == [f"{root / 'load_data.csv'}: Q:/data/plate 1 does not exist here; plate 1 is read"]


def test_a_windows_path_that_is_nowhere_says_so_and_its_remedies_work(root):
    _table(root, r"Z:\data\plate 7")
    with pytest.raises(
        RootError, match=r"files in Z:/data/plate 7, a Windows path: no end of it is a folder"
    ) as caught:
        _read(root)
    assert (
        "Copy the folder plate 7 under the root, or write its path relative to the root"
        in caught.value.remedy
    )
    (root / "screens" / "plate 1").rename(root / "plate 7")
    assert np.array_equal(_read(root)[0], noise(0))
    (root / "plate 7").rename(root / "x")
    _table(root, "x")
    assert np.array_equal(_read(root)[0], noise(0))


def test_urls_of_other_kinds_and_folders_outside_are_refused(root, tmp_path):
    (root / "load_data.csv").write_text("URL_OrigDNA,Metadata_Well\nhttps://example.org/a.tif,A01\n")
    with pytest.raises(RootError, match=r"the URL https://example.org/a.tif.*Download the files"):
        _read(root)
    (tmp_path / "outside").mkdir()
    for name in NAMES:
        (tmp_path / "outside" / name).write_bytes((root / "screens" / "plate 1" / name).read_bytes())
    for folder in (str(tmp_path / "outside"), "../outside", r"..\outside", r"screens\..\..\outside"):
        _table(root, folder)
        with pytest.raises(ImageFileError, match="leads out of the root"):
            _read(root)


def test_a_name_with_a_backslash_or_a_colon_is_a_name(root):
    odd = root / "c:"
    odd.mkdir()
    for number, name in enumerate(NAMES):
        tifffile.imwrite(odd / f"x\\{name}", noise(50 + number))
    dna, gfp = (f"c:/x\\{name}" for name in NAMES)
    (root / "load_data.csv").write_text(f"well,plate,OrigDNA,GFP\nA01,P1,{dna},{gfp}\n")
    assert np.array_equal(_read(root)[0], noise(50))


def _frames(root: Path, rows: list[str], header: str = "Frame_OrigDNA,Frame_GFP") -> None:
    lines = [
        f"{well}_both.tif,{well}_both.tif,P1,{well},1,screens\\plate 1,screens\\plate 1,{row}"
        for well, row in zip(("A01", "A02"), rows, strict=True)
    ]
    names = "FileName_OrigDNA,FileName_GFP,Metadata_Plate,Metadata_Well,Metadata_Site,PathName_OrigDNA,PathName_GFP"
    (root / "load_data.csv").write_text("\n".join([f"{names},{header}", *lines]) + "\n")


def _planes(root: Path, channels=CHANNELS):
    screen = screen_of(root, FILES, channels=channels)
    return [list(read_field(screen, field).values()) for field in scan(screen).fields]


@pytest.mark.parametrize("header", ["Frame_OrigDNA,Frame_GFP", "Image_Frame_OrigDNA,image_frame_gfp"])
def test_frames_are_planes(root, header):
    _frames(root, ["0,1", "1,0"], header)
    first, second = _planes(root)
    assert np.array_equal(first, [noise(10), noise(20)])
    assert np.array_equal(second, [noise(21), noise(11)])


def test_a_frame_that_contradicts_the_spec_names_row_and_both_values_and_the_remedy_works(root):
    _frames(root, ["0,1", "1,0"])
    planes = {name: channel | {"plane": at} for at, (name, channel) in enumerate(CHANNELS.items())}
    with pytest.raises(SpecError, match=r"line 3: found Frame 1 for channel nucleus, .* plane: 0") as caught:
        _planes(root, planes)
    remedy = re.match(r"Remove `(plane): 0` from the channel (\w+) in the spec", caught.value.remedy)
    assert remedy is not None
    del planes[remedy[2]][remedy[1]]
    with pytest.raises(SpecError, match="Frame 0 for channel protein, of which the spec says plane: 1"):
        _planes(root, planes)
    del planes["protein"]["plane"]
    assert np.array_equal(_planes(root, planes)[1], [noise(21), noise(11)])
    _frames(root, ["0,1", "0,1"])
    agreeing = {name: channel | {"plane": at} for at, (name, channel) in enumerate(CHANNELS.items())}
    assert np.array_equal(_planes(root, agreeing)[1], [noise(11), noise(21)])


@pytest.mark.parametrize(
    ("row", "header", "message"),
    [
        ("0,x", "Frame_OrigDNA,Frame_GFP", "line 3: found Frame 'x' for channel protein"),
        ("0,-1", "Frame_OrigDNA,Frame_GFP", "Frame '-1' for channel protein"),
        ("0,b", "Series_OrigDNA,Series_GFP", "line 3: found Series 'b' for channel protein"),
    ],
)
def test_frames_and_series_that_cannot_be_used(root, row, header, message):
    _frames(root, ["0,1", row], header)
    with pytest.raises(PcipError, match=message):
        _planes(root)


def test_series_are_the_images_of_a_file(root):
    images = [np.stack([noise(seed), noise(seed + 1)]) for seed in (30, 40)]
    with tifffile.TiffWriter(root / "screens" / "plate 1" / "A01_both.tif", ome=True) as file:
        for image in images:
            file.write(image, photometric="minisblack", metadata={"axes": "CYX"})
    header = "Frame_OrigDNA,Frame_GFP,Series_OrigDNA,Series_GFP"
    _frames(root, ["1,0,0,1", "0,1,0,0"], header)
    first, second = _planes(root)
    assert np.array_equal(first, [noise(31), noise(40)])
    assert np.array_equal(second, [noise(11), noise(21)])
    _frames(root, ["1,0,0,2", "0,1,0,0"], header)
    with pytest.raises(ImageFileError, match="found 2 images; required: number 3"):
        _planes(root)


def test_a_frame_of_a_file_with_one_plane(root):
    _table(root, "screens/plate 1", "PathName_OrigDNA,PathName_GFP")
    text = (root / "load_data.csv").read_text().replace("\n", ",Frame_GFP\n", 1).rstrip()
    (root / "load_data.csv").write_text(f"{text},0\n")
    assert np.array_equal(_read(root)[1], noise(1))
    Image.fromarray(noise(3, dtype=np.uint8)).save(root / "screens" / "plate 1" / "A01_gfp.png")
    (root / "load_data.csv").write_text(f"{text},1\n".replace("gfp.tif", "gfp.png"))
    with pytest.raises(ImageFileError, match="a PNG, which holds one image; required: plane 1"):
        _read(root)


def test_a_well_in_two_writings_and_two_files_for_one_plane_name_their_rows(root):
    _frames(root, ["0,1", "0,1"])
    text = (root / "load_data.csv").read_text()
    (root / "load_data.csv").write_text(text.replace("P1,A02,1", "P1,A1,2"))
    with pytest.raises(SpecError, match=r"A01 \(line 2\) and A1 \(line 3\).*Write A01 in all rows"):
        _planes(root)
    (root / "load_data.csv").write_text(text.replace("P1,A02,1", "P1,A01,1"))
    with pytest.raises(
        RootError, match=r"line 3: found for channel nucleus of field P1_A01_1 both.*one of the rows"
    ):
        _planes(root)
    (root / "load_data.csv").write_text(text.replace("P1,A02,1", "P1,A01,2"))
    assert len(_planes(root)) == 2


@pytest.mark.parametrize("place", ["P1,A01,2", "P1,A02,1"])
def test_a_file_of_two_fields_is_refused_and_the_remedy_works(root, place):
    dna, gfp = (f"screens/plate 1/{name}" for name in NAMES)
    header = "FileName_OrigDNA,FileName_GFP,Metadata_Plate,Metadata_Well,Metadata_Site"
    first, second = f'"{dna}","{gfp}",P1,A01,1', f'"{dna}","{gfp}",{place}'
    (root / "load_data.csv").write_text(f"{header}\n{first}\n{second}\n")
    with pytest.raises(
        RootError, match=f"{re.escape(gfp)} as channel protein of the fields P1_A01_1 and P1_A0"
    ):
        scan(screen_of(root, FILES, channels=CHANNELS))
    (root / "load_data.csv").write_text(f"{header}\n{first}\n")
    assert len(scan(screen_of(root, FILES, channels=CHANNELS)).fields) == 1
