"""The cells of a screen with a feature set, as exports write them: one block after the other."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from pcip_core.errors import EvaluationError, StoreError, meant
from pcip_core.files import natural_key
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store
from pcip_core.store.paths import how_to_make
from pcip_core.store.vectors import features_of

ROWS = 16_384  # cells of a block: 25 MB with 384 features
_PREFIX = "cell_features_"
_LEFT_OUT = ("crop_row", "pixel_hash")  # columns of cells that mean nothing outside of the store
_FORMULA = r"^[=+\-@\t\r]"
_OF_RUNS = ("mlflow_run_id", "dagster_run_id", "code_version", "commit", "inputs_hash", "created_at")


class Block(NamedTuple):
    """Some cells.

    Attributes:
        columns: one row per cell; texts that repeat are `pl.Enum`.
        features: (n, d) float32.
    """

    columns: pl.DataFrame
    features: np.ndarray


class ExportedCells:
    """The cells of a screen that have a vector of a feature set, with the columns of their images.

    The order is the natural order of the shards, and within a shard that of the cells. Memory does not grow with the
    number of cells, beyond the columns of one shard.

    Args:
        store, screen, feature_set: what to export.
        where: only cells of the images that meet an SQL condition over the columns of `images`.

    Attributes:
        shape: number of cells, and of features.
        types: column -> type, of the columns of the blocks; `cell_id` is the first.
        provenance: plain texts on the origin of the features.
        without: number of cells of these images that have no vector.

    Raises:
        PcipError: the screen or the feature set does not exist, the condition is wrong, or no cell is left.
    """

    def __init__(self, store: Store, screen: str, feature_set: str, *, where: str | None = None) -> None:
        self._store, self.screen, self.feature_set = store, screen, feature_set
        self._table = require_set(store, screen, feature_set)
        self._images, self._chosen = chosen_images(store, screen, where)
        self._shards: list[str] = store.shards(screen, self._table)
        if not self._shards:
            raise self._changed()
        vectors = store.schema(screen, self._table, shard=self._shards[0])["features"]
        assert isinstance(vectors, pl.Array)
        n, versions = self._count(self._table, "encoder_version")
        n_cells, fields = self._count("cells", "field")
        if not n:
            raise nothing_to_export(screen, where, f"cells with {feature_set}")
        self.shape = (n, vectors.size)
        self.without = max(0, n_cells - n)
        self.channels = channels_of(store, screen)
        self._texts = {"field": fields, "shard": self._shards, "encoder_version": versions}
        self.types = dict(self._cells(self._shards[0]).schema) | {"encoder_version": _enum(versions)}
        self.provenance = provenance(store, screen) | self._origin(versions)

    @property
    def units(self) -> list[str]:
        """A name for each feature: of the set, with its number."""
        return [f"{self.feature_set}_{number}" for number in range(self.shape[1])]

    @property
    def formulas(self) -> list[str]:
        """The columns with texts that spreadsheets execute: they begin with =, +, - or @, and are no number."""
        texts = self._images.select(pl.col(pl.Enum).cast(pl.String))
        begins = pl.all().str.contains(_FORMULA) & pl.all().cast(pl.Float64, strict=False).is_null()
        found = texts.select(begins.any())
        return [name for name in found.columns if found[name][0]]

    def blocks(self, rows: int = ROWS) -> Iterator[Block]:
        """All cells, `rows` at a time; the last block may have fewer.

        Raises:
            StoreError: another run has replaced the cells or the features meanwhile.
        """
        waiting: list[Block] = []
        count = done = 0
        for block in self._of_shards():
            waiting.append(block)
            count += len(block.features)
            while count >= rows:
                block, waiting = _cut(waiting, rows)
                count -= rows
                done += rows
                yield block
        if count:
            yield _cut(waiting, count)[0]
        if done + count != self.shape[0]:
            raise self._changed()

    def _of_shards(self) -> Iterator[Block]:
        """The cells in parts of any size."""
        columns = ["cell_id", "image_id", "encoder_version", "features"]
        for shard in self._shards:
            cells, start = self._cells(shard), 0
            batches = self._store.batches(
                self.screen, self._table, shards=[shard], columns=columns, rows=4096
            )
            for batch in batches:
                rows = cells.slice(start, batch.height)
                same = rows["cell_id"].equals(batch["cell_id"])
                if not same:  # vectors in another order, or of fewer cells
                    ids = batch.select("cell_id")
                    rows = ids.join(cells, on="cell_id", how="left", maintain_order="left")
                start += batch.height
                if self._chosen is not None:
                    kept = batch["image_id"].is_in(self._chosen)
                    rows, batch = rows.filter(kept), batch.filter(kept)
                versions = batch["encoder_version"].cast(self.types["encoder_version"], strict=False)
                if rows.height != batch.height or rows["image_id"].null_count() or versions.null_count():
                    raise self._changed()
                if batch.height:
                    described = rows.with_columns(versions).select(list(self.types))
                    yield Block(described, features_of(batch))

    def _cells(self, shard: str) -> pl.DataFrame:
        """The columns of the cells of a shard and of their images, without the version of the encoder."""
        cells = self._store.read(self.screen, "cells", shards=[shard])
        texts = {name: _enum(values) for name, values in self._texts.items() if name in cells.columns}
        cells = cells.cast(texts, strict=False)  # type: ignore[arg-type]  # other images may have further fields
        return with_images(cells, self._images, self.channels)

    def _count(self, table: str, column: str) -> tuple[int, list[str]]:
        """Number of the cells of these images in a table, and the values of a column."""
        n, values = 0, set()
        for batch in self._store.batches(self.screen, table, columns=["image_id", column], rows=ROWS):
            if self._chosen is not None:
                batch = batch.filter(pl.col("image_id").is_in(self._chosen))
            n += batch.height
            values.update(batch[column].unique().drop_nulls().to_list())
        return n, sorted(values, key=natural_key)

    def _origin(self, versions: Iterable[str]) -> dict[str, str]:
        """The provenance of the vectors: that of the newest shard."""
        parts = [self._store.provenance(self.screen, self._table, shard) or {} for shard in self._shards]
        newest = max(parts, key=lambda part: str(part.get("created_at", "")))
        origin = {name: str(newest[name]) for name in _OF_RUNS if newest.get(name)}
        return {"feature_set": self.feature_set, "encoder_version": ", ".join(versions), **origin}

    def _changed(self) -> StoreError:
        return StoreError(
            f"{self.screen}.{self._table}",
            found="vectors of cells that are not (or no longer) in the table cells",
            required="features of the present cells, which no run replaces meanwhile",
            remedy=how_to_make(self.screen, self._table),
        )


def require_set(store: Store, screen: str, feature_set: str) -> str:
    """The table of a feature set of cells.

    Raises:
        EvaluationError: there is none; the message lists those that exist.
    """
    tables = store.tables(screen)
    sets = sorted(
        (name.removeprefix(_PREFIX) for name in tables if name.startswith(_PREFIX)), key=natural_key
    )
    if feature_set not in sets:
        raise EvaluationError(
            f"{screen}: feature set {feature_set}",
            found=f"no such table{meant(feature_set, sets)}",
            required=f"one of {', '.join(sets) or 'none yet'}",
            remedy=f"Name another with --features, or: pcip run {screen}",
        )
    return f"{_PREFIX}{feature_set}"


def chosen_images(store: Store, screen: str, where: str | None) -> tuple[pl.DataFrame, list[str] | None]:
    """The images that meet a condition, with flat columns, `image_id` first; and their ids, None without a condition.

    Lists are joined by `;`. Texts are `pl.Enum`. Whole numbers that lack in an image are `pl.Float64`.

    Raises:
        StoreError: the screen has no images, or none meets the condition.
        SpecError: the condition is wrong.
    """
    images = Images.of(store, screen)
    table, chosen = images.table.drop("shard", strict=False), None
    if where is not None:
        chosen = sorted(images.chosen(where, f"{screen}: --where"))
        table = table.filter(pl.col("image_id").is_in(chosen))
        if not chosen:
            raise nothing_to_export(screen, where, "images")
    flat = [
        column.list.eval(pl.element().cast(pl.String)).list.join(";").alias(column.name)
        if isinstance(column.dtype, pl.List)
        else column
        for column in table.get_columns()
    ]
    frame = pl.DataFrame(flat)
    lacking = {name for name in frame.columns if frame[name].null_count()}
    numbers = [name for name, kind in frame.schema.items() if kind.is_integer() and name in lacking]
    texts = [
        name
        for name, kind in frame.schema.items()
        if not kind.is_numeric() and (kind != pl.Boolean or name in lacking)
    ]
    frame = frame.with_columns(pl.col(texts).cast(pl.String), pl.col(numbers).cast(pl.Float64))
    kinds = {name: _enum(frame[name].unique().drop_nulls().to_list()) for name in texts}
    return frame.cast(kinds).select("image_id", pl.exclude("image_id")), chosen  # type: ignore[arg-type]


def with_images(cells: pl.DataFrame, images: pl.DataFrame, channels: Iterable[str]) -> pl.DataFrame:
    """Cells with the columns of their images, `cell_id` first, without what means nothing outside of the store.

    A column of images that has the name of a column of cells becomes `image_<name>`.

    Args:
        cells: rows of the table `cells`.
        images: from `chosen_images`.
        channels: of the crops, in their order, for the names of the columns of grey levels.
    """
    extremes = [
        pl.col(name).list.get(number, null_on_oob=True).alias(f"{name}_{channel}")
        for name in ("intensity_min", "intensity_max")
        for number, channel in enumerate(channels)
    ]
    cells = cells.drop(_LEFT_OUT, strict=False).with_columns(extremes)
    cells = cells.drop("intensity_min", "intensity_max")
    own = [*cells.columns, "encoder_version"]
    further = images.columns[1:]
    named = [f"image_{name}" if name in own else name for name in further]
    images = images.rename(dict(zip(further, distinct(named, own), strict=True)))
    cells = cells.with_columns(pl.col("image_id").cast(images.schema["image_id"], strict=False))
    joined = cells.join(images, on="image_id", how="left", maintain_order="left")
    first = ["cell_id", "image_id", "field", "shard"]
    return joined.select(*first, *images.columns[1:], pl.exclude(*first, *images.columns))


def distinct(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The names, those that are taken or repeat with a number.

    >>> distinct(["dose", "Plate", "dose"], taken=["Plate"])
    ['dose', 'Plate_2', 'dose_2']
    """
    used, chosen = set(taken), []
    for name in names:
        numbered = (name if number == 1 else f"{name}_{number}" for number in itertools.count(1))
        chosen.append(next(each for each in numbered if each not in used))
        used.add(chosen[-1])
    return chosen


def channels_of(store: Store, screen: str) -> dict[str, str]:
    """Channel -> role, in the order of the crops."""
    listed = store.read(screen, "screen", columns=["channels"])["channels"][0]
    pairs = (channel.rpartition(":") for channel in listed)
    return {name: role for name, _, role in pairs}


def provenance(store: Store, screen: str) -> dict[str, str]:
    """Plain texts on the origin of what is exported."""
    row: Mapping[str, Any] = store.read(screen, "screen").row(0, named=True)
    return {
        "program": f"pcip {version('pcip')}",
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "screen": screen,
        "organism": str(row["organism"]),
        "images": "simulated" if row["simulated"] else "real",
        "channels": ", ".join(row["channels"]),
        "spec": str(row["spec"]),
        "spec_sha256": hashlib.sha256(str(row["spec"]).encode()).hexdigest(),
    }


def _enum(values: Iterable[str]) -> pl.Enum:
    return pl.Enum(sorted(values, key=natural_key))


def _cut(waiting: list[Block], rows: int) -> tuple[Block, list[Block]]:
    """The first rows of some blocks as one block, and the rest."""
    columns = pl.concat([block.columns for block in waiting])
    features = np.concatenate([block.features for block in waiting])
    rest = [Block(columns[rows:], features[rows:])] if len(features) > rows else []
    return Block(columns[:rows], features[:rows]), rest


def nothing_to_export(screen: str, where: str | None, what: str) -> StoreError:
    """The error of an export without any row: of a screen without such things, or of a condition that none meets."""
    condition = f" that meet {where}" if where else ""
    return StoreError(
        f"{screen}: export",
        found=f"no {what}{condition}",
        required="at least one",
        remedy=f"Look at SELECT * FROM {screen}.images, and correct --where."
        if where
        else f"See why cells are not used: SELECT file, reason FROM {screen}.quarantine",
    )
