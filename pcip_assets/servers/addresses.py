"""Where the servers of a team are: `data/servers.yaml`, and environment variables that take precedence.

Without either, the databases are SQLite files in the workspace. An address never holds a password, so that it can be
shown, logged and given to other programs: PostgreSQL's client takes it from `~/.pgpass`, PGPASSFILE or PGPASSWORD.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pcip_core.errors import PcipError, SpecError, meant
from pcip_core.spec.bounds import shown
from pcip_core.spec.reading import read_yaml

FILE = "servers.yaml"
DAGSTER, MLFLOW, ARTIFACTS = "PCIP_DAGSTER_DATABASE", "PCIP_MLFLOW_DATABASE", "PCIP_MLFLOW_ARTIFACTS"
_VARIABLES = {"dagster": DAGSTER, "mlflow": MLFLOW, "artifacts": ARTIFACTS}
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg")
_DRIVER = "postgresql+psycopg2"  # the one that Dagster works with; SQLAlchemy would take another
_EXAMPLE = "postgresql://USER@HOST:5432/DATABASE"
_OBJECT_STORES = ("s3", "gs", "wasbs", "abfss")  # those to which MLflow writes
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_STRANGE = re.compile(
    r"[?#\x00-\x1f]|(^|/)\.\.?(/|$)"
)  # which clients of object stores read each in another way
_NO_ADDRESS = re.compile(r"[\s\x00-\x1f]")


@dataclass(frozen=True)
class Addresses:
    """Where the servers of a workspace are; None where its own files do.

    Attributes:
        dagster: the database of Dagster, as SQLAlchemy takes it.
        mlflow: the database of MLflow, as SQLAlchemy takes it.
        artifacts: the folder, or the URI, of the files that MLflow keeps.
    """

    dagster: str | None = None
    mlflow: str | None = None
    artifacts: str | None = None

    @property
    def artifacts_folder(self) -> Path | None:
        """The folder of MLflow's files, if it is one."""
        if self.artifacts is None or "://" in self.artifacts:
            return None
        return Path(self.artifacts)


def addresses(folder: Path) -> Addresses:
    """The addresses of a workspace, from the folder of its data.

    Raises:
        SpecError: `servers.yaml` cannot be read, or has an unknown key.
        PcipError: an address is none of PostgreSQL, or holds a password.
    """
    path = folder / FILE
    given = _read(path) if os.path.lexists(path) else {}
    places = {key: f"{path}, {key}" for key in given}
    for key, name in _VARIABLES.items():
        if os.environ.get(name):
            given[key], places[key] = os.environ[name], name
    found: dict[str, str] = {
        key: database(given[key], places[key]) for key in ("dagster", "mlflow") if key in given
    }
    if len(found) == 2 and found["dagster"] == found["mlflow"]:
        raise PcipError(
            places["mlflow"],
            found="one database for Dagster and MLflow",
            required="one for each, because both have a table of the same name",
            remedy="Make a second one (createdb), and name it.",
        )
    if "artifacts" in given:
        found["artifacts"] = _location(given["artifacts"], places["artifacts"], folder)
    return Addresses(**found)


def _read(path: Path) -> dict[str, str]:
    """The addresses in a file, by their keys."""
    values = read_yaml(path, "addresses of servers")
    known = [field.name for field in fields(Addresses)]
    if values is None:  # all lines are comments
        return {}
    if not isinstance(values, Mapping):
        raise SpecError(path, found="no addresses", required=f"some of {', '.join(known)}", remedy="Add one.")
    for key, value in values.items():
        if key not in known:
            raise SpecError(
                path,
                found=f"the key {key!r}{meant(str(key), known)}",
                required=f"some of {', '.join(known)}",
                remedy="Correct or remove the key.",
            )
        if not isinstance(value, str):
            raise SpecError(
                f"{path}, {key}",
                found="no text",
                required="an address",
                remedy=f"Write for example {'s3://BUCKET/FOLDER' if key == 'artifacts' else _EXAMPLE}.",
            )
    return dict(values)


def database(address: str, where: str) -> str:
    """The address of a PostgreSQL database as SQLAlchemy takes it.

    Args:
        address: as the user wrote it.
        where: the file or variable that has it, for errors, which do not show the address: it may hold a password.

    Raises:
        PcipError: it is not the address of a database on PostgreSQL, or it holds a password.

    >>> database("postgres://lab@db.lab.example/dagster", "servers.yaml")
    'postgresql+psycopg2://lab@db.lab.example/dagster'
    """
    address = address.strip()
    try:
        parts = urlsplit(address)
        secret = parts.password is not None or any(
            name in ("password", "sslpassword") for name, _ in parse_qsl(parts.query)
        )
        _ = parts.port
    except ValueError as error:
        raise _unusable(where, "an address that cannot be read") from error
    if secret or "@" in parts.path:  # a password may hold a /
        raise PcipError(
            where,
            found="an address with a password",
            required="an address without, because addresses are shown and logged",
            remedy="Remove the password; put it into ~/.pgpass, or into the variable PGPASSWORD.",
        )
    if parts.scheme not in _SCHEMES:
        raise _unusable(where, f"the scheme {parts.scheme!r}" if parts.scheme else "no scheme")
    if not parts.path.strip("/"):
        raise _unusable(where, "an address without the name of a database")
    _, separator, rest = address.partition("://")
    if not separator or _NO_ADDRESS.search(rest):
        raise _unusable(where, "an address with a space" if separator else "an address without ://")
    return f"{_DRIVER}://{rest}"


def _unusable(where: str, found: str) -> PcipError:
    return PcipError(
        where,
        found=found,
        required=f"the address of a PostgreSQL database: {_EXAMPLE}",
        remedy="Correct the address. Without it, pcip keeps an SQLite file in the workspace.",
    )


def _location(artifacts: str, where: str, folder: Path) -> str:
    """A folder, absolute, or a URI without a slash at its end."""
    artifacts = artifacts.strip()
    is_uri = _URI.match(artifacts) is not None
    scheme, _, rest = artifacts.partition(":") if is_uri else ("", "", "")
    store, _, path = rest.removeprefix("//").partition("/")
    if is_uri and (":" in store or "@" in path):  # a key may hold a /
        raise PcipError(
            where,
            found="an address with a password",
            required="an address without, because addresses are recorded",
            remedy="Remove it; object stores take credentials from the environment (AWS_ACCESS_KEY_ID, ...).",
        )
    place = os.path.normpath(folder / Path(artifacts).expanduser())
    if not is_uri and artifacts and place != str(folder):
        return place
    if scheme in _OBJECT_STORES and store and rest.startswith("//") and not _STRANGE.search(path):
        return artifacts.rstrip("/")
    raise PcipError(
        where,
        found=f"{'a file: URI' if scheme == 'file' else shown(artifacts)}",
        required=f"a folder of its own, or the URI of an object store ({', '.join(_OBJECT_STORES)}), such as "
        "s3://BUCKET/FOLDER, without ?, # and ..",
        remedy="Write its path." if scheme == "file" else "Correct it, or leave it out.",
    )


def of_dagster(storage: Mapping[str, Any], where: str) -> str | None:
    """The address in the section `storage` of Dagster's settings; None if it has none.

    Args:
        storage: the section.
        where: the file, for errors.

    Raises:
        PcipError: the section holds a password, or names a variable that is not set.
    """
    postgres = storage.get("postgres")
    if not isinstance(postgres, Mapping):
        return None
    parts = postgres.get("postgres_db")
    if isinstance(parts, Mapping) and isinstance(parts.get("password"), str):
        raise PcipError(
            where,
            found="a password",
            required="a file without, because others can read it",
            remedy="Write `password: {env: NAME}`, or put the password into ~/.pgpass.",
        )
    address = postgres.get("postgres_url")
    if isinstance(address, Mapping):
        name = str(address.get("env"))
        if not os.environ.get(name):
            raise PcipError(
                where,
                found=f"the variable {name}, which is not set",
                required="the address of a database in it",
                remedy=f"export {name}={_EXAMPLE}",
            )
        return database(os.environ[name], name)
    return database(str(address), where) if address is not None else None
