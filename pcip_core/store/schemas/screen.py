"""Tables of a screen from its images to its features."""

from __future__ import annotations

from pcip_core.store.schemas.table import (
    INTEGER,
    NUMBER,
    NUMBERS,
    SMALL_INTEGER,
    TEXT,
    TEXT_BY_NAME,
    TEXTS,
    TIME,
    VECTOR,
    Table,
)

SHARD = {"shard": (TEXT, "Shard that the row belongs to.")}

FIELDS = Table(
    name="fields",
    description="One row per usable field of view.",
    columns={
        "field_id": (TEXT, "Name of the field, from all named parts of its path."),
        "image_id": (TEXT, "Image of the field."),
        "field": (
            TEXT,
            "Name of the field, unique within its image (of cropped cells: their field).",
        ),
        "files": (
            TEXTS,
            "Paths under the root, one per channel; `#` precedes the plane, `with` further files.",
        ),
        "parts": (TEXT_BY_NAME, "Named parts of the path or of the files' metadata: `parts['well']`."),
        "content_hash": (TEXT, "Hash of the contents of its files, or of its part of a file of many fields."),
        "height_px": (SMALL_INTEGER, "Height of the field (pixels)."),
        "width_px": (SMALL_INTEGER, "Width of the field (pixels)."),
        "saturated": (NUMBER, "`saturated` of its worst channel in `field_quality`; NULL if not measured."),
        "focus_slope": (NUMBER, "`focus_slope` of its worst structural channel in `field_quality`."),
        "signal_to_noise": (NUMBER, "`signal_to_noise` of its worst structural channel in `field_quality`."),
        "flags": (
            TEXTS,
            "Flags of its channels in `field_quality`, each once; a flag alone excludes nothing.",
        ),
        "n_cells": (INTEGER, "Number of cells."),
        **SHARD,
    },
    added=("n_cells",),
)

FIELD_QUALITY = Table(
    name="field_quality",
    description="Quality of the pixels of the files, before any correction: one row per usable field and channel. "
    "No rows where fields are single cells, unless the spec has limits in `quality`.",
    columns={
        "field_id": (TEXT, "Name of the field."),
        "image_id": (TEXT, "Image of the field."),
        "field": (TEXT, "Name of the field within its image."),
        "channel": (TEXT, "Channel."),
        "saturated": (NUMBER, "Share of pixels at the greatest grey level of the plane."),
        "focus_slope": (
            NUMBER,
            "Slope of log power over log frequency, from 64 to 8 px per period: more negative in a blurred plane, "
            "about 1 in noise; NULL without contrast.",
        ),
        "focus_laplacian": (
            NUMBER,
            "Variance of the Laplacian relative to that of the pixels: small in a blurred plane, 20 in noise.",
        ),
        "background": (NUMBER, "5th percentile of the grey levels."),
        "signal_to_noise": (
            NUMBER,
            "99.5th percentile of the grey levels less `background`, divided by the standard deviation of the noise: "
            "about 4 in noise alone.",
        ),
        "flags": (
            TEXTS,
            "`saturated`, `blurred` (structural channels, relative to the other fields of the shard), `no_signal`.",
        ),
        **SHARD,
    },
)

ILLUMINATION = Table(
    name="illumination",
    description="Correction of uneven illumination: one row per shard, channel and profile; no rows with the method "
    "`none`, or for a channel that is flat by Harmony.",
    columns={
        "channel": (TEXT, "Channel."),
        "method": (TEXT, "Method of the spec: `harmony`, `images` or `estimated`."),
        "source": (TEXT, "File of the profile, or `estimated`."),
        "profile": (TEXT, "Hash of the profile."),
        "gain_min": (NUMBER, "Least gain, relative to the field; the plane is divided by the gain."),
        "gain_max": (NUMBER, "Greatest gain."),
        "n_fields": (SMALL_INTEGER, "Fields that it corrects; for an estimate, those that it is made from."),
        "error": (NUMBER, "Standard error of an estimated gain."),
        "note": (TEXT, "Why an estimate corrects nothing; NULL if it does."),
        "coefficients": (
            NUMBERS,
            "Polynomial of an estimated gain: terms 1, x, y, x^2, xy, y^2, ... for x and y from -0.5 to 0.5.",
        ),
        "mean_before": (NUMBERS, "Mean of some of its fields: 32 rows of 32 block means (grey levels)."),
        "mean_after": (NUMBERS, "The same after correction."),
        **SHARD,
    },
)

IMAGES = Table(
    name="images",
    description="One row per image: all fields of one protein in one well or condition. Further columns of the "
    "screen's own table follow.",
    columns={
        "image_id": (TEXT, "Name of the image."),
        "protein": (
            TEXT,
            "Tagged protein. An image without a protein counts as a separate protein, named by its image id, here "
            "and in all tables of proteins.",
        ),
        "gene": (TEXT, "Gene of the protein."),
        "cell_line": (TEXT, "Cell line or strain."),
        "plate": (TEXT, "Plate."),
        "well": (TEXT, "Well."),
        "n_fields": (SMALL_INTEGER, "Number of fields, unusable ones included."),
        "n_cells": (INTEGER, "Number of cells."),
        "localization": (TEXTS, "Annotated compartments; may be empty."),
        **SHARD,
    },
    added=("n_cells",),
    more_columns=True,
)

CELLS = Table(
    name="cells",
    description="One row per cell.",
    columns={
        "cell_id": (TEXT, "Name of the cell."),
        "image_id": (TEXT, "Image of the cell."),
        "field": (TEXT, "Field of the cell within its image."),
        "y_px": (NUMBER, "Centre of mass, from the top of the field (pixels)."),
        "x_px": (NUMBER, "Centre of mass, from the left of the field (pixels)."),
        "area_px": (NUMBER, "Area of the segmented cell or nucleus (pixels)."),
        "crop_row": (INTEGER, "Row of its crop in the shard's array."),
        "intensity_min": (
            NUMBERS,
            "Least intensity of each channel of the crop before rescaling (grey levels).",
        ),
        "intensity_max": (
            NUMBERS,
            "Greatest intensity of each channel of the crop before rescaling (grey levels).",
        ),
        "pixel_hash": (TEXT, "Hash of the pixels of its crop."),
        **SHARD,
    },
)

CELL_FEATURES = Table(
    name="cell_features_<feature_set>",
    description="One feature vector per cell.",
    columns={
        "cell_id": (TEXT, "Name of the cell."),
        "image_id": (TEXT, "Image of the cell."),
        "encoder_version": (
            TEXT,
            "Model version that made the vector; for designed features, the name and code version of the set.",
        ),
        "features": (VECTOR, "Feature vector."),
        **SHARD,
    },
    added=("shard",),
)

PROTEIN_FEATURES = Table(
    name="protein_features_<feature_set>",
    description="One feature vector per protein: the mean over its cells.",
    columns={
        "protein": (TEXT, "Name of the protein."),
        "n_cells": (INTEGER, "Number of cells in the mean."),
        "encoder_version": (TEXT, "Model versions that made the vectors of the cells."),
        "features": (VECTOR, "Mean feature vector."),
    },
)

QUARANTINE = Table(
    name="quarantine",
    description="Everything that was excluded, with the reason: found = used + quarantined. A view over "
    "`quarantine_fields` and `quarantine_crops`.",
    columns={
        "file": (
            TEXT,
            "File at fault, relative to the workspace if it lies there; or first file of the cell's field.",
        ),
        "stage": (TEXT, "Stage that excluded it: `fields` or `crops`."),
        "what": (TEXT, "What was excluded: `file`, `cell` or `image`."),
        "image_id": (TEXT, "Image that it belongs to."),
        "reason": (TEXT, "What was found and what was required."),
        "found_at": (TIME, "Time of the exclusion (UTC)."),
        "field_id": (TEXT, "Field, where the whole field was excluded."),
        "content_hash": (
            TEXT,
            "Hash of the contents of its files at that time; empty for fields that are not read.",
        ),
        **SHARD,
    },
    stored_as=("quarantine_*",),
)
