"""The partitions of a screen: one dynamic partition a shard (a plate, or a bucket of images)."""

import dagster as dg

from pcip_core.images.layout import scan
from pcip_core.spec.screen import Screen


def shards_of(screen: Screen) -> dg.DynamicPartitionsDefinition:
    """The partitions definition that all sharded assets of a screen share."""
    return dg.DynamicPartitionsDefinition(name=f"{screen.name}_shards")


def register_shards(instance: dg.DagsterInstance, screen: Screen) -> list[str]:
    """Make each shard found under the screen's root known to Dagster; returns all of them."""
    found = scan(screen).shards()
    name = f"{screen.name}_shards"
    known = set(instance.get_dynamic_partitions(name))
    new = [shard for shard in found if shard not in known]
    if new:
        instance.add_dynamic_partitions(name, new)
    return found
