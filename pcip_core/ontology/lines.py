"""Numbered lines of the files of the Gene Ontology, with limits on what a file unpacks to."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from pcip_core.errors import AnnotationError

MAX_BYTES = 1 << 29  # of a file, unpacked; the human annotations have 0.2 GB, all terms 35 MB
MAX_LINE = 1 << 20  # characters
_OBO = "https://purl.obolibrary.org/obo/go/go-basic.obo"


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a text file, decompressed if its name ends with .gz.

    Raises:
        AnnotationError: the file cannot be read, a line exceeds MAX_LINE, or all lines together MAX_BYTES.
    """
    number, left = 0, MAX_BYTES
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig")
        ) as stream:
            while line := stream.readline(MAX_LINE + 1):
                number += 1
                left -= len(line) if line.isascii() else 4 * len(line)
                if len(line) > MAX_LINE:
                    raise damaged(
                        path, number, f"a line of more than {MAX_LINE:,} characters", "shorter lines"
                    )
                if left < 0:
                    raise damaged(
                        path, number, f"more than {MAX_BYTES >> 20} MiB when unpacked", "a smaller file"
                    )
                yield number, line
    except (OSError, EOFError, ValueError) as error:
        raise AnnotationError(
            path,
            found="no such file" if isinstance(error, FileNotFoundError) else f"no readable text ({error})",
            required="an OBO or GAF file as UTF-8 text, plain or gzipped (.gz)",
            remedy="Check the path and the file.",
        ) from error


def damaged(path: Path, line: int | None, found: str, required: str) -> AnnotationError:
    """The error for a line of a file, or for the whole file."""
    return AnnotationError(
        path if line is None else f"{path}, line {line}",
        found=found,
        required=required,
        remedy=f"Download the file again (terms: {_OBO}; annotations: https://geneontology.org).",
    )
