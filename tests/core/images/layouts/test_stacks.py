"""Focal planes and times in file names: projected, chosen, or refused with a line for the spec that works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml

from pcip_core.errors import ImageFileError, RootError, SpecError
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash, read_field
from pcip_core.images.watching import stamps
from pcip_core.store.rows import fields_of, fields_table
from tests.core.images.writers import noise, screen_of

PATTERN = "{plate}/t{time:d}/z{z}/{well}_s{field:d}_{channel}.tif"
FILES: dict[str, Any] = {"pattern": PATTERN, "image_id": "{plate}_{well}"}
MAX = {**FILES, "project": {"z": "max"}}


def write(
    root: Path, *, zs: tuple[str, ...] = ("1", "2", "3"), times: tuple[int, ...] = (1,), fields: int = 1
) -> dict[str, np.ndarray]:
    """Write stacks of two channels; return path -> pixels."""
    written = {}
    for seed, (time, z, field, channel) in enumerate(
        (time, z, field, channel)
        for time in times
        for z in zs
        for field in range(1, fields + 1)
        for channel in ("nucleus", "protein")
    ):
        path = f"p1/t{time}/z{z}/A01_s{field}_{channel}.tif"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        written[path] = noise(seed)
        tifffile.imwrite(root / path, written[path])
    return written


def remedied(files: dict[str, Any], error: RootError | ImageFileError) -> list[dict[str, Any]]:
    """`files` with each line that the remedy of an error gives."""
    lines = re.findall(r"`((?:project|only): \{[^}]*\})`", error.remedy)
    assert lines
    return [{**files, **yaml.safe_load(line)} for line in lines]


def stack(written: dict[str, np.ndarray], channel: str) -> np.ndarray:
    return np.stack([pixels for path, pixels in written.items() if path.endswith(f"_{channel}.tif")])


@pytest.mark.parametrize(
    ("how", "independent"),
    [
        ("max", lambda planes: planes.max(axis=0)),
        ("mean", lambda planes: np.rint(planes.astype(float).mean(axis=0))),
        ("middle", lambda planes: planes[1]),
    ],
)
@pytest.mark.parametrize("key", ["z", "plane"])
def test_a_projection_is_that_of_numpy(tmp_path, how, independent, key):
    written = write(tmp_path / "images", zs=("2", "9", "10"))  # not in the order of texts
    screen = screen_of(tmp_path / "images", {**FILES, "project": {key: how}})
    (field,) = scan(screen).fields
    assert (field.field_id, field.parts.get("z")) == ("p1_1_A01_1", None)
    planes = read_field(screen, field)
    for channel in ("nucleus", "protein"):
        assert planes[channel].dtype == np.uint16
        assert np.array_equal(planes[channel], independent(stack(written, channel)))


def test_the_sharpest_plane_is_that_of_the_marker_and_the_same_for_all_channels(tmp_path):
    root = tmp_path / "images"
    for z in (1, 2, 3):
        (root / f"z{z}").mkdir(parents=True)
        y, x = np.mgrid[:24, :32]
        marker = 1000 + (500 * np.sin(x * (2.5 if z == 2 else 0.3))).astype(np.uint16)
        protein = noise(z) if z == 1 else (noise(z) // 8 + 7)  # plane 1 has the most contrast
        tifffile.imwrite(root / f"z{z}" / "A01_nucleus.tif", marker + y.astype(np.uint16))
        tifffile.imwrite(root / f"z{z}" / "A01_protein.tif", protein)
    files = {"pattern": "z{z}/{well}_{channel}.tif", "image_id": "{well}", "project": {"z": "sharpest"}}
    screen = screen_of(root, files, shards={"buckets": 1})
    planes = read_field(screen, scan(screen).fields[0])
    for channel in planes:
        assert np.array_equal(planes[channel], tifffile.imread(root / "z2" / f"A01_{channel}.tif"))


def test_a_stack_without_a_rule_is_refused_and_each_line_of_the_remedy_works(tmp_path):
    write(tmp_path / "images")
    with pytest.raises(RootError, match=r"a stack: .*z1.*z2.*fields p1_1_1_A01_1 and p1_1_2_A01_1") as caught:
        scan(screen_of(tmp_path / "images", FILES))
    for files in remedied(FILES, caught.value):
        screen = screen_of(tmp_path / "images", files)
        (field,) = scan(screen).fields
        assert read_field(screen, field).shape == (24, 32)


@pytest.mark.parametrize("part", ["z", "plane", "t", "time", "step", "depth"])
def test_every_part_that_multiplies_fields_is_refused(tmp_path, part):
    for number in (1, 2):
        for channel in ("nucleus", "protein"):
            path = tmp_path / "images" / f"A01_{number}_f1_{channel}.tif"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, noise(number))
    files = {"pattern": f"{{well}}_{{{part}:d}}_f{{field:d}}_{{channel}}.tif", "image_id": "{well}"}
    with pytest.raises(RootError, match="fields A01_1_1 and A01_2_1 are one field of image A01") as caught:
        scan(screen_of(tmp_path / "images", files, shards={"buckets": 1}))
    for changed in remedied(files, caught.value):
        assert len(scan(screen_of(tmp_path / "images", changed, shards={"buckets": 1})).fields) == 1
    named = {**files, "image_id": f"{{well}}_{{{part}}}"}
    assert len(scan(screen_of(tmp_path / "images", named, shards={"buckets": 1})).fields) == 2


def test_numbers_of_planes_are_compared_as_numbers(tmp_path):
    write(tmp_path / "images", zs=("01", "02", "10"))
    for value in (1, "1", "01", "001"):
        for key in ("z", "plane"):
            layout = scan(screen_of(tmp_path / "images", {**FILES, "only": {key: value}}))
            assert [field.parts["z"] for field in layout.fields] == ["01"]
            assert len(layout.unclaimed) == 4


def test_each_time_point_is_an_image_if_the_image_names_it(tmp_path):
    write(tmp_path / "images", times=(1, 2))
    with pytest.raises(RootError, match=r"{time} is 1 and 2") as caught:
        scan(screen_of(tmp_path / "images", MAX))
    (files,) = remedied(MAX, caught.value)
    assert len(scan(screen_of(tmp_path / "images", files)).fields) == 1
    fields = scan(screen_of(tmp_path / "images", {**MAX, "image_id": "{plate}_{well}_{time}"})).fields
    assert [field.image_id for field in fields] == ["p1_A01_1", "p1_A01_2"]


@pytest.mark.parametrize("gone", ["p1/t1/z2/A01_s1_protein.tif", "p1/t1/z3/A01_s1_nucleus.tif"])
def test_a_missing_plane_is_a_problem_and_not_a_smaller_stack(tmp_path, gone):
    write(tmp_path / "images", fields=2)
    (tmp_path / "images" / gone).unlink()
    screen = screen_of(tmp_path / "images", MAX)
    layout = scan(screen)
    (problem,) = layout.problems()
    assert f"no file for focal plane {gone[7]}" in problem
    with pytest.raises(ImageFileError, match="the 3 planes 1, 2, 3") as caught:
        read_field(screen, layout.fields[0])
    read_field(screen, layout.fields[1])
    (only,) = remedied(FILES, caught.value)
    screen = screen_of(tmp_path / "images", only)
    assert [read_field(screen, field).shape for field in scan(screen).fields] == [(24, 32)] * 2


def test_a_plane_missing_from_the_only_field_is_seen_by_the_gap_or_the_other_channel(tmp_path):
    for gone in ("z2/A01_s1_*", "z3/A01_s1_protein.tif"):
        root = tmp_path / f"images_{gone[1]}"
        write(root)
        for path in (root / "p1" / "t1").glob(gone):
            path.unlink()
        assert f"focal plane {gone[1]}" in scan(screen_of(root, MAX)).problems()[0]


def test_a_channel_of_one_plane_is_no_stack(tmp_path):
    written = write(tmp_path / "images", fields=2)
    for path in written:
        if "nucleus" in path and "z1" not in path:
            (tmp_path / "images" / path).unlink()
    screen = screen_of(tmp_path / "images", MAX)
    layout = scan(screen)
    assert layout.problems() == []
    planes = read_field(screen, layout.fields[0])
    assert np.array_equal(planes["nucleus"], written["p1/t1/z1/A01_s1_nucleus.tif"])


def test_all_files_of_a_stack_are_hashed_watched_and_in_the_table(tmp_path):
    written = write(tmp_path / "images")
    screen = screen_of(tmp_path / "images", MAX)
    layout = scan(screen)
    (field,) = layout.fields
    before, stamp = content_hash(screen, field), stamps(screen, layout)
    table = fields_table(screen, [(field, before, (24, 32))])
    assert all(path.split("/")[-2] in table["files"].item().to_list()[0] for path in written)
    (again,) = fields_of(screen, table)
    assert (again.files, again.number) == (field.files, field.number)
    path = tmp_path / "images" / "p1" / "t1" / "z3" / "A01_s1_protein.tif"
    tifffile.imwrite(path, noise(99))
    assert content_hash(screen, field) != before
    assert stamps(screen, layout) != stamp
    tifffile.imwrite(path, noise(99, (20, 20)))
    with pytest.raises(ImageFileError, match=r"a focal plane of shape \(20, 20\)"):
        read_field(screen, field)
    path.unlink()
    with pytest.raises(ImageFileError, match=r"z3/A01_s1_protein\.tif: found no such file"):
        read_field(screen, field)


def test_fields_of_two_wells_in_one_image_get_numbers_of_their_own(tmp_path):
    for well in ("A01", "A02"):
        for channel in ("nucleus", "protein"):
            path = tmp_path / "images" / "p1" / f"{well}_AAC1_f1_{channel}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, noise(1))
    files = {"pattern": "{plate}/{well}_{gene}_f{field:d}_{channel}.tif", "image_id": "{gene}"}
    fields = scan(screen_of(tmp_path / "images", files)).fields
    assert [(field.image_id, field.number) for field in fields] == [("AAC1", "A01_1"), ("AAC1", "A02_1")]


def test_label_images_are_not_projected(tmp_path):
    write(tmp_path / "images")
    channels = {
        "nucleus": {"role": "structural"},
        "protein": {"role": "protein"},
        "cells": {"role": "labels", "named": "protein"},
    }
    screen = screen_of(tmp_path / "images", MAX, channels=channels)
    with pytest.raises(ImageFileError, match="several focal planes of the label image cells"):
        read_field(screen, scan(screen).fields[0])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"project": {"z": "max"}, "only": {"z": 1}}, "both files.project and files.only"),
        ({"only": {"z": 1, "plane": 1}}, "z and plane, which are the same"),
        ({"project": {"z": "max"}, "image_id": "{well}_{z}"}, r"a template that names {z}"),
        ({"project": {"time": "max"}}, "project"),
        ({"project": {"z": "sum"}}, "project"),
    ],
)
def test_contradictory_rules_are_refused(tmp_path, changed, message):
    with pytest.raises(SpecError, match=message):
        screen_of(tmp_path, {**FILES, **changed})


EXPORTS = {
    "opera": ("P1/Images/r01c01f01p{z:02d}-ch{c}sk{t}fk1fl1.tiff", ("ch1", "ch2")),
    "imagexpress": ("P1/TimePoint_{t}/ZStep_{z}/P1_A01_s1_w{c}.TIF", ("w1", "w2")),
    "cv8000": ("P1/P1_A01_T{t:04d}F001L01A0{c}Z{z:02d}C0{c}.tif", ("C01", "C02")),
    "incell": ("P1/A - 01(fld 1 wv c{c} - c{c} z {z} time {t} - 10ms).tif", ("c1 - c1", "c2 - c2")),
}


@pytest.mark.parametrize("layout", EXPORTS)
def test_exports_of_microscopes_are_projected_or_refused_with_lines_that_work(tmp_path, layout):
    name, channels = EXPORTS[layout]
    written: dict[tuple[int, int, int], np.ndarray] = {}
    for seed, (t, z, c) in enumerate((t, z, c) for t in (1, 2) for z in (1, 2, 3) for c in (1, 2)):
        path = tmp_path / "images" / name.format(t=t, z=z, c=c)
        path.parent.mkdir(parents=True, exist_ok=True)
        written[t, z, c] = noise(seed)
        tifffile.imwrite(path, written[t, z, c])
    roles = dict(zip(("structural", "protein"), channels, strict=True))
    spec = {f"of_{role}": {"role": role, "named": named} for role, named in roles.items()}
    files: dict[str, Any] = {"layout": layout, "image_id": "{plate}_{well}"}
    for _ in range(2):
        with pytest.raises(RootError, match="a stack: ") as caught:
            scan(screen_of(tmp_path / "images", files, channels=spec))
        files = remedied(files, caught.value)[0]
    screen = screen_of(tmp_path / "images", files, channels=spec)
    (field,) = scan(screen).fields
    planes = read_field(screen, field)
    assert np.array_equal(planes["of_protein"], np.max([written[1, z, 2] for z in (1, 2, 3)], axis=0))
    each = {"layout": layout, "image_id": "{plate}_{well}_{time}", "only": {"z": 3}}
    screen = screen_of(tmp_path / "images", each, channels=spec)
    read = [read_field(screen, field)["of_structural"] for field in scan(screen).fields]
    assert [np.array_equal(plane, written[t, 3, 1]) for t, plane in enumerate(read, 1)] == [True, True]


def test_a_projection_by_the_microscope_is_no_plane_of_the_stack(tmp_path):
    for seed, (z, c) in enumerate((z, c) for z in (0, 1, 2) for c in (1, 2)):
        path = tmp_path / "images" / "TimePoint_1" / f"ZStep_{z}" / f"P1_A01_s1_w{c}.TIF"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, noise(seed))
    files = {"layout": "imagexpress", "image_id": "{plate}_{well}", "project": {"z": "mean"}}
    channels = {
        "nucleus": {"role": "structural", "named": "w1"},
        "protein": {"role": "protein", "named": "w2"},
    }
    screen = screen_of(tmp_path / "images", files, channels=channels)
    (field,) = scan(screen).fields
    mean = np.rint(np.mean([noise(3), noise(5)], axis=0))
    assert np.array_equal(read_field(screen, field)["protein"], mean)


def test_a_part_that_differs_between_channels_is_refused_with_its_remedy(tmp_path):
    for action, channel in ((1, "nucleus"), (2, "protein")):
        path = tmp_path / "images" / f"A01_f1_a{action}_{channel}.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, noise(action))
    files = {"pattern": "{well}_f{field:d}_a{action:d}_{channel}.tif", "image_id": "{well}"}
    with pytest.raises(RootError, match=r"{action} divides the field.*{_:d}"):
        scan(screen_of(tmp_path / "images", files, shards={"buckets": 1}))
    files["pattern"] = files["pattern"].replace("{action:d}", "{_:d}")
    screen = screen_of(tmp_path / "images", files, shards={"buckets": 1})
    assert read_field(screen, scan(screen).fields[0]).shape == (24, 32)


def test_focal_planes_of_a_table(tmp_path):
    written = write(tmp_path / "images")
    lines = [
        "Metadata_Plate,Metadata_Well,Metadata_Site,Metadata_Z,Metadata_T,FileName_nucleus,FileName_protein"
    ]
    lines += [
        f"p1,A01,1,{z},1,p1/t1/z{z}/A01_s1_nucleus.tif,p1/t1/z{z}/A01_s1_protein.tif" for z in (1, 2, 3)
    ]
    (tmp_path / "images" / "load_data.csv").write_text("\n".join(lines))
    files = {"layout": "manifest", "table": "load_data.csv", "image_id": "{plate}_{well}"}
    with pytest.raises(RootError, match=r"a stack: .*{Metadata_Z} is 1 and 2") as caught:
        scan(screen_of(tmp_path / "images", files))
    for changed in remedied(files, caught.value):
        screen = screen_of(tmp_path / "images", changed)
        (field,) = scan(screen).fields
        right = (
            stack(written, "protein").max(axis=0) if "project" in changed else stack(written, "protein")[0]
        )
        assert np.array_equal(read_field(screen, field)["protein"], right)
