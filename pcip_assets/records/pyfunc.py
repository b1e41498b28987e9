"""What `mlflow.pyfunc.load_model` loads: the features of cells by a registered network. Nothing is pickled."""

from pathlib import Path
from typing import Any

PRECISION = "precision"  # key in the file of a network: in which it describes cells


class Describer:
    """A network that describes cells, on the first GPU or the CPU.

    Args:
        folder: of the files of the network.
    """

    def __init__(self, folder: Path) -> None:
        from pcip_core.models.files import load_encoder, read_extra

        self._network = load_encoder(folder)
        self._precision = read_extra(folder).get(PRECISION, "float32")

    def predict(self, crops: Any, params: Any = None) -> dict[str, Any]:
        """Features of crops, (n, C, S, S) uint8: layer -> (n, filters) float32, as the store holds them."""
        from pcip_core.models.inference import extract_features
        from pcip_core.training.device import choose_device

        return extract_features(self._network, crops, device=choose_device("auto"), precision=self._precision)


def _load_pyfunc(path: str) -> Describer:
    """The entry point that MLflow calls, by this name."""
    return Describer(Path(path))
