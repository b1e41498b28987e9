"""Maps of the cells and proteins of a screen: the stored UMAPs, and principal components of all cells."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pcip_core.analysis.examples import evenly
from pcip_core.browse.cells import FEATURES, BrowsedCells, places
from pcip_core.browse.lasso import Points
from pcip_core.browse.vectors import CellVectors, key_of, rows_of, scaling
from pcip_core.errors import EvaluationError, WriteError
from pcip_core.features.blocks import Features, columns_of, places_of
from pcip_core.files import replacing
from pcip_core.store.partitions import Store

MEANS = "protein_features_"
_STORED = {  # table -> what its points are, and who computed it
    "umap_cells": ("cells", "UMAP of a sample, by the baselines"),
    "map_cells": ("cells", "UMAP of a sample, by the analyses"),
    "umap_proteins": ("proteins", "UMAP, by the baselines"),
    "map_proteins": ("proteins", "UMAP, by the analyses"),
}
_FITTED = 20_000  # cells from which principal components are computed
_CHANGED = "2"  # of the way in which they are computed


@dataclass(frozen=True)
class MapName:
    """A map that can be shown.

    Attributes:
        kind: `cells` or `proteins`.
        feature_set: the feature set that it is made from.
        source: the stored table, or `pca`.
        title: in words.
    """

    kind: str
    feature_set: str
    source: str
    title: str

    @property
    def key(self) -> str:
        """A name that is unique in its screen."""
        return f"{self.kind}.{self.feature_set}.{self.source}"


@dataclass(frozen=True)
class Map:
    """A map.

    Attributes:
        points: the coordinates of all n cells, or of the proteins; NaN for a cell that is not on the map.
        proteins: the names of the proteins; None for a map of cells.
    """

    points: Points
    proteins: pl.Series | None = None

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """x from and to, y from and to: all points, with a margin."""
        placed = self.points.xy[self.points.placed]
        if not len(placed):
            return 0.0, 1.0, 0.0, 1.0
        low, high = placed.min(0).astype(float), placed.max(0).astype(float)
        margin = np.maximum((high - low) * 0.03, 1e-6)
        (x0, y0), (x1, y1) = low - margin, high + margin
        return float(x0), float(x1), float(y0), float(y1)


def map_names(store: Store, screen: str, preferred: str) -> list[MapName]:
    """The maps of a screen: those of cells before those of proteins, and of the preferred feature set first."""
    tables = store.tables(screen)
    names = [
        MapName("cells", table.removeprefix(FEATURES), "pca", "principal components of all cells")
        for table in tables
        if table.startswith(FEATURES)
    ]
    names += [
        MapName("proteins", table.removeprefix(MEANS), "pca", "principal components")
        for table in tables
        if table.startswith(MEANS)
    ]
    for table, (kind, title) in _STORED.items():
        if table in tables:
            sets = store.read(screen, table, columns=["feature_set"])["feature_set"].unique().drop_nulls()
            names += [MapName(kind, name, table, title) for name in sets.sort()]
    return sorted(names, key=lambda name: (name.kind, name.feature_set != preferred, name.feature_set))


def cell_map(cells: BrowsedCells, name: MapName, vectors: Callable[[], CellVectors], cache: Path) -> Map:
    """A map of cells. Principal components are kept in a file, until the vectors change.

    Args:
        cells: the cells.
        name: the map.
        vectors: gives those of its feature set, if they are needed.
        cache: folder of these files. If it cannot be written, they are computed each time.
    """
    if name.source != "pca":
        return Map(Points(_stored(cells.store, cells.screen, name, "cell_id", cells.cell_id)))
    tables = (FEATURES + name.feature_set, "cells")
    key = f"{_CHANGED} {key_of(cells.store, cells.screen, tables)}"
    file = cache / f"{name.key}.npz"
    kept = _kept(file, key, len(cells))
    if kept is None:
        read = vectors()
        kept = np.full((len(cells), 2), np.nan, np.float32)
        described = np.flatnonzero(read.place >= 0)
        kept[described] = principal_components(read.features)[read.place[described]]
        with suppress(WriteError), replacing(file) as temporary, temporary.open("wb") as opened:
            np.savez(opened, xy=kept, key=np.array(key))
    return Map(Points(kept))


def protein_map(store: Store, screen: str, name: MapName) -> Map:
    """A map of proteins."""
    if name.source != "pca":
        proteins = store.read(screen, name.source, columns=["protein", "feature_set"])
        names = proteins.filter(feature_set=name.feature_set)["protein"].unique(maintain_order=True)
        return Map(Points(_stored(store, screen, name, "protein", names)), names)
    means = store.read(screen, MEANS + name.feature_set)
    return Map(Points(principal_components(means["features"].to_numpy())), means["protein"])


def points_of(shown: Map, cells: BrowsedCells, rows: np.ndarray) -> np.ndarray:
    """The points of cells on a map: themselves, or their proteins."""
    if shown.proteins is None:
        return rows
    protein = places(shown.proteins, cells.images["protein"])
    numbers = np.unique(protein[np.unique(cells.image[rows])])
    return numbers[numbers >= 0]


def cells_of(shown: Map, cells: BrowsedCells, points: np.ndarray) -> np.ndarray:
    """The cells of proteins on a map of proteins."""
    assert shown.proteins is not None
    chosen = np.zeros(len(shown.points) + 1, bool)  # the last one for images that are not on the map
    chosen[points] = True
    return np.flatnonzero(chosen[places(shown.proteins, cells.images["protein"])][cells.image])


def principal_components(features: Features) -> np.ndarray:
    """The first two principal components of standardized vectors, (n, 2) float32.

    They are computed from at most 20,000 evenly spaced vectors. The sign of each is such that its largest loading is
    positive.

    Args:
        features: (n, d), in memory or streamed.

    Raises:
        EvaluationError: a value is not finite.

    >>> principal_components(np.array([[0.0, 0.0], [1.0, 1.1], [2.0, 1.9]])).shape
    (3, 2)
    """
    sample = rows_of(features, np.array(evenly(range(len(features)), _FITTED), np.int64))
    out = np.zeros((len(features), 2), np.float32)
    if not len(sample):
        return out
    columns = columns_of(np.asarray(sample, np.float32), "map")
    standardized = columns.standardized(sample)
    _, axes = np.linalg.eigh(standardized.T @ standardized / len(sample))
    axes = axes[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    mean, scale = scaling(columns)
    weights = axes.astype(np.float32) * scale[:, None]
    for place, block in places_of(features):
        out[place, : axes.shape[1]] = (block - mean) @ weights
    if not np.isfinite(out).all():
        raise EvaluationError(
            "map",
            found="a feature that is not finite",
            required="finite numbers",
            remedy="Choose another feature set.",
        )
    return out


def _stored(store: Store, screen: str, name: MapName, key: str, wanted: pl.Series) -> np.ndarray:
    """The coordinates of a stored map, in the order of the wanted names."""
    table = store.read(screen, name.source, columns=[key, "feature_set", "x", "y"])
    table = table.filter(feature_set=name.feature_set)
    place = places(table[key], wanted)
    xy = np.vstack([table.select("x", "y").to_numpy(), [[np.nan, np.nan]]])
    return xy[place].astype(np.float32)


def _kept(file: Path, key: str, n: int) -> np.ndarray | None:
    """The coordinates of a file, if it was made from the same vectors."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            xy = kept["xy"]
            return xy if str(kept["key"]) == key and xy.shape == (n, 2) else None
    except (OSError, ValueError, KeyError, EOFError):
        return None
