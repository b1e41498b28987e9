"""Batch effects: what plate, well position, cell line and protein explain of the vectors, and kNN by plate.

Features should describe the protein, not the plate. Both scores compare feature sets, and a set with its corrected
copies; a correction is good if it brings the scores of the plate to their chance and keeps those of the localization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pcip_core.errors import EvaluationError
from pcip_core.evaluation.neighbours import nearest_others
from pcip_core.evaluation.scores import Scored
from pcip_core.evaluation.usable import usable
from pcip_core.features.blocks import Features, places_of
from pcip_core.features.checks import require_rows
from pcip_core.features.scaling import standardize

FACTORS = ("plate", "well_row", "well_column", "cell_line", "protein", "image")
_PERMUTATIONS = 30
_WELL = r"^\s*([A-Za-z]{1,2})0*([1-9][0-9]?)\s*$"  # A1, a01, AF48


@dataclass(frozen=True)
class VarianceShare:
    """The share of the variance of vectors that one factor explains.

    Attributes:
        factor: one of `FACTORS`.
        share: from 0 to 1.
        chance: the share that the same groups explain if whole images are assigned to them at random; for `image`, if
            cells are assigned to images at random.
        groups: number of groups: plates, rows, ...
        cells: number of cells whose group is known.
    """

    factor: str
    share: float
    chance: float
    groups: int
    cells: int


def factors_of(images: pl.DataFrame) -> pl.DataFrame:
    """The groups of each image: `image_id` and one column of text per factor; null where the group is unknown.

    Args:
        images: one row per image with image_id, plate, well, cell_line and protein; an empty text is unknown.

    >>> images = pl.DataFrame({"image_id": ["1"], "plate": ["p"], "well": ["B07"], "cell_line": [""], "protein": ["x"]})
    >>> factors_of(images).row(0)
    ('1', 'p', 'B', '7', None, 'x', '1')
    """
    text = {
        name: pl.col(name).cast(pl.String).replace("", None)
        for name in ("plate", "well", "cell_line", "protein")
    }
    return images.select(
        "image_id",
        plate=text["plate"],
        well_row=text["well"].str.extract(_WELL, 1).str.to_uppercase(),
        well_column=text["well"].str.extract(_WELL, 2),
        cell_line=text["cell_line"],
        protein=text["protein"],
        image=pl.col("image_id"),
    )


def variance_shares(
    features: Features, image: np.ndarray, factors: Mapping[str, pl.Series]
) -> tuple[list[VarianceShare], dict[str, dict[str, int]]]:
    """The share of the variance of the standardized vectors that each factor explains.

    The share is the sum of squares between the groups of the factor over the total sum of squares, summed over the
    standardized columns: the mean of the columns' eta squared. Columns that are constant or not finite are left out.
    Each factor is taken alone: the shares of crossed factors (a protein on several plates) and of nested ones (a
    protein on one plate) overlap, and do not add up to 1. All factors are constant within an image, so none explains
    more than `image` does. The chance is (groups - 1) / (images - 1) of the share of the images, which is exact for
    images of equally many cells; a factor whose groups are single images explains as much as its chance.

    Args:
        features: (n, d); read once.
        image: (n,) number of each cell's image, from 0.
        factors: factor -> (images,) its groups as text, null where unknown; `image` among them.

    Returns:
        The shares, and factor -> reason -> number of cells left out. A factor with fewer than two groups has no share.

    Raises:
        ShapeError: features and image differ in length.

    >>> features, image = np.array([[0.0], [0.0], [2.0], [2.0]]), np.array([0, 0, 1, 1])
    >>> shares, _ = variance_shares(features, image, {"plate": pl.Series(["a", "b"])})
    >>> shares[0].share, shares[0].groups
    (1.0, 2)
    """
    require_rows("batch effects", features, groups=image)
    counts = np.bincount(image, minlength=max((len(groups) for groups in factors.values()), default=0))
    members: dict[
        str, np.ndarray
    ] = {}  # of factors with two groups or more: (images,) number of each image's group
    left_out: dict[str, dict[str, int]] = {}
    for name, groups in factors.items():
        _, member = np.unique(np.array(groups.fill_null("").to_list(), str), return_inverse=True)
        member[groups.is_null().to_numpy() | (counts == 0)] = -1
        n_known = int(counts[member >= 0].sum())
        left_out[name] = {f"cells_without_{name}": int(counts.sum()) - n_known}
        if len(np.unique(member[member >= 0])) > 1:
            members[name] = member
        else:
            left_out[name][f"cells_of_one_{name}"] = n_known
    masks = {(member >= 0).tobytes(): member >= 0 for member in members.values()}
    sums, squares = _sums(features, image, masks, len(counts))
    shares = []
    for name, member in members.items():
        known = member >= 0
        total = squares[known.tobytes()]
        of_image, images, cells = _explained(sums, counts, np.where(known, np.arange(len(counts)), -1), total)
        share, n_groups, _ = _explained(sums, counts, member, total)
        chance = (n_groups - 1) / (cells - 1) if name == "image" else of_image * (n_groups - 1) / (images - 1)
        shares.append(VarianceShare(name, share, chance, n_groups, cells))
    return shares, left_out


def _sums(
    features: Features, image: np.ndarray, masks: Mapping[bytes, np.ndarray], images: int
) -> tuple[np.ndarray, dict[bytes, np.ndarray]]:
    """Sums of the vectors of each image, (images, d), and the sum of squares of the cells of each mask of images, (d,).

    Both are of differences from the first cell: little is lost where the variation is small relative to the mean, and
    all sums of a constant column are exactly 0.
    """
    sums = np.zeros((images, features.shape[1]))
    squares = {name: np.zeros(features.shape[1]) for name in masks}
    first: np.ndarray | None = None
    for place, block in places_of(features):
        if first is None:
            first = block[0].astype(np.float64)
        order = np.argsort(image[place], kind="stable")
        numbers, starts = np.unique(image[place][order], return_index=True)
        with np.errstate(invalid="ignore", over="ignore"):  # a column that is not finite stays so
            rows = block[order] - first
            sums[numbers] += np.add.reduceat(rows, starts, axis=0)
            for name, mask in masks.items():
                chosen = mask[image[place][order]]
                squares[name] += np.square(rows if chosen.all() else rows[chosen]).sum(0)
    return sums, squares


def _explained(
    sums: np.ndarray, counts: np.ndarray, member: np.ndarray, squares: np.ndarray
) -> tuple[float, int, int]:
    """The share of the variance that groups of images explain, the number of groups and of cells.

    Args:
        sums: (images, d) sum of the vectors of each image.
        counts: (images,) number of cells.
        member: (images,) number of the group; -1 for images that are left out.
        squares: (d,) sum of squares over the cells of the other images.
    """
    used = member >= 0
    names, group = np.unique(member[used], return_inverse=True)
    totals, cells = np.zeros((len(names), sums.shape[1])), np.bincount(group, weights=counts[used])
    with np.errstate(invalid="ignore", over="ignore"):
        np.add.at(totals, group, sums[used])
        of_mean = totals.sum(0) ** 2 / cells.sum()
        between, total = (totals**2 / cells[:, None]).sum(0) - of_mean, squares - of_mean
        varied = np.isfinite(total) & np.isfinite(between) & (total > 0)
    share = float(np.clip(between[varied] / total[varied], 0, 1).mean()) if varied.any() else 0.0
    return share, len(names), int(cells.sum())


def plate_scores(
    features: np.ndarray,
    plates: np.ndarray,
    proteins: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    feature_set: str,
    ks: Sequence[int],
) -> Scored:
    """Balanced accuracy with which the nearest neighbours of other proteins predict the plate, and its chance.

    The cells of the same protein are left out: where a protein is on one plate only, they would give the plate away.
    The chance is the mean accuracy of the same neighbours if the plates are permuted among the images of each label.
    It takes the design into account: if the proteins of a label are spread over the plates, the nearest cells of other
    proteins, which have the same label, are on other plates, and the chance is below 1 / plates. If each label has its
    own plate, plates cannot be separated from labels, and the accuracy is its own chance.

    Args:
        features: (n, d).
        plates, proteins, images, labels: (n,) of each cell; cells of an image have one plate and one label.
        feature_set: name of the feature set, for the error.
        ks: numbers of neighbours.

    Returns:
        For each k, rows of `batch_accuracy` and `batch_accuracy_by_chance`; cells of plates with a single protein, and
        ks above the available neighbours, are in the exclusions.

    Raises:
        ShapeError: the arrays differ in length.
        EvaluationError: `plates_of_several_proteins` finds fewer than two plates, or no column is finite and varies.
    """
    require_rows("kNN by plate", features, plates, proteins, images=images, stratum=labels)
    if len(plates_of_several_proteins(plates, proteins)) < 2:
        raise EvaluationError(
            f"{feature_set}: kNN by plate",
            found="fewer than two plates with two proteins",
            required="two plates with two proteins each",
            remedy="Score more images, or check the columns plate and protein of the images.",
        )
    kept = usable(features, plates, feature_set=feature_set, groups=proteins, ks=ks)
    if not kept.ks:
        return Scored([], [], kept.exclusions)
    _, plate = np.unique(plates[kept.cells], return_inverse=True)
    _, protein = np.unique(proteins[kept.cells], return_inverse=True)
    _, first, image = np.unique(images[kept.cells], return_index=True, return_inverse=True)
    points = standardize(features[kept.cells][:, kept.columns])
    nearest = nearest_others(points, protein, kept.ks)
    of_image, label_of_image = plate[first], labels[kept.cells][first]
    rng = np.random.default_rng(0)
    permuted = [_permuted(of_image, label_of_image, rng)[image] for _ in range(_PERMUTATIONS)]
    rows = []
    for k in kept.ks:
        key = {"classifier": "knn", "parameter": f"k={k}", "label": None, "n": len(plate)}
        chance = float(np.mean([_accuracy(nearest[:, :k], drawn) for drawn in permuted]))
        rows.append({**key, "metric": "batch_accuracy", "value": _accuracy(nearest[:, :k], plate)})
        rows.append({**key, "metric": "batch_accuracy_by_chance", "value": chance})
    return Scored(rows, [], kept.exclusions)


def _permuted(plate: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute the plates of images among the images of each label: (images,)."""
    shuffled = np.lexsort((rng.random(len(plate)), label))
    drawn = np.empty_like(plate)
    drawn[np.argsort(label, kind="stable")] = plate[shuffled]
    return drawn


def _accuracy(nearest: np.ndarray, plate: np.ndarray) -> float:
    """The mean recall of the plates by the votes of these neighbours, (n, k); of equal votes, the first plate wins."""
    n, count = len(plate), int(plate.max()) + 1
    votes = np.bincount((np.arange(n)[:, None] * count + plate[nearest]).ravel(), minlength=n * count)
    hit = votes.reshape(n, count).argmax(1) == plate
    return float(
        np.mean(np.bincount(plate, weights=hit, minlength=count) / np.bincount(plate, minlength=count))
    )


def plates_of_several_proteins(plates: np.ndarray, proteins: np.ndarray) -> list[str]:
    """The plates with two proteins or more: only these can be predicted from cells of other proteins.

    >>> plates_of_several_proteins(np.array(["1", "1", "2"]), np.array(["a", "b", "a"]))
    ['1']
    """
    pairs = pl.DataFrame(
        {"plate": plates, "protein": proteins}, schema={"plate": pl.String, "protein": pl.String}
    )
    counted = pairs.unique().group_by("plate").len().filter(pl.col("len") > 1)
    return counted["plate"].sort().to_list()
