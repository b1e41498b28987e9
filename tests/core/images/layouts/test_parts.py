"""Parts with types, parts built from parts, excluded files, and doubts about what was read."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml

from pcip_core.errors import RootError, SpecError
from pcip_core.images.annotations import describe_images
from pcip_core.images.layout import Layout, scan
from pcip_core.images.layouts.pattern import matches
from pcip_core.spec.screen import Screen
from tests.core.images.writers import screen_of

ONE_FILE = {"nucleus": {"role": "structural", "plane": 0}, "protein": {"role": "protein", "plane": 1}}
GUID = "7D24B167-3E8B-5294-82DB-75F6110ADA83"


def _scan(root: Path, names: list[str], files: dict[str, object], **changes: object) -> tuple[Screen, Layout]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    screen = screen_of(root, files, shards={"buckets": 1}, **changes)
    return screen, scan(screen)


@pytest.mark.parametrize(
    ("pattern", "path", "parts"),
    [
        ("{plate}_{well:well}_{x}.tif", "P_a1_b.tif", {"plate": "P", "well": "A01", "x": "b"}),
        ("{plate}_{well:well}.tif", "2023_Screen_P1_A01.tif", {"plate": "2023_Screen_P1", "well": "A01"}),
        ("{plate}{well:well}.tif", "ScreenB7.tif", {"plate": "Screen", "well": "B07"}),
        ("{plate}_{well:well}.tif", "P_AF48.tif", {"plate": "P", "well": "AF48"}),
        ("{plate}_{well:well}.tif", "P_a - 01.tif", {"plate": "P", "well": "A01"}),
        ("{plate}_{well:well}.tif", "P_A-1.tif", {"plate": "P", "well": "A01"}),
        ("{plate}_{well:well}.tif", "P_H012.tif", {"plate": "P", "well": "H12"}),
        ("{plate}_{well:well}.tif", "P_AG01.tif", None),
        ("{plate}_{well:well}.tif", "P_A49.tif", None),
        ("{plate}_{well:well}.tif", "P_A0.tif", None),
        ("{plate}_{well}_f{field:d}.tif", "A_B_c5_f2.tif", {"plate": "A_B", "well": "c5", "field": "2"}),
        ("{plate}_{well}_f{field:d}.tif", "A_B_top_f2.tif", {"plate": "A", "well": "B_top", "field": "2"}),
        ("{well:well}{f:2d}.tif", "A0112.tif", {"well": "A01", "f": "12"}),
        ("{row:3d}{col:3d}.tif", "001012.tif", {"row": "001", "col": "012"}),
        ("{row:3d}{col:3d}.tif", "0010012.tif", None),
        ("{row:d}{col:3d}.tif", "12003.tif", {"row": "12", "col": "003"}),
        ("*{f:d}.tif", "img12.tif", {"f": "12"}),
        ("{x}{f:d}*", "img12_3.tif", {"x": "img", "f": "12"}),
        ("{f:d}{x}.tif", "12.tif", None),
        ("s{f:d}{_:hex}.tif", f"s1{GUID}.tif", {"f": "1"}),
        ("s{f:d}{_:hex}.tif", f"s15{GUID.lower()}.tif", {"f": "15"}),
        ("s{f:d}{_:hex}.tif", f"s1_thumb{GUID}.tif", None),
        ("{w}_{id:hex}.tif", "a_09af.tif", {"w": "a", "id": "09af"}),
        ("{_}/{well}_{_}.tif", "x/A01_y.tif", {"well": "A01"}),
    ],
)
def test_types_of_parts(pattern, path, parts):
    assert next(matches(pattern, [path])) == parts


@pytest.mark.parametrize("pattern", ["{well:well}" * 30, "{a}{_:hex}" * 30, "{a:3d}*" * 60, "{well}_" * 60])
def test_no_type_takes_more_than_linear_time(pattern):
    assert len(list(matches(pattern + "x", ["A1" * 120, "0" * 250, "af" * 120]))) == 3


def test_numbers_that_touch_are_refused_and_the_remedy_works(tmp_path):
    names = [f"P1/00{row}002-1-{channel}.tif" for row in (1, 2) for channel in ("nucleus", "protein")]
    files = {"pattern": "{plate}/{row:d}{col:d}-{field:d}-{channel}.tif", "image_id": "{plate}_{row}_{col}"}
    with pytest.raises(SpecError, match=r"in which {row:d} and {col:d} touch") as caught:
        _scan(tmp_path / "images", names, files)
    remedy = re.search(r"number of digits: (\S+),", str(caught.value))
    assert remedy is not None
    _, layout = _scan(
        tmp_path / "images", names, files | {"pattern": files["pattern"].replace("{row:d}{col:d}", remedy[1])}
    )
    assert [(field.parts["row"], field.parts["col"]) for field in layout.fields] == [
        *(("001", "002"), ("002", "002"))
    ]


@pytest.mark.parametrize("pattern", ["{a:e}_{channel}.tif", "{a}_{channel:d}.tif", "{a:0d}_{channel}.tif"])
def test_unknown_types_are_refused(tmp_path, pattern):
    with pytest.raises(SpecError, match=r"(required: parts as {name}, {name:d}|without a type)"):
        _scan(tmp_path / "images", ["a"], {"pattern": pattern, "image_id": "{a}"})


def test_files_are_excluded_by_name_and_counted(tmp_path):
    kept = [f"P1/{well}_{channel}.tif" for well in ("A01", "A02") for channel in ("nucleus", "protein")]
    always = [
        *(f"P1/._{name[3:]}" for name in kept),
        *("P1/.DS_Store", "P1/thumbs.DB", "Desktop.ini", "P1/A01_thumb_protein.tif", "P1/~$map.xlsx"),
        *("P1/.nfs0001", "@eaDir/P1/A01_nucleus.tif", "P1/__MACOSX/A01_protein.tif"),
    ]
    chosen = ["P1/A01_mask.tif", "P2/A01_nucleus.tif", "deep/old/P3/A01_nucleus.tif", "P4/A03_nucleus.tif"]
    files = {"pattern": "**/{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}"}
    files |= {"exclude": ["*_MASK.tif", "P2/*", "old/", "P4/A0*_nucleus.tif"]}
    _, layout = _scan(tmp_path / "images", [*kept, *always, *chosen, "P1/notes.txt"], files)
    assert [field.field_id for field in layout.fields] == ["P1_A01", "P1_A02"]
    assert layout.unclaimed == ["P1/notes.txt"]
    left_out = [name for name in [*always, *chosen] if not name.startswith(("@eaDir", "P1/__", "deep"))]
    assert layout.excluded == sorted([*left_out, "@eaDir/", "P1/__MACOSX/", "deep/old/"])


@pytest.mark.parametrize("pattern", ["", "/", "*", "/a/b", "a/../b", "{plate}", "x" * 2000])
def test_patterns_of_excluded_files_that_make_no_sense_are_refused(tmp_path, pattern):
    with pytest.raises(SpecError, match=r"files\.exclude"):
        _scan(tmp_path / "i", ["a"], {"pattern": "{a}_{channel}", "image_id": "{a}", "exclude": [pattern]})


def test_parts_are_built_from_parts_and_used_everywhere(tmp_path):
    root = tmp_path / "images"
    names = [f"001{column:03d}-1-{channel}.tif" for column in (1, 12) for channel in ("nucleus", "protein")]
    names += [f"002001-1-{channel}.tif" for channel in ("nucleus", "protein")]
    files = {
        "pattern": "{row:3d}{col:3d}-{field:d}-{channel}.tif",
        "parts": {"well": "{row}{col}", "plate": "P1", "side": "{row}"},
        "image_id": "{plate}_{well}",
        "only": {"side": 1},
    }
    root.mkdir()
    (root / "platemap.csv").write_text("plate,well,gene\nP1,A1,AAC1\nP1,a12,AAH1\n")
    screen, layout = _scan(
        root, names, files, images={"platemap": "platemap.csv", "values": {"cell_line": "{side}x"}}
    )
    assert [field.image_id for field in layout.fields] == ["P1_A01", "P1_A12"]
    values = [record.values for record in describe_images(screen, layout.fields)]
    assert [(each["gene"], each["plate"], each["cell_line"]) for each in values] == [
        *(("AAC1", "P1", "001x"), ("AAH1", "P1", "001x"))
    ]
    with pytest.raises(SpecError, match=r"files\.parts\.well names {line}"):
        screen_of(root, files | {"parts": files["parts"] | {"well": "{line}"}}, shards={"buckets": 1})
    with pytest.raises(SpecError, match=r"files\.parts names 'channel'"):
        screen_of(root, files | {"parts": files["parts"] | {"channel": "x"}}, shards={"buckets": 1})


@pytest.mark.parametrize("value", [1, "1", "01", "001"])
def test_numbers_of_files_only_are_compared_as_numbers(tmp_path, value):
    names = [f"A01_z0{z}_{channel}.tif" for z in (1, 2) for channel in ("nucleus", "protein")]
    files = {"pattern": "{well}_z{z:d}_{channel}.tif", "image_id": "{well}", "only": {"z": value}}
    _, layout = _scan(tmp_path / "images", names, files)
    assert [field.parts["z"] for field in layout.fields] == ["01"]


def test_wells_that_are_not_wells_are_doubted(tmp_path):
    names = [f"My_{well}_{channel}.tif" for well in ("top", "A01") for channel in ("nucleus", "protein")]
    screen, layout = _scan(
        tmp_path / "images", names, {"pattern": "{plate}_{well}_{channel}.tif", "image_id": "{plate}_{well}"}
    )
    (doubt,) = layout.doubts(screen)
    assert doubt.startswith("1 of 2 wells is not of the form A1 to AF48: top (of My_top_nucleus.tif)")


def test_two_writings_of_a_well_are_refused_and_the_remedy_works(tmp_path):
    names = [f"P_{well}_{channel}.tif" for well in ("A1", "A01") for channel in ("nucleus", "protein")]
    files = {"pattern": "{plate}_{well}_{channel}.tif", "image_id": "{plate}_{well}"}
    with pytest.raises(
        RootError, match=r"two writings, each taken for two: A01 and A1; .* Write {well:well} in"
    ):
        _scan(tmp_path / "images", names, files)
    with pytest.raises(RootError, match=r"both P_A01_nucleus\.tif and P_A1_nucleus\.tif"):
        _scan(tmp_path / "images", names, files | {"pattern": "{plate}_{well:well}_{channel}.tif"})


def test_a_well_that_could_be_another_is_doubted(tmp_path):
    names = [f"2023_P1_A01_x_{channel}.tif" for channel in ("nucleus", "protein")]
    files = {"pattern": "{plate}_{well}_{site}_{channel}.tif", "image_id": "{plate}_{well}"}
    screen, layout = _scan(tmp_path / "images", names, files)
    assert layout.doubts(screen) == [
        "the well of 1 of 1 sampled file could be another, as A01 instead of P1 in 2023_P1_A01_x_nucleus.tif; write "
        "more of the text beside {well} in files.pattern"
    ]


def test_sites_and_times_that_look_like_wells_are_no_reason_to_doubt(tmp_path):
    names = [f"P_A01_s1_t1_{channel}.tif" for channel in ("nucleus", "protein")]
    files = {"pattern": "{plate}_{well}_{site}_{channel}.tif", "image_id": "{plate}_{well}"}
    screen, layout = _scan(tmp_path / "images", names, files)
    assert layout.fields[0].parts == {"plate": "P", "well": "A01", "site": "s1_t1"}
    assert layout.doubts(screen) == []


def test_a_part_that_divides_fields_is_doubted_and_the_remedy_works(tmp_path):
    names = [f"{well}_A0{n}_{channel}.tif" for well in ("A01", "A02")
             for n, channel in enumerate(("nucleus", "protein"))]  # fmt: skip
    files = {"pattern": "{well}_A{action:d}_{channel}.tif", "image_id": "{well}"}
    screen, layout = _scan(tmp_path / "images", names, files)
    assert len(layout.fields) == 4
    (doubt,) = layout.doubts(screen)
    assert (
        "because the part action (00, 01, ...) differs between the channels; without it there are 2 whole"
        in doubt
    )
    screen, layout = _scan(tmp_path / "images", names, files | {"pattern": "{well}_A{_:d}_{channel}.tif"})
    assert [len(field.files) for field in layout.fields] == [2, 2]
    assert layout.doubts(screen) == []


@pytest.mark.parametrize("kind", ["hex", "d"])
def test_a_part_that_divides_numbered_fields_is_refused_and_the_remedy_works(tmp_path, kind):
    ends = (GUID, GUID.replace("7D24", "0000")) if kind == "hex" else ("01", "02")
    names = [f"A01_f1_w{n}_{end}.tif" for n, end in enumerate(ends, 1)]
    files = {"pattern": f"{{well}}_f{{field:d}}_{{channel}}_{{id:{kind}}}.tif", "image_id": "{well}"}
    channels = {
        "nucleus": {"role": "structural", "named": "w1"},
        "protein": {"role": "protein", "named": "w2"},
    }
    with pytest.raises(RootError, match=r"different channels: {id} divides the field\. Write _ for its name"):
        _scan(tmp_path / "images", names, files, channels=channels)
    _, layout = _scan(
        tmp_path / "images",
        names,
        files | {"pattern": files["pattern"].replace("{id", "{_")},
        channels=channels,
    )
    assert [sorted(field.files) for field in layout.fields] == [["nucleus", "protein"]]


def test_a_link_that_was_copied_as_text_is_named(tmp_path):
    (tmp_path / "store" / "P1").mkdir(parents=True)
    names = [f"P2/A01_{channel}.tif" for channel in ("nucleus", "protein")]
    screen, _layout = _scan(
        tmp_path / "images", names, {"pattern": "{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}"}
    )
    (tmp_path / "images" / "P1").write_text("../store/P1")
    (doubt,) = scan(screen).doubts(screen)
    assert doubt.startswith("P1 is not a folder, but a file with the path of one, ../store/P1")


def test_fields_in_two_writings_are_refused(tmp_path):
    files = {"pattern": "{plate}_{well}_s{field}.tif", "image_id": "{plate}_{well}"}
    names = ["P_A01_s1.tif", "P_A01_s01.tif", "P_A02_s1.tif"]
    with pytest.raises(
        RootError, match="1 field number in two writings, each taken for two fields: 01 and 1 of"
    ):
        _scan(tmp_path / "i", names, files, channels=ONE_FILE)


def line_of(remedy: str) -> dict[str, Any]:
    """The first line for `files` of the spec that a remedy gives."""
    line = re.search(r"`(.*?)`", remedy)
    assert line is not None
    return dict(yaml.safe_load(line[1]))


@pytest.mark.parametrize("part", ["tp", "t", "timepoint", "T"])
def test_a_time_under_any_of_its_names_is_no_field(tmp_path, part):
    names = [f"A01_{time}_{channel}.tif" for time in (1, 2) for channel in ("nucleus", "protein")]
    files = {"pattern": f"{{well}}_{{{part}}}_{{channel}}.tif", "image_id": "{well}"}
    with pytest.raises(RootError, match=rf"a stack: .*only: {{{part}: 1}}"):
        _scan(tmp_path / "i", names, files)
    _, layout = _scan(tmp_path / "i", [], files | {"only": {"time": 2}})
    assert [field.parts[part] for field in layout.fields] == ["2"]
    _, layout = _scan(tmp_path / "i", [], files | {"image_id": f"{{well}}_{{{part}}}"})
    assert [field.image_id for field in layout.fields] == ["A01_1", "A01_2"]


def test_hours_in_the_place_of_the_field_are_doubted_and_the_remedy_works(tmp_path):
    names = [f"A01_{time}_{channel}.tif" for time in (0, 24) for channel in ("nucleus", "protein")]
    files = {"pattern": "{well}_{hours}_{channel}.tif", "image_id": "{well}"}
    screen, layout = _scan(tmp_path / "i", names, files)
    (doubt,) = layout.doubts(screen)
    assert doubt.startswith(
        "{hours} (0, 24, ...) is taken for the field of 1 image, such as A01; if it is a time"
    )
    with pytest.raises(RootError, match="a stack"):
        _scan(tmp_path / "i", [], files | {"pattern": "{well}_{time}_{channel}.tif"})


def test_plates_of_which_nothing_is_used_are_counted(tmp_path):
    names = [f"P{n}/z{n}/A01_{channel}.tif" for n in (1, 2, 3) for channel in ("nucleus", "protein")]
    files = {"pattern": "{plate}/z{z}/{well}_{channel}.tif", "image_id": "{plate}_{well}"}
    _, layout = _scan(tmp_path / "i", names, files | {"only": {"z": 1}, "exclude": ["P3/"]})
    assert layout.plates_left_out == [
        "plate P2: files.only leaves out all of it, 2 files or images",
        "plate P3: files.exclude leaves out all of it, 1 folder: P3/",
    ]
    _, layout = _scan(tmp_path / "i", [], files | {"exclude": ["P3/**/*.tif", "P2/*/*_protein.tif"]})
    assert layout.plates_left_out == [
        "plate P3: files.exclude leaves out all of it, 2 files: P3/z3/A01_nucleus.tif, P3/z3/A01_protein.tif"
    ]


@pytest.mark.parametrize("well", ["A1", "a01", "A - 1"])
def test_wells_of_files_only_have_any_writing(tmp_path, well):
    files = {"pattern": "{plate}_{well}_s{field}.tif", "image_id": "{plate}_{well}", "only": {"well": well}}
    _, layout = _scan(tmp_path / "i", ["P_A01_s1.tif", "P_A02_s1.tif"], files, channels=ONE_FILE)
    assert [field.field_id for field in layout.fields] == ["P_A01_1"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_channels_are_found_in_both_forms_of_unicode(tmp_path, form):
    files = {"pattern": "{well}_{channel}.tif", "image_id": "{well}"}
    channels = {
        "nucleus": {"role": "structural", "named": unicodedata.normalize(form, "Zellkern-Färbung")},
        "protein": {"role": "protein"},
    }
    names = [unicodedata.normalize(other, "A01_Zellkern-Färbung.tif") for other in ("NFC", "NFD")]
    for number, name in enumerate(names):
        root = tmp_path / str(number)
        _, layout = _scan(root, [name, "A01_protein.tif"], files, channels=channels)
        assert layout.fields[0].files == {"nucleus": name, "protein": "A01_protein.tif"}


def test_a_wrong_name_of_a_channel_is_answered_with_those_of_the_files(tmp_path):
    names = [f"A01_{channel}.tif" for channel in ("nucleus", "GFP", "RFP")]
    files = {"pattern": "{well}_{channel}.tif", "image_id": "{well}"}
    channels = {
        "nucleus": {"role": "structural"},
        "protein": {"role": "protein", "named": "GFPP"},
    }
    screen, layout = _scan(tmp_path / "i", names, files, channels=channels)
    (doubt,) = layout.doubts(screen)
    assert doubt == (
        "channel protein: no file is called 'GFPP', which may mean GFP; files that match otherwise are called "
        "GFP (1 file), RFP (1 file): correct channels.protein.named"
    )
    channels["nucleus"]["named"] = "nuclei"  # type: ignore[index]
    with pytest.raises(
        RootError, match=r"match otherwise are GFP, RFP, nucleus; 'nuclei', which may mean nucleus;"
    ):
        _scan(tmp_path / "i", names, files, channels=channels)


@pytest.mark.parametrize(
    ("folders", "part", "kind"),
    [
        (["Z00", "Z01"], "plate", "z"),
        (["ZStep_1", "ZStep_2"], "depth", "z"),
        (["TimePoint_1", "TimePoint_2"], "series", "time"),
    ],
)
def test_focal_planes_and_times_under_another_name_are_doubted_and_the_remedy_works(
    tmp_path, folders, part, kind
):
    names = [f"{folder}/A01_{channel}.tif" for folder in folders for channel in ("nucleus", "protein")]
    files = {"pattern": f"{{{part}}}/{{well}}_{{channel}}.tif", "image_id": "{well}"}
    screen, layout = _scan(tmp_path / "i", names, files)
    (doubt,) = layout.doubts(screen)
    assert doubt.startswith(f"{{{part}}} is {folders[0]}, {folders[1]}: if these are ")
    assert doubt.endswith(f"whose cells would count 2 times, write {{{kind}}} for it in files.pattern")
    files = {"pattern": f"{{{kind}}}/{{well}}_{{channel}}.tif", "image_id": "{well}"}
    with pytest.raises(RootError, match="a stack") as caught:
        _scan(tmp_path / "i", [], files)
    _, layout = _scan(tmp_path / "i", [], files | line_of(caught.value.remedy))
    assert len(layout.fields) == 1


def test_plates_and_wells_that_are_no_focal_planes_are_not_doubted(tmp_path):
    names = [
        f"{plate}/{well}_{c}.tif"
        for plate in ("T1", "T2")
        for well in ("Z01", "Z02")
        for c in ("nucleus", "protein")
    ]
    files = {"pattern": "{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}"}
    screen, layout = _scan(tmp_path / "i", names, files)
    assert layout.doubts(screen) == []


def test_plates_in_two_writings_are_doubted(tmp_path):
    names = [f"{plate}/A01_{channel}.tif" for plate in ("P1", "p1") for channel in ("nucleus", "protein")]
    screen, layout = _scan(
        tmp_path / "i", names, {"pattern": "{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}"}
    )
    assert [doubt.partition(";")[0] for doubt in layout.doubts(screen)] == [
        "1 plate in two writings, each taken for two: P1 and p1"
    ]


def test_files_at_another_depth_are_doubted(tmp_path):
    names = [f"{folder}/A01_{c}.tif" for folder in ("P1", "deep/P2") for c in ("nucleus", "protein", "er")]
    screen, layout = _scan(
        tmp_path / "i", names, {"pattern": "{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}"}
    )
    assert layout.doubts(screen) == [
        "2 files match the end of files.pattern, {well}_{channel}.tif, and belong to no field, because of other "
        "folders above: deep/P2/A01_nucleus.tif, deep/P2/A01_protein.tif"
    ]
