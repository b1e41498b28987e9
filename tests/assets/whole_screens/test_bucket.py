"""A workspace whose store lies in a bucket has the results of one whose store is a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from pcip_core.store.places import place
from pcip_core.store.publish import answer
from tests.assets.conftest import Finished, run_tiny
from tests.core.store.places.s3_server import BUCKET, S3Server, make_bucket
from tests.results import tables_of


def test_a_run_with_its_store_in_a_bucket(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place._bucket.cache_clear()
    with S3Server() as server:
        make_bucket(server)
        for name, value in {**server.settings, "PCIP_CACHE": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "store").write_text(f"s3://{BUCKET}/some/prefix\n")
        run = run_tiny(tmp_path)
        assert run.outcome.success, run.outcome.error
        assert (tmp_path / "data" / "store").is_file()
        mine, expected = tables_of(run.store, "tiny"), tables_of(finished.store, "tiny")
        assert sorted(mine) == sorted(expected)
        for table, rows in expected.items():
            assert_frame_equal(mine[table], rows)
        shards = finished.store.shards("tiny", "cells")
        assert len(shards) == 2
        for shard in shards:
            ours, theirs = (
                store.read_with_array("tiny", "cells", "crops", shard)[1]
                for store in (run.store, finished.store)
            )
            assert (ours == theirs).all()
        query = "SELECT cell_id, features FROM tiny.cell_features_inpainting_conv3 ORDER BY cell_id"
        published = [answer(each.workspace.published, query) for each in (run, finished)]
        assert_frame_equal(*published)
        commits = run.commits()
        assert run.again().success
        assert run.commits() == commits
