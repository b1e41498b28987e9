"""Handed cases: each has an expectation, and the grades tell right from refused and wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from benchmarks.cases import listing
from benchmarks.cases.case import REFUSED, RIGHT, WRONG, Attempt, Case, Result, Trial, judged
from benchmarks.platform import cases

SPEC = {
    "name": "case",
    "organism": "yeast",
    "root": "root",
    "channels": {"dna": {"role": "structural"}, "protein": {"role": "protein"}},
    "files": {"pattern": "{plate}/{well}_{channel}.tif", "image_id": "{plate}_{well}"},
    "shards": {"buckets": 1},
    "segmentation": {"method": "otsu", "options": {"channel": "dna", "min_area_px": 20}},
    "crops": {"window_px": 24, "size_px": 16, "min_cells": 2},
}


def written(folder: Path) -> Path:
    """A case of two wells, one of them in a plate that stands for a link."""
    rng = np.random.default_rng(0)
    (folder / "root").mkdir(parents=True)
    for place, well in (("store/P1", "A01"), ("root/P2", "A01")):
        (folder / place).mkdir(parents=True)
        for channel in ("dna", "protein"):
            plane = rng.normal(100, 5, (64, 64))
            plane[20:30, 20:30] += 500
            plane[40:50, 30:40] += 500
            tifffile.imwrite(folder / place / f"{well}_{channel}.tif", plane.astype(np.uint16))
    (folder / "root" / "P1").write_text("../store/P1")
    (folder / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    return folder


def test_an_attempt_scans_reads_and_checks_a_copy(tmp_path: Path) -> None:
    folder = written(tmp_path / "case")
    case = Case("case", "two plates", lambda trial: Result(RIGHT, ""), links=("root/P1",))
    trial = Trial(case, folder, tmp_path / "copy")
    attempt = trial.attempt()
    assert attempt.part("plate") == ["P1", "P2"]
    assert attempt.passed
    assert attempt.summary() == "2 fields, 2 of them readable, in 2 images"
    assert attempt.cells() == {"P1_A01": 2, "P2_A01": 2}
    assert attempt.says("example", "dna: P1/A01_dna.tif")
    assert not attempt.says("^case:")
    changed = trial.attempt(
        changes={"files.image_id": "{well}", "crops.size_px": 32, "files.only": {"plate": "P2"}}
    )
    assert (changed.part("plate"), changed.fields[0].image_id) == (["P2"], "A01")
    wrong = trial.attempt(changes={"files.pattern": None})
    assert "files.pattern" in wrong.error
    assert (folder / "root" / "P1").read_text() == "../store/P1"


def test_grades_tell_right_from_refused_and_wrong() -> None:
    refused = Attempt(error="platemap.csv: found two rows for well A01")
    silent = Attempt(report="title\n  no problem found\n")
    assert judged(silent, right=True).grade == RIGHT
    assert judged(silent, right=False, named="A01").grade == WRONG
    assert judged(refused, right=False, named="A01").grade == WRONG  # without a remedy
    assert judged(refused, right=False, named="A01", remedies={"a row removed": True}).grade == REFUSED
    assert judged(refused, right=True, named="A01", remedies={"a row removed": False}).grade == WRONG
    assert judged(Attempt(error="traceback: KeyError: 'x'"), right=True).grade == WRONG


def test_a_case_that_fails_or_is_unknown_is_not_right(tmp_path: Path, monkeypatch, capsys) -> None:
    def fails(trial: Trial) -> Result:
        raise ValueError(trial.folder.name)

    written(tmp_path / "known")
    written(tmp_path / "unknown")
    monkeypatch.setattr(cases, "FOLDER", tmp_path)
    monkeypatch.setattr(cases, "CASES", [Case("known", "nothing", fails)])
    total, known, unknown = cases.handed()
    assert (total.value, total.against_value, total.held) == (0, 2, False)
    assert (known.held, unknown.held) == (False, False)
    assert "ValueError: case" in capsys.readouterr().out
    monkeypatch.setattr(cases, "FOLDER", tmp_path / "absent")
    (row,) = cases.handed()
    assert "not here" in row.what
    assert row.value is None


def test_every_handed_folder_has_an_expectation() -> None:
    if not cases.FOLDER.is_dir():
        pytest.skip(f"the handed cases are not here ({cases.FOLDER}); they cannot be distributed with pcip")
    names = [case.folder for case in cases.CASES]
    assert sorted(names) == sorted(path.name for path in cases.FOLDER.iterdir() if path.is_dir())


def test_files_are_made_up_to_a_number(tmp_path: Path) -> None:
    root = tmp_path / "images"
    for size in (10, 3100):
        assert listing._written(root, size) == size
        assert len(list(root.rglob("*.tif"))) == size
    assert (root / "wells.csv").read_text().startswith("well,protein\nA01,P0\n")
