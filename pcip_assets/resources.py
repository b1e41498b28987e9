"""What assets are given: the library of tables and crops, and the tracking of trainings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from pcip_assets.workspace import Workspace
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish


class Library(dg.ConfigurableResource):
    """The feature store. Whatever a run changed is published when the run ends, also when it fails."""

    data: str
    _store: Store = PrivateAttr()

    @property
    def workspace(self) -> Workspace:
        """The folders."""
        return Workspace(Path(self.data))

    @property
    def store(self) -> Store:
        """The Parquet partitions."""
        return self._store

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Library"]:
        """Open the store; publish it at the end."""
        self._store = Store(self.workspace.store)
        try:
            yield self
        finally:
            result = publish(self._store, self.workspace.published)
            if context.log is not None:
                context.log.info(f"published {self.workspace.published.name}: {result}")
