"""What the assets of all nouns share: making shards that are not up to date, and describing what was made."""

import base64
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.provenance import Stopwatch, inputs_hash, stamp
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A ranged run over many shards needs `backfill_policy`, which Dagster still calls beta.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

OWNERS = ["team:pcip"]
GPU_POOL = "gpu"


def all_shards(screen: Screen, *nouns: str) -> list[dg.AssetDep]:
    """Dependencies of an asset that takes in every shard of others."""
    return [dg.AssetDep([screen.name, noun], partition_mapping=dg.AllPartitionMapping()) for noun in nouns]


def baselines_of(screen: Screen) -> str:
    """The Dagster group of a screen's baselines: materialize it whole to compare all feature sets."""
    return f"{screen.name}_baselines"


def analyses_of(screen: Screen) -> str:
    """The Dagster group of a screen's analyses."""
    return f"{screen.name}_analyses"


class Remake(dg.Config):
    """`force` makes a partition again although nothing it depends on has changed."""

    force: bool = False


@dataclass(frozen=True)
class Made:
    """What one shard (or a whole table) was made into. Figures are kept as files beside the screen's reports."""

    tables: Mapping[str, pl.DataFrame]
    arrays: Mapping[str, np.ndarray | Path] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, "Figure"] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """How one asset is made: `inputs` decide the result, `make` gives it, `table` carries its provenance.

    Both take a shard, or None for an asset without partitions.
    """

    table: str
    code: str
    inputs: Callable[[str | None], dict[str, Any]]
    make: Callable[[str | None], Made]


def materialize(
    context: dg.AssetExecutionContext, library: Library, screen: Screen, config: Remake, work: Work
) -> dg.MaterializeResult:
    """Make each partition of this run that is not up to date, and commit it atomically."""
    sharded = context.assets_def.partitions_def is not None
    shards: list[str | None] = list(context.partition_keys) if sharded else [None]
    noun = context.asset_key.path[-1]
    hashes, made_any, total, last = [], 0, 0.0, {}
    with Stopwatch() as watch:
        for number, shard in enumerate(shards, 1):
            wanted = inputs_hash(code=work.code, **work.inputs(shard))
            hashes.append(wanted)
            before = library.store.provenance(screen.name, work.table, shard) or {}
            where = f"{screen.name}/{noun}" + (f" {shard} ({number}/{len(shards)})" if shard else "")
            if before.get("inputs_hash") == wanted and not config.force:
                context.log.info(f"{where}: up to date")
                metadata: dict[str, Any] = {"up_to_date": True}
            else:
                with Stopwatch() as one:
                    made = work.make(shard)
                    drawn = _drawn(
                        library, screen, made.figures
                    )  # before the table: it says what is up to date
                    provenance = stamp(
                        inputs_hash=wanted,
                        code_version=work.code,
                        dagster_run_id=context.run.run_id,
                        figures="\n".join(made.figures) or None,
                        **made.provenance,
                    )
                    library.store.commit(
                        screen.name, made.tables, shard=shard, arrays=made.arrays, provenance=provenance
                    )
                for name in set((before.get("figures") or "").split("\n")) - {"", *made.figures}:
                    library.workspace.figure(screen.name, name).unlink(missing_ok=True)  # of other settings
                rows = made.tables[work.table].height
                metadata = {
                    **made.metadata,
                    **drawn,
                    "dagster/row_count": rows,
                    "seconds": round(one.seconds, 2),
                }
                made_any += 1
                total += rows
                last = {**made.metadata, **drawn}
                context.log.info(f"{where}: {rows} rows in {one.seconds:.1f} s")
            if shard is not None:
                context.add_asset_metadata(metadata, partition_key=shard)
    metadata = {
        "partitions_made": made_any,
        "partitions_up_to_date": len(shards) - made_any,
        "seconds": round(watch.seconds, 2),
        "peak_memory_mb": round(watch.peak_mb),
        "simulated": screen.simulated,
    }
    if shards == [None]:
        metadata = last | metadata
    return dg.MaterializeResult(
        metadata=metadata, data_version=dg.DataVersion(inputs_hash(parts=hashes)), asset_key=context.asset_key
    )


def _drawn(library: Library, screen: Screen, figures: Mapping[str, "Figure"]) -> dict[str, Any]:
    """Write figures to their files; previews of them for the metadata."""
    if not figures:
        return {}
    from pcip_core.plots.pictures import preview, save_png

    files = {
        name: save_png(one, library.workspace.figure(screen.name, name)) for name, one in figures.items()
    }
    return {name: picture(preview(file)) for name, file in files.items()}


def picture(webp: bytes) -> dg.MarkdownMetadataValue:
    """A preview as metadata that the Dagster UI shows in place."""
    return dg.MetadataValue.md(f"![preview](data:image/webp;base64,{base64.b64encode(webp).decode()})")
