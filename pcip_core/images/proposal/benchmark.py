"""The benchmark that is proposed: by localization terms, or where these tell too little, by proteins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pcip_core.images.annotations import ImageRecord

_LEAST = 2  # labels that can be compared, and groups of each


def benchmark_of(images: Sequence[ImageRecord]) -> str | None:
    """The section `benchmark` of a spec, as YAML text; None for the default, which is by localization terms.

    Two labels at least must occur in two images or more each. Without such terms, proteins serve as labels: features
    that show the protein recognize it in another image of it, or at least in another field.

    Args:
        images: the images as the tables of the folder describe them.

    >>> def of(protein, *images, fields=1, terms=()):
    ...     return [ImageRecord(each, "1", fields, list(terms), {"protein": protein}) for each in images]
    >>> benchmark_of(of("NOP1", "A01", "A02") + of("SEC61", "A03", "A04"))
    '{label: protein}'
    >>> benchmark_of(of("NOP1", "A01", fields=2) + of("SEC61", "A03", fields=3))
    '{label: protein, protocols: [leave_field_out, leave_cell_out]}'
    >>> benchmark_of(of("NOP1", "A01", "A02", terms=["Nucleoli"]) + of("SEC61", "A03", "A04", terms=["ER"]))
    >>> benchmark_of(of("NOP1", "A01", "A02") + of("SEC61", "A03"))
    """
    if _can_be_compared(image.localization[0] for image in images if len(image.localization) == 1):
        return None
    named = [
        (str(protein), image)
        for image in images
        if (protein := image.values["protein"]) not in (None, image.image_id)  # a table or the path names it
    ]
    if _can_be_compared(protein for protein, _ in named):
        return "{label: protein}"
    if _can_be_compared(protein for protein, image in named for _ in range(image.n_fields)):
        return "{label: protein, protocols: [leave_field_out, leave_cell_out]}"
    return None


def _can_be_compared(labels: Iterable[str]) -> bool:
    """Whether two labels occur twice or more; `labels` has the label of each image or field."""
    return sum(count >= _LEAST for count in Counter(labels).values()) >= _LEAST
