"""Databases on PostgreSQL: connections, errors that name the remedy, and locks that hold on all machines.

psycopg2 comes with the extra `postgres`, and is imported where it is used.
"""

import logging
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pcip_core.errors import PcipError, StoreError

_LOG = logging.getLogger("pcip")
_LIMITS = {  # for a server that does not answer, or no longer: otherwise, its locks are lost long before this is seen
    "connect_timeout": 15,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}
_NEEDED = ("psycopg2", "dagster_postgres")
_CAUSES = {  # what PostgreSQL's client says, in English: a connection that fails has no code
    r"password authentication failed|no password supplied": (
        "the right password",
        "Put it into ~/.pgpass (HOST:PORT:DATABASE:USER:PASSWORD, readable by you alone), or into PGPASSWORD.",
    ),
    r'database ".*" does not exist': ("the database", "Make it: createdb -h HOST -U USER DATABASE."),
    r'role ".*" does not exist': (
        "a user of the server",
        "Correct the user, or make it: createuser -P USER.",
    ),
    r"no pg_hba.conf entry|permission denied": (
        "the right to use this database",
        "Ask the administrator of the server (pg_hba.conf, GRANT).",
    ),
    r"too many (clients|connections)|remaining connection slots": (
        "a free connection",
        "Raise max_connections of the server, or end other programs.",
    ),
    r"No space left|disk full": (
        "free space on the disk of the server",
        "Ask its administrator, and run the same command again.",
    ),
    r"read-only transaction": (
        "a database that can be written",
        "Name the main server, not its copy (standby), or let the administrator permit writing.",
    ),
    r"invalid (sslmode|dsn|connection option|integer)|SSL was required|certificate": (
        "options that the server and its client know",
        "Correct what follows the ? in the address (sslmode=...), or ask the administrator of the server.",
    ),
    r"(column|relation|constraint|table) .*(does not exist|already exists)": (
        "a database that nothing else uses",
        "Make one, and name it: createdb -h HOST -U USER DATABASE.",
    ),
    r"could not translate host name": ("the name of a machine", "Correct the address, or the network."),
}
_ANSWERS = ("a PostgreSQL server that answers", "Start it, or correct the address, the port or the firewall.")


def shown(address: str) -> str:
    """An address as errors name it: without the name of the driver."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(scheme=parts.scheme.partition("+")[0]))


def require_packages(address: str) -> None:
    """Check that the packages for PostgreSQL are installed.

    Raises:
        StoreError: one is not.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise StoreError(
            shown(address),
            found=f"no package {' and '.join(missing)}",
            required="the packages for PostgreSQL",
            remedy="Install them: pip install 'pcip[postgres]'",
        )


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A connection of psycopg2, each statement of which is committed at once.

    Raises:
        StoreError: the server does not answer, refuses the user or a statement, or the connection was lost.
    """
    require_packages(address)
    import psycopg2

    plain = shown(address)  # psycopg2 knows no drivers
    try:
        with closing(psycopg2.connect(plain, **_LIMITS, application_name="pcip")) as connection:
            connection.autocommit = True
            yield connection
    except PcipError:
        raise
    except Exception as error:  # also of the libraries that use the database within the block
        if (explained := of_server(error, shown(address))) is None:
            raise
        raise explained from error


def of_server(error: BaseException, where: str) -> StoreError | None:
    """What PostgreSQL's client says, with the remedy, if it is the cause of an error; otherwise None.

    Args:
        error: of the client, of SQLAlchemy, or of what uses it.
        where: the database, for the error.
    """
    kind = getattr(sys.modules.get("psycopg2"), "Error", ())
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        before = None if cause.__suppress_context__ else cause.__context__
        cause = getattr(cause, "orig", None) or cause.__cause__ or before
    if cause is None:
        return None
    text = " ".join(str(cause).split())
    required, remedy = next(
        (answer for words, answer in _CAUSES.items() if re.search(words, text, re.IGNORECASE)), _ANSWERS
    )
    return StoreError(where, found=text, required=required, remedy=remedy)


def rows(connection: Any, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query, with `?` for each parameter, as SQLite has it."""
    with connection.cursor() as cursor:
        cursor.execute(query.replace("?", "%s"), list(parameters))
        return list(cursor.fetchall()) if cursor.description else []


def table_names(connection: Any) -> set[str]:
    """The tables in the schema of a connection."""
    found = rows(connection, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    return {name for (name,) in found}


@contextmanager
def only_one(connection: Any, address: str, purpose: str) -> Iterator[None]:
    """Hold a lock of a database, on all machines; the server releases it when the connection ends.

    Args:
        connection: of the database.
        address: of the database, for messages.
        purpose: what the lock is for; each has its own.
    """
    if not try_lock(connection, purpose):
        _LOG.warning(f"waiting for another pcip, which prepares {shown(address)}")
        rows(connection, "SELECT pg_advisory_lock(?)", [_key(purpose)])
    try:
        yield
    finally:
        rows(connection, "SELECT pg_advisory_unlock(?)", [_key(purpose)])


def try_lock(connection: Any, purpose: str) -> bool:
    """Take a lock of a database until the connection ends; whether it was free."""
    return bool(rows(connection, "SELECT pg_try_advisory_lock(?)", [_key(purpose)])[0][0])


def _key(purpose: str) -> int:
    """The number of a lock, the same in each version of pcip."""
    return zlib.crc32(f"pcip {purpose}".encode())
