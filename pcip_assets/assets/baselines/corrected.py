"""`corrected_features`: feature sets with plate or cell line taken out, or decorrelated on controls."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from pcip_assets.assets.feature_sets import CONTROLS, INPAINTING, PREFIX, features_hash, made_features
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import all_shards, asset, baselines_of
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.spec.screen import Screen
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.vectors import features_of

if TYPE_CHECKING:
    from pcip_core.features.correction import GroupScales, Whitening

_Correct = Callable[[np.ndarray, list[str]], np.ndarray]  # (n, d) and n images -> (n, d)
_COLUMN = {"by_plate": "plate", "by_cell_line": "cell_line"}


def build_corrected_features(
    screen: Screen, shards: dg.PartitionsDefinition, nouns: list[str]
) -> dg.AssetsDefinition:
    """The asset of corrected copies of feature sets, which the assets `nouns` make."""

    @asset(
        screen,
        "corrected_features",
        shards=shards,
        deps=all_shards(screen, *nouns),
        group=baselines_of(screen),
        kinds={"numpy", "parquet"},
    )
    def corrected_features(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Corrected copies of the sets in `baselines.corrected`; what corrects them is of all shards."""
        spec = screen.baselines
        sets = [name for name in spec.corrected if library.store.shards(screen.name, PREFIX + name)]
        if len(sets) < len(spec.corrected):
            raise EvaluationError(
                f"{screen.name}: baselines.corrected",
                found=", ".join(set(spec.corrected) - set(sets)),
                required=f"feature sets that are made, as {', '.join((*INPAINTING, *CONTROLS))}",
                remedy="Correct the spec, or materialize these feature sets first.",
            )
        ways: dict[str, dict[str, _Correct]] = {}  # by feature set; made once for all shards of a run

        def inputs(_: str | None) -> dict[str, Any]:
            columns = ["image_id", "plate", "cell_line", "protein"]
            images = library.store.read(screen.name, "images", columns=columns)
            return {
                "features": {name: features_hash(library, screen, name) for name in sets},
                "spec": [spec.corrections, spec.controls],
                "images": images.to_dicts(),
            }

        def make(shard: str | None) -> Made:
            if not ways:
                context.log.info(f"{screen.name}/corrected_features: {', '.join(spec.corrections)} of {sets}")
                ways.update({name: _corrections(library, screen, name) for name in sets})
            made: dict[str, np.ndarray] = {}
            for name, corrections in ways.items():
                cells = library.store.read(screen.name, PREFIX + name, shards=[str(shard)])
                vectors, images = features_of(cells), cells["image_id"].to_list()
                made |= {one: correct(vectors, images) for one, correct in corrections.items()}
            about = [library.store.provenance(screen.name, PREFIX + name, shard) or {} for name in sets]
            runs = {one.get("mlflow_run_id") for one in about}
            versions = dict.fromkeys(str(one.get("encoder_version")) for one in about)
            return made_features(cells, made, ", ".join(versions), runs.pop() if len(runs) == 1 else None)

        return Tables(f"{PREFIX}{spec.corrected[0]}_{spec.corrections[0]}", inputs, make)

    return corrected_features


def _corrections(library: Library, screen: Screen, feature_set: str) -> dict[str, _Correct]:
    """Name of a corrected set -> what makes it, of the vectors of some cells and the images of each."""
    from pcip_core.features.correction import GroupScales, Whitening

    features = StoredFeatures(library.store, screen.name, PREFIX + feature_set)
    about = {row["image_id"]: row for row in library.store.read(screen.name, "images").to_dicts()}
    out: dict[str, _Correct] = {}
    for correction in screen.baselines.corrections:
        name = f"{feature_set}_{correction}"
        if correction == "whitened":
            wanted = screen.baselines.controls
            controls = [wanted is None or about[image]["protein"] == wanted for image in features.images]
            whitening = Whitening.of(features, np.array(controls, bool)[features.image])
            out[name] = partial(_whitened, whitening)
        else:
            column = _COLUMN[correction]
            group_of = {image: about[image][column] for image in features.images}
            if None in group_of.values():
                raise EvaluationError(
                    f"{screen.name}: baselines.corrections {correction}",
                    found=f"images without `{column}`",
                    required=f"a {column.replace('_', ' ')} for every image",
                    remedy="Give it in `images` of the spec (docs/reference/spec.md), or leave this correction out.",
                )
            of_image = np.array([group_of[image] for image in features.images])
            scales = GroupScales.of(features, of_image[features.image])
            out[name] = partial(_by_group, scales, group_of)
    return out


def _whitened(whitening: "Whitening", vectors: np.ndarray, _: list[str]) -> np.ndarray:
    return whitening.corrected(vectors)


def _by_group(
    scales: "GroupScales", group_of: dict[str, Any], vectors: np.ndarray, images: list[str]
) -> np.ndarray:
    groups = np.array([group_of[image] for image in images], scales.groups.dtype)
    return scales.corrected(vectors, groups)
