"""What the name of a feature set says."""

from __future__ import annotations

import re
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
    found = _NAME.fullmatch(feature_set)
    return FeatureSetName(*found.groups()) if found else FeatureSetName(feature_set, None, None)
