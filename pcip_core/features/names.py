"""The parts of a feature set's name: method, layer and correction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

CORRECTIONS = ("by_plate", "by_cell_line", "whitened")
_LAYER = r"(?:block\d_)?conv\d+|fc\d"
_NAME = re.compile(rf"(.+?)(?:_({_LAYER}))?(?:_({'|'.join(CORRECTIONS)}))?")


class FeatureSetName(NamedTuple):
    """The parts of a name; None for a part that the name lacks.

    `inpainting_conv3_by_plate` has the method `inpainting`, layer `conv3` and correction `by_plate`.
    """

    method: str
    layer: str | None
    correction: str | None


def split_name(feature_set: str) -> FeatureSetName:
    """Split the name of a feature set into method, layer and correction.

    >>> split_name("inpainting_conv3_by_plate")
    FeatureSetName(method='inpainting', layer='conv3', correction='by_plate')
    """
    match = _NAME.fullmatch(feature_set)
    return FeatureSetName(*match.groups()) if match else FeatureSetName(feature_set, None, None)


def best_layers(scores: Mapping[str, float]) -> list[str]:
    """Select the feature set with the highest score for each method and correction, in descending order of score.

    >>> best_layers({"inpainting_conv3": 0.6, "inpainting_conv4": 0.7, "intensity": 0.4})
    ['inpainting_conv4', 'intensity']
    """
    best: dict[FeatureSetName, str] = {}
    for feature_set in sorted(scores, key=lambda name: -scores[name]):
        best.setdefault(split_name(feature_set)._replace(layer=None), feature_set)
    return list(best.values())
