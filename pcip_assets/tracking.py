"""MLflow: one experiment per screen, one run per training, one model version per trained network.

A training that is complete stays as it is. Scores are runs of their own, below the training, that point to the model
version and to the crops that the screen had. The training shows those of the crops that it was trained on.

Weights are logged as safetensors with a JSON config; nothing is pickled. mlflow is imported where it is
used, because importing it takes seconds and the definitions module must load fast.
"""

import json
import logging
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from pcip_assets.records.card import with_scores
from pcip_assets.records.model import CARD
from pcip_assets.records.names import run_name
from pcip_assets.records.scores import Evaluation, write
from pcip_assets.records.settings import OVERRIDES
from pcip_assets.records.training_run import TrainingRun
from pcip_assets.recovery.killed_runs import process_tags
from pcip_assets.recovery.moved import ensure_mlflow
from pcip_assets.recovery.networks import CHAMPION, REGISTRATION, Registration
from pcip_assets.servers.artifacts import digest_of, fetched, folder_of, require_usable
from pcip_assets.web import DAGSTER, MLFLOW
from pcip_assets.workspace import Workspace
from pcip_core.errors import EncoderError
from pcip_core.files import replacing
from pcip_core.spec.screen import Screen

_LOG = logging.getLogger("pcip")
SYSTEM_METRICS_EVERY_S = 5.0
PRECISION = "precision"  # tag of a model version
_PARENT = "mlflow.parentRunId"
_SHOWN = ("width", "epochs", "learning_rate")  # parameters of a training that its evaluations repeat
_LONGEST = 5000  # characters of a description in MLflow's database
_WEIGHTS = "encoder.safetensors"
_RUN_ID = "mlflow_run_id"  # in the folder of checkpoints
_NOTE = "mlflow.note.content"
_KIND = "mlflow.experimentKind"
_EXPERIMENT = {
    _KIND: "custom_model_development",  # its page then shows runs and models instead of traces
    _NOTE: "Trainings; below each its scores and its descriptions of cells. Search: `tags.kind = 'evaluation'`",
}
_NOT_REGISTERED = (
    "RESOURCE_DOES_NOT_EXIST",
    "INVALID_PARAMETER_VALUE",
)  # MLflow's codes: no such model, alias or run


@dataclass(frozen=True)
class Encoder:
    """A registered model version, with its weights on disk."""

    version: str  # "<screen>/<number>", as in models:/<screen>/<number>
    run_id: str
    folder: Path
    tags: Mapping[str, str]
    model_id: str | None = None  # of the logged model; None of one that was registered again from its files
    is_copy: bool = False  # whether the weights are in an object store, and the folder has a copy of them

    @property
    def trained_on(self) -> str:
        """The screen of its training."""
        return self.version.partition("/")[0].partition(".")[0]

    @property
    def precision(self) -> str:
        """The precision of its training, and of all its feature sets, on any machine; early versions have no tag."""
        return precision_of(self.tags)


class Tracking(dg.ConfigurableResource):
    """Experiments, runs and the model registry of one workspace."""

    data: str = Field(description="Folder of all results, as PCIP_DATA.")

    def _client(self) -> Any:
        import mlflow

        workspace = Workspace(Path(self.data))
        ensure_mlflow(workspace)
        mlflow.set_tracking_uri(workspace.mlflow_uri)
        mlflow.set_registry_uri(workspace.mlflow_uri)
        return mlflow.MlflowClient()

    def _experiment(self, screen: str) -> str:
        from mlflow.exceptions import MlflowException

        client, own = self._client(), Workspace(Path(self.data)).artifacts_uri(screen)
        experiment = client.get_experiment_by_name(screen)
        require_usable(experiment.artifact_location if experiment else own, screen, own=own)
        if experiment is not None:
            if experiment.lifecycle_stage == "deleted":  # by a user; no other experiment can have its name
                client.restore_experiment(experiment.experiment_id)
                _LOG.warning(f"MLflow experiment {screen} was deleted; it is restored to hold new runs")
            if _KIND not in experiment.tags:  # of an earlier version of pcip
                client.set_experiment_tag(experiment.experiment_id, _KIND, _EXPERIMENT[_KIND])
            return experiment.experiment_id
        try:
            return client.create_experiment(screen, artifact_location=own, tags=_EXPERIMENT)
        except MlflowException:
            experiment = client.get_experiment_by_name(screen)
            if experiment is None:
                raise
            return experiment.experiment_id  # another process created it meanwhile

    def resumable(self, checkpoints: Path) -> str | None:
        """The id of the unfinished run of a training; None if MLflow does not have the run, or a user deleted it."""
        file = checkpoints / _RUN_ID
        run_id = file.read_text() if file.is_file() else None
        return run_id if run_id and self._has_run(run_id) else None

    def _has_run(self, run_id: str) -> bool:
        """Whether MLflow has a run, and no user deleted it in MLflow's pages. MLflow adds nothing to a deleted one."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client().get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code in _NOT_REGISTERED:
                return False
            raise

    def url(self, screen: str, run_id: str) -> str:
        """The page of a run in MLflow, as a link on the pages of Dagster that `pcip ui` serves."""
        return f"{MLFLOW}/experiments/{self._experiment(screen)}/runs/{run_id}"

    @contextmanager
    def training(
        self, screen: Screen, epochs: int, *, checkpoints: Path, tags: Mapping[str, str], log: Any
    ) -> Iterator[TrainingRun]:
        """An MLflow run for one training; an unfinished run that `checkpoints` names is resumed, if MLflow has it.

        Its name has the settings in the tag `overrides`, and the kind of network in the tag `network`.
        """
        import mlflow

        experiment = self._experiment(screen.name)
        mlflow.set_system_metrics_sampling_interval(SYSTEM_METRICS_EVERY_S)
        run_id = self.resumable(checkpoints)
        kind = tags.get("network", "training").removeprefix("paired cell ")
        name = run_name(screen.name, kind, tags.get(OVERRIDES, ""))
        with mlflow.start_run(
            run_id=run_id,
            experiment_id=None if run_id else experiment,
            run_name=None if run_id else name,
            tags={"kind": "training", **tags, **_note(tags.get("dagster/run_id")), **process_tags()},
            log_system_metrics=True,
        ) as run:
            checkpoints.mkdir(parents=True, exist_ok=True)
            (checkpoints / _RUN_ID).write_text(run.info.run_id)
            yield TrainingRun(run.info.run_id, screen.title, epochs, log)

    def log_pictures(self, run_id: str, pictures: Mapping[str, Any]) -> None:
        """Log figures as artifacts of a run, by file name."""
        client = self._client()
        for name, figure in pictures.items():
            client.log_figure(run_id, figure, name)

    def log_document(self, run_id: str, name: str, value: Any) -> None:
        """Log a JSON artifact of a run."""
        self._client().log_dict(run_id, value, name)

    def register(
        self, model: str, screen: str, run_id: str, folder: Path, tags: Mapping[str, str]
    ) -> Encoder:
        """Register a trained network from its files, and make it the champion of its model.

        Args:
            model: the name of the model.
            screen: of the training.
            run_id: of the training, which gets the name of the version.
            folder: the files; a card among them describes the model and the version.
            tags: of the version.
        """
        import mlflow
        from mlflow.entities import LoggedModelOutput

        client = self._client()
        tags = {**tags, "weights_sha256": _sha256(folder / _WEIGHTS)}
        logged = mlflow.initialize_logged_model(
            name=model.replace(".", "-"),
            source_run_id=run_id,
            experiment_id=self._experiment(screen),
            tags=dict(tags),
            params={name: tags[name] for name in _SHOWN if name in tags},
            model_type=tags.get("network"),
        )
        client.log_model_artifacts(logged.model_id, str(folder))
        mlflow.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
        version = mlflow.register_model(f"models:/{logged.model_id}", model, tags=dict(tags))
        client.set_registered_model_alias(model, CHAMPION, version.version)
        for name in set(tags) & {"screen", "network", "organism", "simulated"}:
            client.set_registered_model_tag(model, name, tags[name])
        champion = self.champion(model)
        self._describe(champion)
        client.set_tag(run_id, "encoder_version", champion.version)
        name = str(client.get_run(run_id).info.run_name).removeprefix(f"{screen} ")
        client.update_run(run_id, name=f"{champion.version} {name}")
        Registration(model, int(version.version), run_id, tags).write(champion.folder)
        self._keep(champion, REGISTRATION)
        return champion

    def _keep(self, encoder: Encoder, name: str) -> None:
        """Keep a file that was written beside the weights with them, where these are in an object store."""
        if encoder.is_copy and encoder.model_id is not None:
            self._client().log_model_artifact(encoder.model_id, str(encoder.folder / name))

    def _describe(self, encoder: Encoder) -> None:
        """Show the card of a network with its version and its model; early versions have none."""
        card = encoder.folder / CARD
        if card.is_file():
            client, (model, _, number) = self._client(), encoder.version.partition("/")
            text = card.read_text()[:_LONGEST]
            client.update_model_version(model, number, description=text)
            client.update_registered_model(model, description=text)

    def has_champion(self, model: str) -> bool:
        """Whether a network is registered under this name; an encoder has the name of its screen."""
        return self.champion_version(model) is not None

    def champion_version(self, model: str) -> Any:
        """MLflow's version of the champion, whose weights need not be there; None if there is none.

        Any other error of the registry is raised.
        """
        from mlflow.exceptions import MlflowException

        try:
            return self._client().get_model_version_by_alias(model, CHAMPION)
        except MlflowException as error:
            if error.error_code in _NOT_REGISTERED:
                return None
            raise

    def require_champion(self, model: str) -> Any:
        """MLflow's version of the champion, whose weights need not be there.

        Raises:
            EncoderError: no network was trained.
        """
        if (version := self.champion_version(model)) is not None:
            return version
        screen, _, noun = model.partition(".")
        raise EncoderError(
            f"screen {screen}",
            found=f"no trained {noun or 'encoder'}",
            required="a registered model version with the alias `champion`",
            remedy=f"Materialize {screen}/{noun or 'encoder'}, or: pcip run {screen}"
            + (" --baselines" if noun else ""),
        )

    def champion(self, model: str) -> Encoder:
        """The network in use, its weights verified; an encoder has the name of its screen.

        Raises:
            EncoderError: no network was trained, or its weights differ from the registered ones.
        """
        from mlflow.exceptions import MlflowException

        version = self.require_champion(model)
        screen, _, noun = model.partition(".")
        again = f"materialize {screen}/{noun} with `force`" if noun else f"`pcip run {screen} --retrain`"
        place = self._client().get_model_version_download_uri(version.name, version.version)
        try:
            folder = fetched(Workspace(Path(self.data)), version, place, weights=_WEIGHTS)
        except (MlflowException, OSError) as error:
            raise EncoderError(
                place,
                found=f"no files ({str(error).splitlines()[0]})",
                required=f"the weights registered as {model} version {version.version}, where they were stored",
                remedy=f"Restore the folder from a backup, or train again ({again}).",
            ) from error
        digest, registered = _sha256(folder / _WEIGHTS), version.tags.get("weights_sha256")
        if digest != registered:
            raise EncoderError(
                folder / _WEIGHTS,
                found=f"weights with SHA-256 {digest}",
                required=f"the weights registered as {model} version {version.version} ({registered})",
                remedy=f"Restore the file, or train again ({again}).",
            )
        model_id = version.source.removeprefix("models:/") if version.source.startswith("models:/") else None
        tags, is_copy = dict(version.tags), folder_of(place) is None
        return Encoder(f"{model}/{version.version}", version.run_id, folder, tags, model_id, is_copy=is_copy)

    def log_extraction(
        self, screen: str, encoder: Encoder, *, params: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> str:
        """Log an extraction as a child run of the encoder's training run; return its id."""
        import mlflow

        note = _note(params.get("dagster_run_id"))
        tags = {
            "kind": "extraction",
            _PARENT: encoder.run_id,
            **note,
            **_pointers(encoder),
            **process_tags(),
        }
        name = run_name(encoder.version, "features")
        with mlflow.start_run(experiment_id=self._experiment(screen), run_name=name, tags=tags) as run:
            mlflow.log_params({"encoder_version": encoder.version, **params})
            mlflow.log_metrics(dict(metrics))
            return run.info.run_id

    def log_evaluation(self, encoder: Encoder, evaluation: Evaluation) -> str:
        """Log scores of an encoder as a run that points to its version and to the crops of the screen; return its id.

        The training shows them too if it was on the same crops, once: later scores do not change it.
        """
        import mlflow
        from mlflow.entities import LoggedModelInput

        experiment = self._experiment(encoder.trained_on)
        client, crops = self._client(), evaluation.crops
        training = client.get_run(encoder.run_id) if self._has_run(encoder.run_id) else None
        tags = {
            "kind": "evaluation",
            "screen": crops.screen,
            "asset": evaluation.asset,
            "data_hash": crops.digest,
            **_pointers(encoder),
            **({_PARENT: encoder.run_id} if training else {}),
            **process_tags(),
        }
        params = training.data.params if training else {}
        name = run_name(
            f"{encoder.version} {crops.screen}".removesuffix(f" {encoder.trained_on}"), evaluation.asset
        )
        with mlflow.start_run(
            experiment_id=experiment, run_name=name, tags=tags, description=str(crops)
        ) as run:
            models = [LoggedModelInput(encoder.model_id)] if encoder.model_id else []
            client.log_inputs(run.info.run_id, datasets=[crops.as_input("evaluation")], models=models)
            mlflow.log_params({key: params[key] for key in _SHOWN if key in params})
            write(client, run.info.run_id, encoder.model_id, evaluation)
        if training and training.data.tags.get("data_hash") == crops.digest:
            scored = f"scores.{evaluation.asset}"
            if scored not in training.data.tags:
                write(client, encoder.run_id, None, evaluation)  # the page of the model shows the evaluation
                client.set_tag(encoder.run_id, scored, run.info.run_id)
        return str(run.info.run_id)

    def show_scores(self, encoder: Encoder, evaluation: Evaluation) -> None:
        """Write scores into the card of an encoder, in its folder and in the registry; early versions have no card."""
        card = encoder.folder / CARD
        if card.is_file():
            text = with_scores(card.read_text(), evaluation.crops, evaluation.metrics, evaluation.note)
            with replacing(card) as temporary:
                temporary.write_text(text)
            self._keep(encoder, CARD)
            self._describe(encoder)


def _pointers(encoder: Encoder) -> dict[str, str]:
    """Tags by which a search finds what was done with a model version."""
    tags = {"encoder_version": encoder.version}
    return tags | ({OVERRIDES: encoder.tags[OVERRIDES]} if OVERRIDES in encoder.tags else {})


def _note(dagster_run: str | None) -> dict[str, str]:
    """The description of a run: a link to the run of Dagster that made it, on the pages that `pcip ui` serves."""
    if dagster_run is None:
        return {}
    return {"mlflow.note.content": f"Made by [Dagster run {dagster_run[:8]}]({DAGSTER}/runs/{dagster_run})."}


def precision_of(tags: Mapping[str, str]) -> str:
    """The precision that the tags of a model version name. Versions without it described cells in float32."""
    return tags.get(PRECISION, "float32")


def device_name(device: str) -> str:
    """The name of the processor behind a torch device name."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def _sha256(path: Path) -> str:
    digest = digest_of(path)
    if digest is None:
        raise EncoderError(path, found="no such file", required="encoder weights", remedy="Train again.")
    return digest


def as_json(value: Any) -> str:
    """Plain values as stable JSON."""
    return json.dumps(value, sort_keys=True, default=str)
