"""What stands where in the heat map of a tree."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.cluster import hierarchy

from pcip_core.clustering.clusters import cut_number, members_of, smallest_clade
from pcip_core.clustering.linkage import cluster_tree
from pcip_core.clustering.tree import leaf_order, ordered
from pcip_core.errors import ClusterError, ShapeError
from pcip_core.features.scaling import standardize
from pcip_core.plots.clustermap import BLUE_YELLOW, MAJOR, MINOR, branches, cluster_map, spread_apart
from pcip_core.plots.pictures import preview
from tests.core.clustering.clouds import made_tree


def test_branches_are_those_of_scipys_dendrogram() -> None:
    _, tree = made_tree()
    drawn = hierarchy.dendrogram(tree, no_plot=True)
    expected = {
        (*np.round(up, 9), *np.round((np.array(across) - 5) / 10 + 0.5, 9))
        for across, up in zip(drawn["icoord"], drawn["dcoord"], strict=True)
    }
    found = {(*np.round(line[:, 0], 9), *np.round(line[:, 1], 9)) for line in branches(tree)}
    assert found == expected


def made(n: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    points = standardize(
        (2 * rng.normal(size=(4, columns)))[np.arange(n) % 4] + rng.normal(size=(n, columns))
    )
    return points, ordered(cluster_tree(points), points)


def heat_of(figure: Figure) -> Axes:
    return next(axes for axes in figure.axes if axes.images)


def image_of(figure: Figure) -> np.ndarray:
    return np.asarray(heat_of(figure).images[0].get_array())


def test_rows_stand_in_the_order_of_the_leaves() -> None:
    points, tree = made(30, 12)
    image = image_of(cluster_map(points, tree, "simulated"))
    rows = points[leaf_order(tree)]
    assert np.array_equal(np.sort(image.T.tolist(), axis=0), np.sort(rows.T.tolist(), axis=0))
    assert np.allclose(np.sort(image.sum(0)), np.sort(rows.sum(0)))
    column = [int(np.flatnonzero((rows == image[:, [k]]).all(0))[0]) for k in range(12)]
    assert sorted(column) == list(range(12))
    assert np.array_equal(image, rows[:, column])
    expected = leaf_order(ordered(cluster_tree(rows.T, method="average", scale=False), rows.T))
    assert column == expected.tolist()


def test_an_order_without_a_tree_has_no_branches() -> None:
    points, tree = made(30, 12)
    with_tree, without = cluster_map(points, tree, "t"), cluster_map(points, leaf_order(tree), "t")
    assert np.array_equal(image_of(with_tree), image_of(without))
    assert len(with_tree.axes) == len(without.axes) + 1
    segments = with_tree.axes[0].collections[0].get_segments()  # type: ignore[attr-defined]
    assert len(segments) == 29
    assert max(segment[:, 0].max() for segment in segments) == tree[-1, 2]


def test_many_rows_and_columns_are_averaged() -> None:
    points, tree = made(1000, 9)
    figure = cluster_map(points, tree, "t", most_lines=100, most_columns=3)
    image, rows = image_of(figure), points[leaf_order(tree)]
    means = rows.reshape(100, 10, 9).mean(1)
    columns = leaf_order(ordered(cluster_tree(rows.T, method="average", scale=False), rows.T))
    assert np.allclose(image, means[:, columns].reshape(100, 3, 3).mean(2))
    assert heat_of(figure).get_xlabel() == "9 features, mean of 3\n1,000 proteins, mean of 10"
    uneven = image_of(cluster_map(points, tree, "t", most_lines=300))
    assert uneven.shape == (300, 9)
    assert np.isclose(uneven[0].sum(), rows[:3].mean(0).sum())


def test_names_of_80_rows_but_not_of_more() -> None:
    for n, there in ((80, True), (81, False)):
        points, tree = made(n, 6)
        labels = [f"P{row}" for row in range(n)]
        ticks = [
            tick.get_text()
            for tick in heat_of(cluster_map(points, tree, "t", labels=labels)).get_yticklabels()
        ]
        assert ticks == ([labels[row] for row in leaf_order(tree)] if there else [])


def test_bars_of_clusters_and_of_clusters_in_them() -> None:
    points, tree = made(40, 6)
    first, second, third = (members_of(tree, node) for node in cut_number(tree, 3))
    clusters = {"C": third, "A": first, "A1": first[:4], "A2": first[4:6], "B": second}
    axes = cluster_map(points, tree, "t", clusters=clusters).axes
    bars = [
        (bar.get_x(), bar.get_y(), bar.get_height(), to_hex(bar.get_facecolor()))
        for a in axes
        for bar in a.patches
        if isinstance(bar, Rectangle)
    ]
    bars = [bar for bar in bars if bar[3].upper() in {*MAJOR, *MINOR}]
    left = sorted({x for x, *_ in bars})
    assert len(left) == 2
    a, b = len(first), len(second)
    expected = [
        (left[0], 0, a, MAJOR[0]),
        (left[0], a, b, MAJOR[1]),
        (left[0], a + b, 40 - a - b, MAJOR[0]),
        (left[1], 0, 4, MINOR[0]),
        (left[1], 4, 2, MINOR[1]),
    ]
    assert [(x, y, high, colour.upper()) for x, y, high, colour in bars] == expected
    texts = {text.get_text() for ax in axes for text in ax.texts}
    assert set(clusters) <= texts


def test_names_are_pushed_apart_and_stay_inside() -> None:
    for places in ([1.0, 1.5, 2, 50], [95.0, 98, 99, 99.5], [10.0, 50, 90], []):
        moved = spread_apart(places, 4, 100)
        assert (np.diff(moved) >= 4 - 1e-9).all()
        assert all(0 <= place <= 98 for place in moved)
    assert moved == []


def test_yellow_is_positive_and_blue_negative() -> None:
    assert BLUE_YELLOW(1.0)[2] < 0.1 < 0.8 < BLUE_YELLOW(1.0)[0]
    assert BLUE_YELLOW(0.0)[2] > 0.9 > BLUE_YELLOW(0.0)[0]
    low, high = heat_of(cluster_map(*made(30, 5), "t")).images[0].get_clim()
    assert low == -high < 0


@pytest.mark.parametrize("shape", [(2, 1), (3, 600), (900, 2)])
def test_small_and_wide_maps_are_drawn(shape: tuple[int, int]) -> None:
    points = standardize(np.random.default_rng(0).normal(size=shape))
    assert preview(cluster_map(points, cluster_tree(points), "simulated"))[8:12] == b"WEBP"
    assert preview(cluster_map(np.zeros(shape), np.arange(shape[0]), "simulated"))[8:12] == b"WEBP"


def test_what_does_not_fit_together_is_an_error() -> None:
    points, tree = made(30, 5)
    with pytest.raises(ShapeError, match="29 rows, an order of 30"):
        cluster_map(points[:29], tree, "t")
    with pytest.raises(ShapeError, match="2 labels"):
        cluster_map(points, tree, "t", labels=["a", "b"])
    order = leaf_order(tree)
    for rows in ([order[0], order[2]], [], [30, 29]):
        with pytest.raises(ClusterError, match=r"cluster A: .*not neighbours"):
            cluster_map(points, tree, "t", clusters={"A": rows})
    node, members = smallest_clade(tree, [0, 4])
    assert node >= 30
    cluster_map(points, tree, "t", clusters={"A": members})
