"""Tables of classification results of feature sets, and of their UMAPs."""

from __future__ import annotations

from pcip_core.store.schemas.table import FLAG, INTEGER, NUMBER, TEXT, Table

_SCORED = {
    "feature_set": (TEXT, "Feature set that is scored."),
    "task": (TEXT, "Column of `images` that is predicted."),
}
_PLACE = {
    "x": (NUMBER, "Horizontal coordinate on the map (no unit)."),
    "y": (NUMBER, "Vertical coordinate on the map (no unit)."),
}

CONFUSION = Table(
    name="confusion",
    description="Confusion matrices: one row per true and predicted class; pairs that never occur have no row. "
    "A view over `confusion_<noun>`.",
    columns={
        **_SCORED,
        "classifier": (TEXT, "Classifier, as in `main.benchmarks`."),
        "parameter": (TEXT, "Setting of the classifier, as in `main.benchmarks`."),
        "protocol": (TEXT, "Protocol, as in `main.benchmarks`."),
        "label": (TEXT, "True class."),
        "predicted": (TEXT, "Predicted class."),
        "n": (INTEGER, "Number of cells."),
    },
    stored_as=("confusion_*",),
)

EXCLUSIONS = Table(
    name="exclusions",
    description="Counts of excluded data: one row per reason that occurs. A view over `exclusions_<noun>`.",
    columns={
        "feature_set": (TEXT, "Feature set that is scored; NULL for exclusions common to all sets."),
        "task": (TEXT, "Column of `images` that is predicted, or factor, as in `main.benchmarks`."),
        "classifier": (
            TEXT,
            "Classifier, as in `main.benchmarks`, or several; NULL for exclusions common to all.",
        ),
        "protocol": (TEXT, "Protocol, as in `main.benchmarks`; NULL for exclusions common to all."),
        "reason": (
            TEXT,
            "Reason: `cells_without_label`, `cells_with_several_labels`, `cells_seen_before` (equal pixels), "
            "`cells_that_a_feature_set_lacks`, `cells_not_drawn` (beyond `benchmark.cells`), `columns_not_finite`, "
            "`columns_constant`, "
            "`cells_of_classes_with_one_cell`, `cells_of_classes_in_one_group`, `ks_above_neighbours_left`, "
            "`terms_with_few_proteins`, `cells_without_plate`, `cells_of_one_plate`, ...; `classes_smaller_than_k` are "
            "scored, but cannot win every vote.",
        ),
        "n": (INTEGER, "Number of cells, columns, values of k, classes or terms."),
    },
    stored_as=("exclusions_*",),
)

SUPERVISED_IMAGES = Table(
    name="supervised_images",
    description="One row per image that the supervised network was trained on or scored on.",
    columns={
        "image_id": (TEXT, "Name of the image."),
        "held": (FLAG, "True where the image was held out of the training for the score."),
        "encoder_version": (TEXT, "Model version of the network."),
    },
)

UMAP_CELLS = Table(
    name="umap_cells",
    description="UMAP of cells with one label: one row per feature set and cell; a sample of large screens.",
    columns={
        "feature_set": (TEXT, "Feature set that the map was made from."),
        "cell_id": (TEXT, "Name of the cell."),
        "image_id": (TEXT, "Image of the cell."),
        "label": (TEXT, "Label of the cell."),
        **_PLACE,
    },
)

UMAP_PROTEINS = Table(
    name="umap_proteins",
    description="UMAP of the mean features of proteins: one row per feature set and protein.",
    columns={
        "feature_set": (TEXT, "Feature set that the map was made from."),
        "protein": (TEXT, "Name of the protein."),
        "label": (TEXT, "Label of the protein where all its images agree on one."),
        **_PLACE,
    },
)
