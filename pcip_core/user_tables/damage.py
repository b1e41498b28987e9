"""Names that Excel has turned into dates and numbers: SEPT1 into 1-Sep, MARCH2 into 2-Mar, 1E5 into 1.00E+05."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from pcip_core.errors import SpecError

_MONTH = "jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez"
_SHORT_DATE = rf"(?i)^(\d{{1,2}}[-. ]+({_MONTH})\.?|({_MONTH})\.?[- ]\d{{2}})$"  # 1-Sep, 01. Sep, Sep-10
_DATE = r"^\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?)?$"  # what a cell of a workbook becomes
_SCIENTIFIC = r"^\d\.\d\dE\+\d\d$"
_OF_NAMES = re.compile(
    r"(metadata_)?(gene|protein|y?orf|symbol|target|well|strain|locus|ensembl|uniprot|entrez|cell.line)s?"
    r"([ _]?(name|symbol|id|position)s?)?",
    re.IGNORECASE,
)
_SHOWN = 5


def refuse_damaged(path: Path, frame: pl.DataFrame) -> None:
    """Raise a SpecError where a column of names holds what Excel makes of names.

    A column is one of names when it is called gene, protein, well, or the like. Short dates are refused in any other
    column too where some cells are not dates.

    Args:
        path: of the table, for the error.
        frame: columns of text.
    """
    damaged = {column.name: names for column in frame.get_columns() if (names := _damaged(column))}
    if damaged:
        raise SpecError(
            path,
            found="; ".join(f"{_shown(names)} in the column {name}" for name, names in damaged.items()),
            required="names",
            remedy="Excel makes dates and numbers of names such as SEPT1, MARCH2 and 1E5. Format the column as text in "
            "Excel and type these names again.",
        )


def _damaged(column: pl.Series) -> list[str]:
    filled = column.filter(column != "").unique(maintain_order=True)
    short = filled.str.contains(_SHORT_DATE)
    dates = short | filled.str.contains(_DATE)
    if _OF_NAMES.fullmatch(column.name):
        return filled.filter(dates | filled.str.contains(_SCIENTIFIC)).to_list()
    return [] if dates.all() else filled.filter(short).to_list()


def _shown(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
