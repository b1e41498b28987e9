"""Tables of the labels that users give on the page of `pcip browse`, and of what a classifier makes of them."""

from __future__ import annotations

from pcip_core.store.schemas.table import NUMBER, TEXT, TIME, Table

_CELL = {
    "cell_id": (TEXT, "Name of the cell."),
    "image_id": (TEXT, "Image of the cell."),
}
_VERSION = {
    "feature_set": (TEXT, "Feature set that the page showed, or that the classifier was trained on."),
    "encoder_version": (TEXT, "Model version of its vectors, as in `cell_features_<feature_set>`."),
    "code": (TEXT, "Version of pcip: its Git commit, or the version of the package."),
}

LABELS = Table(
    name="labels_<name>",
    description="Labels that users gave on the page of `pcip browse`: one row per labelled cell.",
    columns={
        **_CELL,
        "pixel_hash": (
            TEXT,
            "Hash of the pixels of the crop that was labelled, as in `cells`; a label does not hold for other pixels.",
        ),
        "label": (TEXT, "Label of the cell."),
        "labelled_by": (TEXT, "User who gave the label."),
        "labelled_at": (TIME, "Time at which it was given (UTC)."),
        **_VERSION,
    },
)

PREDICTIONS = Table(
    name="predictions_<name>",
    description="Classes of all cells by the classifier trained last on `labels_<name>`: one row per cell with a "
    "vector.",
    columns={
        **_CELL,
        "label": (TEXT, "Most probable label."),
        "probability": (NUMBER, "Its probability by the classifier, from 0 to 1."),
        "uncertainty": (
            NUMBER,
            "1 less the difference between the two highest probabilities: 1 where both are equal.",
        ),
        **_VERSION,
    },
)
