"""OME-TIFF and ImageJ: channels by name or number, compressions, images of one file, focal planes and times."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from scipy import ndimage

from pcip_core.errors import ImageFileError, RootError
from pcip_core.images import reading
from pcip_core.images.formats import tiff_images
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash, read_field, read_plane
from tests.core.images.writers import noise, screen_of

FILES = {"layout": "ome_tiff", "pattern": "{plate}/{well}_{field}.ome.tif", "image_id": "{plate}_{well}"}
BY_NAME = {
    "nucleus": {"role": "structural", "named": "Hoechst 33342 & co"},
    "protein": {"role": "protein", "named": "EGFP"},
}


def _write(path: Path, pixels: np.ndarray, axes: str = "CYX", **how: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["EGFP", "Brightfield", "Hoechst 33342 & co"][: pixels.shape[axes.index("C")]]
    metadata = {"axes": axes, "Channel": {"Name": names}}
    tifffile.imwrite(path, pixels, ome=True, metadata=metadata, photometric="minisblack", **how)


@pytest.mark.parametrize("how", [{}, {"compression": "lzw"}, {"compression": "zlib", "tile": (32, 32)}])
def test_channels_by_name_and_by_number_are_the_pixels_that_were_written(tmp_path, how):
    pixels = noise(1, (3, 48, 40))
    _write(tmp_path / "images" / "p1" / "A01_1.ome.tif", pixels, **how)
    screen = screen_of(tmp_path / "images", FILES, channels=BY_NAME)
    (field,) = scan(screen).fields
    assert (field.field_id, field.image_id, field.shard) == ("p1_A01_1", "p1_A01", "p1")
    planes = read_field(screen, field)
    assert np.array_equal(planes["nucleus"], pixels[2])
    assert np.array_equal(planes["protein"], pixels[0])
    channels = {"nucleus": {"role": "structural", "plane": 1}, "protein": {"role": "protein", "plane": 2}}
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["nucleus"], pixels[1])
    assert np.array_equal(planes["protein"], pixels[2])


def test_five_axes_with_a_single_time_point_and_focal_plane(tmp_path):
    pixels = noise(2, (1, 2, 1, 24, 32))
    _write(tmp_path / "images" / "p1" / "A01_1.ome.tif", pixels, "TCZYX")
    channels = {
        "nucleus": {"role": "structural", "named": "egfp"},
        "protein": {"role": "protein", "plane": 1},
    }
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["nucleus"], pixels[0, 0, 0])
    assert np.array_equal(planes["protein"], pixels[0, 1, 0])


def test_a_stack_an_unknown_name_and_an_unknown_number_are_refused(tmp_path):
    _write(tmp_path / "images" / "p1" / "A01_1.ome.tif", noise(3, (2, 3, 24, 32)), "ZCYX")
    screen = screen_of(tmp_path / "images", FILES, channels=BY_NAME)
    with pytest.raises(ImageFileError, match=r"a stack of shape \(2, 3, 24, 32\), axes ZCYX"):
        read_field(screen, scan(screen).fields[0])
    _write(tmp_path / "images" / "p1" / "A01_1.ome.tif", noise(3, (2, 24, 32)))
    with pytest.raises(
        ImageFileError, match="2 channels named EGFP, Brightfield; required: one named Hoechst"
    ):
        read_field(screen, scan(screen).fields[0])
    channels = {"nucleus": {"role": "structural", "plane": 2}, "protein": {"role": "protein", "plane": 0}}
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    with pytest.raises(
        ImageFileError, match="2 channels named EGFP, Brightfield; required: channel number 2"
    ):
        read_field(screen, scan(screen).fields[0])


def test_an_imagej_hyperstack_by_number(tmp_path):
    pixels = noise(4, (2, 24, 32))
    (tmp_path / "images" / "p1").mkdir(parents=True)
    tifffile.imwrite(
        tmp_path / "images" / "p1" / "A01_1.ome.tif", pixels, imagej=True, metadata={"axes": "CYX"}
    )
    channels = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 1}}
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["protein"], pixels[1])


PLAIN = {"layout": "ome_tiff", "pattern": "{plate}/{well}.tif", "image_id": "{plate}_{well}"}
BY_NUMBER = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 1}}


def _scenes(path: Path, images: list[tuple[np.ndarray, str, list[str]]]) -> None:
    """Write several images, (pixels, axes, channel names), to one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path, ome=True) as writer:
        for pixels, axes, names in images:
            writer.write(
                pixels, metadata={"axes": axes, "Channel": {"Name": names}}, photometric="minisblack"
            )


def _remedied(files: dict, message: str) -> list[dict]:
    lines = re.findall(r"`((?:project|only|layout): [^`]*)`", message)
    assert lines
    return [{**files, **yaml.safe_load(line)} for line in lines]


def test_images_of_one_file_are_fields_with_their_own_channel_names(tmp_path):
    root = tmp_path / "images"
    first, second, third = noise(1, (2, 24, 32)), noise(2, (2, 24, 32)), noise(3, (3, 16, 20))
    swapped = [(first, "CYX", ["EGFP", "DAPI"]), (second, "CYX", ["DAPI", "EGFP"])]
    _scenes(root / "p1" / "A01.tif", [*swapped, (third, "CYX", ["x", "egfp", "dapi"])])
    _scenes(root / "p1" / "A02.tif", [(first, "CYX", ["EGFP", "DAPI"])])
    channels = {
        "nucleus": {"role": "structural", "named": "DAPI"},
        "protein": {"role": "protein", "named": "EGFP"},
    }
    screen = screen_of(root, PLAIN, channels=channels)
    fields = scan(screen).fields
    assert [(field.field_id, field.number) for field in fields] == [
        ("p1_A01_1", "1"),
        ("p1_A01_2", "2"),
        ("p1_A01_3", "3"),
        ("p1_A02", "p1_A02"),
    ]
    read = [read_field(screen, field) for field in fields]
    assert [planes.shape for planes in read] == [(24, 32), (24, 32), (16, 20), (24, 32)]
    assert np.array_equal(read[0]["protein"], first[0])
    assert np.array_equal(read[1]["protein"], second[1])
    assert np.array_equal(read[2]["nucleus"], third[2])
    only = scan(screen_of(root, {**PLAIN, "only": {"scene": 2}}, channels=channels)).fields
    assert [field.field_id for field in only] == ["p1_A01_2"]
    for scene in (1, 9):
        files = {
            **PLAIN,
            "pattern": "p1/{well}.tif",
            "image_id": "{well}",
            "only": {"scene": scene, "well": "A02"},
        }
        screen = screen_of(root, files, channels=channels, shards={"buckets": 1})
        if scene == 1:
            assert [field.field_id for field in scan(screen).fields] == ["A02"]
        else:
            with pytest.raises(RootError, match="no file"):
                scan(screen)


def test_a_file_of_many_images_is_hashed_once_and_each_reads_its_own_pages(tmp_path, monkeypatch):
    root = tmp_path / "images"
    path = root / "p1" / "A01.tif"
    _scenes(path, [(noise(seed, (2, 24, 32)), "CYX", ["a", "b"]) for seed in range(6)])
    screen = screen_of(root, PLAIN, channels=BY_NUMBER)
    fields = scan(screen).fields
    hashed, checked = [], []
    inner, check = reading._hash_file, tiff_images.check_page
    monkeypatch.setattr(
        reading, "_hash_file", lambda digest, file: hashed.append(file) or inner(digest, file)
    )
    monkeypatch.setattr(
        tiff_images, "check_page", lambda file, page, **_: checked.append(page) or check(file, page)
    )
    before = [content_hash(screen, field) for field in fields]
    assert (len(set(before)), hashed) == (6, [path])
    read_field(screen, fields[3])
    assert len(checked) <= 4
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(1, 1))
    assert content_hash(screen, fields[0]) != before[0]


def test_several_images_are_refused_where_the_file_is_taken_for_one(tmp_path):
    root = tmp_path / "images"
    _scenes(root / "p1" / "A01.tif", [(noise(seed, (2, 24, 32)), "CYX", ["a", "b"]) for seed in (1, 2, 3)])
    screen = screen_of(root, {**PLAIN, "layout": "pattern"}, channels=BY_NUMBER)
    with pytest.raises(ImageFileError, match="3 images in one file") as caught:
        read_field(screen, scan(screen).fields[0])
    (files,) = _remedied(PLAIN, caught.value.remedy)
    assert len(scan(screen_of(root, files, channels=BY_NUMBER)).fields) == 3
    with pytest.raises(ImageFileError, match="3 images in one file"):
        read_plane(root / "p1" / "A01.tif")


@pytest.mark.parametrize("kind", ["ome", "imagej"])
@pytest.mark.parametrize("layout", ["ome_tiff", "pattern"])
def test_focal_planes_are_never_read_as_channels(tmp_path, kind, layout):
    path = tmp_path / "images" / "p1" / "A01.tif"
    path.parent.mkdir(parents=True)
    pixels = noise(4, (2, 24, 32))
    tifffile.imwrite(path, pixels, **{kind: True}, metadata={"axes": "ZYX"}, photometric="minisblack")
    files = {**PLAIN, "layout": layout}
    screen = screen_of(tmp_path / "images", files, channels=BY_NUMBER)
    with pytest.raises(ImageFileError, match=r"a stack of shape \(2, 24, 32\), axes ZYX") as caught:
        read_field(screen, scan(screen).fields[0])
    namespace = {"tifffile": tifffile, "old": path, "new": path}
    eval(
        re.search(r"tifffile\.imwrite\(.*\}\)", caught.value.remedy)[0], namespace
    )  # the remedy for channels
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["protein"], pixels[1])


@pytest.mark.parametrize("kind", ["ome", "imagej"])
@pytest.mark.parametrize("axes", ["TZCYX", "ZCYX", "TCYX", "ZYX"])
def test_focal_planes_and_times_within_a_file(tmp_path, kind, axes):
    path = tmp_path / "images" / "p1" / "A01.tif"
    path.parent.mkdir(parents=True)
    sides = {"T": 2, "Z": 3, "C": 2, "Y": 24, "X": 32}
    pixels = noise(5, tuple(sides[axis] for axis in axes))
    tifffile.imwrite(path, pixels, **{kind: True}, metadata={"axes": axes}, photometric="minisblack")
    whole = pixels.reshape([sides[axis] if axis in axes else 1 for axis in "TZCYX"])
    number = 1 if "C" in axes else 0
    channels = {
        "nucleus": {"role": "structural", "plane": 0},
        "protein": {"role": "protein", "plane": number},
    }
    files, attempts = PLAIN, 0
    while attempts < 4:  # each refusal gives the next line
        screen = screen_of(tmp_path / "images", files, channels=channels)
        try:
            planes = read_field(screen, scan(screen).fields[0])
            break
        except ImageFileError as error:
            files, attempts = _remedied(files, error.remedy)[0], attempts + 1
    assert attempts == ("T" in axes) + ("Z" in axes)
    assert np.array_equal(planes["protein"], whole[0, :, number].max(axis=0))
    chosen = {**PLAIN, "only": {"z": whole.shape[1], "time": whole.shape[0]}}
    screen = screen_of(tmp_path / "images", chosen, channels=channels)
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["protein"], whole[-1, -1, number])
    each = {**PLAIN, "project": {"z": "sharpest"}, "image_id": "{well}_{time}"}
    screen = screen_of(tmp_path / "images", each, channels=channels, shards={"buckets": 1})
    fields = scan(screen).fields
    assert [field.image_id for field in fields] == [f"A01_{time + 1}" for time in range(len(whole))]
    scores = [float(np.var(ndimage.laplace(plane.astype(float))[1:-1, 1:-1])) for plane in whole[-1, :, 0]]
    planes = read_field(screen, fields[-1])
    assert np.array_equal(planes["protein"], whole[-1, int(np.argmax(scores)), number])


def test_an_imagej_stack_without_further_headers_is_not_taken_for_its_first_plane(tmp_path):
    path = tmp_path / "images" / "p1" / "A01.tif"
    path.parent.mkdir(parents=True)
    pixels = noise(6, (3, 24, 32))
    description = "ImageJ=1.53\nimages=3\nslices=3\n"
    tifffile.imwrite(path, pixels[0], description=description, metadata=None, byteorder=">")
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1
        end = tiff.pages[0].dataoffsets[0] + pixels[0].nbytes
        assert end == path.stat().st_size
    with path.open("ab") as stream:
        stream.write(pixels[1:].astype(">u2").tobytes())
    channels = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 0}}
    screen = screen_of(tmp_path / "images", PLAIN, channels=channels)
    with pytest.raises(ImageFileError, match="3 focal planes"):
        read_plane(path)
    screen = screen_of(tmp_path / "images", {**PLAIN, "project": {"z": "max"}}, channels=channels)
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["protein"], pixels.max(axis=0))


def _of_set(path: Path, pixels: np.ndarray, files: list[str], own: int) -> None:
    """Write one file of a set: its metadata describe one image per file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = "".join(
        f'<Image ID="Image:{number}"><Pixels ID="Pixels:{number}" DimensionOrder="XYCZT" Type="uint16" SizeX="32" '
        f'SizeY="24" SizeC="2" SizeZ="1" SizeT="1"><Channel Name="{name}_a"/><Channel Name="{name}_b"/>'
        f'<TiffData IFD="0" PlaneCount="2"><UUID FileName="{name}">urn:uuid:{number}</UUID></TiffData></Pixels></Image>'
        for number, name in enumerate(files)
    )
    schema = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    xml = f'<?xml version="1.0"?><OME xmlns="{schema}" UUID="urn:uuid:{own}">{images}</OME>'
    tifffile.imwrite(path, pixels, description=xml, metadata=None, photometric="minisblack")


def test_a_file_of_a_set_holds_its_own_image_and_planes_elsewhere_are_refused(tmp_path):
    names, pixels = ["A01.tif", "A02.tif"], noise(7, (2, 24, 32))
    for number, name in enumerate(names):
        _of_set(tmp_path / "images" / "p1" / name, pixels + number, names, number)
    channels = {
        "nucleus": {"role": "structural", "plane": 0},
        "protein": {"role": "protein", "named": "A02.tif_b"},
    }
    screen = screen_of(tmp_path / "images", PLAIN, channels=channels)
    fields = scan(screen).fields
    assert [field.field_id for field in fields] == ["p1_A01", "p1_A02"]
    assert np.array_equal(read_field(screen, fields[1])["protein"], pixels[1] + 1)
    _of_set(tmp_path / "images" / "p1" / "A03.tif", pixels, names, 9)
    with pytest.raises(ImageFileError, match=r"place planes in another file \(A01\.tif\)"):
        read_field(screen, scan(screen).fields[2])


def test_damaged_headers_are_fields_that_cannot_be_read(tmp_path):
    root = tmp_path / "images" / "p1"
    _scenes(root / "A01.tif", [(noise(seed, (2, 24, 32)), "CYX", ["a", "b"]) for seed in (1, 2)])
    (root / "A02.tif").write_bytes((root / "A01.tif").read_bytes()[:300])
    (root / "A03.tif").write_bytes(b"")
    os.mkfifo(root / "A04.tif")
    screen = screen_of(tmp_path / "images", PLAIN, channels=BY_NUMBER)
    fields = scan(screen).fields
    assert [field.field_id for field in fields] == ["p1_A01_1", "p1_A01_2", "p1_A02", "p1_A03", "p1_A04"]
    for field in fields[2:]:
        with pytest.raises(ImageFileError):
            read_field(screen, field)


@pytest.mark.parametrize("how", ["max", "mean", "sharpest"])
def test_stacks_of_one_channel_per_file_and_of_plain_pages(tmp_path, how):
    for seed, (name, axes) in enumerate((("nucleus", "ZYX"), ("protein", None))):
        path = tmp_path / "images" / f"A01_{name}.tif"
        path.parent.mkdir(exist_ok=True)
        metadata = {"axes": axes} if axes else None
        tifffile.imwrite(
            path, noise(seed, (3, 24, 32)), imagej=bool(axes), metadata=metadata, photometric="minisblack"
        )
    files = {"pattern": "{well}_{channel}.tif", "image_id": "{well}", "project": {"z": how}}
    screen = screen_of(tmp_path / "images", files, shards={"buckets": 1})
    planes = read_field(screen, scan(screen).fields[0])
    scores = [np.var(ndimage.laplace(plane.astype(float))[1:-1, 1:-1]) for plane in noise(0, (3, 24, 32))]
    for seed, plane in enumerate(planes.values()):
        stack = noise(seed, (3, 24, 32))
        right = {
            "max": stack.max(0),
            "mean": np.rint(stack.mean(0)),
            "sharpest": stack[int(np.argmax(scores))],
        }
        assert np.array_equal(plane, right[how])


def test_focal_planes_in_files_of_several_channels(tmp_path):
    stack = noise(8, (3, 2, 24, 32))
    (tmp_path / "images").mkdir()
    for z, pixels in enumerate(stack, 1):
        tifffile.imwrite(tmp_path / "images" / f"A01_z{z}.tif", pixels, photometric="minisblack")
    files = {"pattern": "{well}_z{z:d}.tif", "image_id": "{well}", "project": {"z": "max"}}
    screen = screen_of(tmp_path / "images", files, channels=BY_NUMBER, shards={"buckets": 1})
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["protein"], stack[:, 1].max(0))


def test_pages_that_nothing_names_are_not_projected_and_the_remedies_work(tmp_path):
    root = tmp_path / "i"
    root.mkdir()
    pages = np.stack([noise(seed) for seed in range(6)])
    tifffile.imwrite(root / "A01.tif", pages, metadata=None, photometric="minisblack")
    files = {"layout": "ome_tiff", "pattern": "{well}.tif", "image_id": "{well}"}
    channels = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 1}}

    def read(**changes):
        screen = screen_of(root, files | changes, channels=channels, shards={"buckets": 1})
        return read_field(screen, scan(screen).fields[0])

    with pytest.raises(ImageFileError, match="6 pages that nothing names, 2 channels and a projection"):
        read(project={"z": "max"})
    assert np.array_equal(read()["protein"], pages[1])
    stack = pages.reshape(3, 2, *pages.shape[1:])
    tifffile.imwrite(root / "A01.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    assert np.array_equal(read(project={"z": "max"})["protein"], stack[:, 1].max(axis=0))
