"""Images that `images.only` leaves out: each of their fields is in quarantine, and the watch is not disturbed."""

from __future__ import annotations

from pathlib import Path

from benchmarks.common.assets import call_asset
from pcip_assets.checks import counts_reconcile
from pcip_assets.definitions import screen_assets
from pcip_assets.resources import Library
from pcip_assets.sensors import known_fields
from pcip_assets.workspace import Workspace
from pcip_core.images.layout import scan
from pcip_core.images.watching import changes
from tests.conftest import write_spec, write_tiny_screen


def test_fields_that_are_left_out_are_in_quarantine(tmp_path: Path) -> None:
    """Of plate_1 one image is used, and none of plate_2, whose fields are counted with those of plate_1."""
    write_tiny_screen(tmp_path, plates=2, images=2)
    images = {"table": "images.csv", "only": {"gene": "G0"}}
    spec = write_spec(tmp_path, root=str(tmp_path / "images"), images=images)
    table = tmp_path / "images" / "images.csv"
    table.write_text(table.read_text().replace("P20,G0", "P20,G7"))
    workspace = Workspace(tmp_path / "data")
    screen = workspace.find(str(spec))
    layout = scan(screen)
    assert layout.shards() == ["plate_1"]
    (fields,) = (asset for asset in screen_assets(screen) if asset.key.path[-1] == "fields")
    library = Library(data=str(workspace.data))
    call_asset(fields, ["plate_1"], library=library)
    rejected = library.store.read(screen.name, "quarantine_fields")
    assert sorted(rejected["image_id"]) == ["plate_1_A02", "plate_2_A01", "plate_2_A02"]
    assert set(rejected["reason"]) == {f"gene is {gene}, not G0 (images.only)" for gene in ("G1", "G7")}
    assert set(rejected["shard"]) == {"plate_1"}
    assert counts_reconcile(library.store, screen, None).passed
    assert not changes(
        screen, layout.of_shard("plate_1"), known_fields(library.store, screen.name, "plate_1")
    )
