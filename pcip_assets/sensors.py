"""Growing screens: one sensor per screen watches the folder of its images. It is off until you switch it on in Dagster.

When the files of a new shard have stopped changing, the sensor registers the shard as a partition. If the screen has
an encoder, it also requests a run that takes the shard to features and touches no other partition. It never starts
training. When files of a shard that was already made have changed content or are gone, the sensor records an
observation of `fields`; run `pcip run`, or materialize the partition, to make the changed results again.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import dagster as dg

from pcip_assets.dagster_compat import AssetJob
from pcip_assets.partitions import shards_of
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from pcip_core.images.layout import scan
from pcip_core.images.watching import Changes, changes, stamps
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store
from pcip_core.words import many

_EVERY_S = 60
_SHOWN = 20  # changed fields in the metadata
_GONE = "gone"


@dataclass
class Cursor:
    """State of the last tick, by shard: the stamp of its files, and the stamp whose content was compared."""

    seen: dict[str, str] = field(default_factory=dict)
    compared: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str | None) -> "Cursor":
        """Read the cursor from the text that Dagster stores."""
        return cls(**json.loads(text)) if text else cls()

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def known_fields(store: Store, screen: str, shard: str) -> dict[str, str]:
    """field id -> content hash of every field read when the shard was made, those in quarantine included."""
    columns = ["field_id", "content_hash"]
    known: dict[str, str] = {}
    for table in ("fields", "quarantine_fields"):
        fields = store.read(screen, table, shards=[shard], columns=columns)
        known |= dict(fields.select(columns).drop_nulls().iter_rows())
    return known


def build_sensor(screen: Screen, workspace: Workspace, job: AssetJob) -> dg.SensorDefinition:
    """The sensor of one screen; `job` takes one shard to features."""

    @dg.sensor(
        name=f"{screen.name}_watch",
        job=job,
        minimum_interval_seconds=_EVERY_S,
        description=f"Watches the images of {screen.name}: takes new shards to features and reports changed files.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        layout = scan(
            screen
        )  # a folder that is gone fails the tick: a skipped one would look like nothing new
        now = stamps(screen, layout)
        store, cursor = Store(workspace.store), Cursor.of(context.cursor)
        made = set(store.shards(screen.name, "fields"))
        settled = [shard for shard in layout.shards() if cursor.seen.get(shard) == now[shard]]
        new = [shard for shard in settled if shard not in made]
        changed: dict[str, Changes] = {}
        for shard in settled:
            if shard in made and cursor.compared.get(shard) != now[shard]:
                difference = changes(screen, layout.of_shard(shard), known_fields(store, screen.name, shard))
                if difference:
                    changed[shard] = difference
                cursor.compared[shard] = now[shard]
        for shard in made - set(now) - {s for s, stamp in cursor.compared.items() if stamp == _GONE}:
            changed[shard] = Changes(removed=list(known_fields(store, screen.name, shard)))
            cursor.compared[shard] = _GONE
        ready = Tracking(data=str(workspace.data)).has_champion(screen.encoder_screen)
        return dg.SensorResult(
            run_requests=_requests(new, now) if ready else [],
            skip_reason=None if ready or not new else f"no encoder yet for {', '.join(new)}",
            dynamic_partitions_requests=[shards_of(screen).build_add_request(new)] if new else [],
            asset_events=[_observation(screen, shard, difference) for shard, difference in changed.items()],
            cursor=str(Cursor(now, cursor.compared)),
        )

    return watch


def _requests(shards: list[str], now: Mapping[str, str]) -> list[dg.RunRequest]:
    """One run per shard; the run key keeps the same files from being run twice, should the run fail."""
    return [dg.RunRequest(run_key=f"{shard} {now[shard]}", partition_key=shard) for shard in shards]


def _observation(screen: Screen, shard: str, difference: Changes) -> dg.AssetObservation:
    lines = difference.lines()
    return dg.AssetObservation(
        asset_key=[screen.name, "fields"],
        partition=shard,
        description=f"{many(len(lines), 'field', does='have')} changed; materialize {shard} to make its results again",
        metadata={name: len(getattr(difference, name)) for name in ("changed", "removed", "added")}
        | {"fields": lines[:_SHOWN]},
    )
