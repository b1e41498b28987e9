"""The training of one network: an MLflow run around it, then the new champion of its model.

What is trained, on which cells, is in the module of each network.
"""

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.encoders.left_out import LEFT_OUT
from pcip_assets.assets.encoders.training_cells import all_crops, crops_of_screen
from pcip_assets.assets.results import picture
from pcip_assets.assets.skeleton import Run, Work
from pcip_assets.compute.engine import training_start
from pcip_assets.compute.interface import Start
from pcip_assets.provenance import git_commit, inputs_hash
from pcip_assets.records.card import model_card
from pcip_assets.records.dataset import Crops
from pcip_assets.records.model import describe_model
from pcip_assets.records.names import settings_text
from pcip_assets.records.settings import OVERRIDES, SETTINGS
from pcip_assets.tracking import PRECISION, Encoder, Tracking, TrainingRun, as_json, device_name
from pcip_core.locks import locked, temporary_folder
from pcip_core.spec.training import TrainingConfig

_EXAMPLES = 2  # crops that are kept with the network as an example of its input


@dataclass(frozen=True)
class Fitted:
    """What a training gave.

    Attributes:
        trained: network, history, device and precision, as `pcip_core.training` returns them.
        cells: how many it was trained on.
        loss: the name of the loss, for the axis of its curve.
        extra: plain values that are kept with the weights.
        warning: why the network cannot learn what it is for; empty otherwise.
    """

    trained: Any
    cells: int
    loss: str
    extra: dict[str, Any]
    warning: str = ""


@dataclass(frozen=True)
class Network(Work):
    """A network that is trained on crops of all shards, and kept as a model in MLflow.

    Attributes:
        tracking: of the workspace.
        model: its name in MLflow.
        kind: of network, as MLflow shows it.
        config: of the training.
        inputs: what decides the weights.
        fit: trains it; takes a tracker, the folder of the checkpoints, and how processes elsewhere are started, if so.
        overrides: settings in `config` that the spec does not say, given for one run.
        left_out: a sentence on the images that the training does not see; empty if it sees all.
    """

    tracking: Tracking
    model: str
    kind: str
    config: TrainingConfig
    inputs: Callable[[str | None], dict[str, Any]]
    fit: Callable[[TrainingRun, Path, Start | None], Fitted]
    overrides: dict[str, Any] = field(default_factory=dict)
    left_out: str = ""

    def made_from(self, run: Run, shard: str | None) -> str | None:
        """As the tags of the champion say; its weights may be damaged or gone, and are trained again."""
        version = self.tracking.champion_version(self.model)
        return version and version.tags.get("inputs_hash")

    def keep(self, run: Run, shard: str | None, made_from: str) -> dict[str, Any]:
        """Train it and make it the champion, unless another run does so meanwhile.

        Two trainings at once would share the folder of checkpoints, and the first that ends removes it.
        """
        folder = run.library.workspace.checkpoints / run.screen.name
        folder.mkdir(parents=True, exist_ok=True)
        before = self._version()
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(folder / f"{self.kind}.lock", wait=False))
            except BlockingIOError:
                run.context.log.info(f"{self.model}: another run trains this network; waiting for it to end")
                stack.enter_context(locked(folder / f"{self.kind}.lock"))
                if self._version() != before and self.made_from(run, shard) == made_from:
                    return {"up_to_date": True}
            return train_network(run, self, made_from)

    def describe(self, run: Run) -> dict[str, Any]:
        """The version in use, its precision, the settings that its run changed, and what it left out."""
        champion = self._champion()
        further = {name: champion.tags[name] for name in (OVERRIDES, LEFT_OUT) if name in champion.tags}
        return {"encoder_version": champion.version, "precision": champion.precision, **further}

    def data_version(self, run: Run, hashes: Sequence[str]) -> str:
        """What is made with it depends on its weights."""
        return self._champion().tags["weights_sha256"]

    def _version(self) -> str | None:
        version = self.tracking.champion_version(self.model)
        return version and version.version

    def _champion(self) -> Encoder:
        return self.tracking.champion(self.model)


def train_network(run: Run, network: Network, made_from: str) -> dict[str, Any]:
    """Train a network in an MLflow run, resumed if it was interrupted, and register it; metadata of the training."""
    from pcip_core.plots.pictures import preview
    from pcip_core.plots.training import loss_curve

    screen, tracking, config = run.screen, network.tracking, network.config
    crops = crops_of_screen(run.library, screen)
    tags = _tags(run, network, made_from, crops)
    folder_name = inputs_hash(of=made_from, crops=crops.digest)
    checkpoints = run.library.workspace.checkpoints / screen.name / folder_name
    with tracking.training(
        screen, config.epochs, checkpoints=checkpoints, tags=tags, log=run.context.log
    ) as tracker:
        tracker.start({"data_hash": crops.digest, "commit": tags["commit"]})
        tracker.inputs(crops)
        start = training_start(run.library.workspace, checkpoints, run.context.log)
        fitted = network.fit(tracker, checkpoints, start)
        device, history = str(fitted.trained.device), fitted.trained.history
        tracker.start({"device": f"{device} ({device_name(device)})", "cells": fitted.cells})
        curve = loss_curve(history, screen.title, loss=fitted.loss)
        tracking.log_pictures(tracker.run_id, {"loss_curve.png": curve})
        tracking.log_document(tracker.run_id, "resolved_spec.json", screen.resolved())
        with temporary_folder() as folder:
            _save(run, network, fitted, crops, folder, made_from)
            tags |= {PRECISION: fitted.trained.precision}
            tracking.register(network.model, screen.name, tracker.run_id, folder, tags)
    shutil.rmtree(checkpoints)  # if they stayed, the next training would resume this one
    last = history[-1] if history else {}
    return {
        "mlflow_run": dg.MetadataValue.url(tracking.url(screen.name, tracker.run_id)),
        "mlflow_run_id": tracker.run_id,
        "cells": fitted.cells,
        "epochs": len(history),
        **({} if tracker.resumed_after is None else {"resumed_after_epoch": tracker.resumed_after}),
        **({"warning": fitted.warning} if fitted.warning else {}),
        **{name: value for name, value in last.items() if name == "loss"},
        **{name: value for name, value in last.items() if name.startswith("validation_")},
        **{name: value for name, value in last.items() if name.endswith("_per_s")},
        "device": device,
        "precision": fitted.trained.precision,
        "config": dg.MetadataValue.json(dataclasses.asdict(config)),
        "loss_curve": picture(preview(curve)),
        "inputs": as_json({"inputs_hash": made_from}),
    }


def _tags(run: Run, network: Network, made_from: str, crops: Crops) -> dict[str, str]:
    """Tags of the run and of the version, by which a search finds them."""
    screen, config = run.screen, network.config
    tags = {
        "screen": screen.name,
        "organism": screen.organism,
        "simulated": str(screen.simulated),
        "dagster/run_id": run.context.run.run_id,
        "inputs_hash": made_from,
        "data_hash": crops.digest,
        "commit": git_commit(),
        "code_version": run.version,
        "network": network.kind,
        "width": str(config.width),
        "epochs": str(config.epochs),
        "learning_rate": str(config.learning_rate),
    }
    further = {OVERRIDES: settings_text(network.overrides), LEFT_OUT: network.left_out}
    return tags | {name: text for name, text in further.items() if text}


def _save(run: Run, network: Network, fitted: Fitted, crops: Crops, folder: Path, made_from: str) -> None:
    """Write the files of a network, from which it can be used without MLflow: weights, settings, signature, card."""
    from pcip_core.models.files import load_encoder, save_encoder

    screen, trained = run.screen, fitted.trained
    extra = {
        "screen": screen.name,
        "inputs_hash": made_from,
        "precision": trained.precision,
        SETTINGS: dataclasses.asdict(network.config),
        OVERRIDES: network.overrides,
        **fitted.extra,
    }
    save_encoder(trained.network, folder, extra=extra)
    card = model_card(
        screen,
        network.kind,
        network.model,
        network.config,
        crops,
        overrides=network.overrides,
        left_out=network.left_out,
        metrics=trained.history[-1] if trained.history else {},
    )
    pixels, _ = all_crops(run.library, screen)
    describe_model(folder, load_encoder(folder), np.asarray(pixels[:_EXAMPLES]), card)
