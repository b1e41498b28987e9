"""The Dagster resource for the feature store. MLflow's resource is in `tracking`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from pcip_assets.recovery.killed_runs import record_process
from pcip_assets.workspace import Workspace
from pcip_core.errors import StoreError
from pcip_core.files import writing
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish


class Library(dg.ConfigurableResource):
    """The feature store."""

    data: str = Field(description="Folder of all results, as PCIP_DATA.")

    @property
    def workspace(self) -> Workspace:
        """The folders of the workspace."""
        return Workspace(Path(self.data))

    @property
    def store(self) -> Store:
        """The Parquet partitions."""
        return Store(self.workspace.store)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Record the process of the run, so that a run whose process is gone can be ended."""
        record_process(context)

    @contextmanager
    def publishing(self, log: dg.DagsterLogManager) -> Iterator[None]:
        """Publish what the block stores; also after an error, because it may have stored some shards before.

        This must happen within the step of an asset: Dagster reports errors in the teardown of a resource as a
        success.

        Raises:
            WriteError: the block cannot write what it stores.
            StoreError: the published file cannot be written. After an error of the block, it is a note of that error.
        """
        try:
            with writing(inside=self.data):
                yield
        except Exception as error:
            try:
                self._publish(log)
            except StoreError as unpublished:
                error.add_note(str(unpublished))
            raise
        self._publish(log)

    def _publish(self, log: dg.DagsterLogManager) -> None:
        result = publish(self.store, self.workspace.published)
        if result.warning:
            log.warning(result.warning)
        if result.changed:
            log.info(f"published {self.workspace.published.name}: {result}")
