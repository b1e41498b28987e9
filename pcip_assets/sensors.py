"""Growing screens: a sensor a screen that watches its root. Switched on in the Dagster UI; off at first.

A shard whose files have stopped changing becomes a partition and, once the screen has an encoder, is brought to
features with it, touching only its own partitions. Training is never started. Files of a shard that was made
and that have other content since, or are gone, are marked by an observation of `fields`; `pcip run`, or
materializing the partition, makes again what has changed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pcip_assets.partitions import shards_of
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from pcip_core.errors import PcipError
from pcip_core.images.layout import scan
from pcip_core.images.watching import Changes, changes, stamps
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store

_EVERY_S = 60


@dataclass
class Cursor:
    """What the last tick saw, by shard: the stamp of its files, and the stamp that was compared by content."""

    seen: dict[str, str] = field(default_factory=dict)
    compared: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str | None) -> "Cursor":
        """The cursor of a sensor's text."""
        return cls(**json.loads(text)) if text else cls()

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def known_fields(store: Store, screen: str, shard: str) -> dict[str, str]:
    """field id -> content hash of every field that was found when the shard was made, the bad ones too."""
    known: dict[str, str] = {}
    for table in ("fields", "quarantine_fields"):
        rows = store.read(screen, table, shards=[shard], columns=["field_id", "content_hash"])
        known |= dict(zip(*(rows[name].to_list() for name in ("field_id", "content_hash")), strict=True))
    return known


def build_sensor(
    screen: Screen, workspace: Workspace, job: UnresolvedAssetJobDefinition
) -> dg.SensorDefinition:
    """The sensor of one screen; `job` brings one shard to features."""

    @dg.sensor(
        name=f"{screen.name}_watch",
        job=job,
        minimum_interval_seconds=_EVERY_S,
        description=f"Watches the root of {screen.name}: new shards flow to features, changed files are marked.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            layout = scan(screen)
            now = stamps(screen, layout)
        except PcipError as error:
            return dg.SkipReason(str(error))
        store, cursor = Store(workspace.store), Cursor.of(context.cursor)
        made = set(store.shards(screen.name, "fields"))
        settled = [shard for shard in layout.shards() if cursor.seen.get(shard) == now[shard]]
        new = [shard for shard in settled if shard not in made]
        marked: dict[str, Changes] = {}
        for shard in settled:
            if shard in made and cursor.compared.get(shard) != now[shard]:
                found = changes(screen, layout.of_shard(shard), known_fields(store, screen.name, shard))
                if found:
                    marked[shard] = found
                cursor.compared[shard] = now[shard]
        for shard in made - set(now) - {s for s, stamp in cursor.compared.items() if stamp == _GONE}:
            marked[shard] = Changes(removed=list(known_fields(store, screen.name, shard)))
            cursor.compared[shard] = _GONE
        ready = Tracking(data=str(workspace.data)).has_champion(screen.encoder_screen)
        return dg.SensorResult(
            run_requests=_requests(new, now) if ready else [],
            skip_reason=None if ready or not new else f"{', '.join(new)} wait for the first encoder",
            dynamic_partitions_requests=[shards_of(screen).build_add_request(new)] if new else [],
            asset_events=[_mark(screen, shard, found) for shard, found in marked.items()],
            cursor=str(Cursor(now, cursor.compared)),
        )

    return watch


_GONE = "gone"


def _requests(shards: list[str], now: Mapping[str, str]) -> list[dg.RunRequest]:
    """One run a shard; the same files are never asked for twice, so that a bad shard does not run for ever."""
    return [dg.RunRequest(run_key=f"{shard} {now[shard]}", partition_key=shard) for shard in shards]


def _mark(screen: Screen, shard: str, found: Changes) -> dg.AssetObservation:
    lines = found.lines()
    return dg.AssetObservation(
        asset_key=[screen.name, "fields"],
        partition=shard,
        description=f"{len(lines)} fields are not what they were; materialize {shard} to make them again",
        metadata={name: len(getattr(found, name)) for name in ("changed", "removed", "added")}
        | {"fields": lines[:20]},
    )
