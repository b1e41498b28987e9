"""`localization_scores` (paper, Figure 5) and `variability`: how a protein's cells differ from each other."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from pcip_assets.assets.analyses.galleries import evenly, rows_of_cells
from pcip_assets.assets.feature_sets import PREFIX, features_hash
from pcip_assets.assets.shared import (
    OWNERS,
    Made,
    Remake,
    Work,
    all_shards,
    analyses_of,
    materialize,
)
from pcip_assets.lineage import code_version
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.feature_blocks import StoredFeatures

if TYPE_CHECKING:
    from pcip_core.analysis.between import BetweenPair

CELLS, PROTEINS, VARIABLE = "localization_scores", "protein_scores", "variability"
_SHOWN = 4  # images beside the violins
_GALLERIES, _IN_A_GALLERY = 10, 12  # proteins, and cells of each


def build_localization_scores(screen: Screen) -> dg.AssetsDefinition:
    """The asset of scores between pairs of compartments."""
    code = code_version(build_localization_scores, figures=True)

    @dg.asset(
        key=[screen.name, "localization_scores"],
        deps=all_shards(screen, "cell_features"),
        group_name=analyses_of(screen),
        owners=OWNERS,
        kinds={"numpy", "parquet"},
        code_version=code,
    )
    def localization_scores(
        context: dg.AssetExecutionContext, config: Remake, library: Library
    ) -> dg.MaterializeResult:
        """Where each cell lies between two compartments, and how that varies within proteins."""
        spec = screen.analyses

        def make(_: str | None) -> Made:
            from pcip_core.analysis.between import between_compartments

            cells = described_cells(library, screen, PREFIX + spec.feature_set)
            found = between_compartments(
                cells["features"],
                cells["cell_id"],
                cells["image_id"],
                cells["protein"],
                cells["cell_line"],
                cells["terms"],
                spec.compartments,
                least_cells=spec.least_cells,
            )
            told: dict[str, Any] = {}
            figures: dict[str, Any] = {}
            for pair in found.pairs:
                names = f"{pair.scores.first} and {pair.scores.second}"
                told[f"{names}: cells"] = pair.scored
                told[f"{names}: most variable"] = [row["protein"] for row in pair.ranked.rows[:10]]
                figures |= _pictures(library, screen, cells, pair)
            if not spec.compartments:
                told["not_scored"] = (
                    "analyses.compartments names no pair of terms (docs/how-to/run-analyses.md)"
                )
            made = {
                CELLS: schemas.LOCALIZATION_SCORES.frame(found.cells),
                PROTEINS: schemas.PROTEIN_SCORES.frame(found.proteins),
            }
            return Made(made, metadata=told, figures=figures)

        inputs = _inputs(library, screen, spec.compartments, spec.least_cells)
        return materialize(context, library, screen, config, Work(CELLS, code, inputs, make))

    return localization_scores


def build_variability(screen: Screen) -> dg.AssetsDefinition:
    """The asset of how variable proteins are, which needs no annotation."""
    code = code_version(build_variability, figures=True)

    @dg.asset(
        key=[screen.name, "variability"],
        deps=all_shards(screen, "cell_features", "control_features"),
        group_name=analyses_of(screen),
        owners=OWNERS,
        kinds={"numpy", "parquet"},
        code_version=code,
    )
    def variability(
        context: dg.AssetExecutionContext, config: Remake, library: Library
    ) -> dg.MaterializeResult:
        """Proteins whose cells differ more than their brightness and cell line predict, or fall in two parts."""
        spec = screen.analyses

        def make(_: str | None) -> Made:
            from pcip_core.analysis.variability import main_directions
            from pcip_core.analysis.variability import variability as ranked
            from pcip_core.features.blocks import columns_of

            cells = described_cells(library, screen, PREFIX + spec.feature_set)
            try:
                columns = columns_of(cells["features"], "variability")
                found = ranked(
                    cells["features"],
                    cells["protein"],
                    cells["cell_line"],
                    _brightness(library, screen, cells["features"]),
                    least_cells=spec.least_cells,
                    columns=columns,
                )
            except EvaluationError as error:  # too few proteins, or cells: the other analyses go on
                return Made({VARIABLE: schemas.VARIABILITY.empty()}, metadata={"not_ranked": str(error)})
            told = {
                "most_variable": [row["protein"] for row in found.rows[:10]],
                "left_out_with_few_cells": len(found.left_out),
            }
            shown = [_members(cells, row) for row in found.rows[:_GALLERIES]]
            figure = _gallery(
                library,
                screen,
                cells,
                found.rows,
                main_directions(cells["features"], shown, columns).__getitem__,
                "the most variable proteins; cells along their main direction",
            )
            table = schemas.VARIABILITY.frame(found.rows)
            return Made({VARIABLE: table}, metadata=told, figures={"variability": figure})

        inputs = _inputs(library, screen, spec.least_cells)
        return materialize(context, library, screen, config, Work(VARIABLE, code, inputs, make))

    return variability


def _inputs(library: Library, screen: Screen, *settings: Any) -> Any:
    def inputs(_: str | None) -> dict[str, Any]:
        images = library.store.read(screen.name, "images").to_dicts()
        return {
            "features": [
                features_hash(library, screen, name) for name in (screen.analyses.feature_set, "intensity")
            ],
            "spec": [screen.analyses.feature_set, *settings],
            "images": [
                [row[name] for name in ("image_id", "protein", "cell_line", "localization")] for row in images
            ],
        }

    return inputs


def described_cells(library: Library, screen: Screen, table: str) -> dict[str, Any]:
    """Cells, their features, which stream, and what is known of their images, (n,) each; `terms` by image."""
    features = StoredFeatures(library.store, screen.name, table)
    known = library.images(screen).rows(features.images)

    def of_cells(values: list[Any]) -> np.ndarray:
        """The value of each cell's image: 8 bytes a cell, however long."""
        of_images = np.empty(len(values), object)
        of_images[:] = values
        return of_images[features.image]

    return {
        "features": features,
        "cell_id": features.cell_id.to_list(),
        "image_id": of_cells(features.images),
        "protein": of_cells(known["protein"].to_list()),
        "cell_line": of_cells(known["cell_line"].to_list()),
        "terms": dict(zip(features.images, known["localization"].to_list(), strict=True)),
    }


def _brightness(library: Library, screen: Screen, cells: StoredFeatures) -> np.ndarray:
    """Mean intensity of the protein channel of each cell, (n,)."""
    from pcip_core.features.intensity import intensity_features

    none, count = np.zeros((0, len(screen.crop_channels)), np.float32), len(screen.crop_channels)
    names = intensity_features(np.zeros((0, count, 1, 1), np.uint8), none, none, screen.crop_channels)[1]
    column = names.index(f"{screen.protein[0]}_mean")
    light = StoredFeatures(library.store, screen.name, f"{PREFIX}intensity")
    values = np.concatenate([np.zeros(0, np.float32), *(block[:, column] for block in light.blocks())])
    place = light.places(cells.cell_id)
    if missing := int((place < 0).sum()):
        raise EvaluationError(
            f"{screen.name}/variability",
            found=f"{missing} cells without an intensity",
            required="the feature set `intensity` of every cell",
            remedy=f"Materialize {screen.name}/control_features for every shard.",
        )
    return values[place]


def _pictures(library: Library, screen: Screen, cells: dict[str, Any], pair: "BetweenPair") -> dict[str, Any]:
    """Violins of one pair of compartments, and the cells of the proteins that vary most between them."""
    from pcip_core.plots.violins import compartment_violins

    scores, ranked = pair.scores, pair.ranked.rows
    about = f"localization_scores_{scores.first}_{scores.second}"
    groups, examples = _drawn(cells, scores, ranked)
    title = f"{screen.title}: {scores.first} or {scores.second}"
    figures = {about: compartment_violins(groups, title, examples)}
    if ranked:
        figures[f"{about}_variable"] = _gallery(
            library,
            screen,
            cells,
            ranked,
            np.where(scores.group == "both", scores.score, np.nan).__getitem__,
            f"{scores.first} and {scores.second}, the highest standard deviations; cells by their score",
        )
    return figures


def _drawn(
    cells: dict[str, Any], scores: Any, ranked: list[dict[str, Any]]
) -> tuple[list[tuple[str, np.ndarray]], list[tuple[str, np.ndarray]]]:
    """Scores of each group, and of the cells of the proteins that vary most and least."""
    named = {"first_only": scores.first, "both": "both", "second_only": scores.second}
    groups = [(name, scores.score[scores.group == group]) for group, name in named.items()]
    chosen = ranked[: _SHOWN // 2] + ranked[_SHOWN // 2 :][-(_SHOWN // 2) :]
    return groups, [
        (
            f"{row['protein']} {row['cell_line']}".strip(),
            scores.score[
                (cells["protein"] == row["protein"])
                & (cells["cell_line"] == row["cell_line"])
                & (scores.group == "both")
            ],
        )
        for row in chosen
    ]


def _members(cells: dict[str, Any], row: dict[str, Any]) -> np.ndarray:
    """The cells of a row's protein and cell line."""
    return np.flatnonzero((cells["protein"] == row["protein"]) & (cells["cell_line"] == row["cell_line"]))


def _gallery(
    library: Library,
    screen: Screen,
    cells: dict[str, Any],
    ranked: list[dict[str, Any]],
    along: Callable[[np.ndarray], np.ndarray],
    title: str,
) -> Any:
    """A row of cells for each of the first proteins; `along` gives a place to cells (rows), NaN to leave one out."""
    rows = []
    for row in ranked[:_GALLERIES]:
        members = _members(cells, row)
        place = along(members)
        members = members[np.argsort(place, kind="stable")][: np.isfinite(place).sum()]  # NaN comes last
        chosen = evenly([cells["cell_id"][member] for member in members], _IN_A_GALLERY)
        rows.append((f"{row['rank']}. {row['protein']}\n{row['cell_line']}".strip(), chosen))
    return rows_of_cells(library.store, screen, rows, title)
