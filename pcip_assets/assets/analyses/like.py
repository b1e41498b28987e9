"""`like`: the proteins or cells nearest to those in the run's config (paper: the rim of the nucleolus)."""

import dagster as dg
from pydantic import Field

from pcip_assets.assets.analyses.nearest import find_nearest
from pcip_assets.assets.pictures import apart, picture
from pcip_assets.assets.skeleton import analyses_of, asset
from pcip_assets.provenance import inputs_hash
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.spec.screen import Screen


class Like(dg.Config):
    """What is compared."""

    seeds: list[str] = Field(
        default_factory=list, description="Names of proteins, or ids of cells, to find the nearest of."
    )
    n: int = Field(20, description="Number of proteins or cells to list.")
    feature_set: str = Field(
        "", description="Feature set to compare by; empty: `analyses.feature_set` of the spec."
    )


def build_like(screen: Screen) -> dg.AssetsDefinition:
    """The asset of the nearest proteins or cells, as metadata with a gallery; no table keeps them."""

    @asset(
        screen,
        "like",
        deps=[[screen.name, "protein_features"]],
        group=f"{analyses_of(screen)}_asked",
        kinds={"numpy"},
    )
    def like(context: dg.AssetExecutionContext, config: Like, library: Library) -> dg.MaterializeResult:
        """The proteins or cells nearest to the seeds in the run's config, with their crops."""
        from pcip_core.plots.pictures import preview

        if not config.seeds:
            raise EvaluationError(
                f"{screen.name}/like",
                found="no seeds",
                required="names of proteins or ids of cells",
                remedy="Give `seeds: [PROTEIN]` in the run's config (Materialize, Open launchpad).",
            )
        chosen = config.feature_set or screen.feature_set
        nearest = find_nearest(library.store, screen, config.seeds, n=config.n, feature_set=chosen)
        rows = nearest.table.to_dicts()
        return dg.MaterializeResult(
            metadata=apart(
                context,
                {
                    "nearest": dg.MetadataValue.json(rows),
                    "simulated": screen.simulated,
                    "gallery": picture(preview(nearest.figure)),
                },
            ),
            data_version=dg.DataVersion(inputs_hash(rows=rows)),
        )

    return like
