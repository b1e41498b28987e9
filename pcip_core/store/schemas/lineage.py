"""What the columns of each table are computed from, as columns of other tables: for the lineage that Dagster shows.

Names are `<table>.<column>`, of tables as they are stored. `cell_features` and `protein_features` stand for the tables
of all feature sets that an asset reads. Pixels have no column: `fields.content_hash` stands for those of a field, and
`cells.pixel_hash` for those of a crop. A column that is not listed is computed from the spec alone, from
files, or from the code.
"""

from __future__ import annotations

from collections.abc import Mapping

Sources = Mapping[str, tuple[str, ...]]

_FIELD = ("fields.content_hash",)
_CELL = {"cell_id": ("cells.cell_id",), "image_id": ("cells.image_id",)}
_PROTEIN = {"protein": ("images.protein",)}
_LINE = {**_PROTEIN, "cell_line": ("images.cell_line",)}
_VECTORS = ("cell_features.features",)
_TERM = ("images.localization",)
_MEANS = ("protein_features.features",)
_SCORE = (*_VECTORS, *_TERM)
_PREDICTED = ("cells.pixel_hash", *_TERM)
_MAP_OF_CELLS = {
    "cell_id": ("cell_features.cell_id",),
    "image_id": ("cell_features.image_id",),
    "label": _TERM,
    "x": _VECTORS,
    "y": _VECTORS,
}
_MAP_OF_PROTEINS = {**_PROTEIN, "label": _TERM, "x": _MEANS, "y": _MEANS}

SOURCES: Mapping[str, Sources] = {
    "cells": {
        "cell_id": ("fields.field_id",),
        "image_id": ("fields.image_id",),
        "field": ("fields.field",),
        **dict.fromkeys(("y_px", "x_px", "area_px"), _FIELD),
        **dict.fromkeys(("intensity_min", "intensity_max", "pixel_hash"), (*_FIELD, "illumination.profile")),
        "shard": ("fields.shard",),
    },
    "cell_features_*": {**_CELL, "features": ("cells.pixel_hash",)},
    "protein_features_*": {
        **_PROTEIN,
        "n_cells": ("cell_features.cell_id",),
        "encoder_version": ("cell_features.encoder_version",),
        "features": _VECTORS,
    },
    "benchmarks*": {
        "label": _TERM,
        **dict.fromkeys(("value", "low", "high"), _SCORE),
        "n": ("cell_features.cell_id", *_TERM),
    },
    "umap_cells": _MAP_OF_CELLS,
    "umap_proteins": _MAP_OF_PROTEINS,
    "map_cells": _MAP_OF_CELLS,
    "map_proteins": {**_MAP_OF_PROTEINS, "member": ("images.protein", "images.cell_line")},
    "supervised_images": {"image_id": ("images.image_id",)},
    "clusters": {
        **_PROTEIN,
        "member": ("images.protein", "images.cell_line"),
        **dict.fromkeys(("node", "parent", "height", "size", "tree_node"), _MEANS),
    },
    "cluster_trees": {
        "member": ("images.protein", "images.cell_line"),
        **dict.fromkeys(("tree_node", "parent", "height", "size", "first_leaf"), _MEANS),
    },
    "enrichment": {
        **{name: (f"clusters.{name}",) for name in ("solution", "node")},
        "cluster_size": ("clusters.member",),
        **dict.fromkeys(
            ("term", "name", "hits", "annotated", "background_hits", "background", "tests", "fold", "p", "q"),
            ("clusters.protein", *_TERM),
        ),
    },
    "localization_scores": {
        "cell_id": ("cell_features.cell_id",),
        "image_id": ("cell_features.image_id",),
        **dict.fromkeys(("first", "second", "group"), _TERM),
        **dict.fromkeys(("score", "place"), _SCORE),
    },
    "protein_scores": {
        **_LINE,
        **dict.fromkeys(("first", "second", "group"), _TERM),
        **dict.fromkeys(("mean", "standard_deviation", "rank"), _SCORE),
        **dict.fromkeys(("mean_place", "standard_deviation_place", "place_rank"), _SCORE),
        "n": ("cell_features.cell_id",),
    },
    "variability": {
        **_LINE,
        "n": ("cell_features.cell_id",),
        **dict.fromkeys(
            ("log_intensity", "spread", "excess", "split", "split_excess", "variability", "rank"), _VECTORS
        ),
    },
    "variability_cells": {
        **_LINE,
        "cell_id": ("cell_features.cell_id",),
        "image_id": ("cell_features.image_id",),
        "place": _VECTORS,
    },
    "phenotypes": {
        **_LINE,
        "cell_id": ("cell_features.cell_id",),
        "image_id": ("cell_features.image_id",),
        **dict.fromkeys(("phenotype", "share", "leaf", "representative", "x", "y"), _VECTORS),
    },
    "units": {
        "label": _TERM,
        "share": _SCORE,
        "rank": _SCORE,
        "unit": _SCORE,
        "highest": ("cell_features.cell_id", *_VECTORS),
        "lowest": ("cell_features.cell_id", *_VECTORS),
    },
    "labels_*": {**_CELL, "pixel_hash": ("cells.pixel_hash",)},
    "predictions_*": {
        "cell_id": ("cell_features.cell_id",),
        "image_id": ("cell_features.image_id",),
        "encoder_version": ("cell_features.encoder_version",),
        **dict.fromkeys(("label", "probability", "uncertainty"), _VECTORS),
    },
    "mismatch": {
        "source_cell": ("cells.cell_id",),
        "target_cell": ("cells.cell_id",),
        "source_label": _TERM,
        "target_label": _TERM,
        **dict.fromkeys(
            ("r_source", "r_target", "r_matched", "n_references", "resembles_source"), _PREDICTED
        ),
        "r_truth": ("cells.pixel_hash",),
    },
}
