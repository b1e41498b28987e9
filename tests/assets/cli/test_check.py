"""`pcip check`: what it reports of layouts, platemaps and annotations."""

from __future__ import annotations

from dataclasses import replace

from pcip_assets.cli.check import print_check
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
    assert "annotations 2 of 4 images have a row; 1 of 3 rows match none of the images" in out
    assert "platemap    3 of 4 images have a row" in out
    assert "wells.csv: no row for 1 of 4 images: plate_1_A04" in out
    assert "terms       Cytosol (1), Nucleoplasm (1)" in out
    assert "3 files belong to no field: images.csv, terms.csv, wells.csv" in out


def test_a_screen_of_which_no_sampled_cell_passes_cannot_be_run(tmp_path, capsys):
    crops = {"window_px": 32, "size_px": 16, "min_cells": 2, "area_fraction": [0.9, 1.0]}
    screen = load_screen(write_tiny_screen(tmp_path, crops=crops))
    assert not print_check(screen)
    out = capsys.readouterr().out
    assert "sample      plate_1: 18 cells in 2 field(s), 0 pass" in out
    assert "plate_1_A01_1, plate_1_A03_1: none of 18 cells passes; 18: area" in out
    assert "cannot run: no cell of the sampled fields can be used" in out
    assert "no problem found" not in out


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
    assert "1 folders are links or must not be read, and are left out: plate_2/" in capsys.readouterr().out


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
