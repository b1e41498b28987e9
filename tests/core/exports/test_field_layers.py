"""A field as layers of napari: as plain data, and in napari's own model of a viewer if it is installed.

With napari, run this file with PYTEST_DISABLE_PLUGIN_AUTOLOAD=1: its plugin for pytest fails on its own warnings.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import tifffile

from pcip_assets.cli.queries.napari import add_layers
from pcip_core.crops.shard import cut_field
from pcip_core.errors import CropError, EvaluationError, StoreError
from pcip_core.exports.field_layers import LayerData, chosen_field, field_layers
from pcip_core.store.rows import fields_of
from tests.conftest import REPOSITORY
from tests.core.browse.conftest import SET, Browsed, browsed, original

__all__ = ["browsed", "original"]
FIELD, SHARD = "plate_1_A01_1", "plate_1"


@pytest.fixture
def layers(original: Browsed) -> list[LayerData]:
    screen = replace(original.screen, pixel_um=0.5)
    return field_layers(original.store, screen, FIELD, SHARD, feature_set=SET)


def test_layers_are_the_channels_the_labels_and_the_centres(original: Browsed, layers) -> None:
    screen = original.screen
    assert [(arguments["name"], kind) for _, arguments, kind in layers] == [
        *((name, "image") for name in screen.crop_channels),
        ("cells", "labels"),
        ("centres of cells", "points"),
    ]
    (row,) = original.store.read("tiny", "fields").filter(field_id=FIELD).to_dicts()
    for number, name in enumerate(screen.channels):
        pixels = tifffile.imread(screen.folder() / row["files"][number])
        (plane,) = (data for data, arguments, _ in layers if arguments["name"] == name)
        assert np.array_equal(plane, pixels)
    for _, arguments, kind in layers:
        assert arguments["scale"] == (0.5, 0.5)
        assert arguments["units"] == ("um", "um")
        if kind == "image":
            low, high = arguments["contrast_limits"]
            assert low < high
    assert {arguments["colormap"] for _, arguments, kind in layers if kind == "image"} >= {"#00FF00"}


def test_columns_belong_to_the_cell_at_the_label_and_at_the_centre(original: Browsed, layers) -> None:
    (labels, of_labels, _), (places, of_points, _) = layers[-2:]
    cells = original.store.read("tiny", "cells").filter(pl.col("cell_id").str.starts_with(f"{FIELD}_"))
    assert of_points["features"]["cell_id"].tolist() == cells["cell_id"].to_list()
    assert len(places) == cells.height > 0
    for row, (number, area) in enumerate(
        zip(of_labels["features"]["index"], of_labels["features"]["area_px"], strict=True)
    ):
        inside = np.argwhere(labels == number)
        assert len(inside) == area
        assert np.allclose(inside.mean(0), places[row], atol=1e-3)
    protein = original.store.read("tiny", "images").filter(image_id="plate_1_A01")["protein"][0]
    assert set(of_points["features"]["protein"]) == {protein}
    vectors = original.store.read("tiny", f"cell_features_{SET}")
    vectors = vectors.filter(pl.col("cell_id").is_in(cells["cell_id"].to_list()))
    assert vectors["cell_id"].to_list() == cells["cell_id"].to_list()
    for number in range(6):
        shown = of_points["features"][f"{SET}_{number}"]
        assert shown.tolist() == vectors["features"].to_numpy()[:, number].tolist()


def test_the_labels_are_those_of_the_crops_and_pixels_without_a_size_have_none(original: Browsed) -> None:
    layers = field_layers(original.store, original.screen, FIELD, SHARD)
    (field,) = fields_of(original.screen, original.store.read("tiny", "fields").filter(field_id=FIELD))
    labels, of_labels, _ = layers[-2]
    assert np.array_equal(labels, cut_field(original.screen, field).labels)
    assert original.screen.pixel_um is None
    assert not {"scale", "units"} & set(of_labels)
    assert not [name for name in of_labels["features"] if name.startswith(SET)]


def test_a_field_is_chosen_by_its_id_by_its_image_or_as_the_first(original: Browsed) -> None:
    store = original.store
    assert chosen_field(store, "tiny", None) == (FIELD, SHARD)
    assert chosen_field(store, "tiny", "plate_1_A02") == ("plate_1_A02_1", "plate_1")
    last = store.read("tiny", "fields")["field_id"][-1]
    assert chosen_field(store, "tiny", last)[0] == last
    with pytest.raises(StoreError, match=r"no such field or image, which may mean plate_1_A0"):
        chosen_field(store, "tiny", "plate_1_A0")


def test_an_unknown_feature_set_and_cells_that_have_changed_are_errors(
    original: Browsed, browsed: Browsed
) -> None:
    with pytest.raises(EvaluationError, match="no such table"):
        field_layers(original.store, original.screen, FIELD, SHARD, feature_set="nonsense")
    cells, crops = browsed.store.read_with_array("tiny", "cells", "crops", SHARD)
    other = pl.col("cell_id").str.replace(f"^{FIELD}_0001$", f"{FIELD}_9999")
    arrays = {"crops": np.array(crops)}
    browsed.store.commit("tiny", {"cells": cells.with_columns(other)}, shard=SHARD, arrays=arrays)
    with pytest.raises(CropError, match="1 cell of the table"):
        field_layers(browsed.store, browsed.screen, FIELD, SHARD)
    with pytest.raises(CropError, match="no such field"):
        field_layers(original.store, original.screen, "plate_1_Z99_1", SHARD)


@pytest.mark.skipif(
    importlib.util.find_spec("napari") is None,
    reason="napari is not installed (pip install -c constraints.txt napari)",
)
@pytest.mark.filterwarnings("ignore")  # deprecations in packages of napari
def test_napari_shows_the_layers_and_colours_cells_by_a_column(layers) -> None:
    from napari.components import ViewerModel

    viewer = ViewerModel()
    add_layers(viewer, layers)
    assert [layer.name for layer in viewer.layers] == [arguments["name"] for _, arguments, _ in layers]
    assert viewer.canvas.overlays.scale_bar.visible
    image, points = viewer.layers[0], viewer.layers[-1]
    assert tuple(image.scale) == (0.5, 0.5)
    assert {str(unit) for unit in image.units} == {"micrometer"}
    block = (REPOSITORY / "docs" / "how-to" / "look-at-cells.md").read_text().partition("```python\n")[2]
    exec(block.partition("```")[0], {"viewer": viewer})
    assert points.face_color_mode == "cycle"
    points.face_color = "area_px"
    area, shown = points.features["area_px"].to_numpy(), points.face_color
    assert len(shown) == len(area)
    assert not np.allclose(shown[area.argmin()], shown[area.argmax()])
    number = int(layers[-2][1]["features"]["index"][0])
    y, x = np.argwhere(layers[-2][0] == number)[0] * 0.5
    status = viewer.layers["cells"].get_status((y, x), world=True)
    assert str(layers[-1][1]["features"]["cell_id"][0]) in str(status)
