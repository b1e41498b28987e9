"""What the name of a feature set says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

CORRECTIONS = ("by_plate", "by_cell_line", "whitened")
_LAYER = r"(?:block\d_)?conv\d+|fc\d"
_NAME = re.compile(rf"(.+?)(?:_({_LAYER}))?(?:_({'|'.join(CORRECTIONS)}))?")


class FeatureSetName(NamedTuple):
    """Of `inpainting_conv3_by_plate` the method `inpainting`, layer `conv3`, correction `by_plate`; None: has none."""

    method: str
    layer: str | None
    correction: str | None


def split_name(feature_set: str) -> FeatureSetName:
    """Method, layer and correction of a feature set."""
    match = _NAME.fullmatch(feature_set)
    return FeatureSetName(*match.groups()) if match else FeatureSetName(feature_set, None, None)


def best_layers(scores: Mapping[str, float]) -> list[str]:
    """Of the feature sets that have a score, the best one of each method and correction; the best of all first."""
    best: dict[FeatureSetName, str] = {}
    for feature_set in sorted(scores, key=lambda name: -scores[name]):
        best.setdefault(split_name(feature_set)._replace(layer=None), feature_set)
    return list(best.values())
