"""Names that Excel has turned into dates and numbers: SEPT1 into 1-Sep, MARCH2 into 2-Mar, 1E5 into 1.00E+05."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pcip_core.errors import SpecError

_MONTH = "jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez"
_SHORT_DATE = rf"(?i)^(\d{{1,2}}[-. ]+({_MONTH})\.?|({_MONTH})\.?[- ]\d{{2}})$"  # 1-Sep, 01. Sep, Sep-10
_DATE = r"^\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?)?$"  # what a cell of a workbook becomes
_SCIENTIFIC = r"^\d\.\d\dE\+\d\d$"
_OF_NAMES = (
    r"(?i)^(metadata_)?(gene|protein|y?orf|symbol|target|well|strain|locus|ensembl|uniprot|entrez|cell.line)s?"
    r"([ _]?(name|symbol|id|position)s?)?$"
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
    for column in frame.get_columns():
        filled = column.filter(column != "").unique(maintain_order=True)
        dates = filled.str.contains(_SHORT_DATE) | filled.str.contains(_DATE)
        if frame.select(pl.lit(column.name).str.contains(_OF_NAMES)).item():
            damaged = filled.filter(dates | filled.str.contains(_SCIENTIFIC))
        elif dates.all():
            continue
        else:
            damaged = filled.filter(filled.str.contains(_SHORT_DATE))
        if len(damaged):
            shown = ", ".join(damaged[:_SHOWN]) + (", ..." if len(damaged) > _SHOWN else "")
            raise SpecError(
                path,
                found=f"{shown} in the column {column.name}",
                required="names",
                remedy="Excel makes dates and numbers of names such as SEPT1, MARCH2 and 1E5. Format the column as "
                "text in Excel and type these names again.",
            )
