"""The labelled cells and images of benchmarks, and the groups that each protocol leaves out together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pcip_core.errors import EvaluationError
from pcip_core.words import many, plural


@dataclass(frozen=True)
class LabelledCells:
    """Cells with exactly one label each.

    Attributes:
        cell_ids: n cell ids.
        labels: (n,) label of each cell.
        image_ids, fields: (n,) image of each cell, and field within the image.
        left_out: reason -> number of excluded cells.
    """

    cell_ids: pl.Series
    labels: np.ndarray
    image_ids: np.ndarray
    fields: np.ndarray
    left_out: dict[str, int] = field(default_factory=dict)

    def groups(self, protocol: str) -> np.ndarray | None:
        """Return the group of each cell, (n,), that a protocol leaves out together; None: only the cell itself.

        Raises:
            EvaluationError: the protocol is unknown.
        """
        if protocol == "leave_cell_out":
            return None
        if protocol == "leave_image_out":
            return self.image_ids
        if protocol == "leave_field_out":
            image, field = (np.unique(part, return_inverse=True)[1] for part in (self.image_ids, self.fields))
            return image * (int(field.max(initial=0)) + 1) + field
        raise EvaluationError(
            "benchmark.protocols",
            found=repr(protocol),
            required="leave_image_out, leave_field_out or leave_cell_out",
            remedy="Correct the spec.",
        )

    def nothing_to_compare(self, protocol: str) -> str | None:
        """Why no score under a protocol would mean anything, otherwise None.

        The cells of a label that occurs in one group only cannot be predicted, and are excluded (`usable`). Of the
        others there must be two labels: with a single one, each prediction is right, by any features.

        Raises:
            EvaluationError: the protocol is unknown.

        >>> fields = np.array(["1", "2", "1", "2"])
        >>> labels, images = np.array(["a", "a", "b", "b"]), np.array(["i", "i", "j", "j"])
        >>> cells = LabelledCells(pl.Series(["c1", "c2", "c3", "c4"]), labels, images, fields)
        >>> cells.nothing_to_compare("leave_field_out")
        >>> cells.nothing_to_compare("leave_image_out")[:41]
        'each label occurs in one image only, so t'
        """
        groups = self.groups(protocol)
        compared = _in_several_groups(self.labels, groups)
        if len(compared) > 1:
            return None
        fields = None if groups is None else self.groups("leave_field_out")
        of_fields = fields is not None and len(_in_several_groups(self.labels, fields)) > 1
        reason = lacks_labels(protocol, compared, of_fields=of_fields)
        several = self.left_out.get("cells_with_several_labels", 0)
        return f"{reason} ({many(several, 'cell')} with several labels not among them)" if several else reason

    def of_images(self, images: Sequence[str], reason: str) -> LabelledCells:
        """The cells of these images; the others are counted in `left_out` under the reason."""
        kept = np.isin(self.image_ids, images)
        return LabelledCells(
            self.cell_ids.filter(pl.Series(kept)),
            self.labels[kept],
            self.image_ids[kept],
            self.fields[kept],
            {**self.left_out, reason: int((~kept).sum())},
        )


def _in_several_groups(labels: np.ndarray, groups: np.ndarray | None) -> list[str]:
    """The labels that occur in two groups or more; without groups, each cell is one."""
    numbers = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    names, classes = np.unique(labels, return_inverse=True)
    pairs = np.unique(np.stack([classes, numbers]), axis=1)
    return [str(name) for name in names[np.bincount(pairs[0], minlength=len(names)) > 1]]


def lacks_labels(protocol: str, compared: Sequence[str], *, of_fields: bool) -> str:
    """The sentence on a protocol under which fewer than two labels can be compared, with a remedy.

    Args:
        protocol: the protocol.
        compared: the labels that occur in two groups or more: none or one.
        of_fields: whether two labels or more occur in several fields, so that `leave_field_out` can be scored.
    """
    group = protocol.removeprefix("leave_").removesuffix("_out")
    other = "set benchmark: {protocols: [leave_field_out]} or " if of_fields else ""
    if compared:
        return (
            f"only the label {compared[0]} occurs in two {plural(group)} or more, so that under {protocol} any "
            f"features would score 1; {other}label more images of other classes, "
            "or name another column in benchmark.label"
        )
    return (
        f"each label occurs in one {group} only, so that {protocol} has nothing to compare with; "
        f"{other}label more images"
    )


def labelled_cells(
    cells: pl.DataFrame, labels_of: Mapping[str, Sequence[str]], *, most: int | None = None
) -> LabelledCells:
    """Select the cells of images with exactly one label; of cells with equal pixels, select the first.

    A cell that occurs in two images would otherwise be its own nearest neighbour, even with its image left out.

    Args:
        cells: one row per cell with cell_id, image_id, field (text or categories) and pixel_hash (of any type).
        labels_of: image id -> its labels. Images without a label or with several labels are excluded.
        most: select at most this many cells (`drawn_evenly`, by label); by default, all.

    >>> cells = pl.DataFrame(
    ...     {"cell_id": ["a", "b"], "image_id": ["1", "2"], "field": ["1", "1"], "pixel_hash": ["x", "y"]}
    ... )
    >>> selected = labelled_cells(cells, {"1": ["nucleus"]})
    >>> selected.cell_ids.to_list(), selected.left_out["cells_without_label"]
    (['a'], 1)
    """
    counts = pl.Series([len(labels) for labels in labels_of.values()], dtype=pl.UInt32)
    images = pl.Series(list(labels_of), dtype=pl.String)
    count = cells["image_id"].replace_strict(images, counts, default=0).cast(pl.UInt32)
    labelled = (count == 1).arg_true()
    kept = labelled.filter(cells["pixel_hash"].gather(labelled).is_first_distinct())
    left_out = {
        "cells_without_label": int((count == 0).sum()),
        "cells_with_several_labels": int((count > 1).sum()),
        "cells_seen_before": len(labelled) - len(kept),
    }
    label_of_image = pl.Series(
        [labels[0] if labels else None for labels in labels_of.values()], dtype=pl.String
    )
    names = label_of_image.filter(counts == 1)
    distinct = names.unique().sort()
    numbers = names.replace_strict(distinct, pl.int_range(len(distinct), dtype=pl.UInt32, eager=True))
    if most is not None and len(kept) > most:
        label = cells["image_id"].gather(kept).replace_strict(images.filter(counts == 1), numbers)
        drawn = pl.Series(drawn_evenly(label.to_numpy(), most))
        left_out["cells_not_drawn"] = len(kept) - len(drawn)
        kept = kept.gather(drawn)
    image_ids, fields = (cells[name].gather(kept).cast(pl.String) for name in ("image_id", "field"))
    labels = image_ids.replace_strict(images.filter(counts == 1), names).cast(pl.String)
    return LabelledCells(
        cells["cell_id"].gather(kept), texts_of(labels), texts_of(image_ids), texts_of(fields), left_out
    )


def drawn_evenly(group: np.ndarray, most: int) -> np.ndarray:
    """At most this many rows, evenly spaced within each group, in order.

    No group is lost: those with few rows stay whole, and the others have equally many.

    Args:
        group: (n,) number of each row's group.
        most: at least the number of groups.

    >>> drawn_evenly(np.array([0, 0, 0, 0, 0, 1]), 4).tolist()
    [0, 2, 4, 5]
    """
    _, member, sizes = np.unique(group, return_inverse=True, return_counts=True)
    each, left = 0, most
    for above, rows in enumerate(
        np.sort(sizes).tolist()
    ):  # small groups leave to the others what they do not use
        each = left // (len(sizes) - above)
        left -= min(rows, each)
    order = np.argsort(member, kind="stable")
    starts = np.cumsum(sizes) - sizes
    chosen = [
        order[start + np.linspace(0, rows - 1, min(rows, each)).astype(np.int64)]
        for start, rows in zip(starts.tolist(), sizes.tolist(), strict=True)
    ]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *chosen]))


def texts_of(values: pl.Series) -> np.ndarray:
    """A column of strings as an array of strings; no Python string is made for each row."""
    distinct = values.unique(maintain_order=True)
    numbers = pl.int_range(len(distinct), dtype=pl.UInt32, eager=True)
    number = values.replace_strict(distinct, numbers).cast(
        pl.UInt32
    )  # an empty mapping gives nulls of no type
    return np.array(distinct.to_list(), dtype=str)[number.to_numpy()]


@dataclass(frozen=True)
class LabelledImages:
    """The images of labelled cells.

    Attributes:
        of_cell: (n,) number of each cell's image.
        terms, proteins, lines: (m,) the one label, the protein and the cell line of each image.
    """

    of_cell: np.ndarray
    terms: np.ndarray
    proteins: np.ndarray
    lines: np.ndarray


def labelled_images(cells: LabelledCells, images: pl.DataFrame) -> LabelledImages:
    """The images of these cells, in the order of their ids.

    Args:
        cells: at least one.
        images: one row per image with image_id, protein and cell_line, none of them null; others may be among them.
    """
    names, first, of_cell = np.unique(cells.image_ids, return_index=True, return_inverse=True)
    known = pl.DataFrame({"image_id": names.tolist()}).join(
        images.select("image_id", "protein", "cell_line"), on="image_id", how="left", maintain_order="left"
    )
    return LabelledImages(
        of_cell, cells.labels[first], texts_of(known["protein"]), texts_of(known["cell_line"])
    )


def agreed_labels(images: pl.DataFrame) -> pl.DataFrame:
    """One row per protein with the `label` that all its images have alone; null where they have no such label.

    Args:
        images: one row per image with `protein` and the list of its terms, `localization`.
    """
    terms = pl.col("localization")
    agreed = (terms.list.len() == 1).all() & (terms.list.first().n_unique() == 1)
    label = pl.when(agreed).then(terms.list.first().first())
    return images.group_by("protein", maintain_order=True).agg(label=label)
