"""The section with maps of the plates: cells per well, and the quality of their fields."""

from __future__ import annotations

import polars as pl

from pcip_core.files import natural_key
from pcip_core.plots.plates import colour_limits, plate_maps
from pcip_core.report.analyses.plots import Plots, captioned
from pcip_core.report.analyses.rows import AnalysisRows
from pcip_core.report.page import Block, Links, Picture, Section, Table, Text
from pcip_core.report.quality import COLOURS, MEASURED
from pcip_core.words import many

_MOST = 6  # plates


def plates(rows: AnalysisRows, _: Plots) -> Section | None:
    """Maps of the first plates, and a table of all of them."""
    values = rows.plates
    if values.is_empty():
        return None
    names = sorted(values["plate"].unique().to_list(), key=natural_key)
    limits = colour_limits(values)
    shown = names[:_MOST]
    blocks: list[Block] = [
        Text(
            "One square per well: the number of its cells, and measures of the quality of its fields. A pattern along "
            "rows, columns or edges is one of the plate, not of the proteins. "
            f"{COLOURS} {MEASURED}"
        ),
    ]
    blocks += [
        Picture(
            plate_maps(values.filter(plate=plate), f"{rows.title}: {plate}", limits),
            f"Maps of plate {plate}",
            captioned(rows, f"Plate {plate}."),
        )
        for plate in shown
    ]
    means = (
        values.group_by("plate", "channel", "measure", maintain_order=True)
        .agg(
            low=pl.col("value").min(), mean=pl.col("value").mean(), high=pl.col("value").max(), wells=pl.len()
        )
        .sort(pl.col("plate").replace_strict(names, range(len(names))), maintain_order=True)
    )
    numbers = ("low", "mean", "high")
    body = [
        [row["plate"], row["channel"], row["measure"], str(row["wells"]),
         *("" if row[name] is None else f"{row[name]:.4g}" for name in numbers)]
        for row in means.iter_rows(named=True)
    ]  # fmt: skip
    columns = ["plate", "channel", "measure", "wells", "lowest", "mean", "highest"]
    caption = captioned(rows, f"Wells of {many(len(names), 'plate')}.")
    blocks.append(Table(columns, body, words=frozenset(columns[1:3]), caption=caption))
    if len(names) > _MOST:
        blocks.append(
            Links(f"The first {_MOST} of {len(names)} plates; others:", [("quality.html", "quality.html")])
        )
    return Section("Plates", blocks, folded=True)
