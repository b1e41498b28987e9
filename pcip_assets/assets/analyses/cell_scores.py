"""`localization_scores` (paper, Figure 5) and `variability`: how the cells of a protein differ from each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.analyses.galleries import rows_of_cells
from pcip_assets.assets.feature_sets import PREFIX, common_provenance, features_hash
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import all_shards, analyses_of, asset
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images
from pcip_core.words import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pcip_core.analysis.between import BetweenPair

CELLS, PROTEINS = "localization_scores", "protein_scores"
VARIABLE, VARIABLE_CELLS = "variability", "variability_cells"
_SHOWN = 4  # images beside the violins
_GALLERIES, _IN_A_GALLERY = 10, 12  # proteins, and cells of each
_NAMED = 10  # proteins in the metadata


def build_localization_scores(screen: Screen) -> dg.AssetsDefinition:
    """The asset of scores between pairs of compartments."""

    @asset(
        screen,
        "localization_scores",
        deps=all_shards(screen, "cell_features"),
        group=analyses_of(screen),
        kinds={"numpy", "parquet"},
        table=CELLS,
        figures=True,
    )
    def localization_scores(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Where each cell lies between two compartments, and how that varies within proteins."""
        spec = screen.analyses

        def make(_: str | None) -> Made:
            from pcip_core.analysis.between import between_compartments

            cells = described_cells(library, screen, PREFIX + screen.feature_set)
            between = between_compartments(
                cells.features, cells.table, cells.terms, spec.compartments, least_cells=spec.least_cells
            )
            metadata: dict[str, Any] = {}
            figures: dict[str, Any] = {}
            for pair in between.pairs:
                names = f"{pair.scores.first} and {pair.scores.second}"
                metadata[f"{names}: cells"] = pair.scored
                metadata[f"{names}: most variable"] = pair.ranked.table["protein"].head(_NAMED).to_list()
                figures |= _pictures(library, screen, cells, pair)
            if not spec.compartments:
                metadata["not_scored"] = (
                    "analyses.compartments names no pair of terms (docs/how-to/run-analyses.md)"
                )
            tables = {
                CELLS: schemas.LOCALIZATION_SCORES.stacked([between.cells] if between.pairs else []),
                PROTEINS: schemas.PROTEIN_SCORES.stacked([between.proteins] if between.pairs else []),
            }
            return Made(tables, metadata=metadata, figures=figures)

        inputs = _inputs(library, screen, spec.compartments, spec.least_cells)
        return Tables(CELLS, inputs, make)

    return localization_scores


def build_variability(screen: Screen) -> dg.AssetsDefinition:
    """The asset of how variable proteins are, which needs no annotation."""

    @asset(
        screen,
        "variability",
        deps=all_shards(screen, "cell_features", "control_features"),
        group=analyses_of(screen),
        kinds={"numpy", "parquet"},
        table=VARIABLE,
        figures=True,
    )
    def variability(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Proteins whose cells differ more than their brightness and cell line predict, or fall in two parts."""
        spec = screen.analyses

        def make(_: str | None) -> Made:
            from pcip_core.analysis.variability import variability as rank_variability

            cells = described_cells(library, screen, PREFIX + screen.feature_set)
            try:
                light = _brightness(library, screen, cells.features)
                ranked = rank_variability(cells.features, cells.table, light, least_cells=spec.least_cells)
            except EvaluationError as error:  # too few proteins or cells: the other analyses continue
                empty = {
                    VARIABLE: schemas.VARIABILITY.empty(),
                    VARIABLE_CELLS: schemas.VARIABILITY_CELLS.empty(),
                }
                return Made(empty, metadata={"not_ranked": str(error)})
            metadata = {
                "most_variable": ranked.table["protein"].head(_NAMED).to_list(),
                "left_out_with_few_cells": ranked.left_out.height,
            }
            title = "the most variable proteins; cells along their main direction"
            figure = _gallery(library, screen, cells, ranked.table, ranked.places, title)
            placed = cells.table.with_columns(place=ranked.places).filter(pl.col("place").is_not_nan())
            made = {
                VARIABLE: schemas.VARIABILITY.checked(ranked.table),
                VARIABLE_CELLS: schemas.VARIABILITY_CELLS.checked(placed),
            }
            return Made(
                made,
                provenance={"feature_set": screen.feature_set, "encoder_version": _encoders(library, screen)},
                metadata=metadata,
                figures={"variability": figure},
            )

        inputs = _inputs(library, screen, spec.least_cells)
        return Tables(VARIABLE, inputs, make)

    return variability


def _inputs(library: Library, screen: Screen, *settings: Any) -> Callable[[str | None], dict[str, Any]]:
    def inputs(_: str | None) -> dict[str, Any]:
        images = Images.of(library.store, screen.name).table
        return {
            "features": [features_hash(library, screen, name) for name in (screen.feature_set, "intensity")],
            "spec": [screen.feature_set, screen.pixel_um, *settings],
            "images": images.select("image_id", "protein", "cell_line", "localization").rows(),
        }

    return inputs


@dataclass(frozen=True)
class DescribedCells:
    """All cells with features.

    Attributes:
        features: their (n, d) features, which are read in blocks.
        table: n rows: cell_id, and image_id, protein and cell_line as categories.
        terms: image -> its localization terms.
    """

    features: StoredFeatures
    table: pl.DataFrame
    terms: dict[str, list[str]]


def described_cells(library: Library, screen: Screen, table: str) -> DescribedCells:
    """The cells of a table of features, with the protein and the cell line of each."""
    features = StoredFeatures(library.store, screen.name, table)
    images = Images.of(library.store, screen.name).rows(features.images)
    categories = images.select(pl.col("image_id", "protein", "cell_line").cast(pl.Categorical))
    cells = categories[features.image].insert_column(0, features.cell_id.alias("cell_id"))
    return DescribedCells(features, cells, dict(images.select("image_id", "localization").rows()))


def _encoders(library: Library, screen: Screen) -> str:
    """The versions of the encoder by which the cells of all shards are described."""
    shards = library.store.shards(screen.name, PREFIX + screen.feature_set)
    versions = [common_provenance(library, screen, [screen.feature_set], shard)[0] for shard in shards]
    return ", ".join(dict.fromkeys(versions))


def _brightness(library: Library, screen: Screen, cells: StoredFeatures) -> np.ndarray:
    """Mean intensity of the protein channel of each cell, (n,)."""
    from pcip_core.features.intensity import intensity_names

    column = intensity_names(screen.crop_channels).index(f"{screen.protein[0]}_mean")
    intensities = StoredFeatures(library.store, screen.name, f"{PREFIX}intensity")
    values, place = intensities.column(column), intensities.places(cells.cell_id)
    if missing := int((place < 0).sum()):
        raise EvaluationError(
            f"{screen.name}/variability",
            found=f"{many(missing, 'cell')} without an intensity",
            required="the feature set `intensity` of every cell",
            remedy=f"Materialize {screen.name}/control_features for every shard.",
        )
    return values[place]


def _pictures(
    library: Library, screen: Screen, cells: DescribedCells, pair: "BetweenPair"
) -> dict[str, "Figure"]:
    """Violins of one pair of compartments, and the cells of the proteins that vary most between the two."""
    from pcip_core.plots.violins import compartment_violins

    scores, ranked = pair.scores, pair.ranked.table
    name = f"localization_scores_{scores.first}_{scores.second}"
    title = f"{screen.title}: {scores.first} or {scores.second}"
    groups, examples = _violins(cells, pair)
    ylabel = f"log(distance to {scores.first}\n/ distance to {scores.second})"
    figures = {name: compartment_violins(groups, title, examples, ylabel=ylabel)}
    if not ranked.is_empty():
        place = np.where(scores.group.to_numpy() == "both", scores.score, np.nan)
        caption = f"{scores.first} and {scores.second}, the highest standard deviations; cells by their score"
        figures[f"{name}_variable"] = _gallery(library, screen, cells, ranked, place, caption)
    return figures


def _violins(
    cells: DescribedCells, pair: "BetweenPair"
) -> tuple[list[tuple[str, np.ndarray]], list[tuple[str, np.ndarray]]]:
    """Scores of each group, and of the cells of the proteins that vary most and least."""
    from pcip_core.analysis.examples import rows_of_proteins

    scores, ranked = pair.scores, pair.ranked.table
    names = {"first_only": scores.first, "both": "both", "second_only": scores.second}
    in_group = {group: (scores.group == group).to_numpy() for group in names}
    groups = [(name, scores.score[in_group[group]]) for group, name in names.items() if in_group[group].any()]
    half = _SHOWN // 2
    shown = pl.concat([ranked.head(half), ranked.slice(half).tail(half)])
    labels = (shown["protein"] + " " + shown["cell_line"]).str.strip_chars()
    rows = rows_of_proteins(cells.table, shown)
    examples = [
        (label, scores.score[members[in_group["both"][members]]])
        for label, members in zip(labels, rows, strict=True)
    ]
    return groups, examples


def _gallery(
    library: Library,
    screen: Screen,
    cells: DescribedCells,
    ranked: pl.DataFrame,
    place: np.ndarray,
    title: str,
) -> "Figure":
    """One row of cells for each of the first proteins, in the order of their places."""
    from pcip_core.analysis.examples import examples_along

    examples = examples_along(cells.table, place, ranked, proteins=_GALLERIES, each=_IN_A_GALLERY)
    rows = [
        (f"{rank}. {protein}\n{line}".strip(), cell_ids) for rank, protein, line, cell_ids in examples.rows()
    ]
    return rows_of_cells(library.store, screen, rows, title)
