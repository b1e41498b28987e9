"""The page of the quality of a screen's fields: flags, maps of its plates, illumination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from matplotlib.figure import Figure

from pcip_core.files import natural_key
from pcip_core.images.quality.measures import LEAST_SIGNAL_TO_NOISE, MEASURES, MOST_SATURATED
from pcip_core.plots.illumination import mean_fields
from pcip_core.plots.plates import colour_limits, plate_maps
from pcip_core.report.page import Block, Code, Picture, Section, Table, Text, page
from pcip_core.words import many

COLOURS = (
    "Colours go from dark violet to yellow, over the range in parentheses, which is the same for all plates; values "
    "beyond it have its end colours."
)
"""The sentence on the colours of maps of plates."""
MEASURED = (
    "focus_slope: how fast the contrast falls from coarse to fine structure (slope of log power over log frequency, "
    "from 64 to 8 px per period). focus_laplacian: how much of the contrast is in the finest structure (variance of "
    "the Laplacian divided by that of the pixels). Both are lower in a blurred field than in others of its channel. "
    "saturated: share of the pixels at the maximum. background: 5th percentile of the grey levels. signal_to_noise: "
    "99.5th percentile less background, divided by the noise."
)
"""What the measures of fields are, for maps of plates."""
_MOST_PLATES = 12
_MOST_ROWS = 50
_HIGH_IS_BAD = ("saturated",)
_FLAG_OF = {"saturated": "saturated", "focus_slope": "blurred", "signal_to_noise": "no_signal"}


@dataclass(frozen=True)
class QualityRows:
    """The tables of a screen that the page shows.

    Attributes:
        title: title of the screen.
        screen: name of the screen.
        simulated: whether its images are simulated.
        images: `image_id`, `plate`, `well`, `shard`.
        fields: `field_id`, `image_id`, `field`.
        quality: the table `field_quality`.
        cells: `image_id`, `field`, `n_cells`; None before any crops.
        illumination: the table `illumination`.
        excluded: number of fields in quarantine.
    """

    title: str
    screen: str
    simulated: bool
    images: pl.DataFrame
    fields: pl.DataFrame
    quality: pl.DataFrame
    cells: pl.DataFrame | None
    illumination: pl.DataFrame
    excluded: int


def well_values(rows: QualityRows) -> pl.DataFrame:
    """Measures of wells: one row per plate, well, channel and measure.

    The value of a well is that of its worst field for `saturated`, otherwise the mean of its fields. Images without a
    well or a plate stand for wells, and shards for plates.

    Returns:
        `plate`, `well`, `channel`, `measure`, `value`, `flagged` (a field of the well, by this measure), in natural
        order.
    """
    places = rows.images.select(
        "image_id",
        plate=pl.coalesce(pl.col("plate").cast(pl.String), "shard"),
        well=pl.coalesce(pl.col("well").cast(pl.String), "image_id"),
    )
    mean = [pl.col(name).mean() for name in MEASURES if name not in _HIGH_IS_BAD]
    worst = [pl.col(name).max() for name in _HIGH_IS_BAD]
    keys = ["plate", "well", "channel"]
    wells = (
        rows.quality.join(places, on="image_id")
        .group_by(keys, maintain_order=True)
        .agg(*worst, *mean, flags=pl.col("flags").explode(empty_as_null=False).drop_nulls().unique())
        .unpivot(list(MEASURES), index=[*keys, "flags"], variable_name="measure", value_name="value")
        .with_columns(
            flagged=pl.col("flags").list.contains(pl.col("measure").replace_strict(_FLAG_OF, default=""))
        )
    )
    parts = [wells]
    if rows.cells is not None:
        cells = (
            rows.fields.join(rows.cells, on=["image_id", "field"], how="left")
            .join(places, on="image_id")
            .group_by("plate", "well", maintain_order=True)
            .agg(value=pl.col("n_cells").fill_null(0).sum().cast(pl.Float64))
            .with_columns(channel=pl.lit(""), measure=pl.lit("cells"), flagged=pl.lit(value=False))
        )
        parts = [cells, wells]
    columns = ["plate", "well", "channel", "measure", "value", "flagged"]
    values = pl.concat([part.select(columns) for part in parts])
    order = {name: number for number, name in enumerate(sorted(values["well"].unique(), key=natural_key))}
    return values.sort(pl.col("well").replace_strict(order, return_dtype=pl.Int64), maintain_order=True)


def quality_page(rows: QualityRows, *, made_from: str) -> tuple[str, dict[str, Figure]]:
    """The page as HTML, and the figure of its first plate by the name of the plate.

    Args:
        rows: what it shows.
        made_from: hash of the inputs, stored in the page.
    """
    values = well_values(rows)
    flagged = (
        values.filter("flagged")
        .unique(["plate", "well"])
        .group_by("plate")
        .agg(n=pl.len())
        .rows_by_key("plate")
    )
    plates = sorted(
        values["plate"].unique().to_list(),
        key=lambda plate: (-int(flagged.get(plate, [(0,)])[0][0]), natural_key(plate)),
    )
    sections = [Section("Flags", _flags(rows))]
    limits = colour_limits(values)
    stand_ins = _stand_ins(rows.images)
    blocks: list[Block] = [
        Text(
            "One square per well: its worst field (saturated), the sum (cells) or the mean of its fields. A red frame: "
            f"a field of the well is flagged by this measure. {COLOURS}{stand_ins}"
        ),
        Text(MEASURED),
    ]
    if len(plates) > _MOST_PLATES:
        blocks.append(
            Text(f"The {_MOST_PLATES} of {many(len(plates), 'plate')} with most flagged wells.", note=True)
        )
    figures = {
        plate: plate_maps(values.filter(plate=plate), f"{rows.title}: {plate}", limits)
        for plate in plates[:_MOST_PLATES]
    }
    blocks += [Picture(figure, f"Maps of plate {plate}") for plate, figure in figures.items()]
    if len(values):
        sections.append(Section("Plates", blocks))
    if rows.illumination.height:
        sections.append(Section("Illumination", _illumination(rows)))
    html = page(
        f"{rows.title}: quality of fields",
        sections,
        banner="SIMULATED images: this page shows no real cells" if rows.simulated else "",
        made_from=made_from,
    )
    return html, dict(list(figures.items())[:1])


def _stand_ins(images: pl.DataFrame) -> str:
    """What is drawn where images have no wells or no plates."""
    lacking = [name for name in ("well", "plate") if images[name].null_count() == images.height]
    instead = {"well": "squares are images", "plate": "what is headed as a plate is a shard"}
    if not lacking:
        return ""
    return f" This screen has no {' and no '.join(f'{name}s' for name in lacking)}: " + (
        " and ".join(instead[name] for name in lacking) + "."
    )


def _flags(rows: QualityRows) -> list[Block]:
    text = Text(
        f"{many(rows.fields.height, 'field')} used, {rows.excluded} in quarantine. Flags exclude nothing. saturated: "
        f"more than {MOST_SATURATED:.0%} of the pixels at the maximum; blurred: the slope of a structural channel far "
        f"below those of the other fields of the shard; no_signal: signal to noise below {LEAST_SIGNAL_TO_NOISE:g}."
    )
    if not rows.quality.height:
        return [text, Text("Quality is not measured where fields are single cells.", note=True)]
    each = rows.quality.explode("flags").drop_nulls("flags")
    if not each.height:
        return [text, Text("No field is flagged.")]
    counts = each.group_by("flags", "channel").agg(n=pl.col("field_id").n_unique()).sort("flags", "channel")
    worst = each.group_by("field_id", "channel", maintain_order=True).agg(
        pl.col("flags"), *(pl.col(name).first() for name in MEASURES)
    )
    fields = Table(
        ["field", "channel", "flags", *MEASURES],
        [
            [
                row["field_id"],
                row["channel"],
                ", ".join(row["flags"]),
                *("" if row[name] is None else f"{row[name]:.4g}" for name in MEASURES),
            ]
            for row in worst.head(_MOST_ROWS).iter_rows(named=True)
        ],
        words=frozenset({"channel", "flags"}),
        caption=f"The first {_MOST_ROWS} of {worst.height}." if worst.height > _MOST_ROWS else "",
    )
    query = f"SELECT * FROM {rows.screen}.field_quality WHERE len(flags) > 0;"
    return [text, Table(["flag", "channel", "fields"], [[*map(str, row)] for row in counts.rows()],
                        words=frozenset({"channel"})), fields, Code(query)]  # fmt: skip


def _illumination(rows: QualityRows) -> list[Block]:
    table = rows.illumination.sort("shard", "channel")
    shown: Sequence[dict[str, object]] = table.to_dicts()
    lines = [
        [
            str(row["shard"]),
            str(row["channel"]),
            str(row["method"]),
            f"{row['gain_min']:.3f} to {row['gain_max']:.3f}",
            "" if row["error"] is None else f"{row['error']:.3f}",
            str(row["n_fields"]),
            str(row["note"] or ""),
        ]
        for row in shown[:_MOST_ROWS]
    ]
    columns = ["shard", "channel", "method", "gain", "error", "fields", "note"]
    caption = f"The first {_MOST_ROWS} of {len(shown)}." if len(shown) > _MOST_ROWS else ""
    return [
        Picture(mean_fields(shown, rows.title), "Mean fields before and after correction"),
        Table(columns, lines, words=frozenset({"channel", "method", "note"}), caption=caption),
    ]
