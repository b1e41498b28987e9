"""What learned features are measured against: the settings of the other feature sets.

Plain dataclasses, read from the section `yardsticks` of a spec; this module imports nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

_STRICT = {"extra": "forbid"}


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
class Yardsticks:
    """Section `yardsticks` of a spec: feature sets to score beside those of paired cell inpainting.

    Args:
        sets: `classic` (intensity, correlation and texture: the paper's for human cells), `designed`
            (interpretable measures of where in a cell a protein lies: the paper's for yeast),
            `cellprofiler`, `autoencoder` (of the encoder's layout and settings, trained on the same cells).
        mask: channel that `designed` and `cellprofiler` find the cell in; by default the first structural one.
        grey_levels: of the textures; the paper names no number, 32 are ten times faster than 256.
        cellprofiler: where its measurements come from.
        classifiers: feature sets that logistic regression and random forest score; by default the layer of
            each method that is best by kNN.
        folds: of their cross-validation (paper: 5).
        trees: of the forest (paper: 500).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    sets: tuple[Literal["classic", "designed", "cellprofiler", "autoencoder"], ...] = (
        "classic",
        "designed",
        "autoencoder",
    )
    mask: str | None = None
    grey_levels: int = 32
    cellprofiler: CellProfiler = field(default_factory=CellProfiler)
    classifiers: tuple[str, ...] | None = None
    folds: int = 5
    trees: int = 500

    @property
    def designed(self) -> tuple[str, ...]:
        """The sets that are measured, not learned."""
        return tuple(name for name in self.sets if name != "autoencoder")
