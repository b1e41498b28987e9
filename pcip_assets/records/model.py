"""The files that make a folder with a network a model of MLflow: its signature, an example of its input, its card."""

from pathlib import Path
from typing import Any

import numpy as np

CARD = "README.md"
_LOADER = "pcip_assets.records.pyfunc"


def describe_model(folder: Path, network: Any, example: np.ndarray, card: str) -> None:
    """Write signature and example in MLflow's form (MLmodel, input_example.json), and the card, beside the weights.

    Args:
        folder: with the files of the network.
        network: the CellNetwork.
        example: (n, C, S, S) uint8, a few crops.
        card: Markdown.
    """
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.models.utils import _save_example
    from mlflow.types.schema import Schema, TensorSpec

    from pcip_core.models.inference import extract_features

    features = extract_features(network, example)
    crops: Any = TensorSpec(np.dtype("uint8"), (-1, *example.shape[1:]))
    layers: list[Any] = [
        TensorSpec(np.dtype("float32"), (-1, values.shape[1]), layer) for layer, values in features.items()
    ]
    model = Model(artifact_path="encoder", signature=ModelSignature(Schema([crops]), Schema(layers)))
    pyfunc.add_to_model(model, loader_module=_LOADER)
    _save_example(model, example, str(folder))
    model.save(str(folder / "MLmodel"))
    (folder / CARD).write_text(card)
