"""`benchmark_report`: one page with all scores and figures of a screen, the paper's numbers beside them."""

from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from pcip_assets.assets.benchmarks.scoring import benchmark_tables
from pcip_assets.assets.benchmarks.umap import CELLS, PROTEINS
from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.assets.method_facts import deciding, lineage_facts
from pcip_assets.assets.results import Page, picture
from pcip_assets.assets.skeleton import asset, baselines_of
from pcip_assets.resources import Library
from pcip_core.features.names import split_name
from pcip_core.spec.screen import Screen
from pcip_core.store.images import Images

if TYPE_CHECKING:
    from pcip_core.report.methods import Methods
    from pcip_core.report.score_rows import BenchmarkRows

_ROWS = 100_000  # of names of images that are read at once
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
    classes = Images.of(store, screen.name).classes_of(screen.benchmark.label)
    return {"spec": spec, "tables": commits, "classes": classes, **deciding(library, screen)}


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
    benchmarks = rows_of("benchmarks")
    return BenchmarkRows(
        title=screen.title,
        description=screen.description or screen.organism,
        simulated=screen.simulated,
        screen=screen.name,
        label=screen.benchmark.label,
        benchmarks=benchmarks,
        confusion=rows_of("confusion"),
        exclusions=rows_of("exclusions"),
        feature_sets=[
            _lineage(library, screen, table)
            for table in store.tables(screen.name)
            if table.startswith(PREFIX)
        ],
        cells=maps[CELLS],
        proteins=maps[PROTEINS],
        classes=Images.of(store, screen.name).classes_of(screen.benchmark.label),
        methods=_methods(library, screen, benchmarks, mapped=any(maps.values())),
    )


def _methods(
    library: Library, screen: Screen, benchmarks: list[dict[str, Any]], *, mapped: bool
) -> "Methods":
    """The paragraph on methods, with the classifiers and protocols of the scores."""
    from pcip_core.report.methods import Facts, methods

    n_cells, described = 0, set[str]()
    table = PREFIX + screen.feature_set
    for block in library.store.batches(screen.name, table, columns=["image_id"], rows=_ROWS):
        n_cells += block.height
        described.update(block["image_id"].unique())
    images = Images.of(library.store, screen.name).table.filter(pl.col("image_id").is_in(described))
    wanted = {"metric": "balanced_accuracy", "label": None, "task": screen.benchmark.label}
    scored = [row for row in benchmarks if all(row[key] == value for key, value in wanted.items())]
    compared = {split_name(row["feature_set"]).method for row in scored} - {screen.encoder.method}
    facts = Facts(
        n_images=images.height,
        n_cells=n_cells,
        n_proteins=images["protein"].drop_nulls().n_unique(),
        compared=sorted(compared),
        label=screen.benchmark.label,
        scored=list(dict.fromkeys((row["classifier"], row["protocol"], row["parameter"]) for row in scored)),
        mapped=mapped,
        **lineage_facts(library, screen),
    )
    return methods(screen, facts)


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
