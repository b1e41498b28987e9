"""Labels: what is stored of each, what another process changes meanwhile, and what is undone."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from pcip_core.browse.labels import Labels, Version, label_sets
from pcip_core.errors import StoreError, WriteError
from pcip_core.store.partitions import Store
from tests.core.browse.conftest import SET, Browsed

VERSION = Version("ada", "c0de", SET, "tiny/1")


def stored(browsed: Browsed, name: str = "manual") -> dict[str, str]:
    """Cell -> label in the store."""
    return dict(browsed.store.read("tiny", f"labels_{name}").select("cell_id", "label").rows())


def test_a_label_is_kept_with_who_when_and_of_what(browsed: Browsed) -> None:
    cells = browsed.cells
    labels = Labels(cells, "manual")
    before = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    assert labels.give(np.array([3, 50]), " mitotic ", VERSION) == 2
    row = browsed.store.read("tiny", "labels_manual").row(1, named=True)
    assert before <= row.pop("labelled_at") <= datetime.now(UTC).replace(tzinfo=None)
    whole = browsed.store.read("tiny", "cells").row(50, named=True)
    assert row == {
        **{name: whole[name] for name in ("cell_id", "image_id", "pixel_hash")},
        **{"label": "mitotic", "labelled_by": "ada", "code": "c0de"},
        **{"feature_set": SET, "encoder_version": "tiny/1"},
    }
    provenance = browsed.store.provenance("tiny", "labels_manual") or {}
    assert (provenance["asset"], provenance["commit"]) == ("labels_manual", "c0de")
    assert label_sets(cells) == ["manual"]


def test_labels_are_changed_removed_and_undone_one_by_one(browsed: Browsed) -> None:
    labels = Labels(browsed.cells, "manual")
    ids = browsed.cells.cell_id.to_list()
    labels.give(np.array([0, 1, 2]), "a", VERSION)
    assert labels.give(np.array([2, 3]), "b", VERSION) == 2
    assert labels.give(np.array([2, 3]), "b", VERSION) == 0  # no change: nothing to undo
    assert labels.remove(np.array([0, 9]), "c0de") == 1
    assert stored(browsed) == {ids[1]: "a", ids[2]: "b", ids[3]: "b"}
    assert labels.counts() == {"a": 1, "b": 2}
    assert labels.of(np.array([0, 1, 3])) == [None, "a", "b"]
    assert labels.undo("c0de") == 1
    assert labels.undo("c0de") == 2
    assert stored(browsed) == {ids[0]: "a", ids[1]: "a", ids[2]: "a"}
    assert labels.undo("c0de") == 3
    assert stored(browsed) == {}
    assert labels.undo("c0de") == 0
    assert not (labels.code >= 0).any()


def test_what_another_process_labels_is_kept(browsed: Browsed) -> None:
    first, second = (Labels(browsed.cells, "manual") for _ in range(2))
    ids = browsed.cells.cell_id.to_list()
    first.give(np.array([0, 1]), "a", VERSION)
    second.give(np.array([1, 2]), "b", VERSION)
    assert stored(browsed) == {ids[0]: "a", ids[1]: "b", ids[2]: "b"}
    first.refresh()
    assert first.of(np.arange(4)) == ["a", "b", "b", None]


def test_a_label_does_not_hold_for_other_pixels(browsed: Browsed) -> None:
    Labels(browsed.cells, "manual").give(np.array([0, 40, 41]), "a", VERSION)
    store = browsed.store
    cells, crops = store.read_with_array("tiny", "cells", "crops", "plate_2")
    first = cells["cell_id"] == browsed.cells.cell_id[40]
    recut = cells.with_columns(pixel_hash=pl.when(first).then(pl.lit("other")).otherwise("pixel_hash"))
    store.commit("tiny", {"cells": recut}, shard="plate_2", arrays={"crops": np.array(crops)})
    labels = Labels(browsed.cells, "manual")
    assert labels.of(np.array([0, 40, 41])) == ["a", None, "a"]
    assert (labels.lost, labels.counts()) == (1, {"a": 2})
    labels.give(np.array([5]), "b", VERSION)
    assert (labels.lost, len(stored(browsed))) == (1, 4)  # it stays in the table
    labels.give(np.array([40]), "b", VERSION)
    assert (labels.lost, labels.counts()) == (0, {"a": 2, "b": 2})


@pytest.mark.parametrize("name", ["", "Manual", "a-b", "1a", "a" * 41, "../x"])
def test_names_that_are_no_tables_are_refused(original: Browsed, name: str) -> None:
    with pytest.raises(StoreError, match="an invalid name; required: lower-case"):
        Labels(original.cells, name)


@pytest.mark.parametrize("label", ["", "  ", "x" * 61, "a\nb", "\x00"])
def test_labels_that_cannot_be_shown_are_refused(original: Browsed, label: str) -> None:
    with pytest.raises(StoreError, match="1 to 60 printable characters"):
        Labels(original.cells, "manual").give(np.array([0]), label, VERSION)
    assert "labels_manual" not in original.store.tables("tiny")


def test_a_full_disk_leaves_the_labels_as_they_were(browsed: Browsed, monkeypatch) -> None:
    labels = Labels(browsed.cells, "manual")
    labels.give(np.array([0]), "a", VERSION)

    def full(*_: object, **__: object) -> None:
        raise WriteError("disk", found="no space", required="space", remedy="Free some.")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "update", full)
        with pytest.raises(WriteError):
            labels.give(np.array([0, 1]), "b", VERSION)
    assert labels.of(np.array([0, 1])) == ["a", None]
    assert labels.names == ["a"]
    assert labels.undo("c0de") == 1


def test_undoing_keeps_what_another_process_has_labelled_since(browsed: Browsed) -> None:
    first, second = (Labels(browsed.cells, "manual") for _ in range(2))
    ids = browsed.cells.cell_id.to_list()
    first.give(np.array([0, 1, 2]), "a", VERSION)
    second.give(np.array([1]), "b", VERSION)
    second.remove(np.array([2]), "c0de")
    assert first.undo("c0de") == 1
    assert stored(browsed) == {ids[1]: "b"}
    first.remove(np.array([1]), "c0de")
    second.give(np.array([1]), "c", VERSION)
    assert first.undo("c0de") == 0
    assert stored(browsed) == {ids[1]: "c"}


def test_a_label_that_another_process_has_changed_can_be_given_again(browsed: Browsed) -> None:
    first, second = (Labels(browsed.cells, "manual") for _ in range(2))
    first.give(np.array([0]), "a", VERSION)
    second.give(np.array([0]), "b", VERSION)
    assert first.give(np.array([0]), "a", VERSION) == 1
    assert stored(browsed) == {browsed.cells.cell_id[0]: "a"}


def test_a_cell_that_is_named_twice_has_one_label(browsed: Browsed) -> None:
    labels = Labels(browsed.cells, "manual")
    assert labels.give(np.array([4, 4, 4]), "a", VERSION) == 1
    assert browsed.store.read("tiny", "labels_manual").height == 1
    assert labels.lost == 0
    assert labels.remove(np.array([4, 4]), "c0de") == 1
    assert stored(browsed) == {}


def test_there_are_at_most_a_hundred_labels_of_a_name(browsed: Browsed, monkeypatch) -> None:
    monkeypatch.setattr("pcip_core.browse.labels._MOST_LABELS", 2)
    labels = Labels(browsed.cells, "manual")
    labels.give(np.array([0]), "a", VERSION)
    labels.give(np.array([1]), "cafe\u0301", VERSION)
    assert labels.give(np.array([2]), "caf\u00e9", VERSION) == 1  # the same, as another keyboard writes it
    with pytest.raises(StoreError, match="found 2 other labels"):
        labels.give(np.array([3]), "c", VERSION)
    assert labels.counts() == {"a": 1, "caf\u00e9": 2}


def test_labels_are_there_after_a_kill(browsed: Browsed) -> None:
    """The process is killed as soon as the label is given, without any other warning."""
    code = (
        "import os, sys; import numpy as np; from pathlib import Path; "
        "from pcip_core.browse.cells import BrowsedCells; from pcip_core.browse.labels import Labels, Version; "
        "from pcip_core.store.partitions import Store; "
        "labels = Labels(BrowsedCells(Store(Path(sys.argv[1])), 'tiny'), 'manual'); "
        "version = Version('ada', 'c0de', 'set', 'tiny/1'); "
        "[labels.give(np.array([row]), name, version) for row, name in enumerate('abc')]; "
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(browsed.folder / "store")], check=False)
    assert done.returncode == -9
    assert list(stored(browsed).values()) == ["a", "b", "c"]
    assert Labels(browsed.cells, "manual").give(np.array([9]), "d", VERSION) == 1
