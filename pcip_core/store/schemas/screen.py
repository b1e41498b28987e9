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
        "field": (TEXT, "Name of the field within its image."),
        "files": (TEXTS, "Paths under the root, one per channel; `#` precedes the plane of a file."),
        "parts": (TEXT_BY_NAME, "Named parts of the path or of the files' metadata: `parts['well']`."),
        "content_hash": (TEXT, "Hash of the contents of its files, or of its part of a file of many fields."),
        "height_px": (SMALL_INTEGER, "Height of the field (pixels)."),
        "width_px": (SMALL_INTEGER, "Width of the field (pixels)."),
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
        "file": (TEXT, "File at fault, or first file of the cell's field."),
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
