"""The crops of a screen as a data set of MLflow, identified by their hash."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Crops:
    """The crops of all shards of a screen.

    Attributes:
        screen: its name.
        digest: hash of all crops.
        channels: names of the channels of a crop.
        size_px: side of a crop.
        cells, images, shards: their numbers.
    """

    screen: str
    digest: str
    channels: tuple[str, ...]
    size_px: int
    cells: int
    images: int
    shards: int

    @property
    def name(self) -> str:
        """The name of the data set in MLflow."""
        return f"{self.screen}.crops"

    def as_input(self, context: str) -> Any:
        """The input of a run, for `MlflowClient.log_inputs`.

        The source is relative to the workspace, so that it holds after the workspace is moved.

        Args:
            context: `training` or `evaluation`.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        shape = [self.cells, len(self.channels), self.size_px, self.size_px]
        tensor = {"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, *shape[1:]]}}
        profile = {
            "features_shape": shape,
            "channels": list(self.channels),
            "cells": self.cells,
            "images": self.images,
            "shards": self.shards,
        }
        dataset = Dataset(
            name=self.name,
            digest=self.digest,
            source_type="local",
            source=json.dumps({"uri": f"store/{self.screen}/cells"}),
            schema=json.dumps({"mlflow_tensorspec": {"features": json.dumps([tensor]), "targets": None}}),
            profile=json.dumps(profile),
        )
        return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])

    def __str__(self) -> str:
        return f"{self.cells:,} cells of {self.images:,} images in {self.shards:,} shards"
