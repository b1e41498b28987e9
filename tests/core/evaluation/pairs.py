"""A screen of two terms and lines, and distances by a naive loop."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.preprocessing import StandardScaler


def screen(proteins: int = 12, *, apart: float = 0.0, seed: int = 0) -> dict[str, np.ndarray]:
    """Three terms of so many proteins, two images each, in two lines; one to five cells an image, shuffled.

    Args:
        proteins: of each term.
        apart: distance between the terms' means in each of their own two columns.
        seed: of the cells.
    """
    rng = np.random.default_rng(seed)
    number = np.arange(3 * proteins).repeat(2)  # (m,) protein of each image
    image = rng.permutation(np.arange(len(number)).repeat(rng.integers(1, 6, len(number))))
    means = apart * np.eye(3).repeat(2, axis=1)[number % 3] + 0.3 * rng.normal(size=(3 * proteins, 6))[number]
    return {
        "features": (means[image] + rng.normal(size=(len(image), 6))).astype(np.float32),
        "image": image,
        "terms": np.array(["ER", "Golgi", "nucleus"])[number % 3],
        "proteins": np.array([f"P{each:03}" for each in number]),
        "lines": rng.permutation(np.array(["A-431", "U-2 OS"]).repeat(len(number) // 2)),
    }


def naive(data: dict[str, np.ndarray], pairs: np.ndarray) -> np.ndarray:
    points = StandardScaler().fit_transform(data["features"].astype(np.float64))
    cells = [points[data["image"] == number] for number in range(len(data["terms"]))]
    return np.array([cdist(cells[one], cells[other]).mean() for one, other in pairs])
