"""`pcip check`: what it reports of the cells of sampled fields, and of fields that cannot be used."""

from __future__ import annotations

import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from pcip_assets.cli.check import print_check
from pcip_core.crops.shard import cut_field, cut_shard, smallest
from pcip_core.images.field import Field
from pcip_core.images.formats import tiff
from pcip_core.images.layout import scan
from pcip_core.images.quality.survey import survey
from pcip_core.segmentation import METHODS, least_area
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import Segmentation
from tests.conftest import write_spec, write_tiny_screen


def with_options(screen: Screen, line: str) -> Screen:
    """The screen with the line that a report tells the user to write into the section segmentation."""
    written = re.search(r"write `(options: .*?)` in segmentation", line)
    assert written is not None, line
    options = yaml.safe_load(written[1])["options"]
    return replace(screen, segmentation=replace(screen.segmentation, options=options))


def discs(folder: Path, radii: list[int]) -> Screen:
    """A screen of one field with round nuclei of these radii, px."""
    root, side = folder / "images" / "plate_1", 50
    root.mkdir(parents=True)
    y, x = np.mgrid[:side, : side * len(radii)]
    plane = np.random.default_rng(0).normal(100, 3, y.shape)
    for number, radius in enumerate(radii):
        plane += 800 * (np.hypot(y - 25, x - 25 - side * number) < radius)
    for name in ("nucleus", "protein"):
        tifffile.imwrite(root / f"A01_f1_{name}.tif", plane.astype(np.uint16))
    options = {"channel": "nucleus", "min_area_px": 400}
    changes = {"images": {}, "segmentation": {"method": "otsu", "options": options}}
    return load_screen(write_spec(folder, root=str(folder / "images"), **changes))


def test_objects_below_the_least_area_are_counted_and_the_line_of_the_spec_finds_them(tmp_path, capsys):
    screen = discs(tmp_path, [12] * 6 + [8] * 6 + [3] * 6)  # 609, 313 and about 80 px
    assert print_check(screen)
    out = capsys.readouterr().out
    assert "plate_1: 6 cells in 1 field, 6 pass" in out
    assert "many objects are left out as too small in 1 of 1 sampled field: 6 of 12 in plate_1_A01_1; " in out
    assert "objects below 400 px in area are left out" in out
    assert print_check(with_options(screen, out))
    out = capsys.readouterr().out
    assert "plate_1: 12 cells in 1 field, 12 pass" in out
    assert "6 of 18 in plate_1_A01_1" in out  # those of 80 px are above a quarter of the new limit only


def test_few_small_objects_are_no_problem(tmp_path, capsys):
    assert print_check(discs(tmp_path, [12] * 8 + [8] * 4))
    assert "too small" not in capsys.readouterr().out


def test_where_no_cell_is_found_the_line_of_the_spec_finds_them(tmp_path, capsys):
    screen = discs(tmp_path, [8] * 6)
    assert not print_check(screen)
    out = capsys.readouterr().out
    assert "plate_1_A01_1: no cell found; objects below 400 px in area are left out" in out
    assert print_check(with_options(screen, out))
    assert "plate_1: 6 cells in 1 field, 6 pass" in capsys.readouterr().out


@pytest.mark.parametrize("method", [name for name in METHODS if least_area(Segmentation(name)) is not None])
def test_counting_small_objects_changes_no_cell(tmp_path, method, monkeypatch):
    """A method that would do something after it removes small objects would give other cells in `pcip check`."""
    screen = discs(tmp_path, [12] * 6 + [8] * 6)
    path = screen.folder() / "plate_1"
    plane = tifffile.imread(path / "A01_f1_nucleus.tif")
    numbers = METHODS["otsu"]({"nucleus": plane}, channel="nucleus", min_area_px=30)
    options: dict[str, object] = {"channel": "nucleus", "min_area_px": 400}
    if method == "labels":
        tifffile.imwrite(path / "A01_f1_nucleus.tif", numbers.astype(np.uint16))
    elif method == "torchscript":
        module = sys.modules["pcip_core.segmentation.torchscript"]
        monkeypatch.setattr(module, "_loaded", lambda *_: lambda _: labels_of(numbers))
        options = {"channels": ["nucleus"], "model": "model.pt", "min_area_px": 400}
    elif method.startswith("yeast"):
        options["diameter_px"] = 22
    for scale in (1, 3) if method == "otsu" else (None,):
        chosen = options | ({"scale": scale} if scale else {})
        screen = replace(screen, segmentation=Segmentation(method, chosen))
        field = scan(screen).fields[0]
        usual, counted = cut_field(screen, field), cut_field(screen, field, count_small=True)
        np.testing.assert_array_equal(usual.labels, counted.labels)
        assert usual.cells.pixel_hash == counted.cells.pixel_hash
        assert usual.small == 0
        if method in ("otsu", "labels", "torchscript"):
            assert (len(usual.cells.label) + len(usual.cells.rejected), counted.small) == (6, 6)


def labels_of(numbers: np.ndarray) -> object:
    import torch

    return torch.from_numpy(numbers.astype(np.float32))[None, None]


def test_the_least_area_of_a_limit_of_one_pixel_is_one():
    assert [smallest(least) for least in (1, 2, 4, 40)] == [1, 1, 1, 10]


def blank(screen: Screen, field: Field, channel: str) -> None:
    path = screen.folder() / field.files[channel]
    tifffile.imwrite(path, np.full_like(tifffile.imread(path), 7))


def test_a_blank_field_is_a_warning_and_the_run_continues_without_it(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    fields = scan(screen).fields
    blank(screen, fields[1], "protein")
    assert print_check(screen, at_most=4)
    out = capsys.readouterr().out
    assert (
        "warning     channel protein: all pixels are equal in 1 of 4 sampled fields, which is not used and will be in "
        "quarantine: plate_1_A02_1" in out
    )
    assert "plate_1: 27 cells in 4 fields, 27 pass" in out
    run = survey(screen, fields)
    assert [member.field_id for member, _ in run.used] == ["plate_1_A01_1", "plate_1_A03_1", "plate_1_A04_1"]
    assert [member.field_id for member, _, _ in run.rejected] == ["plate_1_A02_1"]
    cells = cut_shard(screen, fields)
    assert (len(cells.pixels), [row.what for row in cells.rejected]) == (27, ["file"])


def test_a_channel_that_is_blank_in_every_field_is_a_failure(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    for field in scan(screen).fields:
        blank(screen, field, "protein")
    assert not print_check(screen)
    out = capsys.readouterr().out
    assert out.count("failure     ") == 3
    assert "found a constant channel (every pixel is 7)" in out
    assert "warning" not in out
    assert "cannot run" in out


def test_a_damaged_field_beside_a_blank_one_remains_a_failure(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    fields = scan(screen).fields
    blank(screen, fields[0], "nucleus")
    (screen.folder() / fields[1].files["nucleus"]).write_bytes(b"II*\0 damaged")
    assert not print_check(screen, at_most=4)
    out = capsys.readouterr().out
    assert "warning     channel nucleus: all pixels are equal in 1 of 4 sampled fields" in out
    assert "failure" in out


def test_a_line_break_in_a_name_breaks_no_line_of_the_report(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=2))
    root = screen.folder()
    (root / "plate_1").rename(root / "plate\n1\x1b[2J")
    (root / "plate\n1\x1b[2J" / "A02_f1_protein.tif").write_bytes(b"II*\0 damaged")
    table = root / "images.csv"
    table.write_text(table.read_text().replace("protein,gene", "target,gene"))
    print_check(screen, at_most=8)
    out = capsys.readouterr().out
    assert "plate\\n1\\x1b[2J" in out
    assert "\x1b" not in out
    labels = [line[2:13].strip() for line in out.splitlines()[1:]]
    assert set(labels) <= {
        *(
            "",
            "root",
            "layout",
            "channel",
            "fields",
            "proteins",
            "terms",
            "plates",
            "plate",
            "table",
            "example",
        ),
        *("parts", "unclaimed", "sample", "problem", "failure", "warning"),
    }


def test_warnings_of_decoders_are_counted_by_kind_and_those_of_other_screens_are_forgotten(
    tmp_path, capsys, monkeypatch
):
    inner = tiff.planes

    def warns(path, selects):
        text = "odd tag\n\x1b" if "A01" in path.name else f"page {path.stem[1:3]} of '{path.name}' has no end"
        warnings.warn(text, UserWarning if "nucleus" in path.name else RuntimeWarning, stacklevel=1)
        return inner(path, selects)

    monkeypatch.setattr(tiff, "planes", warns)
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    assert print_check(screen, at_most=4)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  warning")]
    path = screen.folder() / "plate_1"
    assert lines == [
        f"  warning     {path}/{name}: the decoder warns, and the pixels are used: {text}"
        for name, text in (
            ("A01_f1_nucleus.tif", "UserWarning: odd tag \\x1b (1 more of this kind)"),
            ("A01_f1_protein.tif", "RuntimeWarning: odd tag \\x1b (1 more of this kind)"),
            (
                "A02_f1_nucleus.tif",
                "UserWarning: page 02 of 'A02_f1_nucleus.tif' has no end (5 more of this kind)",
            ),
            (
                "A02_f1_protein.tif",
                "RuntimeWarning: page 02 of 'A02_f1_protein.tif' has no end (5 more of this kind)",
            ),
        )
    ]
    monkeypatch.setattr(tiff, "planes", inner)
    assert print_check(screen, at_most=4)
    assert "  warning" not in capsys.readouterr().out


def test_images_of_single_cells_with_too_few_of_them_are_counted(tmp_path, capsys):
    whole = {"method": "whole"}
    crops = {"window_px": None, "size_px": 16, "min_cells": 2}
    screen = load_screen(write_tiny_screen(tmp_path, plates=1, images=3, segmentation=whole, crops=crops))
    root = screen.folder() / "plate_1"
    rng = np.random.default_rng(0)
    for name in ("nucleus", "protein"):
        for well in ("A01", "A02"):
            tifffile.imwrite(root / f"{well}_f2_{name}.tif", rng.integers(0, 900, (160, 160), np.uint16))
    assert print_check(screen)
    assert (
        "1 of 3 images of plate_1 has fewer cells than crops.min_cells (2): plate_1_A03"
        in capsys.readouterr().out
    )
    assert print_check(replace(screen, crops=replace(screen.crops, min_cells=3)))
    assert "3 of 3 images of plate_1 have fewer cells than crops.min_cells (3)" in capsys.readouterr().out


def test_fields_and_channels_with_the_pixels_of_others_are_problems(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    first, second, third, _ = scan(screen).fields
    root = screen.folder()
    for name in ("nucleus", "protein"):
        (root / second.files[name]).write_bytes((root / first.files[name]).read_bytes())
    (root / third.files["protein"]).write_bytes((root / third.files["nucleus"]).read_bytes())
    assert print_check(screen, at_most=4)
    out = capsys.readouterr().out
    assert (
        "1 of 4 sampled fields has the pixels of another, and no cell of its own: plate_1_A02_1 (as plate_1_A01_1)"
        in out
    )
    assert "channels nucleus and protein have the same pixels in 1 of 4 sampled fields" in out
