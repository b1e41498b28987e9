"""`benchmark_report`: one page with all scores and figures of a screen, the paper's numbers beside them."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from pcip_assets.assets.benchmarks.scoring import benchmark_tables
from pcip_assets.assets.benchmarks.umap import CELLS, PROTEINS
from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.assets.results import Page, picture
from pcip_assets.assets.skeleton import asset, baselines_of
from pcip_assets.resources import Library
from pcip_core.features.names import split_name
from pcip_core.spec.screen import Screen

if TYPE_CHECKING:
    from pcip_core.report.score_rows import BenchmarkRows

_KINDS = ("benchmarks", "confusion", "exclusions")  # of tables, one per asset of scores


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

    @asset(
        screen,
        "benchmark_report",
        deps=[[screen.name, noun] for noun in nouns],
        group=baselines_of(screen),
        kinds={"html"},
        figures=True,
    )
    def benchmark_report(context: dg.AssetExecutionContext, library: Library) -> Page:
        """All scores and figures on one self-contained page, beside the paper's printed numbers."""
        from pcip_core.plots.pictures import preview
        from pcip_core.report.benchmarks import benchmark_page

        printed: dict[str, Any] = {}

        def make(made_from: str) -> tuple[str, dict[str, Any]]:
            rows = _rows(library, screen)
            html, figures, files = benchmark_page(rows, made_from=made_from, folder=path.stem)
            printed.update(files)
            previews = {heading: picture(preview(figure)) for heading, figure in figures.items()}
            return html, {"scores": len(rows.benchmarks), **previews}

        path = library.workspace.benchmark_report(screen.name)
        return Page(path, lambda _: _inputs(library, screen), make, printed)

    return benchmark_report


def _inputs(library: Library, screen: Screen) -> dict[str, Any]:
    """What decides the page: the texts of the spec that it shows, and the commits of the tables that it reads."""
    store = library.store
    tables = store.tables(screen.name)
    read = [name for kind in _KINDS for name in benchmark_tables(tables, kind)]
    read += [name for name in tables if name.startswith(PREFIX) or name in (CELLS, PROTEINS)]
    commits = {}
    for name in read:
        for shard in (*store.shards(screen.name, name), None):
            provenance = store.provenance(screen.name, name, shard) or {}
            commits[f"{name} {shard}"] = provenance.get("commit_id")
    spec = [screen.title, screen.description, screen.organism, screen.simulated, screen.benchmark.label]
    return {"spec": spec, "tables": commits}


def _rows(library: Library, screen: Screen) -> "BenchmarkRows":
    """What the page shows, from the partitions of the published tables."""
    from pcip_core.plots.scatter import panels_of
    from pcip_core.report.score_rows import BenchmarkRows

    store = library.store

    def rows_of(kind: str) -> list[dict[str, Any]]:
        tables = benchmark_tables(store.tables(screen.name), kind)
        return [row for table in tables for row in store.read(screen.name, table).to_dicts()]

    maps = {
        name: panels_of(store.read(screen.name, name)) if store.has(screen.name, name) else []
        for name in (CELLS, PROTEINS)
    }
    return BenchmarkRows(
        title=screen.title,
        description=screen.description or screen.organism,
        simulated=screen.simulated,
        screen=screen.name,
        label=screen.benchmark.label,
        benchmarks=rows_of("benchmarks"),
        confusion=rows_of("confusion"),
        exclusions=rows_of("exclusions"),
        feature_sets=[
            _lineage(library, screen, table)
            for table in store.tables(screen.name)
            if table.startswith(PREFIX)
        ],
        cells=maps[CELLS],
        proteins=maps[PROTEINS],
    )


def _lineage(library: Library, screen: Screen, table: str) -> dict[str, Any]:
    """The row of main.feature_sets for a set."""
    shard = library.store.shards(screen.name, table)[-1]
    provenance = library.store.provenance(screen.name, table, shard) or {}
    vectors: Any = library.store.schema(screen.name, table, shard=shard)["features"]
    name = table.removeprefix(PREFIX)
    return {
        **provenance,
        "feature_set": name,
        "method": split_name(name).method,
        "n_cells": library.store.read(screen.name, table, columns=["cell_id"]).height,
        "dim": vectors.size,
    }
