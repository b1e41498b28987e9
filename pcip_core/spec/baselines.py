"""What learned features are measured against: the settings of the other feature sets and of all scores.

Plain dataclasses, read from the section `baselines` of a spec; this module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pcip_core.spec.training import TrainingConfig

_STRICT = {"extra": "forbid"}
Correction = Literal["by_plate", "by_cell_line", "whitened"]


@dataclass(frozen=True)
class CellProfiler:
    """Where the feature set `cellprofiler` comes from.

    Args:
        source: `measured` here by cp_measure, read from a `table` that CellProfiler or CytoTable exported, or
            from the `archives` of a screen with the layout hdf5.
        table: that table, CSV or Parquet under the screen's root, one row an object.
        cell_id: its column of our cell ids, where it has one; or else
        image: template over its columns for our image ids (`{Metadata_Plate}_{Metadata_Well}`),
        field: and for the field within the image, where images have several,
        y, x: its columns of an object's centre, px; a cell within `within_px` of ours is ours.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    source: Literal["measured", "table", "archives"] = "measured"
    table: str | None = None
    cell_id: str | None = None
    image: str | None = None
    field: str | None = None
    y: str = "Nuclei_Location_Center_Y"
    x: str = "Nuclei_Location_Center_X"
    within_px: float = 5.0


@dataclass(frozen=True)
class Vgg16:
    """Transfer learning from VGG16 (paper, Supplementary Figure 2; docs/explanation/transfer.md).

    Args:
        weights: file that Keras or torchvision distributes; a relative path starts at the spec's folder.
        sha256: its digest.
        strategies: `protein` (the protein channel alone, grey; the paper's best), `channels` (each channel
            alone, grey, side by side), `rgb` (channels as colours).
        rgb: colour -> channel, for `rgb`; a colour that is not named stays empty.
        layers: convolutions, each one feature set a strategy; null takes all thirteen.
        resized: also crops resized to 224 px, by the last fully connected layer before the output (fc2).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    weights: str
    sha256: str | None = None
    strategies: tuple[Literal["protein", "channels", "rgb"], ...] = ("protein",)
    rgb: dict[Literal["red", "green", "blue"], str] = field(default_factory=dict)
    layers: tuple[str, ...] | None = ("block4_conv1",)
    resized: bool = False


@dataclass(frozen=True)
class Pairwise:
    """How image pairs are drawn for the normalized average pairwise distance; defaults are the paper's.

    Args:
        same: pairs of one term, for each term (Figure 2B).
        each_other: pairs of that term with each other term.
        by_line: pairs with one term, and as many with different terms, of the same or of different cell
            lines (Table 2).
        min_proteins: terms of fewer proteins are left out.
        bootstraps: draws of proteins, for the intervals.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    same: int = 1000
    each_other: int = 1000
    by_line: int = 10_000
    min_proteins: int = 30
    bootstraps: int = 1000


@dataclass(frozen=True)
class Umap:
    """Maps of cells and of proteins in two dimensions; defaults are the paper's (Figure 3, Supplementary Figure 3).

    Args:
        cells: at most so many labelled cells are drawn, evenly chosen; umap takes about a minute for 10,000.
        cell_neighbours, protein_neighbours: what counts as near.
        min_distance: how close points may lie.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    cells: int = 30_889
    cell_neighbours: int = 30
    protein_neighbours: int = 20
    min_distance: float = 0.3


@dataclass(frozen=True)
class Baselines:
    """Section `baselines` of a spec: feature sets to score beside those of paired cell inpainting, and how.

    Args:
        sets: `classic` (intensity, correlation and texture: the paper's for human cells), `designed`
            (interpretable measures of where in a cell a protein lies: the paper's for yeast),
            `cellprofiler`, `autoencoder` (of the encoder's layout and settings, trained on the same cells),
            `supervised` (a network trained on the labels, which must be there), `vgg16` (weights must be).
        mask: channel that `designed` and `cellprofiler` find the cell in; by default the first structural one.
        grey_levels: of the textures; the paper names no number, 32 are ten times faster than 256.
        cellprofiler: where its measurements come from.
        vgg16: its weights, layers and inputs.
        supervised: how the supervised network is trained; by default as `encoder` says.
        held_fraction: share of the labelled images that it is not trained on, but scored by.
        corrections: each adds copies of the sets in `corrected`, with its name at the end: `by_plate` and
            `by_cell_line` (each plate or line centred and scaled alone), `whitened` (decorrelated on controls).
        corrected: feature sets to correct; by default `inpainting_conv3` and `inpainting_conv4`.
        controls: the protein whose cells are the controls of `whitened`; null takes all cells.
        classifiers: feature sets that logistic regression and random forest score, and that pairwise
            distances, retrieval and maps are of; by default the layer of each method that is best by kNN.
        folds: of their cross-validation (paper: 5).
        trees: of the forest (paper: 500).
        pairwise: of the pairwise distances.
        umap: of the maps.
        seed: of every draw.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    sets: tuple[Literal["classic", "designed", "cellprofiler", "autoencoder", "supervised", "vgg16"], ...] = (
        "classic",
        "designed",
        "autoencoder",
    )
    mask: str | None = None
    grey_levels: int = 32
    cellprofiler: CellProfiler = field(default_factory=CellProfiler)
    vgg16: Vgg16 | None = None
    supervised: TrainingConfig | None = None
    held_fraction: float = 0.2
    corrections: tuple[Correction, ...] = ()
    corrected: tuple[str, ...] = ("inpainting_conv3", "inpainting_conv4")
    controls: str | None = None
    classifiers: tuple[str, ...] | None = None
    folds: int = 5
    trees: int = 500
    pairwise: Pairwise = field(default_factory=Pairwise)
    umap: Umap = field(default_factory=Umap)
    seed: int = 0

    @property
    def designed(self) -> tuple[str, ...]:
        """The sets that are measured, not learned."""
        return tuple(name for name in self.sets if name in ("classic", "designed", "cellprofiler"))

    def problems(self, channels: Collection[str], layout: str) -> Iterator[tuple[str, str]]:
        """What cannot be, for a screen of these channels and that layout of files: (found, required)."""
        profiler, transfer = self.cellprofiler, self.vgg16
        if self.mask not in (None, *channels):
            yield f"baselines.mask {self.mask!r}", f"one of {list(channels)}"
        if not 2 <= self.grey_levels <= 256:
            yield f"baselines.grey_levels {self.grey_levels}", "2 to 256"
        if (profiler.source == "table") != (profiler.table is not None):
            yield "baselines.cellprofiler: one of source: table and table alone", "both, or neither"
        if profiler.source == "table" and (profiler.cell_id is None) == (profiler.image is None):
            yield "baselines.cellprofiler.table", "exactly one of cell_id and image, to find our cells by"
        if profiler.source == "archives" and layout != "hdf5":
            yield f"baselines.cellprofiler.source archives with layout {layout}", "layout hdf5"
        if ("vgg16" in self.sets) != (transfer is not None):
            yield "one of vgg16 in baselines.sets and baselines.vgg16.weights alone", "both, or neither"
        if transfer is not None and ("rgb" in transfer.strategies) != bool(transfer.rgb):
            yield "baselines.vgg16: one of the strategy rgb and the colours in rgb alone", "both, or neither"
        if transfer is not None and not set(transfer.rgb.values()) <= set(channels):
            yield f"baselines.vgg16.rgb {transfer.rgb}", f"channels of {list(channels)}"
        if not 0 < self.held_fraction < 1:
            yield f"baselines.held_fraction {self.held_fraction}", "more than 0 and less than 1"
        if bool(self.controls) and "whitened" not in self.corrections:
            yield f"baselines.controls {self.controls!r} without whitened", "corrections: [whitened]"
