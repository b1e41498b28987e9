"""MLflow: one experiment per screen, one run per training, one model version per trained network.

Weights are logged as safetensors with a JSON config; nothing is pickled. mlflow is imported where it is
used, because importing it takes seconds and the definitions module must load fast.
"""

import hashlib
import json
import logging
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from pcip_assets.progress import Progress
from pcip_assets.recovery.killed_runs import process_tags
from pcip_assets.recovery.moved import ensure_mlflow
from pcip_assets.recovery.networks import CHAMPION, Registration
from pcip_assets.workspace import MLFLOW_PORT, Workspace
from pcip_core.errors import EncoderError
from pcip_core.spec.screen import Screen

_LOG = logging.getLogger("pcip")
SYSTEM_METRICS_EVERY_S = 5.0
PRECISION = "precision"  # the tag of a model version
_WEIGHTS = "encoder.safetensors"
_RUN_ID = "mlflow_run_id"  # in the folder of checkpoints
_NOT_REGISTERED = (
    "RESOURCE_DOES_NOT_EXIST",
    "INVALID_PARAMETER_VALUE",
)  # MLflow's codes: no such model, alias or run
# Without this setting, importing mlflow sends usage data to its developers.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@dataclass(frozen=True)
class Encoder:
    """A registered model version, with its weights on disk."""

    version: str  # "<screen>/<number>", as in models:/<screen>/<number>
    run_id: str
    folder: Path
    tags: Mapping[str, str]

    @property
    def precision(self) -> str:
        """The precision of its training, and of all its feature sets, on any machine; early versions have no tag."""
        return precision_of(self.tags)


class TrainingRun:
    """A tracker for `pcip_core.training` that writes to one MLflow run and to Dagster's log."""

    def __init__(self, run_id: str, title: str, epochs: int, log: Any) -> None:
        self.run_id, self._title, self._epochs, self._log = run_id, title, epochs, log
        self._progress: Progress | None = None
        self.resumed_after: int | None = None  # epoch

    def start(self, params: Mapping[str, Any]) -> None:
        """Log the parameters of the run; a resumed run keeps its existing ones."""
        import mlflow

        known = mlflow.MlflowClient().get_run(self.run_id).data.params
        mlflow.log_params({key: value for key, value in params.items() if key not in known})

    def resumed(self, epoch: int, epochs: int) -> None:
        """Log that an interrupted training is resumed."""
        from pcip_core.training.tracker import resuming

        self.resumed_after = epoch
        self._log.info(resuming(epoch, epochs))

    def batch(self, epoch: int, done: int, total: int) -> None:
        """Show the progress within an epoch, which may take hours."""
        if self._progress is None:
            self._progress = Progress(self._log, f"epoch {epoch}/{self._epochs}", total, "pair")
        self._progress(done)
        if done >= total:
            self._progress.close()
            self._progress = None

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Log one point of the loss curve and of the throughput."""
        import mlflow

        mlflow.log_metrics(dict(metrics), step=number)
        values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self._log.info(f"epoch {number}/{self._epochs}: {values}")

    def preview(self, number: int, preview: Any) -> None:
        """Log a figure of a few held-out pairs: source, target markers, prediction and truth."""
        import mlflow

        from pcip_core.plots.training import inpainting_preview

        figure = inpainting_preview(preview, f"{self._title}, epoch {number}")
        mlflow.log_figure(figure, f"previews/epoch_{number:03d}.png")


class Tracking(dg.ConfigurableResource):
    """Experiments, runs and the model registry of one workspace."""

    data: str

    def _client(self) -> Any:
        import mlflow

        workspace = Workspace(Path(self.data))
        ensure_mlflow(workspace)
        mlflow.set_tracking_uri(workspace.mlflow_uri)
        mlflow.set_registry_uri(workspace.mlflow_uri)
        return mlflow.MlflowClient()

    def _experiment(self, screen: str) -> str:
        from mlflow.exceptions import MlflowException

        client = self._client()
        experiment = client.get_experiment_by_name(screen)
        if experiment is not None:
            if experiment.lifecycle_stage == "deleted":  # by a user; no other experiment can have its name
                client.restore_experiment(experiment.experiment_id)
                _LOG.warning(f"MLflow experiment {screen} was deleted; it is restored to hold new runs")
            return experiment.experiment_id
        location = Workspace(Path(self.data)).artifacts(screen).as_uri()
        try:
            return client.create_experiment(screen, artifact_location=location)
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
        """The page of a run in the MLflow UI that `pcip ui` serves."""
        return f"http://127.0.0.1:{MLFLOW_PORT}/#/experiments/{self._experiment(screen)}/runs/{run_id}"

    @contextmanager
    def training(
        self, screen: Screen, epochs: int, *, checkpoints: Path, tags: Mapping[str, str], log: Any
    ) -> Iterator[TrainingRun]:
        """An MLflow run for one training; an unfinished run that `checkpoints` names is resumed, if MLflow has it."""
        import mlflow

        experiment = self._experiment(screen.name)
        mlflow.set_system_metrics_sampling_interval(SYSTEM_METRICS_EVERY_S)
        run_id = self.resumable(checkpoints)
        with mlflow.start_run(
            run_id=run_id,
            experiment_id=None if run_id else experiment,
            run_name=None if run_id else "training",
            tags={"kind": "training", **tags, **process_tags()},
            log_system_metrics=True,
        ) as run:
            checkpoints.mkdir(parents=True, exist_ok=True)
            (checkpoints / _RUN_ID).write_text(run.info.run_id)
            yield TrainingRun(run.info.run_id, screen.title, epochs, log)

    def log_pictures(self, run_id: str, pictures: Mapping[str, Any]) -> None:
        """Log figures as artifacts of a run, by file name; not of a run that a user deleted."""
        client = self._client()
        if not self._has_run(run_id):
            return
        for name, figure in pictures.items():
            client.log_figure(run_id, figure, name)

    def log_document(self, run_id: str, name: str, value: Any) -> None:
        """Log a JSON artifact of a run."""
        self._client().log_dict(run_id, value, name)

    def register(
        self, model: str, screen: str, run_id: str, folder: Path, tags: Mapping[str, str]
    ) -> Encoder:
        """Register a trained network from its files, and make it the champion of its model."""
        import mlflow

        client = self._client()
        tags = {**tags, "weights_sha256": _sha256(folder / _WEIGHTS)}
        logged = mlflow.initialize_logged_model(
            name="encoder", source_run_id=run_id, experiment_id=self._experiment(screen)
        )
        client.log_model_artifacts(logged.model_id, str(folder))
        mlflow.finalize_logged_model(logged.model_id, "READY")
        version = mlflow.register_model(f"models:/{logged.model_id}", model, tags=dict(tags))
        client.set_registered_model_alias(model, CHAMPION, version.version)
        champion = self.champion(model)
        Registration(model, int(version.version), run_id, tags).write(champion.folder)
        return champion

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

    def champion(self, model: str) -> Encoder:
        """The network in use, its weights verified; an encoder has the name of its screen.

        Raises:
            EncoderError: no network was trained, or its weights differ from the registered ones.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        version = self.champion_version(model)
        if version is None:
            screen, _, noun = model.partition(".")
            raise EncoderError(
                f"screen {screen}",
                found=f"no trained {noun or 'encoder'}",
                required="a registered model version with the alias `champion`",
                remedy=f"Materialize {screen}/{noun or 'encoder'}, or: pcip run {screen}"
                + (" --baselines" if noun else ""),
            )
        try:
            folder = Path(mlflow.artifacts.download_artifacts(version.source))
        except (MlflowException, OSError) as error:
            place = self._client().get_model_version_download_uri(version.name, version.version)
            raise EncoderError(
                place,
                found=f"no files ({str(error).splitlines()[0]})",
                required=f"the weights registered as {model} version {version.version}, where they were stored",
                remedy="Restore the folder from a backup, or train again (`pcip run SCREEN --retrain`).",
            ) from error
        digest, registered = _sha256(folder / _WEIGHTS), version.tags.get("weights_sha256")
        if digest != registered:
            raise EncoderError(
                folder / _WEIGHTS,
                found=f"weights with SHA-256 {digest}",
                required=f"the weights registered as {model} version {version.version} ({registered})",
                remedy="Restore the file, or train again (`pcip run SCREEN --retrain`).",
            )
        return Encoder(f"{model}/{version.version}", version.run_id, folder, dict(version.tags))

    def log_extraction(
        self, screen: str, encoder: Encoder, *, params: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> str:
        """Log an extraction as a child run of the encoder's training run; return its id."""
        import mlflow

        tags = {"kind": "extraction", "mlflow.parentRunId": encoder.run_id, **process_tags()}
        with mlflow.start_run(
            experiment_id=self._experiment(screen), run_name="extraction", tags=tags
        ) as run:
            mlflow.log_params({"encoder_version": encoder.version, **params})
            mlflow.log_metrics(dict(metrics))
            return run.info.run_id

    def log_scores(self, run_id: str, scores: Mapping[str, float]) -> None:
        """Log scores of an encoder as metrics of its training run, to compare trainings; not if a user deleted it."""
        import mlflow

        if self._has_run(run_id):
            mlflow.log_metrics(dict(scores), run_id=run_id)


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
    if not path.is_file():
        raise EncoderError(path, found="no such file", required="encoder weights", remedy="Train again.")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def as_json(value: Any) -> str:
    """Plain values as stable JSON."""
    return json.dumps(value, sort_keys=True, default=str)
