"""Tables over all screens, in the schema `main`."""

from __future__ import annotations

from pcip_core.store.schemas.table import FLAG, INTEGER, NUMBER, TEXT, TEXTS, TIME_WITH_ZONE, Table

SCREENS = Table(
    name="screens",
    description="One row per screen.",
    columns={
        "screen": (TEXT, "Name of the screen, and of its schema."),
        "organism": (TEXT, "Organism, as the spec names it."),
        "channels": (TEXTS, "`name:role` of each channel, in the order of the crops."),
        "n_images": (INTEGER, "Number of images."),
        "n_cells": (INTEGER, "Number of cells."),
        "simulated": (FLAG, "True where the images are simulated."),
        "feature_set": (
            TEXT,
            "Feature set to compare by where none is named: `analyses.feature_set` of the spec.",
        ),
        "root": (
            TEXT,
            "Folder of the raw images at the last run, relative to the workspace if it lies there.",
        ),
        "spec": (TEXT, "The spec with all defaults, as YAML."),
    },
    stored_as=("screen",),
    added=("n_images", "n_cells"),
    whole_store=True,
)

FEATURE_SETS = Table(
    name="feature_sets",
    description="One row per screen and feature set, with its provenance.",
    columns={
        "screen": (TEXT, "Name of the screen."),
        "feature_set": (
            TEXT,
            "Name of the feature set, from its method and layer: `inpainting_conv4`, `untrained_conv4`, "
            "`intensity`, `classic`.",
        ),
        "method": (
            TEXT,
            "Method: `inpainting`, `untrained` (control), `intensity` (control), `classic`, `designed`, "
            "`cellprofiler`, `autoencoder`, `supervised`, `vgg16_<input>`, or a name in `features` of the spec, with "
            "its correction if it has one (docs/explanation/baselines.md).",
        ),
        "layer": (TEXT, "Layer of the network; NULL for methods without a network."),
        "dim": (INTEGER, "Length of a feature vector."),
        "n_cells": (INTEGER, "Number of cells with a vector."),
        "encoder_version": (
            TEXT,
            "Registered model version, `<screen>/<number>`, or the file and the SHA-256 of a program or of VGG16; "
            "several while shards of an older version remain.",
        ),
        "precision": (
            TEXT,
            "Precision in which the network computed, `float32` or `bf16`, the same in all shards of a model version; "
            "NULL for methods without a network.",
        ),
        "encoder_overrides": (
            TEXT,
            "Settings that one run gave for the training of the encoder, other than the spec said: `epochs=5`; NULL "
            "for a training as the spec said.",
        ),
        "mlflow_run_id": (TEXT, "MLflow run of the training; NULL for controls."),
        "dagster_run_id": (TEXT, "Dagster run that made the newest shard."),
        "code_version": (TEXT, "Hash of the code that made the newest shard."),
        "commit": (TEXT, "Git commit of that code."),
        "inputs_hash": (TEXT, "Hash of all inputs of the newest shard."),
        "created_at": (TIME_WITH_ZONE, "Time at which the newest shard was made (UTC)."),
    },
    stored_as=(),
    whole_store=True,
)

BENCHMARKS = Table(
    name="benchmarks",
    description="Scores: one row per screen, feature set, protocol, parameter, metric and label.",
    columns={
        "screen": (TEXT, "Name of the screen."),
        "feature_set": (TEXT, "Feature set that is scored."),
        "task": (
            TEXT,
            "Column of `images` that is predicted: `localization`, `protein`, `plate`. Of `variance` the factor: "
            "`plate`, `well_row`, `well_column`, `cell_line`, `protein` or `image`.",
        ),
        "classifier": (
            TEXT,
            "Classifier: `knn`, `logistic`, `forest`, `histogram_forest`, `end_to_end` (the supervised network "
            "itself); `pairwise`, `retrieval`, `silhouette` and `variance` use none (docs/explanation/baselines.md).",
        ),
        "parameter": (
            TEXT,
            "Setting of the classifier: `k=11`, `C=1`, `trees=500`, `pairs=1000`, `cosine`, `groups=12`.",
        ),
        "label": (TEXT, "Class or term that is scored; NULL for scores over all classes."),
        "metric": (
            TEXT,
            "Metric: `balanced_accuracy` (mean recall of the classes), `accuracy`, `recall`; "
            "`normalized_pairwise_distance` and `relative_pairwise_distance` (negative: nearer than expected by "
            "chance), `mean_average_precision`, its `p_value`, `silhouette`. Batch effects: `variance_share` that "
            "the factor explains, `batch_accuracy` (balanced accuracy in predicting the plate), and both `_by_chance`.",
        ),
        "value": (NUMBER, "The score; for a cross-validated balanced accuracy, the mean over folds."),
        "low": (
            NUMBER,
            "Lowest fold, or lower end of the 95 % bootstrap interval: over images for balanced accuracies of `knn`, "
            "over proteins for `pairwise`; NULL for scores with neither.",
        ),
        "high": (NUMBER, "Highest fold, or upper end of the interval."),
        "n": (INTEGER, "Number of cells, image pairs or queries that are scored."),
        "protocol": (
            TEXT,
            "Cells that are never neighbours of a cell: `leave_cell_out` the cell itself (as in the paper), "
            "`leave_image_out` its image, `leave_field_out` its field, `leave_protein_out` its protein. `folds`: "
            "cross-validation with folds of cells (as in the paper); `grouped_folds`: all cells of an image in "
            "the same fold. `held_images`: images that the supervised network was not trained on, classified by "
            "those that it was. `any_line`, `same_line`, `different_line`: cell lines of the pairs.",
        ),
        "mlflow_run_id": (TEXT, "MLflow run of the training that is scored; NULL without a training."),
    },
    stored_as=("benchmarks", "benchmarks_*"),
    added=("screen",),
    whole_store=True,
)

PUBLISHED = Table(
    name="published",
    description="One row per partition in the published file; publishing compares them to find changes.",
    columns={
        "screen": (TEXT, "Name of the screen."),
        "tbl": (TEXT, "Name of the stored table."),
        "shard": (TEXT, "Name of the shard; empty for tables without shards."),
        "commit_id": (TEXT, "Commit that made the partition."),
        "stamp": (TEXT, "Inode, size and modification time of its file."),
        "about": (TEXT, "Provenance of the partition, as JSON."),
        "dim": (INTEGER, "Length of its vectors; NULL for tables without vectors."),
    },
    stored_as=(),
    whole_store=True,
)
