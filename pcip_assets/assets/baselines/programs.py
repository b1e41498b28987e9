"""`<name>_features`: a feature set by a program of the user (section `features` of the spec)."""

import functools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.feature_sets import PREFIX, crops_hash, extremes, made_features
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import GPU_POOL, asset, baselines_of
from pcip_assets.progress import Progress
from pcip_assets.resources import Library
from pcip_core.spec.features import FeatureSet
from pcip_core.spec.screen import Screen
from pcip_core.store.rows import fields_of, illumination_of

_CELLS = 256  # stored crops that are read at a time


def build_program_features(screen: Screen, shards: dg.PartitionsDefinition, name: str) -> dg.AssetsDefinition:
    """The asset of the features of all cells by one program."""
    spec = screen.features[name]
    described = f"Features of every cell of one shard by the program {Path(str(spec.program)).name}."

    @asset(
        screen,
        f"{name}_features",
        shards=shards,
        deps=[[screen.name, "crops"]],
        group=baselines_of(screen),
        kinds={"pytorch", "parquet"},
        table=PREFIX + name,
        pool=GPU_POOL,
        description=described,
    )
    def features(context: dg.AssetExecutionContext, library: Library) -> Tables:
        from pcip_core.models.programs.loading import digest_of

        digest = digest_of(Path(str(spec.program)), f"features.{name} ({spec.program})")

        @functools.cache
        def program() -> Any:  # opened once for all shards of a run
            from pcip_core.features.programs import open_program
            from pcip_core.training.device import choose_device

            return open_program(name, spec, device=str(choose_device("auto")))

        def inputs(shard: str | None) -> dict[str, Any]:
            return {
                "program": digest,
                "reference": _reference_digest(name, spec),
                "spec": spec.deciding(),
                "crops": crops_hash(library, screen, shard),
                "fields": _fields_hash(library, screen, spec, shard),
            }

        def make(shard: str | None) -> Made:
            from pcip_core.features.programs import program_features

            cells, crops = library.store.read_with_array(screen.name, "cells", "crops", str(shard))
            start = time.perf_counter()
            with Progress(
                context.log, f"{screen.name}/{name}_features {shard}", len(cells), "cell"
            ) as progress:
                parts = _crops(library, screen, spec, str(shard), cells, crops)
                vectors = program_features(program(), parts, spec, progress=progress)
            seconds = (time.perf_counter() - start) / max(len(cells), 1)
            version = f"{Path(str(spec.program)).name}, SHA-256 {digest[:12]}"
            return made_features(cells, {name: vectors}, version, None, "float32", seconds_per_cell=seconds)

        return Tables(PREFIX + name, inputs, make)

    return features


def _crops(
    library: Library, screen: Screen, spec: FeatureSet, shard: str, cells: pl.DataFrame, crops: np.ndarray
) -> Iterator[np.ndarray]:
    """The planes of the cells that the program sees, in the units of the image: stored crops, or cut again."""
    channels = [name for name in spec.sources if name is not None]
    if spec.cut_px is not None:
        from pcip_core.crops.windows import cut_again

        light = illumination_of(library.store, screen, [shard])
        fields = fields_of(screen, library.store.read(screen.name, "fields", shards=[shard]), light)
        of_id = {field.field_id: field for field in fields}
        columns = cells.select("cell_id", "y_px", "x_px").to_dict(as_series=False)
        yield from cut_again(screen, of_id, columns, channels, spec.cut_px)
        return
    places = [screen.crop_channels.index(name) for name in channels]
    low, high = (values[:, places, None, None] for values in extremes(cells, screen))
    for start in range(0, len(cells), _CELLS):
        part = slice(start, start + _CELLS)
        unit = np.asarray(crops[part])[:, places].astype(np.float32) / 255
        yield low[part] + unit * (high[part] - low[part])


def _reference_digest(name: str, spec: FeatureSet) -> list[Any] | None:
    """What the reference requires; None without one."""
    from pcip_core.models.programs.loading import digest_of

    if spec.reference is None:
        return None
    return [digest_of(Path(spec.reference), f"features.{name}.reference ({spec.reference})"), spec.tolerance]


def _fields_hash(library: Library, screen: Screen, spec: FeatureSet, shard: str | None) -> str | None:
    """Hash of the fields of a shard, if the cells are cut again from them."""
    if spec.cut_px is None:
        return None
    return (library.store.provenance(screen.name, "fields", shard) or {}).get("data_hash")
