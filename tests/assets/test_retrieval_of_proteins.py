"""Images find others of their protein whatever terms they have; terms are for images with exactly one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import polars as pl

from pcip_assets.assets.benchmarks.image_scores import build_retrieval_benchmark
from pcip_assets.resources import Library
from tests.assets.conftest import Finished, in_memory
from tests.core.store.small import provenance


def test_images_with_several_terms_are_queries_by_protein(finished: Finished, tmp_path: Path) -> None:
    made = finished.copied(tmp_path)
    number = 0
    for shard in ("plate_1", "plate_2"):
        images = made.store.read("tiny", "images", shards=[shard])
        numbers = range(number, number + images.height)
        images = images.with_columns(
            protein=pl.Series([f"P{each % 3}" for each in numbers]),
            localization=pl.Series(
                [["Cytosol", "Golgi"] if each % 3 == 0 else [f"T{each % 2}"] for each in numbers]
            ),
        )
        made.store.commit("tiny", {"images": images}, shard=shard, provenance=provenance())
        number += images.height
    baselines = replace(made.screen.baselines, classifiers=("intensity",))
    library = Library(data=str(made.workspace.data))
    done = dg.materialize(
        [build_retrieval_benchmark(replace(made.screen, baselines=baselines))],
        instance=in_memory(made.workspace),
        resources={"library": library},
    )
    assert done.success
    rows = made.store.read("tiny", "benchmarks_retrieval").filter(
        pl.col("label").is_null() & (pl.col("metric") == "mean_average_precision")
    )
    counts = {(row["task"], row["protocol"]): row["n"] for row in rows.to_dicts()}
    with_one_term = sum(each % 3 > 0 for each in range(number))
    assert counts == {
        ("protein", "leave_image_out"): number,
        ("localization", "leave_protein_out"): with_one_term,
    }
