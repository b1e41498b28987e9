"""`pcip sql`: the published tables in SQL, without a program of DuckDB."""

import sys
from contextlib import suppress

import click

from pcip_assets.workspace import Workspace
from pcip_core.errors import StoreError


@click.command("sql")
@click.argument("query", required=False)
def command(query: str | None) -> None:
    """Print the rows that QUERY gives, as a table. The published file is opened read-only.

    Without QUERY, statements are read from the standard input; in a terminal, a prompt asks for them. Every table and
    macro: docs/tables.md. `COPY (QUERY) TO 'rows.csv'` writes the rows into a file.
    """
    from pcip_core.store.publish import connect
    from pcip_core.store.sql import show

    with connect(Workspace.current().published) as con:
        if query is not None:
            show(con, query)
        elif not sys.stdin.isatty():
            show(con, sys.stdin.read())
        else:
            click.echo("FROM main.screens;  lists the screens, SHOW ALL TABLES;  the tables. Ctrl-D ends.")
            with suppress(EOFError):
                while True:
                    try:
                        show(con, _asked())
                    except StoreError as error:
                        click.secho(error.found, fg="red", err=True)


def _asked() -> str:
    """The lines that a user enters, up to one that ends with a semicolon."""
    with suppress(ImportError):  # lines can be edited where Python has readline
        import readline  # noqa: F401
    lines = [input("pcip> ")]
    while lines[-1].strip() and not lines[-1].rstrip().endswith(";"):
        lines.append(input("  ... "))
    return "\n".join(lines)
