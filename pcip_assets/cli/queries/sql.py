"""`pcip sql`: the published tables in SQL, without a program of DuckDB."""

import sys
from contextlib import suppress

import click

from pcip_assets.workspace import Workspace
from pcip_core.errors import StoreError


class _Query(click.Command):
    """A command whose argument may begin with a comment of SQL, which is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Mark the arguments as no options from the first on that begins as a comment and holds a space."""
        at = next((at for at, text in enumerate(args) if text.startswith("--") and text.split()[1:]), None)
        return super().parse_args(ctx, args if at is None or "--" in args else [*args[:at], "--", *args[at:]])


@click.command("sql", cls=_Query)
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
            click.echo(
                "FROM main.screens;  lists the screens, SHOW TABLES FROM SCREEN;  the tables of one. Ctrl-D ends."
            )
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
