"""`pcip check`: what it reports of layouts, platemaps and annotations."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from pcip_assets.cli.check import command, print_check
from pcip_assets.cli.run import run_screen
from pcip_assets.workspace import Workspace
from pcip_core.errors import RootError
from pcip_core.spec.loading import load_screen
from tests.assets.conftest import FEATURES, write_program
from tests.conftest import write_spec, write_tiny_screen


def test_joins_are_counted_and_what_they_miss_is_a_problem(tmp_path, capsys):
    images = {"platemap": "wells.csv", "annotations": "terms.csv"}
    write_tiny_screen(tmp_path, plates=1)
    screen = load_screen(write_spec(tmp_path, root=str(tmp_path / "images"), images=images))
    root = screen.folder()
    (root / "wells.csv").write_text("well_position,gene\nA1,ABC1\nA2,ABC2\nA3,ABC3\n")
    (root / "terms.csv").write_text("gene,localization\nABC1,Cytosol\nABC2,Nucleoplasm\nXYZ,Golgi\n")
    assert print_check(screen)
    out = capsys.readouterr().out
    assert "layout      pattern" in out
    assert "channel     nucleus (structural): 4 planes" in out
    assert "annotations 2 of 4 images have a row; 1 of 3 rows matches none of the images" in out
    assert "platemap    3 of 4 images have a row" in out
    assert "wells.csv: no row for 1 of 4 images: plate_1_A04" in out
    assert "terms       Cytosol (1), Nucleoplasm (1)" in out
    assert "1 file belongs to no field: images.csv" in out


def test_a_screen_of_which_no_sampled_cell_passes_cannot_be_run(tmp_path, capsys):
    crops = {"window_px": 32, "size_px": 16, "min_cells": 2, "area_fraction": [0.9, 1.0]}
    screen = load_screen(write_tiny_screen(tmp_path, crops=crops))
    assert not print_check(screen)
    out = capsys.readouterr().out
    assert "sample      plate_1: 18 cells in 2 fields, 0 pass" in out
    assert "plate_1_A01_1, plate_1_A03_1: none of 18 cells passes; 18: area" in out
    assert "cannot run: no cell of the sampled fields can be used" in out
    assert "no problem found" not in out


def test_objects_below_the_least_area_are_hinted_at(tmp_path, capsys):
    screen = load_screen(
        write_tiny_screen(
            tmp_path, segmentation={"method": "otsu", "options": {"channel": "nucleus", "min_area_px": 9000}}
        )
    )
    assert not print_check(screen)
    assert (
        "no cell found; objects below 9000 px in area are left out: if they are cells, write "
        '`options: {"channel": "nucleus", "min_area_px": 2250}` in segmentation' in capsys.readouterr().out
    )


def test_images_with_few_cells_are_judged_by_all_their_fields(tmp_path, capsys):
    crops = {"window_px": 32, "size_px": 16}
    screen = load_screen(write_tiny_screen(tmp_path, crops=crops | {"min_cells": 9}))
    assert print_check(screen)
    assert "no problem found" in capsys.readouterr().out
    assert print_check(replace(screen, crops=replace(screen.crops, min_cells=10)))
    assert (
        "plate_1_A01: about 9 cells in its fields, fewer than crops.min_cells (10)" in capsys.readouterr().out
    )


def test_folders_that_are_left_out_are_a_problem(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    (screen.folder() / "plate_2").symlink_to(screen.folder() / "plate_1")
    assert print_check(screen)
    assert "warning     plate_2/ is a link to" in capsys.readouterr().out


def test_programs_are_opened(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1, features=FEATURES))
    assert print_check(screen)
    assert "features.mine" in (out := capsys.readouterr().out)
    assert "found no file that can be read" in out
    write_program(tmp_path / "mine.ts")
    assert print_check(screen)
    out = capsys.readouterr().out
    assert "features    mine: mine.ts" in out
    assert "features    both: classic and mine" in out
    assert "found no file" not in out


def test_what_is_understood_of_a_file_is_shown(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=2))
    assert print_check(screen)
    out = capsys.readouterr().out
    planes = [tifffile.imread(file) for file in screen.folder().glob("plate_1/A0[13]_f1_nucleus.tif")]
    planes += [tifffile.imread(file) for file in screen.folder().glob("plate_2/A0[24]_f1_nucleus.tif")]
    low, high = np.min(planes), np.max(planes)
    assert "example     nucleus: plate_1/A01_f1_nucleus.tif\n" in out
    assert f"160 x 160 px (height x width), uint16, values {low} to {high} in 4 of 4 sampled fields" in out
    assert "parts       plate 'plate_1', well 'A01', field '1'\n" in out
    assert "of field plate_1_A01_1, image plate_1_A01, shard plate_1" in out
    assert "plates      2 with 8 wells and 8 fields" in out
    assert "plate_1 and 1 alike: 4 wells, 4 fields" in out
    assert "\n                   1  2  3  4\n              A    1  1  1  1\n" in out


def test_harder_pairs_are_shown_where_the_encoder_is_trained(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path))
    shown = "encoder     of 4 partners of each cell, takes the one that differs most in shape (nucleus)\n"
    harder = replace(screen, encoder=replace(screen.encoder, hardest_of=4))
    for each, expected in ((screen, False), (harder, True), (replace(harder, encoder_from="other"), False)):
        assert print_check(each)
        assert (shown in capsys.readouterr().out) == expected


def test_a_missing_well_ends_with_exit_code_1(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=3, images=5))
    for name in ("nucleus", "protein"):
        (screen.folder() / "plate_2" / f"A03_f1_{name}.tif").unlink()
    assert not print_check(screen)
    out = capsys.readouterr().out
    assert "failure     plate plate_2: no images for 1 well: A03 (imaged on most of the other plates)" in out
    assert "A    1  1  ?  1  1" in out


def test_a_field_that_cannot_be_read_ends_with_exit_code_1(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    (screen.folder() / "plate_1" / "A02_f1_protein.tif").write_bytes(b"II*\0 damaged")
    assert not print_check(screen)
    assert "A02_f1_protein.tif: found" in (out := capsys.readouterr().out)
    assert "failure" in out
    (screen.folder() / "plate_1" / "A02_f1_protein.tif").unlink()
    assert not print_check(screen)
    assert "no file for channel protein of field plate_1_A02_1" in capsys.readouterr().out


def test_all_fields_are_read_up_to_a_number(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1, images=8))
    (screen.folder() / "plate_1" / "A08_f1_protein.tif").write_bytes(b"II*\0 damaged")
    assert print_check(screen)  # not in the usual sample
    assert not print_check(screen, at_most=8)
    assert "sample      8 of 8 fields" in capsys.readouterr().out
    assert print_check(screen, at_most=4)
    assert "sample      4 of 8 fields" in capsys.readouterr().out


def test_fields_of_other_sizes_or_types_are_a_problem(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    for name in ("nucleus", "protein"):
        file = screen.folder() / "plate_1" / f"A03_f1_{name}.tif"
        tifffile.imwrite(file, (tifffile.imread(file) // 8).astype(np.uint8))
    assert print_check(screen, at_most=4)
    out = capsys.readouterr().out
    assert (
        "channel nucleus, protein: sizes or pixel types differ between fields: 160 x 160 px uint16 in 3"
        in out
    )
    assert "160 x 160 px uint8 in 1 (plate_1_A03_1); all are used; if the size of a pixel differs too" in out


def test_a_picture_of_the_cells_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("PCIP_DATA", str(tmp_path / "data"))
    spec, picture = write_tiny_screen(tmp_path, plates=1), tmp_path / "cells.png"
    result = CliRunner().invoke(command, [str(spec), "--picture", str(picture), "--all", "--limit", "2"])
    assert result.exit_code == 0
    assert f"picture     {picture}: 2 of 2 sampled fields" in result.output
    assert picture.read_bytes()[1:4] == b"PNG"
    result = CliRunner().invoke(command, [str(spec), "--picture", str(tmp_path / "cells.svg")])
    assert result.exit_code == 2
    assert "does not end with .png" in result.output


def test_control_characters_of_file_names_are_not_printed(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    for name in ("nucleus", "protein"):
        file = screen.folder() / "plate_1" / f"A01_f1_{name}.tif"
        file.rename(file.with_name(f"A01_f1\n\x1b[2J_{name}.tif"))
    assert print_check(screen)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "plate_1/A01_f1\\n\\x1b[2J_nucleus.tif" in out


def test_label_images_are_reported(tmp_path, capsys):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    grid = np.mgrid[:160, :160]
    for field in (1, 2):
        places = [
            (y + rng.integers(-9, 9), x + rng.integers(-9, 9)) for y in (30, 80, 130) for x in (30, 80, 130)
        ]
        mask = sum(n * (np.hypot(grid[0] - y, grid[1] - x) < 9) for n, (y, x) in enumerate(places, 1))
        numbers = np.where(mask > 0, (mask - 1) % 3 + 1, 0) if field == 2 else mask
        tifffile.imwrite(tmp_path / "images" / f"p_A01_f{field}_mask.tif", numbers.astype(np.uint8))
        for name in ("nucleus", "protein"):
            plane = rng.normal(100, 5, mask.shape) + 500 * (mask > 0)
            tifffile.imwrite(tmp_path / "images" / f"p_A01_f{field}_{name}.tif", plane.astype(np.uint16))
    channels = {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}, "mask": {"role": "labels"}}
    changes = {
        "channels": channels,
        "files": {"pattern": "{plate}_{well}_f{field}_{channel}.tif", "image_id": "{plate}_{well}"},
        "images": {},
        "segmentation": {"method": "labels", "options": {"channel": "mask"}},
    }
    spec = write_spec(tmp_path, root=str(tmp_path / "images"), **changes)
    assert not print_check(load_screen(spec))
    assert "p_A01_f2_mask.tif: found 3 labels in 9 separate pieces" in capsys.readouterr().out
    tiny = replace(load_screen(spec), crops=replace(load_screen(spec).crops, window_px=4))
    assert print_check(
        replace(tiny, segmentation=replace(tiny.segmentation, options={"channel": "mask", "split": True}))
    )
    out = capsys.readouterr().out
    assert "p_A01_f1_mask.tif: labels have a median area of" in out
    assert "times the crop window of 4 x 4 px" in out


def test_a_table_without_a_column_of_proteins_is_a_problem(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    assert print_check(screen)
    out = capsys.readouterr().out
    assert "proteins    4\n" in out
    assert "no protein is given" not in out
    table = screen.folder() / "images.csv"
    table.write_text(table.read_text().replace("protein,gene", "target,symbol"))
    assert print_check(screen)
    out = " ".join(capsys.readouterr().out.split())
    assert "no protein is given; each image counts as a protein of its own. Name the column" in out
    assert "(there is symbol, target)" in out
    table.write_text(table.read_text().replace("target,symbol", "target,Gene name"))
    assert print_check(screen)
    out = capsys.readouterr().out
    assert "proteins    4\n" in out
    assert "no protein is given" not in out
    values = {"table": "images.csv", "values": {"protein": "P1"}}
    assert print_check(load_screen(write_spec(tmp_path, root=str(screen.folder()), images=values)))
    out = capsys.readouterr().out
    assert "proteins    1\n" in out
    assert "no protein is given" not in out


def test_labels_in_one_image_each_are_a_problem(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1, images=2))
    assert print_check(screen)
    out = " ".join(capsys.readouterr().out.split())
    assert "benchmark of localization: each label occurs in one image only" in out
    assert "leave_field_out" not in out  # each image has one field
    for path in (screen.folder() / "plate_1").glob("*_f1_*.tif"):
        path.with_name(path.name.replace("_f1_", "_f2_")).write_bytes(path.read_bytes())
    assert print_check(screen)
    assert "set benchmark: {protocols: [leave_field_out]}" in " ".join(capsys.readouterr().out.split())
    assert print_check(replace(screen, benchmark=replace(screen.benchmark, protocols=("leave_field_out",))))
    assert "each label occurs" not in capsys.readouterr().out


def test_a_single_label_in_several_images_is_a_problem(tmp_path, capsys):
    """Any features would score 1, as each prediction would be the only label."""
    screen = load_screen(write_tiny_screen(tmp_path, plates=1, images=2))
    table = screen.folder() / "images.csv"
    columns = table.read_text().splitlines()[0].split(",")
    rows = [line.split(",") for line in table.read_text().splitlines()]
    at = columns.index("localization")
    table.write_text(
        "\n".join(
            ",".join([*row[:at], "Golgi" if n else row[at], *row[at + 1 :]]) for n, row in enumerate(rows)
        )
    )
    assert print_check(screen)
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("benchmark of localization: only the label Golgi occurs in two images or more") == 1
    assert "with several labels" not in out
    table.write_text(table.read_text().replace("Golgi", "Golgi;vacuole", 1))
    assert print_check(screen)
    assert "(1 image with several labels not among them)" in " ".join(capsys.readouterr().out.split())


def test_what_the_listing_refuses_or_doubts_the_run_says_in_the_same_words(tmp_path, capsys, monkeypatch):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1))
    monkeypatch.setenv("PCIP_DATA", str(tmp_path / "data"))
    root = screen.folder()
    (root / "plate_2").symlink_to(root / "plate_1")
    result = SimpleNamespace(
        all_events=[], get_asset_check_evaluations=list, success=True, run_id="x", execute_in_process=None
    )
    result.execute_in_process = lambda **_: result
    definitions = SimpleNamespace(resolve_job_def=lambda _: result)
    monkeypatch.setattr("pcip_assets.definitions.build_definitions", lambda *_: definitions)
    monkeypatch.setattr("pcip_assets.cli.run._jobs", lambda *_, **__: {"features": {}})
    instance = SimpleNamespace(get_dynamic_partitions=lambda _: ["plate_1"], create_run_for_job=None)
    outcome = run_screen(Workspace.current(), screen, instance=instance)
    assert print_check(screen)
    assert len(outcome.warnings) == 1
    assert f"warning     {outcome.warnings[0]}" in capsys.readouterr().out

    shutil.copytree(root / "plate_1", root / "plate_1 (1)")
    with pytest.raises(RootError, match=r"has the bytes of 'plate_1/A01_f1_nucleus.tif'") as checked:
        print_check(screen)
    with pytest.raises(RootError) as run:
        run_screen(Workspace.current(), screen, instance=instance)
    assert str(run.value) == str(checked.value)


def test_stacks_of_different_depth_and_plates_left_out_are_named(tmp_path, capsys):
    screen = load_screen(write_tiny_screen(tmp_path, plates=2))
    root = screen.folder()
    for well, depth in (("A01", 2), ("A02", 3)):
        path = root / "plate_1" / f"{well}_f1_protein.tif"
        stack = np.stack([tifffile.imread(path)] * depth)
        tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX"})
    files = replace(screen.files, project={"z": "max"}, exclude=["plate_2/"])
    print_check(replace(screen, files=files))
    out = capsys.readouterr().out
    assert "warning     focal planes of protein differ on plate plate_1: 1 in 2 files" in out
    assert "left out    plate plate_2: files.exclude leaves out all of it, 1 folder: plate_2/" in out
    assert not print_check(replace(screen, files=replace(files, project={}, only={"z": 3})))
    out = capsys.readouterr().out
    assert (
        "failure     4 of 4 images of nucleus do not have number 3 of the focal planes, as files.only says"
        in out
    )
