"""Names that Excel has turned into dates and numbers: SEPT1 into 1-Sep, MARCH2 into 2-Mar, 1E5 into 1.00E+05."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from pcip_core.errors import SpecError
from pcip_core.words import many

_MONTHS = (  # in English and other languages; the first three letters of names differ by month
    *(
        "jan|ene|gen",
        "feb|fév|fev|févr|lut",
        "mar|mär|mrz|mrt|mars|märz",
        "apr|avr|abr|avril|kwi",
        "may|mai|mei|mag|mayo|maj",
    ),
    *("jun|juin|giu|juni|cze", "jul|juil|lug|juli", "aug|aoû|août|ago"),
    *("sep|sept|set|septembre|wrz", "oct|okt|ott|paź"),
    *("nov", "dec|dez|déc|dic|gru"),
)
_FULL = "january|february|march|april|june|july|august|september|october|november|december"
_GENES = {  # month -> what names of genes have in its place
    3: ("MARCH{} (now MARCHF{})", "MARC{} (now MTARC{})"),
    9: ("SEPT{} (now SEPTIN{})", "SEP{}"),
    10: ("OCT{}",),
    12: ("DEC{}",),
}
_OF_MONTH = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH = "|".join(_MONTHS)
_DAY_FIRST = rf"(?i)^\d{{1,2}}[-./ ]+({_MONTH}|{_FULL})\.?([-./ ]+\d{{2,4}})?$"  # 1-Sep, 01. Sep, 1-Sep-24
_MONTH_FIRST = rf"^(?i:{_MONTH}|{_FULL})\.?[- ]\d{{2}}$"  # Sep-10
_TIME = r"( \d\d:\d\d:\d\d(\.\d+)?)?"  # of a cell of a workbook
_DATE = rf"^\d{{4}}[-/]\d\d?[-/]\d\d?{_TIME}$|^\d{{1,2}}([./])\d{{1,2}}[./](\d\d|\d{{4}})$"
_SCIENTIFIC = r"(?i)^\d([.,]\d+E[+-]?|E\+)\d{2,3}$"  # not 1E5, which is the name itself
_HUGE = r"^[1-9]\d{15,}$"  # what a workbook keeps of 2310009E13; no number of a gene has so many digits
_OF_NAMES = re.compile(
    r"(metadata_)?(gene|protein|y?orf|symbol|target|well|strain|locus|ensembl|uniprot|entrez|cell.line)s?"
    r"([ _]?(name|symbol|id|position)s?)?",
    re.IGNORECASE,
)
_OF_CODES = re.compile(
    r"(metadata_)?(assay[ _]?)?(plate|barcode|image|cell|sample|clone|antibody)([ _]?(name|id|barcode)s?)?",
    re.IGNORECASE,
)
_ERROR = r"^#(N/A|NV|DIV/0!|\p{Lu}{3,10}[!?])$"  # of Excel, in any language: #REF!, #NAME?, #BEZUG!
_SHOWN = 5


def refuse_damaged(path: Path, frame: pl.DataFrame) -> None:
    """Raise a SpecError where a column of names holds what Excel makes of names.

    A column is one of names when it is called gene, protein, well, or the like. Numbers with an exponent are refused in
    columns of plates and images too, and short dates in any other column where some cells are not dates. Errors of
    Excel are refused everywhere.

    Args:
        path: of the table, for the error.
        frame: columns of text.
    """
    errors = {column.name: column.filter(column.str.contains(_ERROR)) for column in frame.get_columns()}
    errors = {name: cells for name, cells in errors.items() if len(cells)}
    if errors:
        texts = [
            f"{many(len(cells), 'cell')} with {_shown(cells.unique(maintain_order=True).to_list())} in the column "
            f"{name}"
            for name, cells in errors.items()
        ]
        raise SpecError(
            path,
            found=f"errors of Excel: {'; '.join(texts)}",
            required="values",
            remedy="Correct or empty these cells.",
        )
    damaged = {column.name: names for column in frame.get_columns() if (names := _damaged(column))}
    if damaged:
        raise SpecError(
            path,
            found="; ".join(f"{_shown(names)} in the column {name}" for name, names in damaged.items()),
            required="names",
            remedy="Excel makes dates and numbers of names. Format the column as text in Excel and type these names "
            "again.",
        )


def likely_name(text: str) -> str:
    """What Excel has probably turned into this text; empty if it is no date and no number.

    >>> likely_name("1-Sep"), likely_name("02. Mrz"), likely_name("2001-12-01")
    ('SEPT1 (now SEPTIN1) or SEP1', 'MARCH2 (now MARCHF2) or MARC2 (now MTARC2)', 'DEC1')
    >>> likely_name("1.00E+05"), likely_name("2.31E+19"), likely_name("AAC1")
    ('1E5 or 100000', '231????E13, a RIKEN clone', '')
    """
    if re.search(_SCIENTIFIC, text):
        mantissa, _, power = text.upper().replace(",", ".").partition("E")
        digits = mantissa.replace(".", "").rstrip("0") or "0"
        exponent = int(power)
        if exponent > 15:
            return f"{digits[:7]:?<7}E{exponent - 6:02d}, a RIKEN clone"
        whole = exponent - len(digits) + 1
        plain = f" or {digits}{'0' * whole}" if whole >= 0 else ""
        return f"{digits}E{whole}{plain}" if whole >= 0 else f"{mantissa}E{exponent}"
    if re.search(_HUGE, text):
        return f"{text[:7]}E{len(text) - 7:02d}, a RIKEN clone"
    month, day = _month_and_day(text)
    names = _GENES.get(month, (_OF_MONTH[month - 1] + "{}",)) if month else ()
    return " or ".join(name.replace("{}", str(day)) for name in names)


def _month_and_day(text: str) -> tuple[int, int]:
    """The month and the day of a date as Excel writes it; 0, 0 for any other text."""
    if match := re.match(r"(\d{4})[-/](\d\d?)[-/](\d\d?)", text):
        return _valid(int(match[2]), int(match[3]))
    if match := re.match(r"(\d{1,2})([./])(\d{1,2})[./]\d", text):
        first, second = int(match[1]), int(match[3])
        return _valid(first, second) if match[2] == "/" and first <= 12 else _valid(second, first)
    words, numbers = re.findall(r"[^\W\d_]+", text.lower()), re.findall(r"\d+", text)
    for month, names in enumerate(_MONTHS, start=1):
        if numbers and any(word[:3] in {name[:3] for name in names.split("|")} for word in words):
            return month, int(numbers[0])
    return 0, 0


def _valid(month: int, day: int) -> tuple[int, int]:
    return (month, day) if 1 <= month <= 12 else (0, 0)


def _damaged(column: pl.Series) -> list[str]:
    filled = column.filter(column != "").unique(maintain_order=True)
    short = filled.str.contains(_DAY_FIRST) | filled.str.contains(_MONTH_FIRST)
    dates = short | filled.str.contains(_DATE)
    if _OF_NAMES.fullmatch(column.name):
        numbers = filled.str.contains(_SCIENTIFIC) | filled.str.contains(_HUGE)
        return filled.filter(dates | numbers).to_list()
    if _OF_CODES.fullmatch(column.name):
        return filled.filter(filled.str.contains(_SCIENTIFIC)).to_list()
    return [] if dates.all() else filled.filter(short).to_list()


def _shown(names: list[str]) -> str:
    texts = [
        f"{name} (probably {likely})" if (likely := likely_name(name)) else name for name in names[:_SHOWN]
    ]
    return ", ".join(texts) + (", ..." if len(names) > _SHOWN else "")
