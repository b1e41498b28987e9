"""Unpacked archives, real ones among them, are compared with what pcip needs and the paper reports."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pcip_core.errors import FetchError
from pcip_core.fetch.archives import ARCHIVES, check_archive
from tests.conftest import real_folder
from tests.core.fetch.yeast_fields import write_fields


def test_a_part_of_a_screen_can_be_used_and_the_missing_proteins_are_reported(tmp_path):
    write_fields(tmp_path, 3, 4)
    report = check_archive("cyclops_wt2", tmp_path)
    assert report.problems == []
    assert report.counts == {"proteins": 3, "fields": 12, "files": 24, "other files": 0}
    assert report.missing == ["proteins: 3 here, 4,138 in the screen (4,069 after the paper's filter)"]


def test_a_missing_channel_a_damaged_field_and_few_fields_are_reported(tmp_path):
    write_fields(tmp_path, 2, 2)
    (tmp_path / "plate_1/YBR000W-A_1_gfp.tif").unlink()
    (tmp_path / "plate_1/YBR001W-A_1_rfp.tif").write_bytes(b"II*\0")
    (tmp_path / "notes.txt").write_text("x")
    report = check_archive("nup49_rfp", tmp_path)
    assert report.counts["other files"] == 1
    assert "channel gfp: no file for 1 of 4" in report.problems[0]
    assert any("YBR001W-A_1_rfp.tif" in problem for problem in report.problems)
    assert any("2 proteins have fewer than 3" in missing for missing in report.missing)


def test_a_folder_with_other_files_is_refused_with_the_layout_and_an_example(tmp_path):
    (tmp_path / "image1.flex").write_text("x")
    (problem,) = check_archive("nop1pr_gfp", tmp_path).problems
    assert "<protein>_<field>_<brightfield|gfp>.tif" in problem
    assert "image1.flex" in problem


def test_published_crops_of_cyclops_are_recognized():
    report = check_archive("cyclops_wt2", real_folder("yeast_cells"))
    assert report.problems == []
    assert report.counts == {
        "proteins": 3,
        "fields": 12,
        "files": 1754,
        "other files": 0,
        "cells, already cropped": 877,
    }


def _write_chong(path: Path, cells: int, **changes: np.ndarray | None) -> None:
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(cells)
    content = {
        "data1": rng.random((cells, 8192), dtype=np.float32),
        "Index1": np.eye(3)[np.arange(cells) % 3],
        "Index1_columns": np.array([b"Actin", b"Spindle", b"Spindle Pole"]),
        "Info1": rng.random((cells, 2)),
        "Info1_columns": np.array([b"Area", b"Mean"]),
    }
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, value in (content | changes).items():
            if value is not None:
                file[key] = value


def test_the_labelled_cells_archives_are_counted_by_class(tmp_path):
    for part, cells in (("train", 6), ("valid", 4), ("test", 3)):
        _write_chong(tmp_path / "datasets" / f"Chong_{part}_set.hdf5", cells)
    report = check_archive("chong_labelled_cells", tmp_path)
    assert report.problems == []
    assert report.counts == {
        "archives": 3,
        "cells": 13,
        "class Actin": 5,
        "class Spindle": 4,
        "class Spindle Pole": 4,
    }
    assert report.missing == ["cells: 13 here, 30,889 in the paper"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Index1_columns": None}, "no Index1_columns"),
        ({"data1": np.zeros((3, 100), np.float32)}, "data1 is (3, 100)"),
        ({"Index1": np.ones((3, 3))}, "not one-hot"),
        ({"Index1": np.eye(2)}, "Index1 is (2, 2)"),
        ({"data1": np.full((3, 8192), np.nan, np.float32)}, "NaN"),
    ],
)
def test_an_archive_with_invalid_contents_is_reported(tmp_path, changes, message):
    _write_chong(tmp_path / "x" / "Chong_test_set.hdf5", 3, **changes)
    report = check_archive("chong_labelled_cells", tmp_path)
    assert len(report.problems) == 1
    assert message in report.problems[0]


def test_a_missing_a_packed_and_a_damaged_archive_are_reported(tmp_path):
    assert "none of Chong_train_set.hdf5" in check_archive("chong_labelled_cells", tmp_path).problems[0]
    (tmp_path / "DeepLoc_full_datasets.zip").write_bytes(b"PK")
    assert "DeepLoc_full_datasets.zip" in check_archive("chong_labelled_cells", tmp_path).problems[0]
    pytest.importorskip("h5py")
    (tmp_path / "Chong_test_set.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert (
        "Chong_test_set.hdf5: cannot be read" in check_archive("chong_labelled_cells", tmp_path).problems[0]
    )


def test_a_real_archive_without_class_names_is_reported(tmp_path):
    pytest.importorskip("h5py")
    real = real_folder("yeast_labelled_crops") / "Schuldiner_test_set.hdf5"
    shutil.copy(real, tmp_path / "Chong_test_set.hdf5")
    assert "no Index1_columns" in check_archive("chong_labelled_cells", tmp_path).problems[0]


def test_unknown_names_and_folders_are_errors(tmp_path):
    with pytest.raises(FetchError, match=f"one of {next(iter(ARCHIVES))}"):
        check_archive("cyclops", tmp_path)
    with pytest.raises(FetchError, match="no such folder"):
        check_archive("cyclops_wt2", tmp_path / "x")
