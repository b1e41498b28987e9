"""What the paragraph on the methods of a screen states: the lineage of its feature set, and what decides the text."""

from typing import Any

from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.records.settings import trained_as
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen


def deciding(library: Library, screen: Screen) -> dict[str, Any]:
    """What decides the paragraph, beside the tables of results."""
    from pcip_core.report.methods import installed_versions

    sections = screen.section("segmentation", "crops", "illumination", "encoder", "encoder_from")
    return {
        "methods": [screen.pixel_um, sections],
        "trained": str(trained_as(library.workspace, screen)),
        "versions": installed_versions(),
    }


def feature_set_provenance(library: Library, screen: Screen) -> dict[str, Any]:
    """The provenance of the feature set of a screen, as `main.feature_sets` shows it."""
    table = PREFIX + screen.feature_set
    shard = library.store.shards(screen.name, table)[-1]
    return library.store.provenance(screen.name, table, shard) or {}


def lineage_facts(library: Library, screen: Screen) -> dict[str, Any]:
    """The training and the code that the feature set of a screen comes from: attributes of `Facts`."""
    source = feature_set_provenance(library, screen)
    version = source.get("encoder_version", "")
    trained = trained_as(library.workspace, screen)
    if trained is not None and trained.version != version:
        trained = None
    return {
        "encoder_version": version,
        "trained": trained.settings if trained is not None else None,
        "trained_on": trained.cells if trained is not None else None,
        "commit": source.get("commit", ""),
    }
