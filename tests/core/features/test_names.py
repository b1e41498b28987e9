"""What names of feature sets say."""

from __future__ import annotations

import pytest

from pcip_core.features.names import FeatureSetName, best_layers, split_name


@pytest.mark.parametrize(
    ("name", "method", "layer", "correction"),
    [
        ("inpainting_conv3", "inpainting", "conv3", None),
        ("inpainting_conv3_by_cell_line", "inpainting", "conv3", "by_cell_line"),
        ("classic", "classic", None, None),
        ("classic_whitened", "classic", None, "whitened"),
        ("supervised_fc2", "supervised", "fc2", None),
        ("vgg16_protein_block4_conv1", "vgg16_protein", "block4_conv1", None),
        ("vgg16_protein_224_fc2_by_plate", "vgg16_protein_224", "fc2", "by_plate"),
        ("convoluted", "convoluted", None, None),
        ("my_by_plate_set", "my_by_plate_set", None, None),
        ("", "", None, None),
    ],
)
def test_method_layer_and_correction(
    name: str, method: str, layer: str | None, correction: str | None
) -> None:
    assert split_name(name) == FeatureSetName(method, layer, correction)


def test_best_layers_are_sorted_by_score() -> None:
    scores = {"a_conv1": 0.3, "a_conv2": 0.5, "b": 0.9, "a_conv1_by_plate": 0.4, "a_fc1_by_plate": 0.1}
    assert best_layers(scores) == ["b", "a_conv2", "a_conv1_by_plate"]
    assert best_layers({}) == []
