"""The screens of `pcip bench scale`, small: assets and checks are made on them, and peaks are judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.platform import scale
from pcip_assets.workspace import Workspace
from pcip_core.store.partitions import Store


def test_assets_are_made_of_screens_that_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "A_SHARD", 200)
    store = Store(Workspace(tmp_path).store)
    for first in (0, 1):
        scale.fill(tmp_path, first, first + 1)
    scale.ask_asset(tmp_path, "localization_scores", scale.NAME)
    assert set(store.read(scale.NAME, "localization_scores")["group"].to_list()) == {
        *("first_only", "both", "second_only")
    }
    scale.ask_asset(tmp_path, "cell_features", scale.CROPPED, "plate_2")
    assert store.shards(scale.CROPPED, "cell_features_inpainting_conv1") == ["plate_2"]
    for name in scale.CHECKS:
        scale.ask_check(tmp_path, name)
    scale.ask_publish(tmp_path)


def test_peaks_are_judged_at_the_largest_size() -> None:
    flat, grows = (list(scale.rows_of("x", dict(zip(scale.SIZES, peaks, strict=True))))
                   for peaks in ((400, 410, 430, 500), (400, 500, 700, 501)))  # fmt: skip
    assert [row.held for row in flat] == [None, None, None, True]
    assert [row.held for row in grows] == [None, None, None, False]
    assert flat[-1].ratio == 1.25
