"""A PostgreSQL server for tests: its own folder, a free port of 127.0.0.1, a password, and no rights of root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pcip_core.files import natural_key

USER, PASSWORD = "lab", "never-printed-7f3a"
_UNPRIVILEGED = ("postgres", "nobody")
_SETTINGS = {"fsync": "off", "unix_socket_directories": "", "listen_addresses": "127.0.0.1"}


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        port: of 127.0.0.1.
        programs: the folder of PostgreSQL's programs.
        passwords: a file as ~/.pgpass.
    """

    port: int
    programs: Path
    passwords: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find the password."""
        return {"PGPASSFILE": str(self.passwords)}

    def url(self, database: str) -> str:
        """The address of a database, without a password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """A new, empty database; its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def sql(self, statement: str, database: str = "postgres") -> list[str]:
        """Carry out a statement by PostgreSQL's own client; its rows, as text."""
        command = [self.programs / "psql", "-w", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement]
        done = subprocess.run(
            [*map(str, command), self.url(database)],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server of the newest PostgreSQL that is installed; skip the test if there is none."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    account = _account()
    with tempfile.TemporaryDirectory(prefix="pcip_postgres_") as name:
        folder = Path(name)
        passwords = folder / "pgpass"
        if account:
            shutil.chown(folder, account)
        (port,), data = free_ports(1), folder / "data"
        (folder / "password").write_text(PASSWORD)
        if account:
            shutil.chown(folder / "password", account)
        _run(account, programs / "initdb", "-D", data, "-A", "scram-sha-256", "-U", USER, "-N", "--pwfile",
             folder / "password", "-E", "UTF8", "--locale", "C.UTF-8")  # fmt: skip
        with (data / "postgresql.conf").open("a") as settings:
            settings.writelines(f"{key} = '{value}'\n" for key, value in {**_SETTINGS, "port": port}.items())
        passwords.write_text(f"127.0.0.1:{port}:*:{USER}:{PASSWORD}\n")
        passwords.chmod(0o600)
        _run(account, programs / "pg_ctl", "-D", data, "-w", "-l", data / "log", "start")
        try:
            yield Postgres(port, programs, passwords)
        finally:
            _run(account, programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def _programs() -> Path | None:
    """The folder of the newest server. Debian keeps it out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: natural_key(str(path)))
    elsewhere = shutil.which("initdb")
    if found or elsewhere:
        return (found[-1] if found else Path(str(elsewhere)).resolve()).parent
    return None


def _account() -> str | None:
    """An account for the server, which refuses to run as root; None to run it as this user."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _UNPRIVILEGED if name in names)


def _run(account: str | None, *command: object) -> None:
    """Run one of PostgreSQL's programs without a variable that would lead it elsewhere."""
    environment: Mapping[str, str] = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    done = subprocess.run(
        [str(word) for word in command],
        user=account,
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 at which nothing listens, each another."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
