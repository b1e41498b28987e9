"""A damaged screen keeps its published rows, the others are published, and the publication fails and says so."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pcip_core.errors import StoreError
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from pcip_core.store.publishing.spare import spare_of
from tests.core.store import small
from tests.core.store.small import ask, whole_of

TABLE = f"cell_features_{small.SET}"


def seeds(path: Path) -> dict[str, float]:
    """One number of the published features of each screen."""
    return {
        screen: ask(path, f"SELECT sum(features[1]) FROM {screen}.{TABLE}")[0][0]
        for screen in ("scr", "other")
    }


def damage(store: Store, how: str) -> Path:
    """Damage a partition of the screen `scr`, or its journal; the damaged file."""
    part = store.root / "scr" / TABLE / "shard=plate_1" / "part.parquet"
    if how == "journal":
        part = store.root / "scr" / ".journal"
        part.write_text("{")
    elif how == "header":
        part.write_bytes(b"garbage")
    else:  # the last values of a column, which only reading the rows shows
        column = pq.read_metadata(part).row_group(0).column(0)
        content, end = bytearray(part.read_bytes()), column.data_page_offset + column.total_compressed_size
        content[end - 4 : end] = b"xxxx"
        part.write_bytes(content)
    return part


@pytest.mark.parametrize(("how", "spare"), [("journal", "none"), ("header", "level"), ("page", "behind")])
def test_the_other_screens_are_published_and_the_damaged_one_keeps_its_rows(
    filled: Store, path: Path, tmp_path: Path, how: str, spare: str
) -> None:
    """Whether the spare holds the published rows of the damaged screen or those before."""
    small.commit_plate(filled, "other", "plate_1")
    publish(filled, path)
    if spare == "none":
        spare_of(path).unlink()
    else:
        small.commit_features(filled, "scr" if spare == "behind" else "other", "plate_1", seed=1)
        publish(filled, path)
    before, tables = seeds(path), whole_of(path)
    small.commit_features(filled, "scr", "plate_1", seed=2)
    small.commit_features(filled, "scr", "plate_2", seed=2)
    small.commit_features(filled, "other", "plate_1", seed=2)
    damaged = damage(filled, how)
    for loaded in ("1 partitions loaded", "no changes"):
        with pytest.raises(StoreError) as error:
            publish(filled, path)
        assert re.match(
            rf"{re.escape(str(damaged))}: found .*Until then, feature_store.duckdb shows the earlier results of scr, "
            rf"if any. The results of the other screens are published \({loaded}",
            str(error.value),
        )
        after = seeds(path)
        assert after["scr"] == before["scr"]
        assert after["other"] != before["other"]
        now = whole_of(path)
        assert {name for name in tables if tables[name] != now[name]} == {
            *(f"other.{TABLE}", "other.scales", "main.feature_sets", "main.published")
        }
    damaged.unlink()
    small.commit_features(filled, "scr", "plate_1", seed=3)
    publish(filled, path)
    publish(filled, tmp_path / "fresh.duckdb")
    assert whole_of(path) == whole_of(tmp_path / "fresh.duckdb")


def test_a_damaged_screen_does_not_stop_a_first_publication(filled: Store, path: Path) -> None:
    small.commit_plate(filled, "other", "plate_1")
    damage(filled, "header")
    path.unlink()
    with pytest.raises(StoreError, match=r"other screens are published \(10 partitions loaded"):
        publish(filled, path)
    assert ask(path, "SELECT DISTINCT screen FROM main.published") == [("other",)]
