"""What SQL finds in the published store: every table, view and macro, and what their columns mean.

`docs/tables.md` is this module printed (`python -m pcip_core.store.tables`); the comments in the DuckDB
file come from here too, and a test compares both with a store that a run has made.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from pcip_core.store.result_tables import RESULTS
from pcip_core.store.table_doc import TableDoc

_SHARD = {"shard": "The partition that the row belongs to."}


MAIN = (
    TableDoc(
        "screens",
        "One row a screen.",
        {
            "screen": "Name of the screen, and of its schema.",
            "organism": "As the spec says.",
            "channels": "`name:role` of each channel, in the order of the crops.",
            "n_images": "Images found.",
            "n_cells": "Cells used.",
            "simulated": "True when the images are simulated.",
            "root": "Folder of the raw images when the screen was last run.",
            "spec": "The whole spec, defaults filled in, as YAML.",
        },
        whole_store=True,
    ),
    TableDoc(
        "feature_sets",
        "One row a feature set of a screen, and where it comes from.",
        {
            "screen": "Name of the screen.",
            "feature_set": "Method and layer: `inpainting_conv4`, `untrained_conv4`, `intensity`, `classic`.",
            "method": "How cells are described: `inpainting`, `untrained` (control), `intensity` (control), "
            "`classic`, `designed`, `cellprofiler`, `autoencoder`, `supervised`, `vgg16_<input>`, with its "
            "correction if it has one (docs/explanation/baselines.md).",
            "layer": "Layer of the network; NULL for methods without one.",
            "dim": "Numbers in one vector.",
            "n_cells": "Cells described.",
            "encoder_version": "Registered model version `<screen>/<number>`; several during a change.",
            "mlflow_run_id": "The training in MLflow; NULL for controls.",
            "dagster_run_id": "The Dagster run that made the newest partition.",
            "code_version": "Hash of the code that made it.",
            "commit": "Git commit of that code.",
            "inputs_hash": "Hash of everything the newest partition was made from.",
            "created_at": "When the newest partition was made (UTC).",
        },
        whole_store=True,
    ),
    TableDoc(
        "benchmarks",
        "Scores: one row a screen, feature set, protocol, parameter, metric and label.",
        {
            "screen": "Name of the screen.",
            "feature_set": "What was scored.",
            "task": "The column of `images` that was predicted: `localization`, `protein`.",
            "classifier": "`knn`, `logistic`, `forest`, `end_to_end` (the supervised network itself); `pairwise`, "
            "`retrieval`, `silhouette`, which need none (docs/explanation/baselines.md).",
            "parameter": "Its setting: `k=11`, `C=1`, `trees=500`, `pairs=1000`, `cosine`.",
            "label": "The class or term that a row is of; NULL for scores over all.",
            "metric": "`balanced_accuracy` (mean recall of the classes), `accuracy`, `recall`; "
            "`normalized_pairwise_distance` and `relative_pairwise_distance` (negative: nearer than chance), "
            "`mean_average_precision`, `silhouette`.",
            "value": "The score; of a cross-validated balanced accuracy the mean of the folds.",
            "low": "The lowest fold, or the lower end of a 95 % bootstrap interval; NULL where there is neither.",
            "high": "The highest fold, or the upper end.",
            "n": "Cells, image pairs or queries that it is the score of.",
            "protocol": "What is never a cell's neighbour: `leave_cell_out` the cell itself (the paper's), "
            "`leave_image_out` its image, `leave_field_out` its field, `leave_protein_out` its protein. `folds`: "
            "cross-validation with folds of cells (the paper's); `grouped_folds`: cells of one image are in one "
            "fold. `held_images`: the images that the supervised network has not seen, by those that it has. "
            "`any_line`, `same_line`, `different_line`: the cell lines of pairs.",
            "mlflow_run_id": "The training that is scored; NULL where nothing was trained.",
        },
        whole_store=True,
    ),
)

SCREEN = (
    TableDoc(
        "fields",
        "One row a usable field of view.",
        {
            "field_id": "All named parts of its path.",
            "image_id": "The image it belongs to.",
            "field": "Its name within the image.",
            "files": "Paths under the root, one a channel; after `#` what selects a plane of the file.",
            "parts": "What its path or the files' metadata say of it, by name: `parts['well']`.",
            "content_hash": "Hash of the contents of its files, or of its share of a file of many fields.",
            "height_px": "Height of the field.",
            "width_px": "Width of the field.",
            **_SHARD,
        },
    ),
    TableDoc(
        "images",
        "One row an image: all fields whose cells must be alike. Columns of the screen's own table follow.",
        {
            "image_id": "Name of the image.",
            "protein": "The tagged protein.",
            "gene": "Its gene.",
            "cell_line": "Cell line or strain.",
            "plate": "Plate.",
            "well": "Well.",
            "n_fields": "Fields found, the bad ones too.",
            "n_cells": "Cells used.",
            "localization": "Annotated compartments; may be empty.",
            **_SHARD,
        },
    ),
    TableDoc(
        "cells",
        "One row a cell that is used.",
        {
            "cell_id": "Name of the cell.",
            "image_id": "Its image.",
            "field": "Its field within the image.",
            "y_px": "Centre of mass in the field, from the top.",
            "x_px": "Centre of mass in the field, from the left.",
            "area_px": "Area of the segmented object.",
            "crop_row": "Row of its crop in the shard's array.",
            "intensity_min": "Least pixel of each channel of the crop before rescaling.",
            "intensity_max": "Greatest pixel of each channel of the crop before rescaling.",
            "pixel_hash": "Hash of the crop's pixels.",
            **_SHARD,
        },
    ),
    TableDoc(
        "cell_features_<feature_set>",
        "One vector a cell.",
        {
            "cell_id": "Name of the cell.",
            "image_id": "Its image.",
            "encoder_version": "Model version that made the vector; for designed sets their name and code.",
            "features": "The vector, FLOAT[n].",
            **_SHARD,
        },
    ),
    TableDoc(
        "protein_features_<feature_set>",
        "One vector a protein: the mean of its cells.",
        {
            "protein": "The protein.",
            "n_cells": "Cells that the mean is taken over.",
            "encoder_version": "Model versions that made the cells' vectors.",
            "features": "The vector, FLOAT[n].",
        },
    ),
    TableDoc(
        "quarantine",
        "Everything that was found and is not used: found = used + quarantined. A view over "
        "`quarantine_fields` and `quarantine_crops`.",
        {
            "file": "The file at fault, or the first file of the field that the cell is in.",
            "stage": "Where it was left out: `fields` or `crops`.",
            "what": "`file`, `cell` or `image`.",
            "image_id": "Its image.",
            "reason": "What was found and what was required.",
            "found_at": "When (UTC).",
            "field_id": "The field, where the whole field was left out.",
            "content_hash": "Hash of the bytes of its files then.",
            **_SHARD,
        },
    ),
    *RESULTS,
    TableDoc(
        "truth_images",
        "Simulated screens only: the simulator's truth of each image (`docs/reference/simulation.md`).",
        {
            "image_id": "Name of the image.",
            "protein": "Name of the simulated protein.",
            "cell_line": "Which of the two simulated cell lines or strains.",
            "kind": "`single`, `mixed` (both compartments in each cell) or `variable` (one or the other).",
            "localization": "Compartments, separated by `;`.",
            "fractions": "`compartment=share`, separated by `;`: of a cell; when variable, of the cells.",
            "variable_rate": "Share of the cells that show the second compartment, when variable; else 0.",
            "abundance": "Brightness of the protein relative to the screen's median.",
            "leak": "Share of the protein that is diffuse in the whole cell.",
            "focus_px": "Standard deviation of the point spread function in this well.",
            "n_cells": "Cells drawn with their centre in the image's fields.",
            "simulator_version": "Version of the simulator.",
            "seed": "Seed of the screen.",
            **_SHARD,
        },
    ),
    TableDoc(
        "truth_cells",
        "Simulated screens only: the simulator's truth of each cell (`docs/reference/simulation.md`).",
        {
            "image_id": "Name of the image.",
            "cell_line": "Cell line or strain of the image.",
            "field": "The field within the image.",
            "cell_number": "Number of the cell in the field; cells outside it have numbers too.",
            "y_px": "Centre of the nucleus (human) or of the mother (yeast), from the top.",
            "x_px": "The same, from the left.",
            "area_px": "Area drawn: the territory within the field (human), mother and bud (yeast).",
            "stage": "Stage of the cycle: `G1`, `S`, `G2`, `M`; `unbudded`, `small bud`, `large bud`.",
            "expression": "Amount of protein relative to the image's own.",
            "leak": "Share of its protein that is diffuse in the whole cell.",
            "state": "`compartment=share` of this very cell, separated by `;`.",
            **_SHARD,
        },
    ),
)

MACROS = {
    "similar_cells(feature_set, cell_id, n)": "The n cells nearest to one cell, itself first: "
    "cell_id, image_id, distance (Euclidean).",
    "similar_proteins(feature_set, protein, n)": "The n proteins nearest to one protein, itself first: "
    "protein, n_cells, distance (Euclidean).",
}


def doc_of(table: str, *, whole_store: bool) -> TableDoc | None:
    """What is documented of a table by its name; None for tables that only serve others."""
    known = MAIN if whole_store else SCREEN
    return next((doc for doc in known if fnmatch.fnmatchcase(table, doc.pattern)), None)


def describe_tables() -> Iterator[str]:
    """The lines of `docs/tables.md`."""
    yield "# What SQL finds"
    yield ""
    yield "`data/feature_store.duckdb` is replaced whole at the end of each run that changed a table; open it"
    yield "read-only and reopen it to see news. Each screen is a schema. This page is printed by"
    yield "`python -m pcip_core.store.tables`. `main.published` and what lies behind the views serve pcip."
    for doc in (*MAIN, *SCREEN):
        yield ""
        yield f"## {'main' if doc.whole_store else '<screen>'}.{doc.name}"
        yield ""
        yield doc.about
        yield ""
        yield "| column | meaning |"
        yield "|---|---|"
        for column, meaning in doc.columns.items():
            yield f"| `{column}` | {meaning} |"
    yield ""
    yield "## Macros"
    yield ""
    for signature, meaning in MACROS.items():
        yield f"- `<screen>.{signature}`: {meaning}"


if __name__ == "__main__":
    print("\n".join(describe_tables()))
