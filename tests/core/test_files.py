"""Files are replaced whole; numbers within names sort by their value."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from pcip_core.files import file_name, natural_key, replacing


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_replaced_at_the_end(tmp_path: Path, *, sync: bool) -> None:
    path = tmp_path / "folder" / "scores.csv"
    with replacing(path, sync=sync) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with replacing(path, sync=sync) as temporary:
        temporary.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "scores.csv"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_numbers_sort_by_value_whatever_the_order_before() -> None:
    wanted = [
        "",
        "2",
        "10",
        "10a",
        "plate",
        "plate_1",
        "plate_2",
        "plate_10",
        "plate_10_2",
        "plate_10_11",
        "²",
    ]
    for names in [*permutations(wanted[:6]), wanted[::-1]]:
        assert sorted(names, key=natural_key) == wanted[: len(names)]


def test_the_natural_order_has_no_ties() -> None:
    assert sorted(["p2", "p02", "p002", "p1"], key=natural_key) == ["p1", "p002", "p02", "p2"]
    assert natural_key("p2") != natural_key("p02")


def test_names_of_figures() -> None:
    assert file_name("enrichment_U-2 OS/nucleus+1.5") == "enrichment_U-2_OS_nucleus+1.5"
    assert file_name("../é") == ".._"
