"""`benchmark_report`: one page with all scores and figures of a screen, the paper's numbers beside them."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from pcip_assets.assets.benchmarks.scoring import benchmark_tables
from pcip_assets.assets.benchmarks.umap import CELLS, PROTEINS, panels_of
from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.assets.shared import OWNERS, Remake, baselines_of, picture
from pcip_assets.lineage import code_version
from pcip_assets.provenance import Stopwatch, inputs_hash
from pcip_assets.resources import Library
from pcip_core.features.names import split_name
from pcip_core.spec.screen import Screen

if TYPE_CHECKING:
    from pcip_core.report.score_rows import BenchmarkRows


def build_benchmark_report(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the page of a screen's benchmarks."""
    nouns = [
        "yardstick_benchmark",
        "classifier_benchmark",
        "pairwise_benchmark",
        "retrieval_benchmark",
        "umap",
    ]
    if "supervised" in screen.baselines.sets:
        nouns.append("supervised_benchmark")
    code = code_version(build_benchmark_report, figures=True)

    @dg.asset(
        key=[screen.name, "benchmark_report"],
        deps=[[screen.name, noun] for noun in nouns],
        group_name=baselines_of(screen),
        owners=OWNERS,
        kinds={"html"},
        code_version=code,
    )
    def benchmark_report(
        context: dg.AssetExecutionContext, config: Remake, library: Library
    ) -> dg.MaterializeResult:
        """All scores and figures on one page that opens anywhere, beside the paper's printed numbers."""
        from pcip_core.plots.pictures import preview
        from pcip_core.report.benchmarks import benchmark_page
        from pcip_core.report.page import save_page

        rows = _rows(library, screen)
        path = library.workspace.benchmark_report(screen.name)
        with Stopwatch() as watch:
            html, figures = benchmark_page(rows)
            save_page(html, path)
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.path(str(path)),
                "open": dg.MetadataValue.url(path.as_uri()),
                "kilobytes": len(html) // 1000,
                "scores": len(rows.benchmarks),
                "seconds": round(watch.seconds, 2),
                "simulated": screen.simulated,
                **{heading: picture(preview(figure)) for heading, figure in figures.items()},
            },
            data_version=dg.DataVersion(inputs_hash(code=code, page=html)),
        )

    return benchmark_report


def _rows(library: Library, screen: Screen) -> "BenchmarkRows":
    """All that the page tells, from the partitions that the published tables are made of."""
    from pcip_core.report.score_rows import BenchmarkRows

    store = library.store

    def every(kind: str) -> list[dict[str, Any]]:
        tables = benchmark_tables(store.tables(screen.name), kind)
        return [row for table in tables for row in store.read(screen.name, table).to_dicts()]

    maps = {
        name: panels_of(store.read(screen.name, name).to_dicts()) if store.has(screen.name, name) else []
        for name in (CELLS, PROTEINS)
    }
    return BenchmarkRows(
        title=screen.title,
        description=screen.description or screen.organism,
        simulated=screen.simulated,
        screen=screen.name,
        label=screen.benchmark.label,
        benchmarks=every("benchmarks"),
        confusion=every("confusion"),
        exclusions=every("exclusions"),
        feature_sets=[
            _lineage(library, screen, table)
            for table in store.tables(screen.name)
            if table.startswith(PREFIX)
        ],
        cells=maps[CELLS],
        proteins=maps[PROTEINS],
    )


def _lineage(library: Library, screen: Screen, table: str) -> dict[str, Any]:
    """What main.feature_sets will say of a set."""
    shard = library.store.shards(screen.name, table)[-1]
    about = library.store.provenance(screen.name, table, shard) or {}
    vectors: Any = library.store.schema(screen.name, table, shard=shard)["features"]
    name = table.removeprefix(PREFIX)
    return {
        **about,
        "feature_set": name,
        "method": split_name(name).method,
        "n_cells": library.store.read(screen.name, table, columns=["cell_id"]).height,
        "dim": vectors.size,
    }
