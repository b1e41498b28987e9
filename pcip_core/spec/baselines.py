"""Section `baselines` of a spec: settings of the baseline feature sets and of all evaluations.

Plain dataclasses; this module imports no large package.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pcip_core.spec.bounds import Bounds, Count, Seed, Share, meant
from pcip_core.spec.training import TrainingConfig

_STRICT = {"extra": "forbid"}
Correction = Literal["by_plate", "by_cell_line", "whitened"]
Classifier = Literal["logistic", "forest", "histogram_forest"]


@dataclass(frozen=True)
class CellProfiler:
    """Source of the feature set `cellprofiler`.

    Args:
        source: `measured` by cp_measure, read from a `table` exported by CellProfiler or CytoTable, or read from
            the `archives` of a screen with the layout hdf5.
        table: path of the table, CSV or Parquet, relative to the root; one row per object.
        cell_id: its column of pcip's cell ids. Without this column, objects are matched by position:
        image: template over its columns that gives the image id (`{Metadata_Plate}_{Metadata_Well}`),
        field: template that gives the field within the image, if images have several fields,
        y, x: columns of the centre of an object, px,
        within_px: largest distance between the centres of a cell and its object, px.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    source: Literal["measured", "table", "archives"] = "measured"
    table: str | None = None
    cell_id: str | None = None
    image: str | None = None
    field: str | None = None
    y: str = "Nuclei_Location_Center_Y"
    x: str = "Nuclei_Location_Center_X"
    within_px: Annotated[float, Bounds(0, 20_000)] = 5.0


@dataclass(frozen=True)
class Vgg16:
    """Transfer learning from VGG16 (paper, Supplementary Figure 2; docs/explanation/transfer.md).

    Args:
        weights: file distributed by Keras or torchvision; a relative path starts at the folder of the spec.
        sha256: its SHA-256 digest.
        strategies: `protein` (only the protein channel, as grey levels; the paper's best), `channels` (each
            channel separately, as grey levels, with concatenated features), `rgb` (channels as colours).
        rgb: colour -> channel, for `rgb`; a colour without a channel is empty.
        layers: convolutions; each gives one feature set per strategy; null selects all thirteen.
        resized: also compute features of crops resized to 224 px from the last fully connected layer before the
            output (fc2).
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
    """Sampling of image pairs for the normalized average pairwise distance. The defaults are the paper's.

    Args:
        same: number of pairs with the same term, for each term (Figure 2B).
        each_other: number of pairs of a term with each other term.
        by_line: number of pairs with the same term, and of pairs with different terms, for the same and for different
            cell lines (Table 2).
        min_proteins: terms with fewer proteins are excluded.
        bootstraps: bootstrap samples of proteins, for the confidence intervals.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    same: Count = 1000
    each_other: Count = 1000
    by_line: Count = 10_000
    min_proteins: Count = 30
    bootstraps: Annotated[int, Bounds(0, 100_000)] = 1000


@dataclass(frozen=True)
class Umap:
    """UMAPs of cells and of proteins. The defaults are the paper's (Figure 3, Supplementary Figure 3).

    Args:
        cells: largest number of labelled cells, evenly chosen; UMAP takes about one minute for 10,000 cells.
        cell_neighbours, protein_neighbours: UMAP's `n_neighbors`.
        min_distance: UMAP's `min_dist`.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    cells: Count = 30_889
    cell_neighbours: Annotated[int, Bounds(2, 1000)] = 30
    protein_neighbours: Annotated[int, Bounds(2, 1000)] = 20
    min_distance: Share = 0.3


@dataclass(frozen=True)
class Baselines:
    """Section `baselines` of a spec: baseline feature sets and the evaluation of all feature sets.

    Args:
        sets: `classic` (intensity, correlation and texture; the paper's baseline for human cells), `designed`
            (interpretable measures of the position of a protein in the cell; the paper's baseline for yeast),
            `cellprofiler`, `autoencoder` (with the architecture and settings of the encoder, trained on the same
            cells), `supervised` (a network trained on the labels, which the screen must have), `vgg16` (needs
            weights).
        mask: channel in which `designed` and `cellprofiler` segment the cell; by default the first structural one.
        grey_levels: grey levels of the textures. The paper gives no number; 32 are ten times faster than 256.
        cellprofiler: source of its measurements.
        vgg16: its weights, layers and inputs.
        supervised: training of the supervised network; by default the settings of `encoder`.
        held_fraction: share of the labelled images that is excluded from its training and used to evaluate it.
        corrections: each adds corrected copies of the sets in `corrected`, with the correction as a suffix:
            `by_plate` and `by_cell_line` (each plate or cell line is centred and scaled separately), `whitened`
            (decorrelated on controls).
        corrected: feature sets to correct; by default conv3 and conv4 of the encoder.
        controls: the protein whose cells are the controls of `whitened`; null uses all cells.
        classifiers: feature sets for logistic regression, random forest, pairwise distances, retrieval and
            UMAPs; by default the layer of each method with the best kNN score.
        models: the classifiers that score them: `logistic` and `forest` (the paper's), and `histogram_forest`, a
            random forest that takes about a quarter of the time.
        folds: folds of the cross-validation (paper: 5).
        trees: trees of a random forest (paper: 500).
        pairwise: sampling of the pairwise distances.
        umap: settings of the UMAPs.
        seed: seed of all random draws.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    sets: tuple[Literal["classic", "designed", "cellprofiler", "autoencoder", "supervised", "vgg16"], ...] = (
        "classic",
        "designed",
        "autoencoder",
    )
    mask: str | None = None
    grey_levels: Annotated[int, Bounds(2, 256)] = 32
    cellprofiler: CellProfiler = field(default_factory=CellProfiler)
    vgg16: Vgg16 | None = None
    supervised: TrainingConfig | None = None
    held_fraction: Annotated[float, Bounds(0, 1, above=True, below=True)] = 0.2
    corrections: tuple[Correction, ...] = ()
    corrected: tuple[str, ...] | None = None
    controls: str | None = None
    classifiers: tuple[str, ...] | None = None
    models: tuple[Classifier, ...] = ("logistic", "forest")
    folds: Annotated[int, Bounds(2, 100)] = 5
    trees: Annotated[int, Bounds(1, 100_000)] = 500
    pairwise: Pairwise = field(default_factory=Pairwise)
    umap: Umap = field(default_factory=Umap)
    seed: Seed = 0

    @property
    def designed(self) -> tuple[str, ...]:
        """The feature sets that are designed, not learned."""
        return tuple(name for name in self.sets if name in ("classic", "designed", "cellprofiler"))

    def problems(self, channels: Collection[str], layout: str) -> Iterator[tuple[str, str]]:
        """Invalid settings for a screen with these channels and this layout of files: (found, required)."""
        profiler, transfer = self.cellprofiler, self.vgg16
        if self.mask not in (None, *channels):
            yield f"baselines.mask {self.mask!r}{meant(str(self.mask), channels)}", f"one of {list(channels)}"
        if (profiler.source == "table") != (profiler.table is not None):
            yield "baselines.cellprofiler: only one of `source: table` and `table`", "both, or neither"
        if profiler.source == "table" and (profiler.cell_id is None) == (profiler.image is None):
            yield "baselines.cellprofiler.table", "exactly one of cell_id and image, to match cells"
        if profiler.source == "archives" and layout != "hdf5":
            yield f"baselines.cellprofiler.source archives with layout {layout}", "layout hdf5"
        if not self.models or len(set(self.models)) < len(self.models):
            yield f"baselines.models {list(self.models)}", "one or more classifiers, each once"
        if ("vgg16" in self.sets) != (transfer is not None):
            yield "only one of vgg16 in baselines.sets and baselines.vgg16.weights", "both, or neither"
        if transfer is not None and ("rgb" in transfer.strategies) != bool(transfer.rgb):
            yield "baselines.vgg16: only one of the strategy rgb and the colours in rgb", "both, or neither"
        if transfer is not None and not set(transfer.rgb.values()) <= set(channels):
            name = next(name for name in transfer.rgb.values() if name not in channels)
            yield (
                f"baselines.vgg16.rgb {transfer.rgb}{meant(name, channels)}",
                f"channels of {list(channels)}",
            )
        if bool(self.controls) and "whitened" not in self.corrections:
            yield f"baselines.controls {self.controls!r} without whitened", "corrections: [whitened]"
