"""The Dagster resource for the feature store. MLflow's resource is in `tracking`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from pcip_assets.recovery.killed_runs import record_process
from pcip_assets.workspace import Workspace
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish


class Library(dg.ConfigurableResource):
    """The feature store. It is published at the end of each run, including failed runs."""

    data: str
    _store: Store = PrivateAttr()

    @property
    def workspace(self) -> Workspace:
        """The folders of the workspace."""
        return Workspace(Path(self.data))

    @property
    def store(self) -> Store:
        """The Parquet partitions."""
        return self._store

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Library"]:
        """Open the store; publish it when the run ends."""
        record_process(context)
        self._store = Store(self.workspace.store)
        try:
            yield self
        finally:
            result = publish(self._store, self.workspace.published)
            if context.log is not None:
                context.log.info(f"published {self.workspace.published.name}: {result}")
