"""Random pairs of images of different proteins, and the mean distance between the cells of two images."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from pcip_core.errors import EvaluationError
from pcip_core.evaluation.neighbours import threads
from pcip_core.words import many


def keyed(seed: int, *names: str) -> np.random.Generator:
    """Make a random generator that depends only on the seed and the names.

    >>> int(keyed(0, "nucleus").integers(1000)) == int(keyed(0, "nucleus").integers(1000))
    True
    """
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def term_pairs(
    terms: np.ndarray, proteins: np.ndarray, term: str, other: str, *, count: int, seed: int
) -> np.ndarray:
    """Draw two different proteins, one of each term (or two of the same term), then an image of each.

    All proteins thus have equal weight, whatever their number of images. Draws are with replacement.

    Args:
        terms: (m,) the term of each image.
        proteins: (m,) the protein of each image, of any sortable type.
        term, other: the terms of the first and of the second image; they may be equal.
        count: number of pairs.
        seed: key of the draws together with the two terms, so that other terms of the screen do not affect them.

    Returns:
        (count, 2) image numbers.

    Raises:
        EvaluationError: the two terms do not have two different proteins.

    >>> terms, proteins = np.array(["nucleus", "nucleus", "vacuole"]), np.array(["A", "B", "C"])
    >>> np.sort(term_pairs(terms, proteins, "nucleus", "nucleus", count=2, seed=0)).tolist()
    [[0, 1], [0, 1]]
    """
    rng = keyed(seed, term, other)
    sides = []
    for name in (term, other):
        images = np.flatnonzero(terms == name)
        images = images[proteins[images].argsort(kind="stable")]
        sides.append((images, *np.unique(proteins[images], return_index=True, return_counts=True)))
    if not len(sides[0][0]) or not len(sides[1][0]) or len(np.union1d(sides[0][1], sides[1][1])) < 2:
        raise EvaluationError(
            "pairwise distances",
            found=f"{many(len(sides[0][1]), 'protein')} of {term!r} and {len(sides[1][1])} of {other!r}",
            required="two different proteins",
            remedy="Choose terms with more proteins.",
        )
    drawn = np.zeros((count, 2), np.int64)  # positions among the proteins of each side
    again = np.arange(count)
    while len(again):
        for side, (_, names, _, _) in enumerate(sides):
            drawn[again, side] = rng.integers(len(names), size=len(again))
        same = sides[0][1][drawn[again, 0]] == sides[1][1][drawn[again, 1]]
        again = again[same]
    chosen = [
        images[first[at] + rng.integers(size[at])]
        for (images, _, first, size), at in zip(sides, drawn.T, strict=True)
    ]
    return np.stack(chosen, axis=1)


def constrained_pairs(
    terms: np.ndarray,
    proteins: np.ndarray,
    lines: np.ndarray,
    *,
    same_term: bool,
    same_line: bool,
    count: int,
    seed: int,
) -> np.ndarray:
    """Draw pairs uniformly from all pairs of images of different proteins that meet both constraints.

    Args:
        terms, proteins, lines: (m,) term, protein and cell line of each image, of any sortable type.
        same_term: whether the two images have the same term; otherwise they have different terms.
        same_line: whether they have the same cell line; otherwise they have different cell lines.
        count: number of pairs, drawn with replacement.
        seed: key of the draws together with the two constraints.

    Returns:
        (count, 2) image numbers.

    Raises:
        EvaluationError: no pair meets the constraints.

    >>> terms, proteins = np.array(["nucleus"] * 3), np.array(["A", "A", "B"])
    >>> lines = np.array(["U2OS", "HeLa", "HeLa"])
    >>> pairs = constrained_pairs(terms, proteins, lines, same_term=True, same_line=True, count=2, seed=0)
    >>> np.sort(pairs).tolist()
    [[1, 2], [1, 2]]
    """
    rng = keyed(seed, f"same term {same_term}", f"same line {same_line}")
    term, protein, line = (np.unique(each, return_inverse=True)[1] for each in (terms, proteins, lines))
    partners = _partners(term, protein, line, same_term=same_term, same_line=same_line)  # (m,)
    if not partners.sum():
        raise EvaluationError(
            "pairwise distances",
            found=f"no two images of different proteins with {'one term' if same_term else 'two terms'} "
            f"in {'one cell line' if same_line else 'two cell lines'}",
            required="at least one such pair",
            remedy="Score a screen with more proteins per term and more cell lines, or omit the cell lines.",
        )
    firsts = rng.choice(len(term), count, p=partners / partners.sum())
    pairs = []
    for first, times in zip(*np.unique(firsts, return_counts=True), strict=True):
        fits = (term == term[first]) == same_term
        fits &= (line == line[first]) == same_line
        fits &= protein != protein[first]
        seconds = rng.choice(np.flatnonzero(fits), times)
        pairs.append(np.stack([np.full(times, first), seconds], axis=1))
    return np.concatenate(pairs)


def _partners(
    term: np.ndarray, protein: np.ndarray, line: np.ndarray, *, same_term: bool, same_line: bool
) -> np.ndarray:
    """Count, for each of m images, the images that meet the constraints with it: (m,)."""

    def sharing(*names: np.ndarray) -> np.ndarray:
        _, member, size = np.unique(np.stack(names), axis=1, return_inverse=True, return_counts=True)
        return size[member.ravel()]

    def of_other_proteins(*names: np.ndarray) -> np.ndarray:
        return sharing(*names) - sharing(*names, protein)

    if same_term and same_line:
        return of_other_proteins(term, line)
    if same_term:
        return of_other_proteins(term) - of_other_proteins(term, line)
    if same_line:
        return of_other_proteins(line) - of_other_proteins(term, line)
    all_others = of_other_proteins(np.zeros_like(term))
    return all_others - of_other_proteins(term) - of_other_proteins(line) + of_other_proteins(term, line)


def mean_distances(
    points: np.ndarray,
    start: np.ndarray,
    pairs: np.ndarray,
    *,
    cells: int = 4096,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Compute the mean Euclidean distance between all cells of one image and all cells of another, for each pair.

    Repeated and reversed pairs are computed once. One matrix product covers many partners of an image. Each thread
    holds the distances between the cells of one image and `cells` other cells (or the cells of one partner, if it has
    more).

    Args:
        points: (n, d) float64 features, with the cells of each image in consecutive rows. The features should be
            centred, because the rounding error of the products grows with the distance from the origin.
        start: (m + 1,) first row of each image, and n.
        pairs: (p, 2) image numbers; each image has a cell.
        cells: number of partner cells per product; affects memory and speed only.
        progress: called with the number of cells done, in proportion to the work.

    Returns:
        (p,) float64.

    >>> points = np.array([[0.0], [2.0], [5.0]])  # two cells of image 0, one of image 1
    >>> mean_distances(points, np.array([0, 2, 3]), np.array([[0, 1]])).tolist()
    [4.0]
    """
    images = len(start) - 1
    keys, back = np.unique(pairs.min(1) * images + pairs.max(1), return_inverse=True)
    firsts, seconds = np.divmod(keys, images)
    size = np.diff(start)
    squares = np.einsum("nd,nd->n", points, points)
    distance = np.empty(len(keys))

    def measure(block: slice) -> int:
        """Compute the distances of a block of pairs with the same first image; returns the end of the block."""
        first = slice(start[firsts[block.start]], start[firsts[block.start] + 1])
        partners = seconds[block]
        ends = size[partners].cumsum()
        begins = ends - size[partners]
        others = np.arange(ends[-1]) + np.repeat(start[partners] - begins, size[partners])
        product = points[first] @ points[others].T  # (cells of the image, cells of its partners)
        product *= -2
        product += squares[first, None]
        product += squares[others]
        np.sqrt(np.maximum(product, 0, out=product), out=product)
        sums = np.add.reduceat(product.sum(0), begins)
        distance[block] = sums / (size[partners] * (first.stop - first.start))
        return block.stop

    workers = threads()  # read before the limit is set; the products are too small to share
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for done in pool.map(measure, _blocks(firsts, size[seconds], cells)):
            if progress is not None:
                progress(len(points) * done // len(keys))
    return distance[back.ravel()]


def _blocks(firsts: np.ndarray, sizes: np.ndarray, cells: int) -> list[slice]:
    """Divide the pairs into blocks with the same first image, whose partners have about `cells` cells in total.

    Args:
        firsts: (p,) first image of each pair, ascending.
        sizes: (p,) number of cells of the second image of each pair.
    """
    before = sizes.cumsum() - sizes
    new = np.diff(firsts, prepend=-1) > 0
    run = np.maximum.accumulate(np.where(new, np.arange(len(firsts)), 0))  # (p,) first pair of the image
    part = (before - before[run]) // cells
    edges = np.flatnonzero(new | (np.diff(part, prepend=0) != 0))
    return [slice(int(a), int(b)) for a, b in zip(edges, np.append(edges[1:], len(firsts)), strict=True)]
