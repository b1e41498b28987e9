"""Mean features of each protein, from the stored features of its cells."""

from __future__ import annotations

import numpy as np
import polars as pl

from pcip_core.features.means import means_by_image
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import feature_table


def mean_by_protein(store: Store, screen: str, feature_set: str) -> pl.DataFrame:
    """Rows of the table `protein_features_<feature_set>`: one row per protein."""
    table = f"cell_features_{feature_set}"
    cells = StoredFeatures(store, screen, table)
    of_images = Images.of(store, screen).rows(cells.images)
    proteins, means = means_by_image(cells, cells.image, of_images.select("protein"))
    versions = store.read(screen, table, columns=["encoder_version"])["encoder_version"].unique().sort()
    ids = proteins.with_columns(encoder_version=pl.lit(", ".join(versions)))
    return feature_table({name: ids[name] for name in ids.columns}, means.astype(np.float32))
