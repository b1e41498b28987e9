"""What learned features are measured against: the settings of every other feature set and of the scores.

Plain dataclasses, read from the section `yardsticks` of a spec; this module imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pcip_core.training.config import TrainingConfig

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class Vgg16:
    """Transfer learning from VGG16 (paper, Supplementary Figure 2).

    Args:
        weights: file that torchvision or Keras distributes (docs/transfer.md), beside the spec or absolute.
        sha256: its digest; without one the digest that torchvision's file name carries is checked.
        strategies: `protein` (the protein channel alone, grey), `channels` (each channel alone, grey, side by
            side), `rgb` (channels as colours).
        rgb: colour (`red`, `green`, `blue`) -> channel, for `rgb`; colours that are not named stay empty.
        layers: convolution layers, each one feature set a strategy; by default all thirteen.
        resized: also crops resized to 224 px and the last fully connected layer.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    weights: str
    sha256: str | None = None
    strategies: tuple[Literal["protein", "channels", "rgb"], ...] = ("protein",)
    rgb: dict[Literal["red", "green", "blue"], str] = field(default_factory=dict)
    layers: tuple[str, ...] | None = None
    resized: bool = False


@dataclass(frozen=True)
class CellProfiler:
    """CellProfiler's measurements: of an export, or measured here with cp_measure.

    Args:
        table: CSV or Parquet under the screen's root with one row an object; without one they are measured,
            unless the screen's own archives hold them (`files.layout: hdf5`).
        cell_id: its column of our cell ids; or else
        image_id, y, x: its columns of the image id and of the object's centre, px; the nearest cell of ours
            within `within_px` is meant.
        field: its column of the field within the image, where images have several.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    table: str | None = None
    cell_id: str | None = None
    image_id: str | None = None
    field: str | None = None
    y: str | None = None
    x: str | None = None
    within_px: float = 10.0


@dataclass(frozen=True)
class Pairwise:
    """Sampling of image pairs for the normalized average pairwise distance; defaults are the paper's.

    Args:
        same: pairs of one term, for each term (Figure 2B).
        each_other: pairs with each other term.
        by_line: pairs with the same term, and as many with different terms, of the same or of different cell
            lines (Table 2).
        min_proteins: terms of fewer proteins are left out.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    same: int = 1000
    each_other: int = 1000
    by_line: int = 10_000
    min_proteins: int = 30


@dataclass(frozen=True)
class Yardsticks:
    """Section `yardsticks` of a spec; each part has defaults that need no other file but `vgg16`.

    Args:
        autoencoder: how it is trained; by default as `encoder` says.
        supervised: how the supervised network is trained; by default as `encoder` says.
        test_fraction: share of each class's images that the supervised network does not see.
        mask: structural channel that the masks of `designed` and `cellprofiler` are found in; by default the first.
        vgg16: only where the weights are given.
        cellprofiler: where its measurements come from.
        corrections: each adds a corrected copy of every feature set to the scores: `by_plate`, `by_cell_line`
            (each plate or line centred and scaled on its own), `whitened` (decorrelated on the controls).
        controls: a protein, whose images are the controls of `whitened`.
        classifiers: feature sets that logistic regression and random forest score; by default the layer of
            each method that is best by kNN.
        folds: of their cross-validation (paper: 5).
        trees: of the random forest (paper: 500).
        pairwise: sampling of image pairs.
        neighbours: of UMAP: of cells, of proteins (paper: 30, 20).
        seed: of every draw here.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    autoencoder: TrainingConfig | None = None
    supervised: TrainingConfig | None = None
    test_fraction: float = 0.2
    mask: str | None = None
    vgg16: Vgg16 | None = None
    cellprofiler: CellProfiler = field(default_factory=CellProfiler)
    corrections: tuple[Literal["by_plate", "by_cell_line", "whitened"], ...] = ()
    controls: str | None = None
    classifiers: tuple[str, ...] | None = None
    folds: int = 5
    trees: int = 500
    pairwise: Pairwise = field(default_factory=Pairwise)
    neighbours: tuple[int, int] = (30, 20)
    seed: int = 0
