"""The metadata by which Dagster shows an asset as a table: its name in SQL, its columns, and what they come from."""

import fnmatch
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from pcip_core.spec.screen import Screen
from pcip_core.store.paths import asset_of
from pcip_core.store.schemas import SCREEN, Table, stored_table
from pcip_core.store.schemas.lineage import SOURCES, Sources
from pcip_core.store.schemas.table import duckdb_type

_WRITTEN_BY = {  # in the lineage -> the end of the names of the assets that write such tables
    "cell_features": "_features",
    "protein_features": "protein_features",
}


def table_metadata(screen: Screen, noun: str, table: str, deps: Iterable[str]) -> dict[str, Any]:
    """Metadata of an asset that writes tables.

    Columns of the first table have their own names, those of further tables `<table>.<column>`.

    Args:
        screen: the screen.
        noun: the asset.
        table: its first stored table.
        deps: the assets that it reads.
    """
    read = list(deps)
    columns: list[dg.TableColumn] = []
    lineage: dict[str, list[dg.TableColumnDep]] = {}
    for name, known, prefix in _tables(noun, table):
        for column, (kind, meaning) in known.columns.items():
            columns.append(dg.TableColumn(prefix + column, duckdb_type(kind), meaning))
        for column, sources in _sources(name).items():
            lineage[prefix + column] = [dep for source in sources for dep in _deps(screen, source, read)]
    first = stored_table(table)
    assert first is not None, f"{table} has no schema"
    return {
        "dagster/table_name": f"main.{first.name}" if first.whole_store else f"{screen.name}.{table}",
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
    }


def _tables(noun: str, table: str) -> Iterator[tuple[str, Table, str]]:
    """The stored tables of an asset with their schemas, the first one first, and the prefix of their columns."""
    first = stored_table(table)
    assert first is not None, f"{table} has no schema"
    yield table, first, ""
    for known in SCREEN:
        writer = asset_of(known.name)
        if known is not first and writer is not None and writer[0] == noun and known.stored_as is None:
            yield known.name, known, f"{known.name}."


def _sources(table: str) -> Sources:
    return next((sources for pattern, sources in SOURCES.items() if fnmatch.fnmatchcase(table, pattern)), {})


def _deps(screen: Screen, source: str, deps: list[str]) -> Iterator[dg.TableColumnDep]:
    """The columns of assets that a column in the lineage stands for."""
    table, _, column = source.partition(".")
    if table in _WRITTEN_BY:
        proteins = table == "protein_features"
        ending = _WRITTEN_BY[table]
        nouns = [
            noun for noun in deps if noun.endswith(ending) and noun.endswith("protein_features") == proteins
        ]
        for noun in nouns or [table]:
            yield dg.TableColumnDep(dg.AssetKey([screen.name, noun]), column)
        return
    writer = asset_of(table)
    assert writer is not None, f"nothing writes {table}"
    name = column if writer[0] in (table, "crops") else source
    yield dg.TableColumnDep(dg.AssetKey([screen.name, writer[0]]), name)
