"""Report tables of labels to Dagster: `python -m pcip_assets.browse.reporting DATA SCREEN TABLE...`."""

import sys
from pathlib import Path

from pcip_assets.browse.assets import reported
from pcip_assets.servers.instance import open_instance
from pcip_assets.workspace import Workspace
from pcip_core.store.partitions import Store


def main(data: str, name: str, tables: list[str]) -> None:
    """Record the present rows of these tables as events of their assets."""
    workspace = Workspace(Path(data))
    screen = workspace.load(workspace.spec_path(name))
    with open_instance(workspace) as instance:
        for table in tables:
            instance.report_runless_asset_event(reported(Store(workspace.store), screen, table))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
