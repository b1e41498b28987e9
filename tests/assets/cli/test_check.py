"""`pcip check`: what it reports of layouts, platemaps and annotations."""

from __future__ import annotations

from pcip_assets.cli.check import print_check
from pcip_core.spec.screen import load_screen
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
    assert "annotations 4 images = 2 matched + 2 unmatched + 0 ambiguous; 1 proteins" in out
    assert "platemap    3 of 4 images have a row" in out
    assert "wells.csv: no row for 1 images: plate_1_A04" in out
    assert "terms       Cytosol (1), Nucleoplasm (1)" in out
    assert "3 files belong to no field: images.csv, terms.csv, wells.csv" in out
