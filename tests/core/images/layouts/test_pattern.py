"""Patterns of named parts: any folders, digits, one pattern per channel, RGB images, selected values."""

from __future__ import annotations

import os
import random
import re

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from pcip_core.errors import ImageFileError, RootError, SpecError
from pcip_core.images.layout import scan
from pcip_core.images.layouts import pattern as pattern_layout
from pcip_core.images.layouts.pattern import matches
from pcip_core.images.reading import read_field, read_plane
from pcip_core.images.reference import Reference, by_path
from pcip_core.spec.loading import load_screen
from tests.conftest import real_folder, write_spec
from tests.core.images.writers import noise, screen_of


@pytest.mark.parametrize(
    ("text", "path", "select"),
    [
        ("a/b.tif", "a/b.tif", {}),
        ("a/b.jpg#rgb=blue", "a/b.jpg", {"rgb": "blue"}),
        ("a#1.tif", "a#1.tif", {}),
        ("a#1.tif#c=2", "a#1.tif", {"c": "2"}),
        ("p.zarr/A/1/0#channel=GFP+%26+co%2F2", "p.zarr/A/1/0", {"channel": "GFP & co/2"}),
        ("x.hdf5#row=17&c=0", "x.hdf5", {"row": "17", "c": "0"}),
    ],
)
def test_a_reference_is_read_as_it_was_written(text, path, select):
    assert Reference.parse(text) == Reference(path, select)
    assert str(Reference(path, select)) == text


def test_planes_of_one_file_are_gathered():
    files = {"a": "x.jpg#rgb=red", "b": "y.tif", "c": "x.jpg#rgb=blue"}
    assert by_path(files) == {"x.jpg": {"a": {"rgb": "red"}, "c": {"rgb": "blue"}}, "y.tif": {"b": {}}}


def test_any_folders_digits_letter_case_and_other_endings(tmp_path):
    names = ("p1/a/YBR001W-A_1_NUCLEUS.TIF", "YBR001W-A_2_nucleus.tiff", "x/YBR_2_01_nucleus.tif")
    for seed, name in enumerate((*names, "x/YBR001W_b_nucleus.tif")):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, noise(seed))
    files = {"pattern": "**/{gene}_{field:d}_{channel}.tif*", "image_id": "{gene}"}
    layout = scan(screen_of(tmp_path / "images", files, shards={"buckets": 1}))
    assert [(field.image_id, field.number, field.files["nucleus"]) for field in layout.fields] == [
        ("YBR001W-A", "1", names[0]),
        ("YBR001W-A", "2", names[1]),
        ("YBR_2", "01", names[2]),
    ]
    assert layout.unclaimed == ["x/YBR001W_b_nucleus.tif"]


def test_two_files_for_one_plane_are_refused_unless_one_value_is_selected(tmp_path):
    for plate in ("p1", "p2"):
        (tmp_path / "images" / plate).mkdir(parents=True)
        for channel in ("nucleus", "protein"):
            tifffile.imwrite(tmp_path / "images" / plate / f"A_1_z1_{channel}.tif", noise(1))
    files = {"pattern": "**/{gene}_{field:d}_z{z}_{channel}.tif", "image_id": "{gene}"}
    with pytest.raises(RootError, match=r"both p1/A_1_z1_nucleus\.tif and p2/A_1_z1_nucleus\.tif"):
        scan(screen_of(tmp_path / "images", files, shards={"buckets": 1}))
    files = {"pattern": "{p}/{gene}_{field:d}_z{z}_{channel}.tif", "image_id": "{gene}", "only": {"p": "p2"}}
    layout = scan(screen_of(tmp_path / "images", files, shards={"buckets": 1}))
    assert [field.files["protein"] for field in layout.fields] == ["p2/A_1_z1_protein.tif"]
    assert len(layout.unclaimed) == 2


def test_colours_of_an_rgb_picture_are_channels_and_the_file_is_decoded_once(tmp_path, monkeypatch):
    rgb = noise(3, (16, 20, 3), np.uint8)
    (tmp_path / "images").mkdir()
    for ending in ("png", "tif"):
        iio.imwrite(tmp_path / "images" / f"1_A1_1_blue_red_green.{ending}", rgb)
    from pcip_core.images.formats import picture, tiff

    calls = []
    for module in (picture, tiff):
        inner = module.planes
        monkeypatch.setattr(
            module, "planes", lambda path, selects, inner=inner: calls.append(path) or inner(path, selects)
        )
    for ending in ("png", "tif"):
        files = {
            "pattern": f"{{plate}}_{{well}}_{{field}}_{{channel}}.{ending}",
            "image_id": "{plate}_{well}",
        }
        channels = {
            "nucleus": {"role": "structural", "named": "blue_red_green", "plane": "blue"},
            "all": {"role": "structural", "named": "blue_red_green", "plane": "max"},
            "protein": {"role": "protein", "named": "blue_red_green", "plane": "green"},
        }
        screen = screen_of(tmp_path / "images", files, channels=channels)
        (field,) = scan(screen).fields
        planes = read_field(screen, field)
        assert np.array_equal(planes["nucleus"], rgb[:, :, 2])
        assert np.array_equal(planes["protein"], rgb[:, :, 1])
        assert np.array_equal(planes["all"], rgb.max(2))
        assert list(planes) == list(screen.channels)
    assert len(calls) == 2


def test_a_file_for_all_channels_needs_no_channel_in_its_name(tmp_path):
    (tmp_path / "images").mkdir()
    pages = noise(5, (2, 24, 32))
    tifffile.imwrite(tmp_path / "images" / "p_A1_1.tif", pages, photometric="minisblack")
    channels = {"nucleus": {"role": "structural", "plane": 1}, "protein": {"role": "protein", "plane": 0}}
    files = {"pattern": "{plate}_{well}_{field}.tif", "image_id": "{plate}_{well}"}
    screen = screen_of(tmp_path / "images", files, channels=channels)
    planes = read_field(screen, scan(screen).fields[0])
    assert np.array_equal(planes["nucleus"], pages[1])
    assert np.array_equal(planes["protein"], pages[0])


def test_one_pattern_per_channel_joins_published_masks_to_their_images(tmp_path):
    channels = {
        "cytosol": {"role": "structural"},
        "protein": {"role": "protein"},
        "mask": {"role": "labels"},
    }
    names = {"cytosol": "ch3sk1fk1fl1", "protein": "ch1sk1fk1fl1"}
    pattern = {name: f"images/{{well}}f{{field:d}}p01-{end}.tiff" for name, end in names.items()}
    files = {"pattern": pattern | {"mask": "masks/{well}f{field:d}p01_labeled.tiff"}, "image_id": "{well}"}
    root = real_folder("yeast_fields")
    spec = write_spec(
        tmp_path, root=str(root), files=files, channels=channels, images={}, shards={"buckets": 1}
    )
    screen = load_screen(spec)
    layout = scan(screen)
    assert len(layout.fields) == 5
    assert len(layout.unclaimed) == 5  # channel 2
    planes = read_field(screen, layout.fields[0])
    assert np.array_equal(planes["mask"], tifffile.imread(root / "masks" / "r01c01f01p01_labeled.tiff"))
    assert screen.crop_channels == ("cytosol", "protein")


def test_templates_and_keys_that_do_not_fit_the_layout_are_refused(tmp_path):
    for files, message in (
        ({"layout": "opera", "pattern": "{plate}", "image_id": "{well}"}, "files.pattern with layout opera"),
        ({"layout": "manifest", "image_id": "{well}"}, "no files.table"),
        (
            {"pattern": "{well}_{channel}.tif", "table": "x.csv", "image_id": "{well}"},
            "files.table with layout",
        ),
        ({"layout": "hdf5", "pattern": "{a}_{channel}.h5", "image_id": "{a}"}, "no part {channel}"),
        ({"layout": "opera", "image_id": "{strain}"}, "names {strain}"),
        ({"pattern": {"nucleus": "{well}_a.tif"}, "image_id": "{well}"}, "files.pattern for ['nucleus']"),
        ({"pattern": "{well}.tif", "image_id": "{well}"}, "a part {channel}"),
        (
            {"pattern": "{well}_{channel}.tif", "image_id": "{well}", "only": {"depth": 1}},
            "files.only names {depth}",
        ),
    ):
        with pytest.raises(SpecError) as caught:
            screen_of(tmp_path, files, shards={"buckets": 1})
        assert message in str(caught.value)


def test_channels_of_different_sizes_or_bit_depths_are_refused(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    files = {"pattern": "{plate}_{well}_{channel}.tif", "image_id": "{plate}_{well}"}
    tifffile.imwrite(root / "p_A_nucleus.tif", noise(1))
    for pixels, message in (
        (noise(2, (24, 30)), "different shapes"),
        (noise(2, dtype=np.uint8), "different bit depths"),
    ):
        tifffile.imwrite(root / "p_A_protein.tif", pixels)
        screen = screen_of(root, files)
        with pytest.raises(ImageFileError, match=message):
            read_field(screen, scan(screen).fields[0])
    channels = {"nucleus": {"role": "structural"}, "protein": {"role": "protein", "dtype": "uint8"}}
    screen = screen_of(root, files, channels=channels)
    assert read_field(screen, scan(screen).fields[0])["protein"].dtype == np.uint8
    tifffile.imwrite(root / "p_A_protein.tif", noise(2))
    with pytest.raises(ImageFileError, match="found pixels of type uint16; required: uint8"):
        read_field(screen, scan(screen).fields[0])


def backtracking(pattern: str, channels: tuple[str, ...] = ()) -> re.Pattern[str]:
    """The same pattern for Python's own regular expressions, which backtrack and know parts that are named twice.

    A number beside a part without a type, or beside *, has no further digit on that side.
    """
    kinds = {"**/": "(?:[^/]+/)*", "*": "[^/]*"}
    seen: set[str] = set()
    out = ""
    pieces = re.findall(r"(\*\*/|\*|[^{*]+)|{(\w+)(:d)?}", pattern)
    for (text, part, digits), before, after in zip(
        pieces, [("", "", ""), *pieces], [*pieces[1:], ("", "", "")], strict=False
    ):
        if digits and part not in seen:
            left = "(?<![0-9])" if before[0] == "*" or before[1] else ""
            right = "(?![0-9])" if after[0] == "*" or after[1] else ""
            out += f"(?P<{part}>{left}[0-9]+{right})"
        elif not part:
            out += kinds.get(text) or f"(?i:{re.escape(text)})"
        elif part in seen:
            out += f"(?P={part})"
        elif part == "channel":
            out += f"(?P<channel>(?i:{'|'.join(channels)}))"
        else:
            out += f"(?P<{part}>[^/]+?)"
        seen.add(part)
    return re.compile(out)


@pytest.mark.parametrize(
    "pattern",
    [
        "{plate}/{well}_f{field:d}_{channel}.tif",
        "{plate}/{plate}_{well}_{channel}.tif",
        "{plate}_{date}/{plate}-{well}.tif",
        "**/{a}_{b}_*{channel}*",
        "{a}{b:d}{c}.TIF",
        "{x}/**/{y}_{x}_{z}.tif",
        "{row}{column:d}/*",
        "{a}_{b}/{a}_{b}_f{field:d}.tif",
        "{a}_{a}_{b}",
    ],
)
def test_patterns_match_as_backtracking_expressions_do(pattern):
    rng = random.Random(0)
    pieces = ["P", "P_1", "A01", "1", "22", "_", "_f", "-", "dna", "DNA", ".tif", ".TIF", "(+", "é", "\n"]
    paths = {"".join(rng.choices([*pieces, "/"], k=rng.randint(2, 9))) for _ in range(2000)}
    for _ in range(300):  # paths that match
        texts = {"channel": rng.choice(["dna", "DNA", "protein"])}
        path = pattern.replace("**/", rng.choice(["", "P/", "P/1/"]))
        for part, digits in re.findall(r"{(\w+)(:d)?}", pattern):
            text = texts.setdefault(
                part, "22" if digits else "".join(rng.choices(pieces, k=rng.randint(1, 3)))
            )
            path = path.replace(f"{{{part}{digits}}}", text)
        paths.add(path.replace("*", rng.choice(pieces)))
    paths = sorted(paths)
    truth = backtracking(pattern, ("dna", "protein"))
    expected = [match and match.groupdict() for match in map(truth.fullmatch, paths)]
    assert list(matches(pattern, paths, ("dna", "protein"))) == expected
    assert sum(match is not None for match in expected) >= 100


@pytest.mark.parametrize(
    "pattern", ["*" * 60, "*a" * 60, "**/" * 60, "{a}" * 60, "_".join(f"{{p{i}}}" for i in range(60))]
)
def test_no_pattern_takes_more_than_linear_time(pattern):
    paths = ["a" * 250, "a_" * 125, "a/" * 125, "aa_" * 80 + "b"]
    assert len(list(matches(pattern + "{channel}x", paths, ["dna"]))) == 4  # backtracking would take years


def test_a_part_named_twice_that_could_end_anywhere_is_refused(monkeypatch):
    monkeypatch.setattr(pattern_layout, "_MOST_TEXTS", 50)
    paths = [f"{i}_{i}x_{i}y" for i in range(100)]
    with pytest.raises(SpecError, match=r"files\.pattern: found .* could begin and end at several places"):
        list(matches("{a}_{a}_{b}", paths))


def test_folders_that_are_not_read_and_names_that_are_not_utf_8_are_named(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "P1", elsewhere):
        folder.mkdir(parents=True)
        for channel in ("nucleus", "protein"):
            (folder / f"A01_{channel}.tif").touch()
    (root / "P1" / "deep").symlink_to(elsewhere)
    (root / "gone").symlink_to(tmp_path / "nowhere")
    (root / os.fsdecode(b"P1/A02_\xff.tif")).touch()
    layout = scan(screen_of(root, {"pattern": "{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}"}))
    assert [field.field_id for field in layout.fields] == ["P1_A01"]
    assert layout.unclaimed == ["P1/A02_\\xff.tif", "P1/deep/", "gone"]


def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "A01.tif")
    with pytest.raises(ImageFileError, match="a pipe or a device"):
        read_plane(tmp_path / "A01.tif")


def test_a_template_that_fills_pages_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / f"{'a' * 200}_nucleus.tif").touch()
    screen = screen_of(
        tmp_path / "root", {"pattern": "{w}_{channel}.tif", "image_id": "{w}" * 6}, shards={"buckets": 1}
    )
    with pytest.raises(SpecError, match=r"files\.image_id: found .*1200 characters"):
        scan(screen)
