"""A store with one screen of two plates, with gaps and odd names in the metadata of its images."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from pcip_core.store import journal
from pcip_core.store.partitions import Store
from tests.conftest import REPOSITORY
from tests.core.store import small


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Look, do not touch."""
    store = Store(tmp_path_factory.mktemp("exports") / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "sync", lambda path: None)
        small.fill(store, "tiny")
        for shard in store.shards("tiny", "images"):
            images = store.read("tiny", "images", shards=[shard])
            localization = [["Nucleus", "Cytosol"], [], None]
            further = [
                pl.lit(shard).alias("plate"),
                pl.Series("localization", localization, pl.List(pl.String)),
                pl.Series("dose (mg/l)", ["1", None, "=2"]),
                pl.Series("area_px", ["large", "small", "small"]),
                *(
                    pl.lit("mine").alias(name)
                    for name in ("image_area_px", "Plate", "encoder_version", "_index")
                ),
            ]
            store.commit("tiny", {"images": images.with_columns(further)}, shard=shard)
            cells, crops = store.read_with_array("tiny", "cells", "crops", shard)
            fields = pl.when(pl.col("image_id").str.ends_with("A03")).then(pl.lit("2")).otherwise("field")
            arrays = {"crops": np.array(crops)}
            store.commit("tiny", {"cells": cells.with_columns(field=fields)}, shard=shard, arrays=arrays)
    return store


def example_of(package: str, path: object) -> str:
    """The example of the page on exports that imports a package, for a file of the screen above."""
    page = (REPOSITORY / "docs" / "how-to" / "export.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (block,) = (block for block in blocks if f"import {package}" in block)
    return re.sub(r'"data/exports/[^"]+"', repr(str(path)), block)
