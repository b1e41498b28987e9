"""A plate that cannot be read is a row of the table `quarantine`, with the reason; its neighbour is used."""

from __future__ import annotations

from pathlib import Path

from benchmarks.common.hostile import hand_made, write_case
from pcip_assets.assets.main.fields import _checked
from pcip_core.images.annotations import match_tables
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash


def test_a_plate_without_wells_is_in_quarantine(tmp_path: Path) -> None:
    _, screen = write_case("zarr", hand_made("zarr").index("wells: null"), tmp_path / "case")
    layout = scan(screen)
    assert layout.shards() == ["intact", "spoilt"]
    hashes = {field.field_id: content_hash(screen, field) for field in layout.fields}
    tables = match_tables(screen, layout.with_left_out())
    workspace = screen.folder().parent
    good, bad = (_checked(screen, layout, shard, hashes, tables, workspace) for shard in layout.shards())
    assert good.tables["fields"].height == 2
    assert good.tables["quarantine_fields"].height == 0
    assert bad.tables["fields"].height == 0
    (row,) = bad.tables["quarantine_fields"].to_dicts()
    assert "wells: None" in row["reason"]
    assert row["file"] == "root/spoilt", "a path in the workspace holds after the workspace was moved"
    assert row["reason"].startswith("root/spoilt: ")
    assert row["content_hash"] == hashes["spoilt_unreadable_unreadable"]
    assert (bad.metadata["fields_found"], bad.metadata["fields_quarantined"]) == (1, 1)
