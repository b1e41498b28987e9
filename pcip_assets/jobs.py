"""The jobs of a screen: which assets are materialized together. What an asset does is not decided here."""

import dagster as dg

from pcip_assets.assets.skeleton import analyses_of, baselines_of
from pcip_assets.dagster_compat import AssetJob
from pcip_core.spec.screen import Screen

_MADE_BY_SHARD = ("fields", "crops", "cell_features", "control_features")


def screen_jobs(screen: Screen) -> list[AssetJob]:
    """All jobs of a screen but `shards_job`: features, analyses, baselines, training, all.

    A screen that borrows its encoder (`encoder_from`) has no job that trains one. The jobs of a screen with its own
    encoder include `mismatch`, whose check warns of an encoder that ignores the source cell.
    """
    main = dg.AssetSelection.groups(screen.name)
    encoder = dg.AssetSelection.assets([screen.name, "encoder"])
    mismatch = dg.AssetSelection.assets([screen.name, "mismatch"])
    jobs = [
        dg.define_asset_job(
            f"{screen.name}_features",
            main if screen.encoder_from else (main - encoder) | mismatch,
            description="Take shards from fields to features with the champion encoder; train nothing.",
        ),
        dg.define_asset_job(
            f"{screen.name}_analyses",
            dg.AssetSelection.groups(analyses_of(screen)),
            description="Cluster the proteins, test clusters for enrichment, score cells and proteins, "
            "and check that the encoder uses the source cell.",
        ),
    ]
    if screen.compares:
        jobs.append(
            dg.define_asset_job(
                f"{screen.name}_baselines",
                dg.AssetSelection.groups(baselines_of(screen)),
                description="Compute the baseline feature sets of existing crops and score them.",
            )
        )
    if not screen.encoder_from:
        jobs += [
            dg.define_asset_job(
                f"{screen.name}_training",
                encoder | mismatch,
                description="Train a new encoder on the crops of all shards; it becomes the champion.",
            ),
            dg.define_asset_job(
                f"{screen.name}_all",
                main | mismatch,
                description="Take all shards to features, training included.",
            ),
        ]
    return jobs


def shards_job(screen: Screen) -> AssetJob:
    """`<screen>_shards`: the assets that are made shard by shard, none that reads all shards."""
    return dg.define_asset_job(
        f"{screen.name}_shards",
        dg.AssetSelection.assets(*([screen.name, noun] for noun in _MADE_BY_SHARD)),
        description="Take one shard from fields to features; leave all other shards and all summaries.",
    )
