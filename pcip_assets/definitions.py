"""The one place where assets, checks, jobs, sensors and resources are put together. Loaded by `dagster dev`."""

import functools
import warnings

import dagster as dg

from pcip_assets.assets.analyses.cell_scores import build_localization_scores, build_variability
from pcip_assets.assets.analyses.enrichment import build_enrichment
from pcip_assets.assets.analyses.like import build_like
from pcip_assets.assets.analyses.maps import build_maps
from pcip_assets.assets.analyses.mismatch import build_mismatch
from pcip_assets.assets.analyses.phenotypes import build_phenotypes
from pcip_assets.assets.analyses.protein_map import build_clusters
from pcip_assets.assets.analyses.report import build_analysis_report
from pcip_assets.assets.baselines.combined import build_combined_features
from pcip_assets.assets.baselines.corrected import build_corrected_features
from pcip_assets.assets.baselines.designed import build_designed_features
from pcip_assets.assets.baselines.programs import build_program_features
from pcip_assets.assets.baselines.vgg16 import build_vgg16_features
from pcip_assets.assets.benchmarks.classifiers import build_classifier_benchmark
from pcip_assets.assets.benchmarks.held_images import build_supervised_benchmark
from pcip_assets.assets.benchmarks.image_scores import build_pairwise_benchmark, build_retrieval_benchmark
from pcip_assets.assets.benchmarks.knn import build_baseline_benchmark, build_knn_benchmark
from pcip_assets.assets.benchmarks.report import build_benchmark_report
from pcip_assets.assets.benchmarks.umap import build_umap
from pcip_assets.assets.encoders.autoencoder import build_autoencoder
from pcip_assets.assets.encoders.encoder import build_encoder
from pcip_assets.assets.encoders.supervised import build_supervised
from pcip_assets.assets.feature_sets import MAIN_NOUNS, baseline_nouns
from pcip_assets.assets.main.crops import build_crops
from pcip_assets.assets.main.features import (
    build_autoencoder_features,
    build_baseline_protein_features,
    build_cell_features,
    build_control_features,
    build_protein_features,
    build_supervised_features,
)
from pcip_assets.assets.main.fields import build_fields
from pcip_assets.assets.main.quality import build_quality_report
from pcip_assets.assets.units.asset import build_units
from pcip_assets.browse.assets import label_assets
from pcip_assets.checks import build_checks
from pcip_assets.jobs import screen_jobs, shards_job
from pcip_assets.partitions import shards_of
from pcip_assets.progress import plain_console
from pcip_assets.resources import Library
from pcip_assets.sensors import build_sensor
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store


def screen_assets(screen: Screen) -> list[dg.AssetsDefinition]:
    """All assets of one screen."""
    shards = shards_of(screen)
    main = [
        build_fields(screen, shards),
        build_crops(screen, shards),
        build_quality_report(screen),
        build_cell_features(screen, shards),
        build_control_features(screen, shards),
        build_protein_features(screen),
        build_knn_benchmark(screen),
    ]
    encoder = [build_encoder(screen)] if screen.encoder_from is None else []
    analyses = [
        build_clusters(screen),
        build_enrichment(screen),
        build_localization_scores(screen),
        build_variability(screen),
        build_phenotypes(screen),
        build_units(screen),
        build_maps(screen),
        build_mismatch(screen),
        build_like(screen),
        build_analysis_report(screen),
    ]
    return main + encoder + analyses + (_baselines(screen, shards) if screen.compares else [])


def _baselines(screen: Screen, shards: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The baseline feature sets of a screen, and their scores."""
    sets = screen.baselines.sets
    graph = [
        build_baseline_protein_features(screen),
        build_baseline_benchmark(screen),
        build_classifier_benchmark(screen),
        build_pairwise_benchmark(screen),
        build_retrieval_benchmark(screen),
        build_umap(screen),
        build_benchmark_report(screen),
    ]
    if screen.baselines.designed:
        graph.append(build_designed_features(screen, shards))
    if "autoencoder" in sets:
        graph.append(build_autoencoder_features(screen, shards))
        graph += [build_autoencoder(screen)] if screen.encoder_from is None else []
    if "vgg16" in sets:
        graph.append(build_vgg16_features(screen, shards))
    combined = [f"{name}_features" for name, features in screen.features.items() if features.combine]
    nouns = [noun for noun in baseline_nouns(screen) if noun not in (*combined, "corrected_features")]
    for name, features in screen.features.items():
        if features.combine:
            graph.append(build_combined_features(screen, shards, name, [*MAIN_NOUNS, *nouns]))
        else:
            graph.append(build_program_features(screen, shards, name))
    if "supervised" in sets:
        graph += [
            build_supervised(screen),
            build_supervised_features(screen, shards),
            build_supervised_benchmark(screen),
        ]
    if screen.baselines.corrections:
        graph.append(build_corrected_features(screen, shards, [*MAIN_NOUNS, *nouns, *combined]))
    return graph


def build_definitions(workspace: Workspace, screens: list[Screen]) -> dg.Definitions:
    """The definitions of these screens over one workspace; tests call it with their own."""
    data = str(workspace.data)
    shards_jobs = {screen.name: shards_job(screen) for screen in screens}
    store = Store(workspace.store)
    assets = [asset for screen in screens for asset in screen_assets(screen)]
    return dg.Definitions(
        assets=[*assets, *(spec for screen in screens for spec in label_assets(store, screen))],
        asset_checks=[check for screen in screens for check in build_checks(screen)],
        jobs=[*shards_jobs.values(), *(job for screen in screens for job in screen_jobs(screen))],
        sensors=[build_sensor(screen, workspace, shards_jobs[screen.name]) for screen in screens],
        resources={"library": Library(data=data), "tracking": Tracking(data=data)},
        executor=dg.in_process_executor,
        loggers={"console": plain_console},
    )


@dg.definitions
@functools.cache
def defs() -> dg.Definitions:
    """The definitions of all known screens. Importing this module does not make them, which takes seconds."""
    workspace = Workspace.current()
    screens, problems = workspace.screens()
    for problem in problems:
        warnings.warn(f"screen left out: {problem}", stacklevel=1)
    return build_definitions(workspace, list(screens.values()))
