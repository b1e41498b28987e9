"""The partitions of a screen: one dynamic partition per shard (a plate, or a bucket of images)."""

import dagster as dg

from pcip_core.images.layout import Layout, scan
from pcip_core.spec.screen import Screen


def shards_of(screen: Screen) -> dg.DynamicPartitionsDefinition:
    """The partitions of all sharded assets of a screen."""
    return dg.DynamicPartitionsDefinition(name=f"{screen.name}_shards")


def register_shards(instance: dg.DagsterInstance, screen: Screen, layout: Layout | None = None) -> list[str]:
    """Register every shard under the screen's root with Dagster; return their names.

    Args:
        instance: of Dagster.
        screen: the spec.
        layout: the files under the root, if they have been listed.
    """
    from sqlalchemy.exc import IntegrityError  # 10 MiB, which a process without an instance need not hold

    shards = (layout or scan(screen)).shards()
    name = f"{screen.name}_shards"
    while new := sorted(set(shards) - set(instance.get_dynamic_partitions(name)), key=shards.index):
        try:
            instance.add_dynamic_partitions(name, new)
        except IntegrityError:
            continue  # another run registered some of them at the same time; the others are left
    return shards
