"""A small store with every table that the platform makes, and the numbers that went into it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from pcip_core.crops.shard_cells import Rejected, ShardCells
from pcip_core.images.annotations import ImageRecord
from pcip_core.images.field import Field
from pcip_core.spec.loading import load_screen
from pcip_core.store import rows as frames
from pcip_core.store import schemas
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect
from pcip_core.store.vectors import feature_table, features_of
from tests.conftest import TINY_SPEC

SET = "inpainting_conv4"
IMAGES, CELLS, DIM = 3, 5, 8  # images a plate, cells an image, features a cell
_clock = itertools.count(1)


def commit_plate(store: Store, screen: str, shard: str, *, dim: int = DIM, seed: int = 0) -> None:
    """Commit the tables of one plate as the assets `fields`, `crops` and `cell_features` do."""
    spec = load_screen(_spec(store, screen))
    wells = [f"A{number + 1:02d}" for number in range(IMAGES)]
    fields = [
        Field(f"{shard}_{well}_1", f"{shard}_{well}", shard, {"field": "1"}, {"nucleus": "n", "protein": "p"})
        for well in wells
    ]
    records = [
        ImageRecord(one.image_id, shard, 1, [], {"protein": f"P{number}", "well": wells[number]})
        for number, one in enumerate(fields)
    ]
    image_ids = [one.image_id for one in fields]
    rejected = [Rejected("x.tif", "file", None, "bad")]
    about = provenance()
    store.commit(
        screen,
        {
            "fields": frames.fields_table(spec, [(one, "hash", (160, 160)) for one in fields]),
            "images": frames.images_table(records),
            "quarantine_fields": frames.quarantine_table("fields", rejected, shard),
            "field_quality": schemas.FIELD_QUALITY.frame(
                {"image_id": image_ids, "channel": ["nucleus"] * IMAGES}
            ),
            "illumination": schemas.ILLUMINATION.frame({"channel": ["nucleus"], "shard": [shard]}),
            **{
                table.name: table.frame({"image_id": image_ids})
                for table in (schemas.TRUTH_IMAGES, schemas.TRUTH_CELLS)
            },
        },
        shard=shard,
        provenance=about,
    )
    cells = cells_of(image_ids)
    store.commit(
        screen,
        {
            "cells": frames.cells_table(cells, shard),
            "quarantine_crops": frames.quarantine_table("crops", cells.rejected, shard),
        },
        shard=shard,
        arrays={"crops": cells.pixels},
        provenance=about,
    )
    commit_features(store, screen, shard, dim=dim, seed=seed)


def cells_of(image_ids: list[str]) -> ShardCells:
    """Cells of a few images."""
    ids = [f"{image_id}_1_{number:04d}" for image_id in image_ids for number in range(CELLS)]
    n = len(ids)
    columns = {
        "cell_id": ids,
        "image_id": [image_id for image_id in image_ids for _ in range(CELLS)],
        "field": ["1"] * n,
        **{name: [float(row) for row in range(n)] for name in ("y_px", "x_px", "area_px")},
        "crop_row": list(range(n)),
        "intensity_min": [[0.0, 1.0]] * n,
        "intensity_max": [[9.0, 8.0]] * n,
        "pixel_hash": ids,
    }
    rejected = [Rejected("y.tif", "cell", image_ids[0], "area")]
    return ShardCells(np.zeros((n, 2, 4, 4), np.uint8), columns, rejected, n + 1)


def commit_features(
    store: Store, screen: str, shard: str, *, dim: int = DIM, seed: int = 0, feature_set: str = SET
) -> None:
    """Commit random features of the cells of one plate."""
    cells = store.read(screen, "cells", shards=[shard])
    ids = {name: cells[name].to_list() for name in ("cell_id", "image_id")}
    ids["encoder_version"] = [f"{screen}/1"] * cells.height
    rng = np.random.default_rng([seed, *shard.encode()])
    vectors = rng.normal(size=(cells.height, dim)).astype(np.float32)
    about = {**provenance(), "encoder_version": f"{screen}/1", "mlflow_run_id": "run"}
    table = feature_table(ids, vectors)
    store.commit(screen, {f"cell_features_{feature_set}": table}, shard=shard, provenance=about)


def commit_whole(store: Store, screen: str, feature_set: str = SET) -> None:
    """Commit the tables of a screen that are made whole: itself, protein features, benchmarks."""
    spec = load_screen(_spec(store, screen))
    store.commit(screen, {"screen": frames.screen_table(spec)}, provenance=provenance())
    proteins, means, counts = protein_means(store, screen, feature_set)
    ids = {"protein": proteins, "n_cells": counts, "encoder_version": [f"{screen}/1"] * len(proteins)}
    table = feature_table(ids, means)
    store.commit(screen, {f"protein_features_{feature_set}": table}, provenance=provenance())
    told = {"task": "localization", "classifier": "knn", "metric": "balanced_accuracy", "n": 30}
    scores = [
        {**told, "feature_set": name, "parameter": f"k={k}", "label": label, "protocol": protocol,
         "value": value + k / 1000}
        for name, value in ((feature_set, 0.8), ("intensity", 0.4))
        for k in (1, 11)
        for label in (None, "Nucleus")
        for protocol in ("leave_image_out", "leave_cell_out")
    ]  # fmt: skip
    store.commit(screen, _scored("benchmarks", "knn", scores, PAIRS[:2]), provenance=provenance())
    store.commit(
        screen, _scored("benchmarks_supervised", "supervised", [], PAIRS[2:]), provenance=provenance()
    )
    split = schemas.SUPERVISED_IMAGES.frame(
        {"image_id": ["a", "b"], "held": [False, True], "encoder_version": ["v", "v"]}
    )
    store.commit(screen, {"supervised_images": split}, provenance=provenance())
    point = {"feature_set": feature_set, "label": "Nucleus", "x": 0.5, "y": 1.5}
    maps = {
        "umap_cells": schemas.UMAP_CELLS.frame([{**point, "cell_id": "c", "image_id": "a"}]),
        "umap_proteins": schemas.UMAP_PROTEINS.frame([{**point, "protein": "P"}]),
    }
    store.commit(screen, maps, provenance=provenance())
    commit_analyses(store, screen)


def commit_analyses(store: Store, screen: str) -> None:
    """The tables of the analyses, one empty row each."""
    tables = (
        *(schemas.CLUSTERS, schemas.CLUSTER_TREES, schemas.ENRICHMENT, schemas.LOCALIZATION_SCORES),
        *(schemas.PROTEIN_SCORES, schemas.VARIABILITY, schemas.VARIABILITY_CELLS, schemas.PHENOTYPES),
        *(schemas.UNITS, schemas.MISMATCH, schemas.MAP_PROTEINS, schemas.MAP_CELLS),
        *(schemas.LABELS, schemas.PREDICTIONS),
    )
    rows = {
        table.name.replace("<name>", "manual"): table.frame([dict.fromkeys(table.columns)])
        for table in tables
    }
    store.commit(screen, rows, provenance=provenance())


PAIRS = [("Nucleus", "Nucleus", 8), ("Nucleus", "Cytosol", 2), ("Cytosol", "Nucleus", 1)]


def _scored(
    table: str, noun: str, rows: list[dict[str, object]], pairs: list[tuple[str, str, int]]
) -> dict[str, pl.DataFrame]:
    """Scores of one asset, with a confusion matrix and something that was excluded."""
    shared = {"feature_set": SET, "task": "localization", "protocol": "leave_image_out", "classifier": "knn"}
    confusion = [
        {**shared, "parameter": "k=11", "label": label, "predicted": other, "n": n}
        for label, other, n in pairs
    ]
    return {
        table: schemas.BENCHMARKS.frame(rows),
        f"confusion_{noun}": schemas.CONFUSION.frame(confusion),
        f"exclusions_{noun}": schemas.EXCLUSIONS.frame([{**shared, "reason": "columns_constant", "n": 3}]),
    }


def protein_means(store: Store, screen: str, feature_set: str) -> tuple[list[str], np.ndarray, list[int]]:
    """Proteins, their mean vectors and numbers of cells, by a plain loop."""
    cells = store.read(screen, f"cell_features_{feature_set}")
    images = store.read(screen, "images")
    protein_of = dict(zip(images["image_id"].to_list(), images["protein"].to_list(), strict=True))
    of_cell = np.array([protein_of[image] for image in cells["image_id"].to_list()])
    vectors, proteins = features_of(cells), sorted(set(of_cell.tolist()))
    means = np.stack([vectors[of_cell == protein].mean(0) for protein in proteins])
    return proteins, means, [int((of_cell == protein).sum()) for protein in proteins]


def fill(store: Store, *screens: str, plates: int = 2) -> None:
    """A store of whole screens."""
    for screen in screens:
        for plate in range(1, plates + 1):
            commit_plate(store, screen, f"plate_{plate}")
        commit_whole(store, screen)


def provenance() -> dict[str, str]:
    """What the assets say of a partition; each is a minute newer than the one before."""
    minute = next(_clock)
    moment = f"2026-01-{1 + minute // 1440:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:00+00:00"
    return {
        "created_at": moment,
        "inputs_hash": "h",
        "commit": "c",
        "code_version": "v",
        "dagster_run_id": "d",
    }


def _spec(store: Store, screen: str) -> Path:
    store.root.mkdir(parents=True, exist_ok=True)
    path = store.root / f"{screen}.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                **TINY_SPEC,
                "name": screen,
                "root": ".",
                "simulation": {"organism": "yeast"},
                "analyses": {"feature_set": SET},
            }
        )
    )
    return path


def files_of(store: Store, pattern: str) -> list[Path]:
    """The store's files of that name, in order."""
    return sorted(store.root.rglob(pattern))


def ask(path: Path, sql: str, *values: object) -> list[tuple]:
    """The rows of a query of the published file."""
    with connect(path) as con:
        return con.execute(sql, list(values)).fetchall()


def shards_of(path: Path, table: str = "scr.cells") -> dict[str, int]:
    """Rows of each shard."""
    return dict(ask(path, f"SELECT shard, count(*) FROM {table} GROUP BY shard ORDER BY shard"))


def whole_of(path: Path) -> dict[str, object]:
    """Every table, view and comment of a published file; stamps of files are those of one moment."""
    with connect(path) as con:
        names = con.execute(
            "SELECT schema_name, table_name, comment FROM duckdb_tables() UNION ALL "
            "SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        found: dict[str, object] = {}
        for schema, table, comment in names:
            chosen = "* EXCLUDE (stamp)" if table == "published" else "*"
            result = con.execute(f'SELECT {chosen} FROM "{schema}"."{table}"')
            columns = sorted((name, str(kind)) for name, kind, *_ in result.description)
            rows = result.fetchall()
            order = [name for name, *_ in result.description]
            found[f"{schema}.{table}"] = (
                comment,
                columns,
                sorted(str(sorted(zip(order, map(str, row), strict=True))) for row in rows),
            )
    return found
