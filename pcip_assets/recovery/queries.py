"""Queries of MLflow's database without MLflow, which takes seconds to import: SQLite's file, or a PostgreSQL server."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from pcip_assets.recovery.databases import mlflow_database, opened
from pcip_assets.servers import postgres
from pcip_assets.workspace import Workspace


class Query(Protocol):
    """Gives the rows of a statement, in which `?` stands for each parameter."""

    def __call__(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Carry a statement out."""


@contextmanager
def mlflow_query(workspace: Workspace) -> Iterator[Query | None]:
    """Queries of MLflow's database; None while there is none.

    Raises:
        StoreError: it cannot be opened, or PostgreSQL refuses a statement.
        sqlite3.DatabaseError: the file is damaged, or not whole.
    """
    address = workspace.servers.mlflow
    if address is None:
        path = mlflow_database(workspace).path
        if not path.is_file():
            yield None
            return
        with opened(path) as connection:
            yield lambda statement, parameters=(): connection.execute(statement, parameters).fetchall()
        return
    with postgres.connected(address) as connection:
        if "registered_model_aliases" not in postgres.table_names(connection):
            yield None
            return
        yield lambda statement, parameters=(): postgres.rows(connection, statement, parameters)
