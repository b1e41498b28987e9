"""Cases of the user's tables: platemaps, tables of images, LoadData."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.cases.case import Case, Result, Trial, judged


def _edited(trial: Trial, table: str, edit: Callable[[str], str]) -> list[str | None]:
    """The proteins of the images after a change of a table."""
    path = trial.root / table
    path.write_text(edit(path.read_text()))
    return trial.attempt().values("protein")


def images_table_wellpad(trial: Trial) -> Result:
    """Right: A1 is A01, so that all images have their protein; or 0 of 3 images with a row is a problem."""
    attempt = trial.attempt()
    named = "0 of 3 images have a row"
    right = attempt.values("protein") == ["AAC1", "AAH1", "X"]
    return judged(attempt, right=right or attempt.says(named), named=named)


def platemap_duplicate_wells(trial: Trial) -> Result:
    """Right: a refusal that names well A01 and both proteins; without the wrong row, all have theirs."""
    attempt = trial.attempt()
    proteins = _edited(trial, "platemap.csv", lambda text: text.replace("A1,AAP1,AAP1\n", ""))
    remedies = {"the wrong row removed": proteins == ["AAC1", "AAH1", "X"]}
    return judged(attempt, right=attempt.says("A01", "AAC1", "AAP1"), remedies=remedies)


def platemap_merged_cells(trial: Trial) -> Result:
    """Right: the 2 rows without a plate are counted; with the cells filled in, all images have a protein."""
    attempt = trial.attempt()
    right = attempt.says(r"\b2\b.*\b(rows|cells)|rows? 3", "plate")
    filled = _edited(
        trial, "platemap.csv", lambda text: text.replace(",A02,,", "P1,A02,AAC1,").replace(",B01", "P1,B01")
    )
    return judged(attempt, right=right, remedies={"the cells filled in": filled == ["AAC1", "AAC1", "AAH1"]})


def platemap_excel_dates(trial: Trial) -> Result:
    """Right: the three names that Excel has changed are named; typed again, they are the proteins."""
    attempt = trial.attempt()
    right = all(attempt.says(pattern) for pattern in ("1-Sep", "2-Mar", r"1\.00E\+05"))

    def typed(text: str) -> str:
        return text.replace("1-Sep", "SEPT1").replace("2-Mar", "MARCH2").replace("1.00E+05", "100000")

    proteins = _edited(trial, "platemap.csv", typed)
    remedies = {"the names typed again": proteins == ["SEPT1", "MARCH2", "YMR056C"]}
    return judged(attempt, right=right, remedies=remedies)


def platemap_semicolon(trial: Trial) -> Result:
    """Right: a table separated by ; is read, or the refusal says so."""
    attempt = trial.attempt()
    right = attempt.values("protein") == ["AAC1", "AAH1", "X"]
    return judged(attempt, right=right or attempt.says("separated by ;"))


def loaddata_windows(trial: Trial) -> Result:
    """Right: paths with backslashes are read, or the refusal says Windows."""
    attempt = trial.attempt()
    right = (len(attempt.fields), len(attempt.planes())) == (2, 2)
    return judged(attempt, right=right or attempt.says("Windows"))


def loaddata_frame_swapped(trial: Trial) -> Result:
    """Right: the cytosol of A02 is frame 1, or the contradiction to the spec is named."""
    attempt = trial.attempt()

    def right(means: dict[str, list[float]]) -> bool:
        return len(means.get("cytosol", [])) == 2 and bool(np.isclose(means["cytosol"][1], 190.66, rtol=1e-3))

    without = trial.attempt(
        changes={
            "channels.cytosol": {"role": "structural", "named": "OrigRFP"},
            "channels.protein": {"role": "protein", "named": "OrigGFP"},
        }
    )
    remedies = {"`plane` removed from the spec": right(without.means())}
    return judged(
        attempt,
        right=right(attempt.means()),
        named=r"Frame \d for channel|Frame_Orig.*contradict",
        remedies=remedies,
    )


WELLPAD = Case("images_table_wellpad", "proteins AAC1, AAH1, X, or a problem", images_table_wellpad)
DUPLICATE = Case(
    "platemap_duplicate_wells", "a refusal that names A01 and both rows", platemap_duplicate_wells
)
MERGED = Case("platemap_merged_cells", "the 2 rows without a plate are named", platemap_merged_cells)
DATES = Case("platemap_excel_dates", "1-Sep, 2-Mar and 1.00E+05 are named", platemap_excel_dates)
SEMICOLON = Case("platemap_semicolon", "read, or `separated by ;`", platemap_semicolon)
WINDOWS = Case("loaddata_windows", "read, or a refusal that names Windows paths", loaddata_windows)
FRAMES = Case("loaddata_frame_swapped", "the cytosol of A02 is frame 1 (mean 190.66)", loaddata_frame_swapped)
CASES = [WELLPAD, DUPLICATE, MERGED, DATES, SEMICOLON, WINDOWS, FRAMES]
