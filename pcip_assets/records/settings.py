"""How a champion was trained, read from its files. MLflow is not asked, because importing it takes seconds."""

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from pcip_assets.records.names import differences_text, settings_text
from pcip_assets.recovery.networks import CHAMPION
from pcip_assets.recovery.queries import mlflow_query
from pcip_assets.servers.artifacts import copy_of, folder_of
from pcip_assets.workspace import Workspace
from pcip_core.errors import PcipError
from pcip_core.spec.loading import encoder_config
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import EncoderConfig

SETTINGS, OVERRIDES = "settings", "overrides"  # keys in the file of a network; the second also of tags
_INSIDE = "/mlflow/artifacts/"


@dataclass(frozen=True)
class Trained:
    """A champion and its settings.

    Attributes:
        version: `<screen>/<number>`.
        settings: of its training.
        overrides: those that the spec did not say, given for this training alone.
        cells: number of cells that it was trained on; None if no record says it.
    """

    version: str
    settings: EncoderConfig
    overrides: dict[str, Any]
    cells: int | None = None

    def differs(self, screen: Screen) -> str | None:
        """A sentence with all settings in which the spec of a screen differs, and the remedy; None if it does not."""
        differences = screen.encoder.differences(self.settings)
        if not differences:
            return None
        given = (
            f", of which {settings_text(self.overrides)} for this training alone" if self.overrides else ""
        )
        return (
            f"encoder {self.version} was trained otherwise than the spec says now: {differences_text(differences)} "
            f"(training → spec{given}). It stays in use. To train as the spec says: "
            f"pcip run {screen.encoder_screen} --retrain"
        )


def trained_as(workspace: Workspace, screen: Screen) -> Trained | None:
    """How the encoder that describes a screen was trained; None without one, or if no file says it."""
    model = screen.encoder_screen
    try:
        with mlflow_query(workspace) as query:
            champions = query and query(
                "SELECT version, run_id, storage_location, source FROM registered_model_aliases "
                "JOIN model_versions USING (name, version) WHERE alias = ? AND name = ?",
                [CHAMPION, model],
            )
            if not query or not champions:
                return None
            number, run_id, *places = champions[0]
            cells = query("SELECT value FROM params WHERE run_uuid = ? AND key = 'cells'", [run_id])
        folders = _folders(workspace, [place for place in places if place])
        folders.append(copy_of(workspace, model, number))
        values, overrides = _saved(workspace, model, run_id, folders)
        settings = encoder_config(values, f"encoder {model}/{number}")
        return Trained(f"{model}/{number}", settings, overrides, int(cells[0][0]) if cells else None)
    except (sqlite3.DatabaseError, PcipError, OSError, ValueError, LookupError, TypeError):
        return None  # damage is named where the encoder is used


def _saved(
    workspace: Workspace, screen: str, run_id: str, folders: list[Path]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings beside the weights; of earlier versions of pcip those of the spec, among the files of the run."""
    for folder in folders:
        with contextlib.suppress(OSError, ValueError, LookupError):
            extra = json.loads((folder / "config.json").read_text())["extra"]
            return dict(extra[SETTINGS]), dict(extra.get(OVERRIDES, {}))
    spec = workspace.artifacts(screen) / str(run_id) / "artifacts" / "resolved_spec.json"
    return dict(json.loads(Path(spec).read_text())["encoder"]), {}


def _folders(workspace: Workspace, places: list[str]) -> list[Path]:
    """Where the files of a network may be: in this workspace, which may have been moved, or where MLflow records."""
    inside = [unquote(urlparse(place).path).partition(_INSIDE)[2] for place in places]
    recorded = [folder for place in places if (folder := folder_of(place)) is not None]
    return [workspace.artifacts("") / path for path in inside if path] + recorded
