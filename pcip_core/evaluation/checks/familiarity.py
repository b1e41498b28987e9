"""How far cells lie from those that an encoder was trained on, by its own features."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pcip_core.errors import ShapeError

_SHARE = 0.99  # of the training cells lie within the limit
_LEAST_DEVIATION = 1e-6  # of a feature that varies


@dataclass(frozen=True)
class TrainingCells:
    """The features of the cells of a training, in short.

    Attributes:
        layer: the layer of the encoder.
        mean, deviation: of each feature.
        limit: the distance within which 99 % of the cells lie.
    """

    layer: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    limit: float

    @classmethod
    def of(cls, layer: str, features: np.ndarray) -> TrainingCells:
        """Describe the features, (n, d), of cells of the training; a sample is enough."""
        mean, deviation = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
        described = cls(layer, tuple(mean.tolist()), tuple(deviation.tolist()), 0.0)
        return cls(
            layer,
            described.mean,
            described.deviation,
            float(np.quantile(described.distances(features), _SHARE)),
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingCells:
        """Restore from `as_dict`, also after a round trip through JSON."""
        return cls(values["layer"], tuple(values["mean"]), tuple(values["deviation"]), float(values["limit"]))

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values."""
        return asdict(self)

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Compute the distance of cells from the mean of the training: (n, d) -> (n,).

        It is the root of the mean square of the standardized features: about 1 for cells like those of the training.
        Features that were constant in the training are left out.

        Raises:
            ShapeError: the features are not (n, d).
        """
        mean, deviation = np.array(self.mean), np.array(self.deviation)
        if features.ndim != 2 or features.shape[1] != len(mean):
            raise ShapeError(
                f"features of {self.layer}",
                found=str(features.shape),
                required=f"(n, {len(mean)}), as in the training",
                remedy="Compute the features with the encoder that they are compared with.",
            )
        varies = deviation > _LEAST_DEVIATION
        if not varies.any():
            return np.zeros(len(features))
        standardized = (features[:, varies] - mean[varies]) / deviation[varies]
        return np.sqrt(np.square(standardized).mean(1))

    def beyond(self, features: np.ndarray) -> np.ndarray:
        """Which cells lie beyond the limit: (n, d) -> (n,) bool; of cells like those of the training, about 1 %.

        >>> cells = np.random.default_rng(0).normal(size=(1000, 4))
        >>> training = TrainingCells.of("conv3", cells)
        >>> float(training.beyond(cells).mean()), float(training.beyond(cells + 5).mean())
        (0.01, 1.0)
        """
        return self.distances(features) > self.limit
