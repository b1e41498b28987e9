"""The results of one screen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import yaml

from pcip.crops import Crops, read_crops
from pcip.features import OF, Features, Of
from pcip_core.errors import PcipError, StoreError, meant
from pcip_core.files import natural_key
from pcip_core.store.partitions import Store
from pcip_core.store.paths import how_to_make
from pcip_core.store.schemas import BENCHMARKS
from pcip_core.words import many

if TYPE_CHECKING:
    from anndata import AnnData


class Screen:
    """The results of a screen. Every access reads the present results from the disk.

    Attributes:
        name: of the screen.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.name, self._store = name, store

    # -- the screen ---------------------------------------------------------------------------------

    @cached_property
    def _row(self) -> dict[str, Any]:
        """The row of the screen in `main.screens`."""
        return self._store.read(self.name, "screen").row(0, named=True)

    @property
    def channels(self) -> dict[str, str]:
        """Channel -> role, in the order of the crops.

        >>> screen.channels
        {'nucleus': 'structural', 'protein': 'protein'}
        """
        pairs = (channel.rpartition(":") for channel in self._row["channels"])
        return {name: role for name, _, role in pairs}

    @property
    def organism(self) -> str:
        """The organism, as the spec names it."""
        return str(self._row["organism"])

    @property
    def simulated(self) -> bool:
        """Whether the images are simulated."""
        return bool(self._row["simulated"])

    @property
    def spec(self) -> dict[str, Any]:
        """The spec of the last run, with all defaults.

        >>> screen.spec["crops"]["size_px"]
        16
        """
        spec: dict[str, Any] = yaml.safe_load(self._row["spec"])
        return spec

    # -- tables -------------------------------------------------------------------------------------

    @property
    def tables(self) -> list[str]:
        """Names of all tables.

        >>> [name for name in screen.tables if name in ("cells", "images", "umap_cells")]
        ['cells', 'images', 'umap_cells']
        """
        return self._store.tables(self.name)

    def table(self, name: str) -> pl.DataFrame:
        """All rows of a table.

        Raises:
            PcipError: there is no such table; the message lists the tables.

        >>> screen.table("fields").select("field_id", "height_px").row(0)
        ('plate_1_A01_1', 160)
        """
        self._require(name)
        return self._store.read(self.name, name)

    def scan(self, name: str) -> pl.LazyFrame:
        """A table as a lazy frame: of a large one, only what a query needs is read.

        >>> screen.scan("cells").filter(pl.col("area_px") > 12).select(pl.len()).collect().item()
        4
        """
        self._require(name)
        return self._store.scan(self.name, name)

    @property
    def images(self) -> pl.DataFrame:
        """One row per image, with `n_cells`.

        >>> screen.images.select("image_id", "protein", "well", "n_cells").row(0)
        ('plate_1_A01', 'P0', 'A01', 5)
        """
        counts = self.scan("cells").group_by("image_id").agg(pl.len().cast(pl.Int64).alias("n_cells"))
        return (
            self.table("images")
            .join(counts.collect(), on="image_id", how="left", maintain_order="left")
            .with_columns(pl.col("n_cells").fill_null(0))
        )

    @property
    def cells(self) -> pl.DataFrame:
        """One row per cell. `scan("cells")` is the lazy form.

        >>> screen.cells.select("cell_id", "y_px").row(1)
        ('plate_1_A01_1_0001', 1.0)
        """
        return self.table("cells")

    @property
    def scores(self) -> pl.DataFrame:
        """Benchmark scores: one row per feature set, protocol, parameter, metric and label; without rows if none.

        >>> best = screen.scores.filter(pl.col("label").is_null(), parameter="k=11", protocol="leave_image_out")
        >>> best.sort("value", descending=True).select("feature_set", pl.col("value").round(2)).rows()
        [('inpainting_conv4', 0.81), ('intensity', 0.41)]
        """
        parts = [self.table(name) for name in self.tables if BENCHMARKS.holds(name)]
        return pl.concat([BENCHMARKS.empty(), *parts], how="diagonal_relaxed")

    def _require(self, table: str) -> None:
        tables = self.tables
        if not tables:
            raise gone(self._store, f"no results of the screen {self.name}")
        if table not in tables:
            raise StoreError(
                f"{self.name}.{table}",
                found=f"no such table{meant(table, tables)}",
                required=f"one of {', '.join(tables)}",
                remedy=f"Correct the name. {how_to_make(self.name, table)}",
            )

    # -- features and crops -------------------------------------------------------------------------

    @property
    def feature_sets(self) -> list[str]:
        """Names of the feature sets of cells.

        >>> screen.feature_sets
        ['inpainting_conv4']
        """
        return self._sets("cells")

    @property
    def feature_set(self) -> str:
        """The feature set that is used where none is named: `analyses.feature_set` of the spec."""
        return str(self._row["feature_set"])

    def features(self, feature_set: str | None = None, *, of: Of = "cells") -> Features:
        """A feature set, of which nothing is read yet.

        Args:
            feature_set: its name; by default that of the spec.
            of: `cells`, or `proteins`: the means over their cells.

        Raises:
            PcipError: there is no such feature set; the message lists those that exist.

        >>> screen.features("inpainting_conv4").shape, screen.features(of="proteins").shape
        ((30, 8), (3, 8))
        """
        name = feature_set or self.feature_set
        if of not in OF:
            raise PcipError(f"features of {of}", found="no such rows", required=" or ".join(OF),
                            remedy="Correct `of`.")  # fmt: skip
        sets = self._sets(of)
        if name not in sets:
            raise StoreError(
                f"{self.name}: feature set {name} of {of}",
                found=f"no such table{meant(name, sets)}",
                required=f"one of {', '.join(sets) or 'none yet'}",
                remedy=f"Name another, or: pcip run {self.name}",
            )
        return Features(self._store, self.name, name, of=of)

    def _sets(self, of: Of) -> list[str]:
        prefix = OF[of].prefix
        names = (name.removeprefix(prefix) for name in self.tables if name.startswith(prefix))
        return sorted(names, key=natural_key)

    def crops(self, cell_ids: str | Sequence[str] | pl.Series) -> Crops:
        """The crops of some cells, in their order, or of one cell.

        Raises:
            PcipError: a cell is not one of the screen.

        >>> screen.crops(["plate_1_A01_1_0002", "plate_1_A01_1_0000"])
        Crops of 2 cells: (2, 2, 4, 4) uint8, channels nucleus and protein
        """
        named = [cell_ids] if isinstance(cell_ids, str) else cell_ids
        rows, pixels = read_crops(self._store, self.name, named)
        return Crops(rows, tuple(self.channels), pixels)

    def neighbours(
        self, seeds: str | Sequence[str], n: int = 10, *, feature_set: str | None = None
    ) -> pl.DataFrame:
        """The proteins nearest to proteins, or the cells nearest to cells, as `pcip like` lists them.

        Distances are Euclidean, with each feature in standard deviations over all proteins or cells. Of several
        seeds, the distance is to their mean.

        Args:
            seeds: proteins, or ids of cells.
            n: number of rows.
            feature_set: by default that of the spec.

        Returns:
            The nearest first, without the seeds: protein, distance, clade, gene, localization; or cell_id, distance,
            protein, localization.

        Raises:
            PcipError: a seed or the feature set is unknown.

        >>> screen.neighbours("P0", n=1)["protein"].to_list()
        ['P1']
        """
        from pcip.nearest import nearest_rows

        named = [seeds] if isinstance(seeds, str) else [str(seed) for seed in seeds]
        return nearest_rows(
            self._store, self.name, named, n=n, feature_set=feature_set or self.feature_set
        ).table

    def to_anndata(self, feature_set: str | None = None, *, where: str | None = None) -> AnnData:
        """The cells with a feature set as AnnData, in memory, as `pcip export --to h5ad` writes them.

        Args:
            feature_set: by default that of the spec.
            where: only cells of the images that meet an SQL condition over the columns of `images`.

        Raises:
            PcipError: the package anndata is not installed, the feature set is unknown, or no cell is left.
        """
        from pcip_core.exports.anndata_file import to_anndata

        return to_anndata(self._store, self.name, feature_set or self.feature_set, where=where)

    def __repr__(self) -> str:
        origin = "simulated images" if self.simulated else "images"
        channels = list(self.channels)
        listed = " and ".join([", ".join(channels[:-1]), channels[-1]] if len(channels) > 1 else channels)
        return (
            f"Screen({self.name!r}): {origin} of {many(len(channels), 'channel')}, {listed}; "
            f"{many(len(self.feature_sets), 'feature set')}"
        )


def gone(store: Store, found: str) -> StoreError:
    """The error of results that were there when the workspace was opened."""
    return StoreError(
        Path(store.root).parent,
        found=found,
        required="the folder of the results as it was when it was opened",
        remedy="If it was moved, open it again: pcip.open(FOLDER).",
    )
