"""A training as MLflow records it while it runs."""

from collections.abc import Mapping
from typing import Any

from pcip_assets.progress import Progress
from pcip_assets.records.dataset import Crops

_MEASURED = ("precision_reason", "timed_step_")


class TrainingRun:
    """A tracker for `pcip_core.training` that writes to one MLflow run and to Dagster's log."""

    def __init__(self, run_id: str, title: str, epochs: int, log: Any) -> None:
        self.run_id, self._title, self._epochs, self._log = run_id, title, epochs, log
        self._progress: Progress | None = None
        self.resumed_after: int | None = None  # epoch

    def start(self, params: Mapping[str, Any]) -> None:
        """Log the parameters of the run; a resumed run keeps its existing ones.

        What is measured becomes tags: otherwise any two trainings would differ in parameters.
        """
        import mlflow

        known = mlflow.MlflowClient().get_run(self.run_id).data.params
        measured = {key: str(params[key]) for key in params if key.startswith(_MEASURED)}
        mlflow.set_tags(measured)
        new = {key: value for key, value in params.items() if key not in known | measured}
        mlflow.log_params(new)

    def inputs(self, crops: Crops) -> None:
        """Log the crops as the data set of the run."""
        import mlflow

        mlflow.MlflowClient().log_inputs(self.run_id, datasets=[crops.as_input("training")])

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
        """Log a figure of a few held-out pairs: source, target markers, prediction and truth.

        The last one can be compared with that of other trainings; MLflow's charts show all by step.
        """
        import mlflow

        from pcip_core.plots.pictures import as_image
        from pcip_core.plots.training import inpainting_preview

        figure = inpainting_preview(preview, f"{self._title}, epoch {number}")
        mlflow.log_figure(figure, f"previews/epoch_{number:03d}.png")
        mlflow.log_figure(figure, "preview.png")
        mlflow.log_image(as_image(figure), key="preview", step=number)
