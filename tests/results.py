"""Results of runs that are to be compared."""

from __future__ import annotations

import polars as pl

from pcip_core.store.partitions import Store

_OF_A_RUN = ["encoder_version", "mlflow_run_id", "root", "committed_at", "created_at"]


def tables_of(store: Store, screen: str) -> dict[str, pl.DataFrame]:
    """All tables of a screen, without what names a run or a folder."""
    return {table: store.read(screen, table).drop(_OF_A_RUN, strict=False) for table in store.tables(screen)}
