"""Every error a user can cause, each saying what was found, what was required and the remedy.

The command line prints the message and leaves; the `quarantine` table keeps it as the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial


class PcipError(Exception):
    """A problem that the user can mend.

    Args:
        where: the file, table, channel or argument at fault.
        found: what was found there.
        required: what pcip needs instead.
        remedy: what to do about it, as an instruction.
    """

    def __init__(self, where: object, *, found: str, required: str, remedy: str) -> None:
        self.where, self.found, self.required, self.remedy = str(where), found, required, remedy
        super().__init__(f"{where}: found {found}; required: {required}. {remedy}")

    def __reduce__(self) -> tuple[Callable[..., PcipError], tuple[str]]:
        """Pickle by the arguments, so that an error passes from one process to another."""
        told = {"found": self.found, "required": self.required, "remedy": self.remedy}
        return partial(type(self), **told), (self.where,)


class SpecError(PcipError):
    """A screen spec is not valid."""


class DuplicateScreenError(PcipError):
    """Two specs carry one screen name."""


class RootError(PcipError):
    """A screen's root folder is not there or nothing in it matches the layout."""


class ImageFileError(PcipError):
    """An image file cannot be read, or its pixels cannot be used."""


class ShapeError(PcipError):
    """An array does not have the shape, type or length that a function needs."""


class CropError(PcipError):
    """Crops are missing, or do not agree with the table that describes them."""


class TrainingError(PcipError):
    """Training cannot start, or has left the numbers (NaN or infinite loss)."""


class EncoderError(PcipError):
    """A trained encoder is missing, damaged, or made for other channels."""


class StoreError(PcipError):
    """A table or partition of the feature store is missing or damaged."""


class EvaluationError(PcipError):
    """Features and labels do not allow the evaluation that was asked for."""


class ClusterError(PcipError):
    """A tree of clusters cannot be made, or what is picked in it is not there."""


class AnnotationError(PcipError):
    """An ontology, a file of annotations, or a table of names cannot be read, or does not hold what is asked."""


class FetchError(PcipError):
    """A download cannot start, or a list of proteins or a hand-fetched archive is not what is expected."""


class MissingPackageError(PcipError):
    """An optional package is not installed."""
