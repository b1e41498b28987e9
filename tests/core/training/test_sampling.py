"""Keyed draws, checked against counts over many epochs and a naive loop."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.errors import TrainingError
from pcip_core.training.sampling import (
    Harder,
    draw_flips,
    draw_kept,
    draw_order,
    draw_partners,
    draw_shifts,
    draw_turns,
    hold_out,
    hold_out_images,
    keyed_uniform,
)

IMAGE = np.array([3, 1, 1, 3, 3, 1, 1, 7, 7, 3])


def test_partner_is_another_cell_of_the_same_image() -> None:
    for epoch in range(50):
        partner = draw_partners(IMAGE, seed=1, epoch=epoch)
        assert (partner != np.arange(len(IMAGE))).all()
        assert (IMAGE[partner] == IMAGE).all()


def test_every_other_cell_is_equally_likely() -> None:
    epochs = 6000
    counts = np.zeros((len(IMAGE), len(IMAGE)))
    for epoch in range(epochs):
        counts[np.arange(len(IMAGE)), draw_partners(IMAGE, seed=0, epoch=epoch)] += 1
    for cell, image in enumerate(IMAGE):
        others = [c for c in range(len(IMAGE)) if IMAGE[c] == image and c != cell]
        expected = epochs / len(others)
        assert (abs(counts[cell, others] - expected) < 5 * expected**0.5).all()
        assert counts[cell].sum() == counts[cell, others].sum()


PROTEIN = np.array(
    ["A", "B", "B", "A", "A", "B", "B", "A", "A", "A"]
)  # of the cells of IMAGE; B has one image


@pytest.mark.parametrize("across", [1.0, 0.3])
def test_every_cell_of_another_image_of_the_protein_is_equally_likely(across: float) -> None:
    keep = np.flatnonzero(PROTEIN == "A") if across == 1 else np.arange(len(IMAGE))
    image, protein, epochs = IMAGE[keep], PROTEIN[keep], 2000
    counts = np.zeros((len(image), len(image)))
    for epoch in range(epochs):
        partners = draw_partners(image, protein, across=across, seed=0, epoch=epoch)
        counts[np.arange(len(image)), partners] += 1
    for cell in range(len(image)):
        cells = np.arange(len(image))
        alike = (image == image[cell]) & (cells != cell)
        elsewhere = (protein == protein[cell]) & (image != image[cell])
        share = across if elsewhere.any() else 0.0  # partners of one kind only
        expected = epochs * (share * elsewhere / max(elsewhere.sum(), 1) + (1 - share) * alike / alike.sum())
        assert (abs(counts[cell] - expected) <= 5 * expected**0.5).all()


def test_pairs_of_one_image_do_not_depend_on_proteins() -> None:
    for epoch in range(5):
        alone = draw_partners(IMAGE, seed=1, epoch=epoch)
        assert (
            draw_partners(IMAGE, PROTEIN, seed=1, epoch=epoch)[PROTEIN == "A"] == alone[PROTEIN == "A"]
        ).all()


@pytest.mark.parametrize("of", [2, 5])
def test_of_several_partners_the_one_that_differs_most_is_taken(of: int) -> None:
    """The partner with the r-th smallest of m distances or a nearer one is taken with probability (r / m) ** of."""
    shapes = np.random.default_rng(0).normal(size=(len(IMAGE), 3))
    distances = np.linalg.norm(shapes[:, None] - shapes, axis=2)
    counts, epochs = np.zeros((len(IMAGE), len(IMAGE))), 3000
    for epoch in range(epochs):
        partner = draw_partners(IMAGE, harder=Harder(shapes, of), seed=0, epoch=epoch)
        counts[np.arange(len(IMAGE)), partner] += 1
    for cell in range(len(IMAGE)):
        others = np.flatnonzero((IMAGE[cell] == IMAGE) & (np.arange(len(IMAGE)) != cell))
        ranked = others[np.argsort(distances[cell, others])]
        share = np.diff((np.arange(len(others) + 1) / len(others)) ** of)
        assert (abs(counts[cell, ranked] - epochs * share) < 5 * (epochs * share) ** 0.5 + 1e-9).all()
        assert counts[cell].sum() == counts[cell, others].sum()


def test_the_hardest_of_one_is_any_partner() -> None:
    one = Harder(np.arange(float(len(IMAGE)))[:, None], 1)
    for epoch in range(20):
        drawn = draw_partners(IMAGE, harder=one, seed=0, epoch=epoch)
        assert (drawn == draw_partners(IMAGE, seed=0, epoch=epoch)).all()


def test_of_partners_that_differ_equally_the_first_is_taken() -> None:
    """So that all partners are equally likely, as if one were drawn."""
    drawn = draw_partners(IMAGE, harder=Harder(np.ones((len(IMAGE), 2)), 7), seed=0, epoch=1)
    assert (drawn == draw_partners(IMAGE, seed=0, epoch=1)).all()


def test_harder_partners_are_as_often_of_another_image() -> None:
    image, protein = np.repeat(np.arange(4), 5), np.repeat(["A", "B"], 10)
    harder = Harder(np.where(image % 2, 100.0, 0.0)[:, None] + np.arange(20)[:, None] % 5, 4)
    across = [
        draw_partners(image, protein, across=0.3, harder=harder, seed=0, epoch=epoch) // 5 != image
        for epoch in range(500)
    ]
    assert abs(np.mean(across) - 0.3) < 5 * (0.3 * 0.7 / (500 * 20)) ** 0.5


def test_a_protein_without_another_image_is_an_error_unless_its_image_has_another_cell() -> None:
    with pytest.raises(
        TrainingError, match=r"protein B: found one image \(1 of 2 proteins.*mixed or same_image"
    ):
        draw_partners(IMAGE, PROTEIN, across=1.0, seed=0, epoch=0)
    image, protein = np.array([0, 0, 1, 2]), np.array(["A", "A", "B", "B"])
    assert draw_partners(image, protein, across=0.01, seed=0, epoch=0).tolist() == [1, 0, 3, 2]
    with pytest.raises(
        TrainingError, match=r"image number 2: found one cell \(1 of 3 images.*no other image"
    ):
        draw_partners(image, np.array(["A", "A", "A", "B"]), across=0.01, seed=0, epoch=0)
    with pytest.raises(TrainingError, match=r"image number 1: found one cell \(2 of 3 images have one\)"):
        draw_partners(image, protein, seed=0, epoch=0)


def test_draws_depend_on_seed_and_epoch_only() -> None:
    first = draw_partners(IMAGE, seed=5, epoch=9)
    draw_partners(IMAGE, seed=6, epoch=2)
    assert (draw_partners(IMAGE, seed=5, epoch=9) == first).all()
    many = np.repeat(np.arange(20), 30)
    assert (draw_partners(many, seed=5, epoch=9) != draw_partners(many, seed=5, epoch=10)).any()
    assert (draw_partners(many, seed=5, epoch=9) != draw_partners(many, seed=6, epoch=9)).any()


def test_uniform_draws_are_uniform_and_uncorrelated() -> None:
    cells = np.arange(200_000)
    u = keyed_uniform("target", 3, 4, cells)
    v = keyed_uniform("order", 3, 4, cells)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    assert (abs(counts - 10_000) < 5 * 100).all()
    for one, other in ((u, v), (u[1:], u[:-1]), (u, keyed_uniform("target", 3, 5, cells))):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.01


def test_order_is_a_permutation_and_flips_are_independent() -> None:
    assert sorted(draw_order(1000, seed=0, epoch=3)) == list(range(1000))
    flips = draw_flips(40_000, seed=0, epoch=1)
    assert (abs(flips.mean(0) - 0.5) < 0.015).all()
    assert (abs(np.corrcoef(flips.T) - np.eye(4)) < 0.02).all()


def test_one_cell_in_an_image_is_an_error() -> None:
    with pytest.raises(TrainingError, match="image number 7: found one cell"):
        draw_partners(np.array([1, 1, 7]), seed=0, epoch=0)


def test_hold_out_leaves_two_cells_and_takes_its_fraction() -> None:
    image = np.repeat(np.arange(300), np.random.default_rng(0).integers(2, 30, 300))
    held = hold_out(image, fraction=0.2, seed=0)
    for one in np.unique(image):
        n = (image == one).sum()
        assert (held & (image == one)).sum() <= n - 2
        assert abs((held & (image == one)).sum() - 0.2 * n) < 1
    assert abs(held.mean() - 0.2) < 0.02
    assert not hold_out(image, fraction=0.0, seed=0).any()


def test_draws_are_even_and_keyed() -> None:
    n = 40_000
    turns = draw_turns(n, seed=0, epoch=1)
    assert (abs(turns.mean(0) - 0.5) < 0.015).all()
    assert (abs(np.corrcoef(turns.T) - np.eye(3)) < 0.02).all()
    shifts = draw_shifts(n, most=2, seed=0, epoch=1)
    for axis in (0, 1):
        counts = np.bincount(shifts[:, axis] + 2, minlength=5)
        assert (abs(counts - n / 5) < 5 * (n / 5) ** 0.5).all()
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.02
    assert not draw_shifts(10, most=0, seed=0, epoch=1).any()
    kept = draw_kept(np.arange(2000), 100, seed=0, epoch=1)
    assert kept.shape == (2000, 100)
    assert (abs(kept.mean(0) - 0.5) < 0.06).all()
    assert abs(np.corrcoef(kept.T) - np.eye(100)).max() < 0.12
    some = np.array([7, 3])
    assert np.array_equal(draw_kept(some, 100, seed=0, epoch=1), kept[some])  # whatever the batch
    assert not np.array_equal(draw_kept(some, 100, seed=0, epoch=2), kept[some])


def test_images_are_held_out_whole_by_class() -> None:
    rng = np.random.default_rng(0)
    of_image = np.repeat(np.arange(4), (40, 10, 2, 1))  # a class each
    image = rng.permutation(np.repeat(np.arange(53), 5))
    labels = of_image[image]
    held = hold_out_images(image, labels, fraction=0.2, seed=0)
    for one in range(53):
        assert len(set(held[image == one])) == 1
    counts = [len(set(image[held & (labels == one)])) for one in range(4)]
    assert counts == [8, 2, 1, 0]
    assert np.array_equal(hold_out_images(image, labels, fraction=0.2, seed=0), held)
    assert not np.array_equal(hold_out_images(image, labels, fraction=0.2, seed=1), held)
    assert not hold_out_images(image, labels, fraction=0.0, seed=0).any()


def test_images_of_several_classes_leave_each_class_one_to_train_on() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        image, labels = rng.integers(0, 12, 60), rng.integers(0, 8, 60)
        held = hold_out_images(image, labels, fraction=0.5, seed=seed)
        assert set(labels[~held]) == set(labels)
        assert set(image[held]).isdisjoint(image[~held])
