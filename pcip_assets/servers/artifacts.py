"""Files that MLflow keeps: in a folder, or in an object store, of which the workspace has copies to work with."""

import hashlib
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pcip_assets.workspace import Workspace
from pcip_core.errors import StoreError
from pcip_core.locks import temporary_folder

_CLIENTS = {
    "s3": "boto3",
    "gs": "google.cloud",
    "wasbs": "azure",
}  # scheme -> package that MLflow needs for it


def folder_of(location: str) -> Path | None:
    """The folder of a location that MLflow records; None if it is in an object store."""
    parts = urlsplit(location)
    if parts.scheme not in ("", "file"):
        return None
    return Path(unquote(parts.path))


def require_usable(location: str, experiment: str, *, own: str) -> None:
    """Check that files of an experiment can be kept where MLflow's database says.

    Args:
        location: of the experiment's files.
        experiment: its name.
        own: where this workspace would keep them.

    Raises:
        StoreError: a package is missing, or the folder is one of another machine.
    """
    folder = folder_of(location)
    if folder is None:
        package = _CLIENTS.get(urlsplit(location).scheme)
        if package is not None and find_spec(package.partition(".")[0]) is None:
            raise StoreError(
                location,
                found=f"no package {package}",
                required="it, to keep files there",
                remedy="Install it with pip.",
            )
    elif location != own and not any(parent.is_dir() for parent in (folder, folder.parent)):
        raise StoreError(
            folder,
            found="no such folder",
            required=f"the folder in which MLflow's database records the files of {experiment}",
            remedy="Mount the shared folder at the same path on each machine, or make a link there to where it is.",
        )


def copy_of(workspace: Workspace, model: str, number: object) -> Path:
    """Where the workspace keeps a copy of the files of a model version that are in an object store."""
    return workspace.mlflow_folder / "copies" / model / str(number)


def fetched(workspace: Workspace, version: Any, location: str, *, weights: str) -> Path:
    """The files of a model version on this machine.

    The caller compares the digest of the weights with the registered one. A copy with another digest is fetched again.

    Args:
        workspace: keeps a copy of files that are in an object store.
        version: MLflow's.
        location: of its files.
        weights: the file whose digest a tag of the version has.

    Raises:
        MlflowException, OSError: they are not there.
    """
    import mlflow

    if folder_of(location) is not None:
        return Path(mlflow.artifacts.download_artifacts(version.source))
    copy, digest = copy_of(workspace, version.name, version.version), version.tags.get("weights_sha256")
    if (copy / weights).is_file() and digest_of(copy / weights) == digest:
        return copy
    copy.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder() as folder:
        found = Path(mlflow.artifacts.download_artifacts(version.source, dst_path=str(folder)))
        if not (found / weights).is_file():
            raise FileNotFoundError(f"no {weights} there")
        return _moved(found, copy)


def _moved(found: Path, place: Path) -> Path:
    """Put files in place of former ones; another process may have done so meanwhile."""
    fresh = place.with_name(f".{place.name}.{found.parent.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(found, fresh)
    shutil.rmtree(place, ignore_errors=True)
    try:
        fresh.rename(place)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
    return place


def digest_of(path: Path) -> str | None:
    """The SHA-256 of a file; None if it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
