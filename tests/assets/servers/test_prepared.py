"""Databases on a PostgreSQL server: who makes them, what is completed, and what is refused."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pcip_assets.dagster_compat import complete_tables
from pcip_assets.recovery import moved
from pcip_assets.servers import daemon, postgres
from pcip_assets.servers.addresses import database
from pcip_assets.servers.prepared import prepare_dagster, prepare_mlflow
from pcip_core.errors import StoreError
from tests import postgres as server
from tests.postgres import PASSWORD, Postgres

DEFAULT = "file:///srv/lab/Default"


@pytest.fixture(scope="module")
def lab() -> Iterator[Postgres]:
    with server.running() as running:
        yield running


@pytest.fixture(autouse=True)
def passwords(lab: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", str(lab.passwords))


def address_of(lab: Postgres, name: str) -> str:
    return database(lab.url(name), "test")


PREPARE = """
import sys
from pcip_assets.servers.prepared import prepare_dagster, prepare_mlflow
import mlflow, dagster_postgres  # before the race begins
print("ready", flush=True)
input()
prepare_dagster(sys.argv[1])
prepare_mlflow(sys.argv[2], "file:///srv/lab/Default")
"""


def test_two_first_starts_at_once_make_each_table_once(lab: Postgres) -> None:
    dagster, mlflow = lab.create(), lab.create()
    command = [sys.executable, "-c", PREPARE, address_of(lab, dagster), address_of(lab, mlflow)]
    pipe = subprocess.PIPE
    starts = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=os.environ)
        for _ in range(2)
    ]
    for start in starts:
        assert start.stdout is not None
        assert start.stdout.readline() == "ready\n"
    for start in starts:
        assert start.stdin is not None
        start.stdin.write("\n")
        start.stdin.flush()
    messages = [start.communicate(timeout=300)[1] for start in starts]
    assert [start.returncode for start in starts] == [0, 0], messages
    assert sum("waiting for another pcip" in text for text in messages) >= 1, messages
    assert PASSWORD not in "".join(messages)
    assert len(lab.sql("SELECT * FROM alembic_version", dagster)) == 1
    assert len(lab.sql("SELECT * FROM alembic_version", mlflow)) == 1
    locations = lab.sql("SELECT name, artifact_location FROM experiments", mlflow)
    assert locations == [f"Default|{DEFAULT}"]


def tables(lab: Postgres, name: str) -> set[str]:
    return set(lab.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name))


def test_what_a_killed_process_left_of_dagsters_tables_is_completed(lab: Postgres) -> None:
    name = lab.create()
    prepare_dagster(address_of(lab, name))
    whole = tables(lab, name)
    assert {"runs", "event_logs", "instigators", "alembic_version"} <= whole
    lab.sql("DROP TABLE run_tags, backfill_tags, job_ticks, concurrency_slots", name)
    lab.sql("INSERT INTO kvs (key, value) VALUES ('kept', 'value')", name)
    complete = tables(lab, name)
    prepare_dagster(address_of(lab, name))
    assert tables(lab, name) == whole > complete
    assert lab.sql("SELECT value FROM kvs WHERE key = 'kept'", name) == ["value"]
    complete_tables(address_of(lab, name))  # what is whole stays so
    assert tables(lab, name) == whole


def test_mlflows_tables_of_other_versions(lab: Postgres) -> None:
    name = lab.create()
    prepare_mlflow(address_of(lab, name), DEFAULT)
    (newest,) = lab.sql("SELECT version_num FROM alembic_version", name)
    lab.sql("UPDATE alembic_version SET version_num = '451aebb31d03'", name)
    lab.sql("INSERT INTO runs (run_uuid, experiment_id) VALUES ('mine', 0)", name)
    with pytest.raises(
        StoreError, match=f"451aebb31d03, .* required: version {newest}.*mlflow db upgrade postgresql"
    ):
        prepare_mlflow(address_of(lab, name), DEFAULT)
    lab.sql("UPDATE alembic_version SET version_num = 'ffffffffffff'", name)
    with pytest.raises(StoreError, match="ffffffffffff, which the installed mlflow does not know"):
        prepare_mlflow(address_of(lab, name), DEFAULT)


def test_a_database_of_dagster_is_not_one_of_mlflow(lab: Postgres) -> None:
    name = lab.create()
    prepare_dagster(address_of(lab, name))
    with pytest.raises(StoreError, match=r"which the installed mlflow does not know.*name another database"):
        prepare_mlflow(address_of(lab, name), DEFAULT)
    lab.sql("UPDATE alembic_version SET version_num = '284a732df317'", name)
    with pytest.raises(StoreError, match=r"which an older Dagster made.*dagster instance migrate"):
        prepare_dagster(address_of(lab, name))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"database": "nobody_made_it"}, r'database "nobody_made_it" does not exist.*createdb'),
        ({"port": "1"}, "refused.*a PostgreSQL server that answers"),
        ({"host": "no-such-machine.invalid"}, "could not translate host name.*the name of a machine"),
        ({"user": "stranger"}, r"password.*the right password.*~/\.pgpass"),
    ],
)
def test_a_server_that_cannot_be_used(lab: Postgres, change: dict[str, str], found: str) -> None:
    place = {"user": "lab", "host": "127.0.0.1", "port": str(lab.port), "database": "postgres"} | change
    url = "postgresql://{user}@{host}:{port}/{database}".format(**place)
    with pytest.raises(StoreError, match=found) as caught:
        prepare_dagster(database(url, "test"))
    assert str(caught.value).startswith(url), "without the driver"


@pytest.mark.parametrize(
    ("options", "found"),
    [("sslmode=nonsense", "sslmode"), ("nonsense=1", "nonsense"), ("sslmode=require", "SSL was required")],
)
def test_options_that_cannot_be_used(lab: Postgres, options: str, found: str) -> None:
    with pytest.raises(StoreError, match=rf"{found}.*Correct what follows the \?"):
        prepare_dagster(database(f"{lab.url('postgres')}?{options}", "test"))


def test_a_database_that_may_not_be_written_is_named_by_both(lab: Postgres) -> None:
    copy, other, reader = lab.create(), lab.create(), f"reader_{lab.create()}"
    lab.sql(f"ALTER DATABASE {copy} SET default_transaction_read_only = on")
    lab.sql(f"CREATE ROLE {reader} LOGIN PASSWORD '{PASSWORD}'")
    with lab.passwords.open("a") as file:
        file.write(f"127.0.0.1:{lab.port}:*:{reader}:{PASSWORD}\n")
    of_reader = database(lab.url(other).replace("lab@", f"{reader}@"), "test")
    for address, found in (
        (address_of(lab, copy), r"read-only transaction.*Name the main server"),
        (of_reader, r"permission denied.*GRANT"),
    ):
        with pytest.raises(StoreError, match=found):
            prepare_dagster(address)
        with pytest.raises(StoreError, match=found):
            prepare_mlflow(address, DEFAULT)
    assert tables(lab, copy) == tables(lab, other) == set()


def test_tables_of_other_programs_are_named_and_stay(lab: Postgres) -> None:
    first, second = lab.create(), lab.create()
    lab.sql("CREATE TABLE alembic_version (number int)", first)
    lab.sql("CREATE TABLE runs (number int)", second)
    for name in (first, second):
        with pytest.raises(StoreError, match="required: a database that nothing else uses"):
            prepare_dagster(address_of(lab, name))
    assert lab.sql(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'runs'", second
    ) == ["number"]


def test_a_server_that_stops_in_the_middle_is_explained(lab: Postgres) -> None:
    import sqlalchemy

    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'lab'"
    engine = sqlalchemy.create_engine(address_of(lab, "postgres"))
    try:
        with engine.connect() as connection:
            lab.sql(end)
            connection.execute(sqlalchemy.text("SELECT 1"))
    except sqlalchemy.exc.SQLAlchemyError as error:
        explained = postgres.of_server(RuntimeError("of Dagster"), "here")
        assert explained is None
        wrapped = RuntimeError("of Dagster")
        wrapped.__cause__ = error
        explained = postgres.of_server(wrapped, "here")
    assert str(explained).startswith("here: found ")
    assert "a PostgreSQL server that answers" in str(explained)


def test_a_connection_that_is_cut_without_a_word_is_given_up(lab: Postgres) -> None:
    with (
        postgres.connected(address_of(lab, "postgres")) as connection,
        socket.socket(fileno=os.dup(connection.fileno())) as peer,
    ):
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


def test_a_wrong_password_is_not_shown(lab: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/dev/null")
    monkeypatch.setenv("PGPASSWORD", "not-the-one")
    with pytest.raises(StoreError, match=r"password authentication failed.*the right password") as caught:
        prepare_mlflow(address_of(lab, "postgres"), DEFAULT)
    assert "not-the-one" not in str(caught.value)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_NEEDED", ("psycopg2", "no_such_package"))
    with pytest.raises(StoreError, match=r"no package no_such_package.*pip install 'pcip\[postgres\]'"):
        prepare_dagster(database("postgresql://lab@127.0.0.1/dagster", "test"))


def test_a_lock_holds_until_its_connection_ends(lab: Postgres) -> None:
    address = address_of(lab, "postgres")
    with postgres.connected(address) as first, postgres.connected(address) as second:
        assert postgres.try_lock(first, "daemon")
        assert not postgres.try_lock(second, "daemon")
        assert postgres.try_lock(second, "something else")
        first.close()  # as when its process is killed
        lab.sql("SELECT pg_sleep(0.2)")
        assert postgres.try_lock(second, "daemon")


def test_one_daemon_per_database(lab: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    address = address_of(lab, "postgres")
    with postgres.connected(address) as elsewhere:
        assert postgres.try_lock(elsewhere, "daemon")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(daemon, "_EVERY_S", 0.05)
            patched.setattr(
                daemon, "sleep", lambda seconds: elsewhere.close()
            )  # it ends while the other waits
            with pytest.raises(SystemExit) as ended:
                daemon._serve(address, [sys.executable, "-S", "-c", "raise SystemExit(7)"])
    assert ended.value.code == 7
    assert "this one takes over" in caplog.text


def test_the_daemon_ends_with_its_connection(lab: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "_EVERY_S", 0.2)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pcip'"
    monkeypatch.setattr(daemon, "sleep", lambda seconds: lab.sql(end))
    with pytest.raises(StoreError, match="connection"):
        daemon._serve(address_of(lab, "postgres"), [sys.executable, "-S", "-c", "input()"])


def test_a_process_looks_once(lab: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(moved, "prepare_mlflow", lambda address, location: calls.append(address))
    moved._prepared.cache_clear()
    for _ in range(3):
        moved._prepared("postgresql://lab@127.0.0.1/once", DEFAULT)
    assert len(calls) == 1
