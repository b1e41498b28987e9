"""Maps: principal components against scikit-learn, stored UMAPs, and when they are computed again."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from pcip_core.browse import maps
from pcip_core.browse.lasso import Points
from pcip_core.browse.maps import Map, MapName, cell_map, map_names, principal_components, protein_map
from pcip_core.browse.vectors import CellVectors
from pcip_core.errors import EvaluationError
from pcip_core.store import schemas
from pcip_core.store.vectors import features_of
from tests.core.browse.conftest import SET, Browsed


def mapped(browsed: Browsed, name: MapName) -> Map:
    """A map of cells, with its file in the folder that the page uses."""
    cells, cache = browsed.cells, browsed.folder / "browse"
    return cell_map(cells, name, lambda: CellVectors(cells, name.feature_set, cache), cache)


def test_principal_components_are_those_of_scikit_learn() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 5)) @ np.diag([1, 2, 3, 4, 5.0]) + 7
    vectors[:, 1] += vectors[:, 0] * 3
    wanted = PCA(2, svd_solver="full").fit_transform(StandardScaler().fit_transform(vectors))
    found = principal_components(vectors.astype(np.float32))
    for axis in range(2):
        assert abs(np.corrcoef(wanted[:, axis], found[:, axis])[0, 1]) > 0.99999
        assert np.allclose(np.abs(wanted[:, axis]), np.abs(found[:, axis]), atol=1e-3)


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (5, 1)])
def test_few_vectors_or_features_have_a_map(shape: tuple[int, int]) -> None:
    assert principal_components(np.ones(shape, np.float32)).tolist() == [[0, 0]] * shape[0]


def test_a_feature_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(EvaluationError, match=r"map: found .*NaN"):
        principal_components(np.array([[np.nan], [1.0]]))


def test_the_map_of_all_cells_is_kept_until_vectors_change(browsed: Browsed, monkeypatch) -> None:
    computed = []
    compute = principal_components
    monkeypatch.setattr(
        maps, "principal_components", lambda features: computed.append(1) or compute(features)
    )
    (name, *_) = map_names(browsed.store, "tiny", SET)
    assert name.key == f"cells.{SET}.pca"
    made = [mapped(browsed, name).points.xy for _ in range(2)]
    assert np.array_equal(*made)
    assert len(computed) == 1
    store, table = browsed.store, f"cell_features_{SET}"
    rows = store.read("tiny", table, shards=["plate_1"])
    store.commit("tiny", {table: rows.head(30)}, shard="plate_1")
    fewer = mapped(browsed, name)
    assert len(computed) == 2
    assert np.flatnonzero(np.isnan(fewer.points.xy[:, 0])).tolist() == list(range(30, 36))
    (browsed.folder / "browse" / f"{name.key}.npz").write_bytes(b"torn")
    assert np.array_equal(
        mapped(browsed, name).points.xy,
        fewer.points.xy,
        equal_nan=True,
    )


def test_stored_maps_are_shown_as_they_are(browsed: Browsed) -> None:
    store, cells = browsed.store, browsed.cells
    ids = [cells.cell_id[40], "gone", cells.cell_id[2]]
    points = {"feature_set": [SET] * 3, "cell_id": ids, "x": [1.0, 9.0, 3.0], "y": [2.0, 9.0, 4.0]}
    store.commit("tiny", {"umap_cells": schemas.UMAP_CELLS.frame(points)})
    names = {name.key: name for name in map_names(store, "tiny", SET)}
    xy = cell_map(cells, names[f"cells.{SET}.umap_cells"], lambda: None, browsed.folder).points.xy
    assert {row: xy[row].tolist() for row in np.flatnonzero(np.isfinite(xy[:, 0])).tolist()} == {
        2: [3, 4],
        40: [1, 2],
    }
    shown = protein_map(store, "tiny", names[f"proteins.{SET}.pca"])
    means = features_of(store.read("tiny", f"protein_features_{SET}"))
    assert np.array_equal(shown.points.xy, principal_components(means))


def test_limits_hold_all_points_and_an_empty_map_has_some() -> None:
    x0, x1, y0, y1 = Map(Points(np.array([[1, 5], [3, 9], [np.nan, 0]]))).limits
    assert x0 < 1 < 3 < x1 < 3.2
    assert y0 < 5 < 9 < y1 < 9.4
    assert Map(Points(np.full((2, 2), np.nan))).limits == (0, 1, 0, 1)
