"""A screen that grows while nobody looks: its sensor, tick by tick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import tifffile

from pcip_assets.definitions import build_definitions
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from pcip_core.errors import RootError
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect
from tests.assets.conftest import Finished, add_plate, damage
from tests.conftest import write_tiny_screen


class Ticks:
    """The sensor of a screen, ticked by hand; keeps the cursor."""

    def __init__(self, own: Finished) -> None:
        self.definitions = build_definitions(own.workspace, [own.screen])
        self.instance = own.dagster
        self.sensor = self.definitions.get_sensor_def("tiny_watch")
        self.cursor: str | None = None

    def tick(self) -> dg.SensorResult:
        """One evaluation; its requests of partitions are carried out, as the daemon would."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=self.definitions
        )
        result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        for request in result.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return result

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """What the daemon would launch."""
        job = self.definitions.resolve_job_def("tiny_shards")
        return job.execute_in_process(instance=self.instance, partition_key=request.partition_key)


def test_the_sensor_is_off_until_somebody_switches_it_on(finished: Finished) -> None:
    sensor = build_definitions(finished.workspace, [finished.screen]).get_sensor_def("tiny_watch")
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED


def test_a_folder_that_is_gone_fails_the_tick(tmp_path: Path) -> None:
    """A skipped tick would look as if nothing had changed."""
    workspace = Workspace(tmp_path / "data")
    screen = workspace.find(str(write_tiny_screen(tmp_path, plates=1, images=2)))
    sensor = build_definitions(workspace, [screen]).get_sensor_def("tiny_watch")
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with dg.instance_for_test() as instance, pytest.raises(RootError, match="no such folder"):
        sensor(dg.build_sensor_context(instance=instance))


def test_a_plate_that_arrives_flows_to_features(own: Finished) -> None:
    assert own.again().success  # its images lie in another place than those of the first run
    root, ticks = Path(str(own.screen.root)), Ticks(own)
    assert not ticks.tick().run_requests
    add_plate(root, "plate_1", "plate_3")
    first = ticks.tick()
    assert not first.run_requests, "files may still be arriving"
    second = ticks.tick()
    assert second.run_requests is not None
    assert [request.partition_key for request in second.run_requests] == ["plate_3"]
    before = own.commits()
    assert ticks.run(second.run_requests[0]).success
    after = own.commits()
    assert {shard for (_, shard), commit in after.items() if before.get((_, shard)) != commit} == {"plate_3"}
    assert Tracking(data=str(own.workspace.data)).champion("tiny").version == "tiny/1"
    with connect(own.workspace.published) as con:
        found = con.sql(
            "SELECT count(*), any_value(encoder_version) FROM tiny.cell_features_inpainting_conv4 "
            "WHERE shard = 'plate_3'"
        ).fetchall()
    assert found == [(36, "tiny/1")]
    third = ticks.tick()
    assert not third.run_requests
    assert not third.asset_events


def test_adding_a_shard_reads_no_other_but_for_twins(own: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(own)
    add_plate(Path(str(own.screen.root)), "plate_1", "plate_3")
    ticks.instance.add_dynamic_partitions("tiny_shards", ["plate_3"])
    opened = _partitions_read(monkeypatch)
    assert ticks.run(dg.RunRequest(partition_key="plate_3")).success
    assert {(table, shard) for table, shard in opened if shard in ("plate_1", "plate_2")} == {
        ("cells", "plate_1"),
        ("cells", "plate_2"),
    }


def _partitions_read(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str | None]]:
    """(table, shard) of every partition that the store reads from now on; it fills while the test runs."""
    opened: set[tuple[str, str | None]] = set()
    read, batches, read_with_array = Store.read, Store.batches, Store.read_with_array
    schema, provenance = Store.schema, Store.provenance

    def note(store: Store, screen: str, table: str, shards: Sequence[str] | None) -> None:
        opened.update((table, shard) for shard in (store.shards(screen, table) if shards is None else shards))

    def noted_read(self: Store, screen: str, table: str, **options: Any) -> Any:
        note(self, screen, table, options.get("shards"))
        return read(self, screen, table, **options)

    def noted_batches(self: Store, screen: str, table: str, **options: Any) -> Any:
        note(self, screen, table, options.get("shards"))
        return batches(self, screen, table, **options)

    def noted_read_with_array(self: Store, screen: str, table: str, array: str, shard: str) -> Any:
        note(self, screen, table, [shard])
        return read_with_array(self, screen, table, array, shard)

    def noted_schema(self: Store, screen: str, table: str, *, shard: str | None = None) -> Any:
        opened.add((table, shard))
        return schema(self, screen, table, shard=shard)

    def noted_provenance(self: Store, screen: str, table: str, shard: str | None = None) -> Any:
        opened.add((table, shard))
        return provenance(self, screen, table, shard)

    monkeypatch.setattr(Store, "read", noted_read)
    monkeypatch.setattr(Store, "batches", noted_batches)
    monkeypatch.setattr(Store, "read_with_array", noted_read_with_array)
    monkeypatch.setattr(Store, "schema", noted_schema)
    monkeypatch.setattr(Store, "provenance", noted_provenance)
    return opened


def test_changed_and_removed_files_are_marked_by_content_and_made_again_on_request(own: Finished) -> None:
    root, ticks = Path(str(own.screen.root)), Ticks(own)
    ticks.tick()
    ticks.tick()
    touched = root / "plate_1" / "A02_f1_protein.tif"
    touched.write_bytes(touched.read_bytes())  # another date, the same bytes
    changed = root / "plate_1" / "A01_f1_protein.tif"
    tifffile.imwrite(changed, np.flipud(tifffile.imread(changed)))
    for path in (root / "plate_2").glob("A03_f1_*.tif"):
        path.unlink()
    assert not ticks.tick().asset_events
    result = ticks.tick()
    assert not result.run_requests, "nothing is made again unasked"
    marks = {event.partition: event.metadata for event in result.asset_events}
    assert marks["plate_1"]["fields"].value == ["changed: plate_1_A01_1"]
    assert marks["plate_2"]["fields"].value == ["removed: plate_2_A03_1"]
    assert own.again().success
    touched.write_bytes(touched.read_bytes())
    ticks.tick()
    assert not ticks.tick().asset_events, "made again: nothing to mark"


def test_a_bad_field_that_stays_bad_is_not_news(own: Finished) -> None:
    root, ticks = Path(str(own.screen.root)), Ticks(own)
    damage(root / "plate_1" / "A01_f1_protein.tif")
    assert own.again().success
    ticks.tick()
    assert not ticks.tick().asset_events
