"""The images that the training of an encoder leaves out: those of the most variable proteins of another screen."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from pcip_assets.workspace import Workspace
from pcip_core.errors import TrainingError
from pcip_core.spec.bounds import meant
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store
from pcip_core.words import many

LEFT_OUT = "left_out"
"""Key in the file of a network, tag of its run and of its version, and metadata of its asset."""
_RANKING = "variability"
_KEYS = ["protein", "cell_line"]
_NAMED = 10  # proteins in a text


@dataclass(frozen=True)
class LeftOut:
    """Images of the most variable proteins.

    Attributes:
        variable_in: the screen that ranks the proteins.
        scored_by: the feature set and the encoder of its ranking.
        ranked: number of ranked combinations of protein and cell line that this screen has.
        proteins: those left out, the most variable first: protein and cell line.
        images: ids of their images, sorted.
    """

    variable_in: str
    scored_by: str
    ranked: int
    proteins: tuple[tuple[str, str], ...]
    images: tuple[str, ...]

    def __str__(self) -> str:
        names = [f"{protein} {line}".strip() for protein, line in self.proteins]
        more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return (
            f"{many(len(self.images), 'image')} of the most variable {len(names)} of {many(self.ranked, 'protein')} "
            f"ranked in {self.variable_in} (by {self.scored_by}): {', '.join(names[:_NAMED])}{more}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as the file of a network keeps them."""
        return vars(self)


def images_left_out(workspace: Workspace, screen: Screen, images: pl.DataFrame) -> LeftOut | None:
    """The images that the encoder of a screen does not see in training; None if the spec leaves none out.

    Args:
        workspace: of the screen that ranks the proteins.
        screen: whose encoder is trained.
        images: its images: `image_id`, `protein` and `cell_line`, without nulls.

    Raises:
        TrainingError: there is no ranking, it ranks none of these proteins, or no image is left.
    """
    leave_out = screen.encoder.leave_out
    if leave_out is None:
        return None
    source = leave_out.variable_in
    ranking = require_ranking(workspace, screen)
    here = ranking.join(images, on=_KEYS, how="semi").sort("rank").select(_KEYS)
    where = f"encoder.leave_out of {screen.name}"
    if here.is_empty():
        raise TrainingError(
            where,
            found=f"none of the {many(ranking.height, 'protein')} ranked in {source} among those of {screen.name}",
            required="a ranking of proteins that this screen has, by name and cell line",
            remedy="Name a screen of the same proteins in encoder.leave_out.variable_in, after "
            "`pcip run THAT_SCREEN --analyses`.",
        )
    chosen = here.head(max(1, round(leave_out.share * here.height)))
    left_out = images.join(chosen, on=_KEYS, how="semi")["image_id"].sort().to_list()
    if len(left_out) == images.height:
        raise TrainingError(
            where,
            found=f"all {many(len(left_out), 'image')}, as these are of the most variable {chosen.height} of "
            f"{many(here.height, 'protein')}",
            required="images to train on",
            remedy=f"Lower encoder.leave_out.share (now {leave_out.share:g}).",
        )
    provenance = Store(workspace.store).provenance(source, _RANKING) or {}
    scored_by = " of ".join(
        provenance[key] for key in ("feature_set", "encoder_version") if key in provenance
    )
    return LeftOut(
        source, scored_by or "an earlier version of pcip", here.height, tuple(chosen.rows()), tuple(left_out)
    )


def require_ranking(workspace: Workspace, screen: Screen) -> pl.DataFrame:
    """The ranking of proteins by which images are left out of the training of a screen's encoder.

    Raises:
        TrainingError: the screen that the spec names is unknown, or has no ranking, or an empty one.
    """
    assert screen.encoder.leave_out is not None
    source, store = screen.encoder.leave_out.variable_in, Store(workspace.store)
    ranking = store.read(source, _RANKING) if store.has(source, _RANKING) else None
    if ranking is not None and ranking.height:
        return ranking
    known = sorted(set(workspace.screens()[0]) - {screen.name})
    remedy = f"Run `pcip run {source} --analyses` first."
    found = f"no ranking of proteins in {source}"
    if ranking is not None:
        found = f"an empty ranking of proteins in {source}"
        remedy = (
            f"The metadata `not_ranked` of {source}/variability says why. If cells are few, lower "
            f"analyses.least_cells of {source} and run `pcip run {source} --analyses`, or remove encoder.leave_out."
        )
    elif source not in known:
        found = f"no screen {source}{meant(source, known)}"
        names = ", ".join(known) or "there is no other"
        remedy = (
            f"Name one of this workspace in encoder.leave_out.variable_in ({names}), after "
            "`pcip run THAT_SCREEN --analyses`."
        )
    raise TrainingError(
        f"encoder.leave_out of {screen.name}",
        found=found,
        required="a screen with the table `variability`, the first round",
        remedy=remedy,
    )
