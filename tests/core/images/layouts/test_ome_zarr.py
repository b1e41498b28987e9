"""OME-Zarr plates with metadata written by hand as NGFF 0.4 and 0.5 define it."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr

from pcip_core.errors import ImageFileError, RootError
from pcip_core.images import decoding
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash, read_field
from tests.core.images.writers import noise, screen_of

FILES = {"layout": "ome_zarr", "image_id": "{plate}_{well}"}
CHANNELS = {
    "nucleus": {"role": "structural", "named": "DAPI"},
    "protein": {"role": "protein", "plane": 1},
    "cells": {"role": "labels"},
}
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


def _group(folder: Path, version: str, attributes: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if version == "0.4":
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(attributes))
    else:
        metadata = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"ome": {"version": version, **attributes}},
        }
        (folder / "zarr.json").write_text(json.dumps(metadata))


def _multiscales(axes: str) -> dict[str, Any]:
    kinds = {"t": "time", "c": "channel"}
    named = [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes]
    return {"multiscales": [{"axes": named, "datasets": [{"path": "0"}, {"path": "1"}]}]}


def _array(path: Path, version: str, pixels: np.ndarray) -> None:
    zarr.create_array(
        path,
        data=pixels,
        chunks=(1,) * (pixels.ndim - 2) + (16, 16),
        zarr_format=2 if version == "0.4" else 3,
        chunk_key_encoding={"name": "v2", "separator": "/"} if version == "0.4" else None,
    )


def write_plate(
    plate: Path, version: str, *, wells: tuple[str, ...] = ("A/1", "B/12"), depth: int = 1
) -> dict:
    """Write a plate with two fields per well; return path -> pixels (c, H, W) and labels (H, W)."""
    metadata = {
        "plate": {
            "name": "plate one",
            "rows": [{"name": "A"}, {"name": "B"}],
            "columns": [{"name": "1"}, {"name": "12"}],
            "wells": [{"path": path, "rowIndex": 0, "columnIndex": 0} for path in wells],
        }
    }
    _group(plate, version, metadata)
    written = {}
    for number, well in enumerate(wells):
        _group(plate / well, version, {"well": {"images": [{"path": "0", "acquisition": 0}, {"path": "1"}]}})
        for field in ("0", "1"):
            image = plate / well / field
            pixels = noise(10 * number + int(field), (1, 2, depth, 40, 24))
            omero = {"omero": {"channels": [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP"}]}}
            _group(image, version, _multiscales("tczyx") | omero)
            _array(image / "0", version, pixels)
            _array(image / "1", version, pixels[..., ::2, ::2])
            labels = (noise(field == "1", (40, 24)) % 5).astype(np.int32)
            _group(image / "labels", version, {"labels": ["cells"]})
            _group(image / "labels" / "cells", version, _multiscales("yx"))
            _array(image / "labels" / "cells" / "0", version, labels)
            written[f"{well}/{field}"] = (pixels[0, :, 0], labels)
    return written


def test_links_to_folders_that_are_not_read_are_named(tmp_path):
    root = tmp_path / "images"
    write_plate(root / "deep" / "p.zarr", "0.4")
    write_plate(tmp_path / "elsewhere" / "q.zarr", "0.4")
    for link, target in {
        "linked.zarr": root / "deep" / "p.zarr",
        "around": root,
        "deep/elsewhere.zarr": tmp_path / "elsewhere" / "q.zarr",
        "deep/plates": tmp_path / "elsewhere",
        "gone": "nowhere",
    }.items():
        (root / link).symlink_to(target)
    layout = scan(screen_of(root, FILES, channels=CHANNELS))
    assert sum(field.problem is None for field in layout.fields) == 4
    assert layout.unclaimed == ["around/", "gone", "linked.zarr/"]
    assert [problem.partition(": ")[2][:38] for problem in layout.problems()] == [
        "found a link out of the root, to " + str(tmp_path)[:5]
    ] * 2
    assert [note.split(" ")[0] for note in layout.notes] == ["around/", "1", "linked.zarr/"]


@VERSIONS
def test_wells_fields_channels_and_labels_are_what_was_written(tmp_path, version):
    root = tmp_path / "images"
    written = write_plate(root / "screen" / "p.ome.zarr", version)
    (root / "notes.txt").write_text("x")
    screen = screen_of(root, FILES, channels=CHANNELS)
    layout = scan(screen)
    assert [field.field_id for field in layout.fields] == [
        *("plate one_A01_0", "plate one_A01_1", "plate one_B12_0", "plate one_B12_1")
    ]
    assert layout.unclaimed == ["notes.txt"]
    assert layout.fields[3].parts["row"] == "B"
    for field, (pixels, labels) in zip(layout.fields, written.values(), strict=True):
        planes = read_field(screen, field)
        assert np.array_equal(planes["nucleus"], pixels[0])
        assert np.array_equal(planes["protein"], pixels[1])
        assert np.array_equal(planes["cells"], labels)


@VERSIONS
def test_the_root_may_be_the_plate_and_a_hash_is_of_one_field(tmp_path, version):
    root = tmp_path / "p.zarr"
    write_plate(root, version)
    screen = screen_of(root, FILES, channels=CHANNELS)
    fields = scan(screen).fields
    assert fields[0].files["nucleus"] == "A/1/0#channel=DAPI"
    before = [content_hash(screen, field) for field in fields]
    assert len(set(before)) == 4
    array = zarr.open_array(root / "A/1/1/0", mode="r+")
    array[0, 1, 0, 3, 3] += 1
    after = [content_hash(screen, field) for field in fields]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True, True]


@VERSIONS
def test_damage_affects_only_the_field(tmp_path, version):
    root = tmp_path / "images"
    write_plate(root / "p.zarr", version, wells=("A/1", "A/2", "A/3"))
    metadata = "zarr.json" if version == "0.5" else ".zattrs"
    (root / "p.zarr" / "A" / "1" / metadata).write_text("{half")
    chunk = next(
        path
        for path in sorted((root / "p.zarr" / "A/2/0/0").rglob("*"))
        if path.is_file() and path.name == "0"
    )
    chunk.write_bytes(chunk.read_bytes()[:20])
    array_metadata = root / "p.zarr" / "A/3/0/0" / ("zarr.json" if version == "0.5" else ".zarray")
    text = json.loads(array_metadata.read_text())
    text["shape"][-2:] = [100_000, 100_000]
    array_metadata.write_text(json.dumps(text))
    screen = screen_of(root, FILES, channels=CHANNELS)
    outcome = {}
    for field in scan(screen).fields:
        content_hash(screen, field)
        try:
            read_field(screen, field)
            outcome[field.field_id] = "read"
        except ImageFileError as error:
            outcome[field.field_id] = error.found
    assert set(outcome) == {
        "plate one_A01_unreadable",
        *(f"plate one_A0{n}_{f}" for n in (2, 3) for f in (0, 1)),
    }
    assert [field_id for field_id, result in outcome.items() if result == "read"] == [
        "plate one_A02_1",
        "plate one_A03_1",
    ]
    assert "cannot be decoded" in outcome["plate one_A02_0"]
    assert outcome["plate one_A03_0"].startswith("a header of 1 x 2 x 1 x 100,000 x 100,000")


@VERSIONS
def test_a_stack_of_focal_planes_is_refused_and_each_line_of_the_remedy_works(tmp_path, version):
    write_plate(tmp_path / "images" / "p.zarr", version, depth=3)
    channels = {name: CHANNELS[name] for name in ("nucleus", "protein")}
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    with pytest.raises(ImageFileError, match=r"shape \(1, 2, 3, 40, 24\), axes tczyx") as caught:
        read_field(screen, scan(screen).fields[0])
    pixels = zarr.open_array(tmp_path / "images" / "p.zarr" / "A/1/0/0", mode="r")[0, 1]
    right = {"project: {z: max}": pixels.max(axis=0), "only: {z: 1}": pixels[0]}
    for line in re.findall(r"`((?:project|only): [^`]*)`", caught.value.remedy):
        screen = screen_of(tmp_path / "images", {**FILES, **yaml.safe_load(line)}, channels=channels)
        assert np.array_equal(read_field(screen, scan(screen).fields[0])["protein"], right.pop(line))
    assert right == {}


def test_label_images_are_not_projected_and_may_be_flat(tmp_path):
    root = tmp_path / "images"
    written = write_plate(root / "p.zarr", "0.5", depth=3, wells=("A/1",))
    for rule in ({"project": {"z": "max"}}, {"only": {"z": 3}}):
        screen = screen_of(root, FILES | rule, channels=CHANNELS)
        planes = read_field(screen, scan(screen).fields[0])
        assert np.array_equal(planes["cells"], written["A/1/0"][1])
    folder = root / "p.zarr" / "A/1/0/labels/cells"
    shutil.rmtree(folder)
    labels = (noise(1, (3, 40, 24)) % 5).astype(np.int32)
    _group(folder, "0.5", _multiscales("zyx"))
    _array(folder / "0", "0.5", labels)
    assert np.array_equal(read_field(screen, scan(screen).fields[0])["cells"], labels[2])
    screen = screen_of(root, {**FILES, "project": {"z": "max"}}, channels=CHANNELS)
    with pytest.raises(ImageFileError, match="a label image of 3 focal planes"):
        read_field(screen, scan(screen).fields[0])


def _image(folder: Path, version: str, pixels: np.ndarray, axes: str) -> None:
    omero = {"omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}}
    _group(folder, version, _multiscales(axes) | omero)
    _array(folder / "0", version, pixels)


@VERSIONS
@pytest.mark.parametrize("layout", ["pattern", "ome_zarr"])
def test_single_images_are_fields_by_a_pattern(tmp_path, version, layout):
    root = tmp_path / "images"
    pixels = noise(1, (2, 40, 24))
    _image(root / "p1" / "A01_f1.ome.zarr", version, pixels, "cyx")
    _image(root / "p1" / "A01_f2.ome.zarr", version, pixels[:, ::-1], "cyx")
    _image(root / "p1" / "other.ome.zarr", version, pixels, "cyx")
    files = {"layout": layout, "pattern": "{plate}/{well}_f{field:d}.ome.zarr", "image_id": "{plate}_{well}"}
    channels = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 1}}
    screen = screen_of(root, files, channels=channels)
    layout_of_root = scan(screen)
    assert [(field.image_id, field.number) for field in layout_of_root.fields] == [
        ("p1_A01", "1"),
        ("p1_A01", "2"),
    ]
    assert layout_of_root.unclaimed == ["p1/other.ome.zarr"]
    assert np.array_equal(read_field(screen, layout_of_root.fields[0])["protein"], pixels[1])


def test_single_images_without_a_pattern_one_per_channel_and_one_as_the_root(tmp_path):
    root = tmp_path / "images"
    pixels = noise(1, (2, 40, 24))
    _image(root / "a" / "one.zarr", "0.5", pixels, "cyx")
    channels = {name: CHANNELS[name] for name in ("nucleus", "protein")}
    by_image = {"layout": "ome_zarr", "image_id": "{image}"}
    screen = screen_of(root, by_image, channels=channels, shards={"buckets": 1})
    (field,) = scan(screen).fields
    assert (field.image_id, field.files["nucleus"]) == ("a/one", "a/one.zarr#channel=DAPI")
    screen = screen_of(root / "a" / "one.zarr", by_image, channels=channels, shards={"buckets": 1})
    assert np.array_equal(read_field(screen, scan(screen).fields[0])["protein"], pixels[1])
    for number, channel in enumerate(("nucleus", "protein")):
        _image(tmp_path / "each" / f"A01_{channel}.zarr", "0.4", pixels[number], "yx")
    files = {"pattern": "{well}_{channel}.zarr", "image_id": "{well}"}
    screen = screen_of(tmp_path / "each", files, shards={"buckets": 1})
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["protein"], pixels[1])


def test_each_time_point_of_an_image_is_an_image_if_the_spec_names_it(tmp_path):
    pixels = noise(2, (3, 2, 40, 24))
    _image(tmp_path / "images" / "A01.zarr", "0.5", pixels, "tcyx")
    channels = {name: CHANNELS[name] for name in ("nucleus", "protein")}
    files = {"layout": "ome_zarr", "pattern": "{well}.zarr", "image_id": "{well}"}
    screen = screen_of(tmp_path / "images", files, channels=channels, shards={"buckets": 1})
    with pytest.raises(ImageFileError, match=r"3 time points.*only: {time: 1}"):
        read_field(screen, scan(screen).fields[0])
    for changed, expected in (({"only": {"time": 2}}, [1]), ({"image_id": "{well}_t{time}"}, [0, 1, 2])):
        screen = screen_of(
            tmp_path / "images", {**files, **changed}, channels=channels, shards={"buckets": 1}
        )
        read = [read_field(screen, field)["protein"] for field in scan(screen).fields]
        assert [
            np.array_equal(plane, pixels[time, 1]) for plane, time in zip(read, expected, strict=True)
        ] == [True] * len(expected)


def test_warnings_of_zarr_are_kept_and_the_pixels_are_used(tmp_path, caplog):
    import numcodecs.zarr3

    pixels = noise(3, (2, 40, 24))
    folder = tmp_path / "images" / "A01.zarr"
    _group(
        folder, "0.5", _multiscales("cyx") | {"omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}}
    )
    with warnings.catch_warnings(action="ignore"):
        zarr.create_array(
            folder / "0", data=pixels, chunks=(1, 16, 16), zarr_format=3, compressors=numcodecs.zarr3.LZ4()
        )
    channels = {name: CHANNELS[name] for name in ("nucleus", "protein")}
    files = {"pattern": "{well}.zarr", "image_id": "{well}"}
    screen = screen_of(tmp_path / "images", files, channels=channels, shards={"buckets": 1})
    decoding.forget_warnings()
    for _ in range(2):
        assert np.array_equal(read_field(screen, scan(screen).fields[0])["protein"], pixels[1])
    assert len(decoding.decoder_warnings()) == len(caplog.records) >= 1
    assert "Numcodecs codecs are not in the Zarr version 3" in caplog.text
    assert decoding.decoder_warnings()[0].endswith(" more of this kind)")


def test_an_unknown_channel_name_is_refused(tmp_path):
    write_plate(tmp_path / "images" / "p.zarr", "0.4")
    channels = {
        "nucleus": {"role": "structural", "named": "RFP"},
        "protein": {"role": "protein", "named": "gfp"},
    }
    screen = screen_of(tmp_path / "images", FILES, channels=channels)
    with pytest.raises(ImageFileError, match="2 channels named DAPI, GFP; required: one named RFP"):
        read_field(screen, scan(screen).fields[0])


@VERSIONS
def test_a_missing_chunk_is_warned_of(tmp_path, version):
    root = tmp_path / "images"
    _image(root / "A01.zarr", version, noise(1, (2, 24, 32)) + 1, "cyx")
    channels = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 1}}
    files = {"layout": "ome_zarr", "image_id": "{image}"}
    screen = screen_of(root, files, channels=channels, shards={"buckets": 1})
    decoding.forget_warnings()
    read_field(screen, scan(screen).fields[0])
    assert decoding.decoder_warnings() == []
    chunks = (root / "A01.zarr" / "0").rglob("[0-9]*")
    min(file for file in chunks if file.is_file()).unlink()
    read_field(screen, scan(screen).fields[0])
    (warning,) = decoding.decoder_warnings()
    assert "no file for 1 chunk, whose pixels are 0: is the copy complete?" in warning
    decoding.forget_warnings()


def test_an_image_without_multiscales_is_named(tmp_path):
    root = tmp_path / "images"
    write_plate(root / "p.zarr", "0.4")
    (root / "p.zarr" / "A" / "1" / "0" / ".zattrs").write_text("{}")
    screen = screen_of(root, FILES, channels=CHANNELS)
    with pytest.raises(ImageFileError, match="no multiscales"):
        read_field(screen, scan(screen).fields[0])


def test_processed_copies_are_refused_and_the_remedy_works(tmp_path):
    root = tmp_path / "images"
    write_plate(root / "p.zarr", "0.4")
    for well in ("A/1", "B/12"):
        (root / "p.zarr" / well / "1").rename(root / "p.zarr" / well / "0_registered")
        _group(root / "p.zarr" / well, "0.4", {"well": {"images": [{"path": "0"}, {"path": "0_registered"}]}})
    screen = screen_of(root, FILES, channels=CHANNELS)
    with pytest.raises(RootError, match="2 fields beside originals of which they seem to be") as caught:
        scan(screen)
    exclude = yaml.safe_load(re.search(r"exclude: \[.*?\]", caught.value.remedy)[0])
    changed = screen_of(root, FILES | exclude, channels=CHANNELS)
    layout = scan(changed)
    assert [field.number for field in layout.fields] == ["0", "0"]
    assert layout.excluded == ["p.zarr/A/1/0_registered/", "p.zarr/B/12/0_registered/"]
    assert layout.doubts(changed) == []


def test_several_acquisitions_are_refused_and_both_remedies_work(tmp_path):
    root = tmp_path / "images"
    write_plate(root / "p.zarr", "0.4")
    for well in ("A/1", "B/12"):
        images = [{"path": name, "acquisition": number} for number, name in enumerate(("0", "1"))]
        _group(root / "p.zarr" / well, "0.4", {"well": {"images": images}})
    screen = screen_of(root, FILES, channels=CHANNELS)
    with pytest.raises(RootError, match=r"2 images with fields of several values of {acquisition}") as caught:
        scan(screen)
    remedies = [yaml.safe_load(line) for line in re.findall(r"`(.*?)`", caught.value.remedy)]
    assert remedies == [{"only": {"acquisition": "0"}}, {"image_id": "{plate}_{well}_{acquisition}"}]
    for changed, images in zip(remedies, (2, 4), strict=True):
        screen = screen_of(root, FILES | changed, channels=CHANNELS)
        layout = scan(screen)
        assert layout.doubts(screen) == []
        assert len({field.image_id for field in layout.fields}) == images
