"""The schemas of all tables of the store: types and meanings of their columns, each defined once.

The types in Parquet and DuckDB, the comments in the published file, `docs/tables.md`, empty tables and the
fixtures of the tests are derived from these schemas.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

import polars as pl

from pcip_core.store.schemas.analyses import (
    CLUSTER_TREES,
    CLUSTERS,
    ENRICHMENT,
    LOCALIZATION_SCORES,
    MAP_CELLS,
    MAP_PROTEINS,
    MISMATCH,
    PHENOTYPES,
    PROTEIN_SCORES,
    UNITS,
    VARIABILITY,
    VARIABILITY_CELLS,
)
from pcip_core.store.schemas.labels import LABELS, PREDICTIONS
from pcip_core.store.schemas.main import BENCHMARKS, FEATURE_SETS, PUBLISHED, SCREENS
from pcip_core.store.schemas.scores import (
    CONFUSION,
    EXCLUSIONS,
    SUPERVISED_IMAGES,
    UMAP_CELLS,
    UMAP_PROTEINS,
)
from pcip_core.store.schemas.screen import (
    CELL_FEATURES,
    CELLS,
    FIELD_QUALITY,
    FIELDS,
    ILLUMINATION,
    IMAGES,
    PROTEIN_FEATURES,
    QUARANTINE,
)
from pcip_core.store.schemas.table import Table
from pcip_core.store.schemas.truth import TRUTH_CELLS, TRUTH_IMAGES

MAIN = (SCREENS, FEATURE_SETS, BENCHMARKS)
SCREEN = (
    *(FIELDS, FIELD_QUALITY, ILLUMINATION, IMAGES),
    *(CELLS, CELL_FEATURES, PROTEIN_FEATURES, QUARANTINE),
    *(CONFUSION, EXCLUSIONS, SUPERVISED_IMAGES, UMAP_CELLS, UMAP_PROTEINS),
    *(CLUSTERS, CLUSTER_TREES, ENRICHMENT, LOCALIZATION_SCORES, PROTEIN_SCORES),
    *(VARIABILITY, VARIABILITY_CELLS),
    *(PHENOTYPES, UNITS, MISMATCH, MAP_PROTEINS, MAP_CELLS, LABELS, PREDICTIONS, TRUTH_IMAGES, TRUTH_CELLS),
)
MACROS = {
    "similar_cells(feature_set, cell_id, n)": "The n cells nearest to a cell, itself first: cell_id, image_id, "
    "distance (Euclidean).",
    "similar_proteins(feature_set, protein, n)": "The n proteins nearest to a protein, itself first: protein, "
    "n_cells, distance (Euclidean).",
    "like_cells(feature_set, cell_id, n)": "The cell itself, and the n cells nearest to it, with each feature in "
    "standard deviations over all cells, as `pcip like -n` compares them: the columns of `similar_cells`, in about ten "
    "times its time.",
    "like_cells(seed, n)": "The same by the feature set of the spec (`main.screens.feature_set`), as "
    "`pcip like`.",
    "like_proteins(feature_set, protein, n)": "The protein itself, and the n proteins nearest to it, with each "
    "feature in standard deviations over all proteins: the columns of `similar_proteins`.",
    "like_proteins(seed, n)": "The same by the feature set of the spec (`main.screens.feature_set`), as "
    "`pcip like`.",
}

__all__ = [
    "BENCHMARKS",
    "CELLS",
    "CELL_FEATURES",
    "CLUSTERS",
    "CLUSTER_TREES",
    "CONFUSION",
    "ENRICHMENT",
    "EXCLUSIONS",
    "FEATURE_SETS",
    "FIELDS",
    "FIELD_QUALITY",
    "ILLUMINATION",
    "IMAGES",
    "LABELS",
    "LOCALIZATION_SCORES",
    "MACROS",
    "MAIN",
    "MAP_CELLS",
    "MAP_PROTEINS",
    "MISMATCH",
    "PHENOTYPES",
    "PREDICTIONS",
    "PROTEIN_FEATURES",
    "PROTEIN_SCORES",
    "PUBLISHED",
    "QUARANTINE",
    "SCREEN",
    "SCREENS",
    "SUPERVISED_IMAGES",
    "TRUTH_CELLS",
    "TRUTH_IMAGES",
    "UMAP_CELLS",
    "UMAP_PROTEINS",
    "UNITS",
    "VARIABILITY",
    "VARIABILITY_CELLS",
    "Table",
    "checked",
    "describe_tables",
    "published_table",
    "stored_table",
]


def stored_table(name: str) -> Table | None:
    """The schema of a stored table; None for an unknown name."""
    return next((table for table in (*MAIN, *SCREEN) if table.holds(name)), None)


def checked(frame: pl.DataFrame, name: str, where: str) -> pl.DataFrame:
    """The rows of a stored table in the types of its schema; an unknown table is returned unchanged.

    Raises:
        StoreError: the rows do not fit the schema; the message names the table by `where`.
    """
    known = stored_table(name)
    return frame if known is None else known.checked(frame, where)


def published_table(name: str, *, whole_store: bool) -> Table | None:
    """The documented schema of a published table or view; None for internal tables."""
    known = MAIN if whole_store else SCREEN
    return next((table for table in known if fnmatch.fnmatchcase(name, table.pattern)), None)


def describe_tables() -> Iterator[str]:
    """The lines of `docs/tables.md`."""
    yield "# Tables of the published store"
    yield ""
    yield "Each asset that changes a table replaces `data/feature_store.duckdb` as a whole. Open the file read-only,"
    yield "and reopen it to see new results. It shows each screen as it was at one moment; features of crops that have"
    yield "changed since are left out until they are recomputed. Each screen is a schema. `main.published` and the"
    yield "tables behind the views are internal. `python -m pcip_core.store.schemas` prints this page."
    for table in (*MAIN, *SCREEN):
        yield ""
        yield from table.lines()
    yield ""
    yield "## Macros"
    yield ""
    for signature, meaning in MACROS.items():
        yield f"- `<screen>.{signature}`: {meaning}"
