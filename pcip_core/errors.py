"""All errors that a user can cause. Each states what was found, what was required and the remedy.

The command line prints the message and exits. The `quarantine` table stores the message as the reason.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Callable, Iterable
from functools import partial


class PcipError(Exception):
    """A problem that the user can correct.

    Args:
        where: the file, table, channel or argument at fault.
        found: what was found there.
        required: what pcip needs instead.
        remedy: an instruction that corrects the problem.

    >>> print(PcipError("field_1.tif", found="40 x 40 px", required="64 x 64 px", remedy="Crop larger fields."))
    field_1.tif: found 40 x 40 px; required: 64 x 64 px. Crop larger fields.
    """

    def __init__(self, where: object, *, found: str, required: str, remedy: str) -> None:
        self.where, self.found, self.required, self.remedy = str(where), found, required, remedy
        super().__init__(f"{where}: found {found}; required: {required}. {remedy}")

    def __reduce__(self) -> tuple[Callable[..., PcipError], tuple[str]]:
        """Pickle the arguments, so that an error can pass from one process to another."""
        arguments = {"found": self.found, "required": self.required, "remedy": self.remedy}
        return partial(type(self), **arguments), (self.where,)


class SpecError(PcipError):
    """A screen spec is invalid."""


class DuplicateScreenError(PcipError):
    """Two specs have the same screen name."""


class RootError(PcipError):
    """A screen's root folder does not exist, or no file in it matches the layout."""


class StackError(RootError):
    """Files hold several focal planes or times of a field, and the spec has no rule for them."""


class ImageFileError(PcipError):
    """An image file cannot be read, or its pixels cannot be used."""


class ConstantError(ImageFileError):
    """All pixels of a channel are equal, as in the picture of a blank well."""


class ShapeError(PcipError):
    """An array does not have the shape, type or length that a function needs."""


class CropError(PcipError):
    """Crops are missing, or disagree with the table that describes them."""


class TrainingError(PcipError):
    """Training cannot start, or its loss has become NaN or infinite."""


class PrecisionError(TrainingError):
    """A precision is unknown, or too low for a network: its loss overflows, or differs from the loss in float32."""


class EncoderError(PcipError):
    """A trained encoder is missing, damaged, or was trained on other channels."""


class StoreError(PcipError):
    """A table or partition of the feature store is missing or damaged."""


class EvaluationError(PcipError):
    """The features and labels do not permit the requested evaluation."""


class ClusterError(PcipError):
    """A cluster tree cannot be computed, or does not contain the requested cluster or protein."""


class AnnotationError(PcipError):
    """An ontology, an annotation file or a table of names cannot be read, or lacks the requested entry."""


class FetchError(PcipError):
    """A download cannot start, or a protein list or a manually downloaded archive is not as expected."""


class ComputeError(PcipError):
    """The cluster that computes shards cannot be used, or a shard cannot be computed there."""


class MissingPackageError(PcipError):
    """An optional package is not installed."""


class WriteError(PcipError, OSError):
    """A file or folder cannot be written."""

    @classmethod
    def of(cls, error: BaseException, where: object = None, *, inside: object = None) -> WriteError | None:
        """The error in words, if it or its cause says that something cannot be written; otherwise None.

        Args:
            error: an error of the system, of SQLite or of a library that writes files.
            where: what cannot be written; by default, the file that the error names.
            inside: the folder of the file, for an error that names none.

        >>> str(WriteError.of(OSError(errno.EROFS, "Read-only file system", "/data/x")))[:51]
        '/data/x: found read-only file system; required: per'
        >>> WriteError.of(FileNotFoundError(errno.ENOENT, "No such file or directory", "/data/x"))
        """
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, PcipError):
            number = _errno_of(cause)
            if number in _REMEDIES:
                named = getattr(cause, "filename", None)
                return cls(
                    where or named or (f"a file in {inside}" if inside else "the disk"),
                    found=os.strerror(number).lower(),
                    required="permission to write, and free space",
                    remedy=_REMEDIES[number],
                )
            cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        return None


def meant(name: str, names: Iterable[str]) -> str:
    """A question for an error about an unknown name: which of these names was meant; empty if none is like it.

    Letter case is ignored. Every error about an unknown name ends what was found with it, and lists the names.

    >>> meant("chanel", ["channel", "min_area_px"]), meant("gfp", ["GFP-2", "GFP"]), meant("colour", ["channel"])
    (', which may mean channel', ', which may mean GFP', '')
    """
    folded: dict[str, str] = {}
    for each in names:
        folded.setdefault(each[:_LONGEST_MEANT].casefold(), each)
    like = difflib.get_close_matches(str(name)[:_LONGEST_MEANT].casefold(), list(folded), n=1)
    return f", which may mean {folded[like[0]]}" if like else ""


_LONGEST_MEANT = 100  # characters of a name that are compared with others
_REMEDIES = {
    **dict.fromkeys(
        (errno.EROFS, errno.EACCES, errno.EPERM),
        "Change its permissions, mount it for writing, or use another folder (PCIP_DATA, --to).",
    ),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space, and run the same command again."),
    errno.EFBIG: "Use a folder on a file system that holds larger files (PCIP_DATA, --to).",
    errno.EIO: "Free some space or check the disk, and run the same command again.",
}
_OF_SQLITE = {  # the beginning of `sqlite_errorname`
    "SQLITE_FULL": errno.ENOSPC,
    "SQLITE_READONLY": errno.EROFS,
    "SQLITE_CANTOPEN": errno.EACCES,
    "SQLITE_IOERR": errno.EIO,  # also of a full disk
}
_IN_WORDS = {  # patterns of libraries that keep no number
    **{re.escape(os.strerror(code)): code for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)},
    r"\d+ requested and \d+ written": errno.ENOSPC,  # numpy
    "iostream error": errno.ENOSPC,  # torch
}


def _errno_of(error: BaseException) -> int:
    """The number of the system's error, also of an error that keeps only its text; 0 if there is none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    name = getattr(error, "sqlite_errorname", "")
    numbers = [number for prefix, number in _OF_SQLITE.items() if name.startswith(prefix)]
    return next(
        iter(numbers + [number for words, number in _IN_WORDS.items() if re.search(words, str(error))]), 0
    )
