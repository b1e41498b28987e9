"""Dagster's instance of a workspace: its settings, its databases, and no run whose process is gone.

Dagster is imported inside the functions that need it, because importing it takes longer than `pcip --help` should.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pcip_assets.servers.addresses import FILE, of_dagster
from pcip_assets.servers.postgres import require_packages
from pcip_assets.servers.prepared import prepare_dagster
from pcip_assets.workspace import SETTINGS, Workspace
from pcip_core.errors import SpecError
from pcip_core.files import replacing
from pcip_core.spec.reading import read_yaml

if TYPE_CHECKING:
    import dagster as dg

_NAME = "dagster.yaml"


def dagster_home(workspace: Workspace) -> Path:
    """The Dagster home of a workspace: the settings of its `dagster.yaml`, with paths that are absolute.

    Raises:
        SpecError: that file cannot be read.
        PcipError: the address of a database is invalid, or a package for it is missing.
    """
    home = workspace.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    places: dict[str, Any] = {
        "compute_logs": {"config": {"base_dir": str(home / "compute_logs")}},
        "local_artifact_storage": {"config": {"base_dir": str(home)}},
    }
    settings = _settings(SETTINGS / _NAME)
    changed = workspace.folder / _NAME
    own = _settings(changed) if changed.is_file() else {}
    settings |= {name: value for name, value in own.items() if name not in places}
    settings["storage"] = _storage(workspace, own.get("storage"))
    for name, place in places.items():
        settings[name] |= place
    text = yaml.safe_dump(settings)
    target = home / _NAME
    if not target.is_file() or target.read_text() != text:
        with replacing(target) as temporary:
            temporary.write_text(text)
    return home


def _storage(workspace: Workspace, given: object) -> Mapping[str, Any]:
    """Where Dagster keeps its records: in PostgreSQL, as `dagster.yaml` says, or in SQLite files of the workspace."""
    storage = given if isinstance(given, Mapping) and "sqlite" not in given else None
    address = workspace.servers.dagster
    if address is None and storage is not None:
        address = of_dagster(storage, str(workspace.folder / _NAME))
    if address is not None:
        require_packages(address)
        return {"postgres": {"postgres_url": address}}
    return storage or {"sqlite": {"base_dir": str(workspace.dagster_home)}}


def dagster_database(workspace: Workspace) -> str | None:
    """The address of Dagster's database on PostgreSQL; None if it is elsewhere."""
    storage = _settings(dagster_home(workspace) / _NAME)["storage"]
    return of_dagster(storage, FILE)


def _settings(path: Path) -> dict[str, Any]:
    values = read_yaml(path, "settings of Dagster")
    if not isinstance(values, dict):
        raise SpecError(
            path,
            found="no settings",
            required="a YAML mapping with storage, run_launcher, ...",
            remedy="Remove the file, and `pcip init` writes it again.",
        )
    return values


def open_instance(workspace: Workspace) -> "dg.DagsterInstance":
    """The Dagster instance of a workspace, its databases whole and the runs of killed processes ended.

    It is the same that `dagster dev` opens in the folder of the workspace.

    Raises:
        StoreError: a database cannot be used.
    """
    import dagster as dg

    from pcip_assets.recovery.databases import dagster_databases, ensure
    from pcip_assets.recovery.killed_runs import end_killed_runs

    home = dagster_home(workspace)
    storage = _settings(home / _NAME)["storage"]
    address = of_dagster(storage, FILE)
    if address is not None:
        prepare_dagster(address)
    elif "sqlite" in storage:
        ensure(workspace, dagster_databases(workspace))
    instance = dg.DagsterInstance.from_config(str(home))
    end_killed_runs(workspace, instance)
    return instance
