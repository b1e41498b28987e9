"""Networks whose records were lost with MLflow's database are registered again, from what lies beside their weights."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pcip_assets.workspace import Workspace
from pcip_core.files import replacing

CHAMPION = "champion"  # alias of the version in use
REGISTRATION = "registration.json"
_LONGEST = 5000  # characters of a description in MLflow's database
_FOLDERS = "*/models/*/artifacts"  # of the files of networks, among all artifacts


@dataclass(frozen=True)
class Registration:
    """What MLflow's registry knows of a network.

    Attributes:
        model: name of the registered model.
        version: its number.
        run_id: MLflow run of its training.
        tags: of this version.
    """

    model: str
    version: int
    run_id: str
    tags: Mapping[str, str]

    def write(self, folder: Path) -> None:
        """Keep it beside the weights."""
        with replacing(folder / REGISTRATION) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")


def register_again(workspace: Workspace, client: Any) -> str:
    """Register the networks that MLflow lacks. A network keeps its number, so that features remain those of it.

    Args:
        workspace: has the files of the networks.
        client: of an MLflow database of which rows were lost.

    Returns:
        a sentence that names them, or folders with weights whose registration is not known; empty without any.
    """
    known, unknown = _found(workspace)
    names = []
    for model, group in itertools.groupby(known, key=lambda each: each[0].model):
        networks = list(group)
        for _, folder in networks:
            _ensure_experiment(workspace, client, folder.parents[2].name)
        if numbers := _register(client, model, networks):
            names.append(f"{model} ({', '.join(map(str, numbers))})")
    sentences = [f"Networks are registered again from their files: {', '.join(names)}."] if names else []
    if unknown:
        folders = ", ".join(map(str, unknown))
        screens = dict.fromkeys(folder.parents[2].name for folder in unknown)
        again = ", ".join(f"`pcip run {screen} --retrain`" for screen in screens)
        sentences.append(
            f"{folders}: weights whose registration is not known, from an earlier version of pcip. To use them again, "
            f"restore the database from a backup; otherwise train again ({again})."
        )
    return " ".join(sentences)


def _found(workspace: Workspace) -> tuple[list[tuple[Registration, Path]], list[Path]]:
    """Registrations by model and version with their folders, and folders of weights without one."""
    known, unknown = [], []
    for folder in sorted(workspace.artifacts("").glob(_FOLDERS)):
        try:
            known.append((Registration(**json.loads((folder / REGISTRATION).read_text())), folder))
        except (OSError, ValueError, TypeError):
            unknown += [folder] if any(folder.glob("*.safetensors")) else []
    return sorted(known, key=lambda each: (each[0].model, each[0].version)), unknown


def _card(folder: Path) -> str | None:
    """The model card beside the weights; early versions have none."""
    path = folder / "README.md"
    return path.read_text()[:_LONGEST] if path.is_file() else None


def _ensure_experiment(workspace: Workspace, client: Any, name: str) -> None:
    if client.get_experiment_by_name(name) is None:
        client.create_experiment(name, artifact_location=workspace.artifacts_uri(name))


def _register(client: Any, model: str, networks: Sequence[tuple[Registration, Path]]) -> list[int]:
    """Register the networks of one model; the numbers of those that were not registered."""
    from mlflow.exceptions import MlflowException

    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model)
    present = {int(each.version): each for each in client.search_model_versions(f"name = '{model}'")}
    last, made = max(present, default=0), []
    for network, folder in networks:
        if network.version in present:
            for name in network.tags.keys() - present[network.version].tags.keys():
                client.set_model_version_tag(model, str(network.version), name, network.tags[name])
        elif network.version > last:
            for number in range(last + 1, network.version):  # one that a user deleted keeps its number
                client.create_model_version(model, folder.as_uri())
                client.delete_model_version(model, str(number))
            client.create_model_version(
                model, folder.as_uri(), network.run_id, dict(network.tags), description=_card(folder)
            )
            last = network.version
            made.append(last)
    try:
        client.get_model_version_by_alias(model, CHAMPION)
    except MlflowException:
        client.set_registered_model_alias(model, CHAMPION, str(last))
    return made
