"""A random forest that divides cells only between the 256 bins of each feature.

scikit-learn's forest sorts the values of each considered feature in each node. Here values are replaced by the number
of their bin once, and cells are sorted by counting. The trees are those of scikit-learn otherwise: bootstrap samples,
Gini impurity, a random choice of features in each node, leaves of one class, and the mean class probability of all
trees.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

BINS = 256
_FEW = 48  # cells of a node that are sorted by insertion
Tree = tuple[
    np.ndarray, np.ndarray, np.ndarray, np.ndarray
]  # feature, last bin to the left, children, classes


def forest_probabilities(
    training: np.ndarray,
    classes: np.ndarray,
    cells: np.ndarray,
    *,
    weights: np.ndarray,
    trees: int,
    max_features: float,
    seed: int,
    threads: int = 1,
) -> np.ndarray:
    """Fit a forest, and predict the probability of each class for other cells.

    Trees are fitted one by one and not kept. Each has its own random numbers, so that the number of threads does not
    change the result.

    Args:
        training: (n, d) float32, finite.
        classes: (n,) class of each training cell, from 0.
        cells: (m, d) float32, the cells to predict.
        weights: (number of classes,) weight of the cells of each class.
        trees: number of trees.
        max_features: share of the features that each node considers.
        seed: seed of the forest.
        threads: number of trees to fit in parallel.

    Returns:
        (m, number of classes).

    >>> training, classes = np.float32([[0], [1], [10], [11]]), np.array([0, 0, 1, 1])
    >>> asked = np.float32([[-5], [50]])
    >>> settings = {"weights": np.ones(2), "trees": 20, "max_features": 1.0, "seed": 0}
    >>> forest_probabilities(training, classes, asked, **settings).argmax(1).tolist()
    [0, 1]
    """
    edges = [bin_edges(column) for column in training.T]
    known, asked = (binned(points, edges) for points in (training, cells))
    classes = classes.astype(np.int64)
    weight = weights.astype(np.float64)[classes]
    considered = max(1, int(max_features * training.shape[1]))

    def votes(number: int) -> np.ndarray:
        tree = _grow(known, classes, weight, len(weights), considered, np.random.default_rng([seed, number]))
        return _vote(asked, *tree)

    total = np.zeros((len(cells), len(weights)))
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, trees, threads):  # a few at a time: the votes of all would fill memory
            for vote in pool.map(votes, range(first, min(first + threads, trees))):
                total += vote
    return total / trees


def bin_edges(values: np.ndarray) -> np.ndarray:
    """The upper edges of all bins but the last: between all values, or between quantiles of many values.

    >>> bin_edges(np.array([3.0, 1.0, 1.0, 2.0])).tolist()
    [1.5, 2.5]
    """
    ordered = np.unique(values)
    if len(ordered) > BINS:
        ordered = np.sort(values)
    place = np.arange(1, BINS) * len(ordered) // BINS if len(ordered) > BINS else np.arange(1, len(ordered))
    return np.unique((ordered[place - 1].astype(np.float64) + ordered[place]) / 2)


def binned(points: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    """(n, d) values -> (d, n) uint8, the bin of each value."""
    return np.stack(
        [np.searchsorted(edge, column).astype(np.uint8) for edge, column in zip(edges, points.T, strict=True)]
    )


@njit(nogil=True, cache=True)
def _grow(  # type: ignore[no-untyped-def]
    bins: np.ndarray, classes: np.ndarray, weights: np.ndarray, number: int, considered: int, rng
) -> Tree:
    """Grow one tree on a bootstrap sample, until each leaf has cells of one class or of equal bins.

    Args:
        bins: (d, n) of the training cells.
        classes, weights: (n,).
        number: of classes.
        considered: number of features that each node considers.
        rng: draws the sample and the features.
    """
    n = bins.shape[1]
    weight = np.zeros(n)
    for _ in range(n):
        cell = rng.integers(0, n)
        weight[cell] += weights[cell]
    cells = np.flatnonzero(weight)  # of each node, a slice
    ordered = np.empty_like(cells)
    features, most = np.arange(len(bins)), 2 * len(cells)
    feature, last = np.full(most, -1), np.zeros(most, np.uint8)
    children, leaves = np.zeros((most, 2), np.int64), np.zeros((most, number))
    waiting, slices = [0], np.zeros((most, 2), np.int64)
    slices[0, 1] = len(cells)
    nodes = 1
    while len(waiting):
        node = waiting.pop()
        start, end = slices[node]
        members = cells[start:end]
        total = np.zeros(number)
        for cell in members:
            total[classes[cell]] += weight[cell]
        best, cut = _best_split(
            bins, members, classes, weight, total, features, considered, rng, ordered[: end - start]
        )
        if best < 0:
            leaves[node] = total / total.sum()
            continue
        left, right = start, 0
        for cell in members:
            if bins[best, cell] <= cut:
                cells[left] = cell
                left += 1
            else:
                ordered[right] = cell
                right += 1
        cells[left:end] = ordered[:right]
        feature[node], last[node] = best, cut
        for side in range(2):
            children[node, side] = nodes
            slices[nodes, 0] = left if side else start
            slices[nodes, 1] = end if side else left
            waiting.append(nodes)
            nodes += 1
    return feature[:nodes], last[:nodes], children[:nodes], leaves[:nodes]


@njit(nogil=True, cache=True)
def _best_split(  # type: ignore[no-untyped-def]
    bins, cells, classes, weight, total, features, considered, rng, ordered
) -> tuple[int, int]:
    """The feature and the last bin to the left of the best split of a node; (-1, 0) if there is none.

    Features are drawn without replacement. As in scikit-learn, further ones are drawn while all were constant.

    Args:
        cells: training cells of the node.
        total: (number of classes,) their weight.
        features: all features, in any order; reordered here.
        ordered: as long as `cells`, overwritten.
    """
    best, best_cut, best_score = -1, 0, -1.0
    if np.count_nonzero(total) < 2:
        return best, best_cut
    drawn, useful = 0, 0
    starts = np.empty(BINS + 1, np.int64)
    left, right = np.empty_like(total), np.empty_like(total)
    while drawn < len(features) and (drawn < considered or useful == 0):
        other = rng.integers(drawn, len(features))
        features[drawn], features[other] = features[other], features[drawn]
        of_feature = bins[features[drawn]]
        drawn += 1
        _sort_by_bin(of_feature, cells, ordered, starts)
        if of_feature[ordered[0]] == of_feature[ordered[-1]]:
            continue
        useful += 1
        left[:], right[:] = 0.0, total
        cut, score = _best_cut(of_feature, ordered, classes, weight, left, right)
        if score > best_score:
            best, best_cut, best_score = features[drawn - 1], cut, score
    return best, best_cut


@njit(nogil=True, cache=True)
def _sort_by_bin(of_feature, cells, ordered, starts) -> None:  # type: ignore[no-untyped-def]
    """Fill `ordered` with the cells in order of their bins."""
    if len(cells) <= _FEW:
        for place in range(len(cells)):
            cell, to = cells[place], place
            while to > 0 and of_feature[ordered[to - 1]] > of_feature[cell]:
                ordered[to] = ordered[to - 1]
                to -= 1
            ordered[to] = cell
        return
    starts[:] = 0
    for cell in cells:
        starts[of_feature[cell] + 1] += 1
    for place in range(BINS):
        starts[place + 1] += starts[place]
    for cell in cells:
        ordered[starts[of_feature[cell]]] = cell
        starts[of_feature[cell]] += 1


@njit(nogil=True, cache=True)
def _best_cut(of_feature, ordered, classes, weight, left, right) -> tuple[int, float]:  # type: ignore[no-untyped-def]
    """The last bin to the left of the best cut, and its score: lower Gini impurity has a higher score.

    The cut is in the middle between the bins of the cells on both sides.

    Args:
        ordered: the cells in order of their bins, of two or more bins.
        left, right: (number of classes,) zeros, and the weight of the cells; overwritten.
    """
    cut, best = 0, -1.0
    weight_left, weight_right = 0.0, right.sum()
    # over classes; kept as cells move from right to left
    squares_left, squares_right = 0.0, (right * right).sum()
    for place in range(len(ordered) - 1):
        cell = ordered[place]
        moved, label = weight[cell], classes[cell]
        squares_left += moved * (2 * left[label] + moved)
        squares_right -= moved * (2 * right[label] - moved)
        left[label] += moved
        right[label] -= moved
        weight_left += moved
        weight_right -= moved
        here, following = np.int64(of_feature[cell]), np.int64(of_feature[ordered[place + 1]])
        if here != following:
            score = squares_left / weight_left + squares_right / weight_right
            if score > best:
                cut, best = (here + following) // 2, score  # type: ignore[assignment]  # compiled, both are int64
    return cut, best


@njit(nogil=True, cache=True)
def _vote(bins, feature, last, children, leaves) -> np.ndarray:  # type: ignore[no-untyped-def]
    """(m, number of classes) the leaf of each cell."""
    votes = np.empty((bins.shape[1], leaves.shape[1]))
    for cell in range(bins.shape[1]):
        node = 0
        while feature[node] >= 0:
            node = children[node, 0 if bins[feature[node], cell] <= last[node] else 1]
        votes[cell] = leaves[node]
    return votes
