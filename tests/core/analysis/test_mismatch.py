"""What predictions from mismatched sources resemble, with networks whose behaviour is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from pcip_core.analysis.mismatch import (
    compare,
    correlation,
    mismatch,
    network_predictor,
    predicted,
    scores,
    summary,
    verdict,
)
from pcip_core.analysis.mismatched_pairs import draw_held_out, draw_pairs, pairs_of_many_labels
from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.models.inpainting import NetworkConfig, build_network

CHANNELS = ("nucleus", "protein")
KINDS = ("inside", "outside", "edge")
SIZE = 16


def drawn(marker: np.ndarray, kind: str) -> np.ndarray:
    """The protein of a kind in a cell's geometry: (S, S)."""
    inside = marker > 0.5
    edge = inside & ~(
        np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1)
    )
    return {"inside": inside, "outside": ~inside, "edge": edge}[kind].astype(np.float32)


def cells(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels, labels and images: 3 kinds, 3 images each, 4 cells an image, nuclei of many shapes."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:SIZE, :SIZE]
    pixels, labels, image = [], [], []
    for kind in KINDS:
        for number in range(3):
            for _ in range(4):
                y, x, a, b = rng.uniform(6, 10, 2).tolist() + rng.uniform(3, 6, 2).tolist()
                marker = ((yy - y) / a) ** 2 + ((xx - x) / b) ** 2 < 1
                protein = drawn(marker, kind) * 0.7 + rng.uniform(0, 0.3, (SIZE, SIZE))
                pixels.append(np.stack([marker, protein]))
                labels.append(kind)
                image.append(f"{kind}{number}")
    return (np.array(pixels) * 255).astype(np.uint8), np.array(labels), np.array(image)


def kind_of(source: np.ndarray) -> str:
    """The kind that a source's protein channel shows."""
    fits = {kind: correlation(drawn(source[0], kind)[None], source[1:2]) for kind in KINDS}
    return max(fits, key=lambda kind: fits[kind])


def copies_kind(sources: np.ndarray, markers: np.ndarray) -> np.ndarray:
    return np.stack([drawn(m[0], kind_of(s))[None] for s, m in zip(sources, markers, strict=True)])


class Cheat:
    """Knows every cell's protein by its markers, which no network is given; `honest` adds some of the source."""

    def __init__(self, pixels: np.ndarray, honest: float = 0.0) -> None:
        self.known = {one[0].tobytes(): one[1:2].astype(np.float32) / 255 for one in pixels}
        self.honest = honest

    def __call__(self, sources: np.ndarray, markers: np.ndarray) -> np.ndarray:
        own = np.stack([self.known[np.round(m[0] * 255).astype(np.uint8).tobytes()] for m in markers])
        return own if self.honest == 0 else own + self.honest * copies_kind(sources, markers)


OPTIONS = {"channels": CHANNELS, "structural": ["nucleus"], "protein": ["protein"]}


def test_a_network_that_copies_the_kind_of_the_source_scores_1() -> None:
    pairs = mismatch(copies_kind, *cells(), **OPTIONS, each=4)
    means = summary(pairs)
    assert means["share_resembling_source"] == 1
    assert means["share_worse_than_matched"] == 1
    assert means["r_source"] == pytest.approx(1)
    assert means["margin"] > 0.5
    assert means["n"] == 3 * 2 * 4 == pairs.height


def test_a_network_that_returns_the_targets_own_protein_scores_0() -> None:
    pixels, labels, image = cells()
    means = summary(mismatch(Cheat(pixels), pixels, labels, image, **OPTIONS))
    assert means["share_resembling_source"] == 0
    assert means["share_worse_than_matched"] == 0
    assert means["r_truth"] == pytest.approx(1)
    assert means["margin"] == pytest.approx(0)


def test_a_network_that_ignores_the_source_scores_0() -> None:
    means = summary(mismatch(lambda sources, markers: 1 - markers, *cells(), **OPTIONS))
    assert means["share_resembling_source"] == 0
    assert means["share_worse_than_matched"] == 0


def test_a_little_of_the_source_shows_in_the_margin() -> None:
    pixels, labels, image = cells()
    margins = [
        summary(mismatch(Cheat(pixels, honest), pixels, labels, image, **OPTIONS))["margin"]
        for honest in (0.05, 0.5, 5.0)
    ]
    assert 0 < margins[0] < 0.05 < margins[1] < margins[2]


def test_each_number_is_that_of_a_loop() -> None:
    """With all other cells as references nothing is left to chance but the pair."""
    pixels, labels, image = cells()
    config = NetworkConfig(CHANNELS, ("nucleus",), ("protein",), SIZE, 0.05)
    predict = network_predictor(build_network(config, 3))
    pairs = mismatch(predict, pixels, labels, image, **OPTIONS, references=99, each=1)
    assert pairs.height == 6
    for row in pairs.to_dicts():
        target, a, b = row["target"], row["source_label"], row["target_label"]

        def one(source: int, target: int = target) -> np.ndarray:
            return predict(pixels[[source]] / np.float32(255), pixels[[target], :1] / np.float32(255))[0, 0]

        prediction = one(row["source"])
        same = np.flatnonzero((labels == a) & (image != image[row["source"]]))
        matching = np.flatnonzero((labels == b) & (image != image[target]))
        assert labels[row["source"]] == a != b == labels[target]
        assert row["n_references"] == len(same) == len(matching) == 8

        def r(x: np.ndarray, y: np.ndarray) -> float:
            return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])

        assert row["r_source"] == pytest.approx(
            r(prediction, np.mean([one(s) for s in same], axis=0)), abs=1e-4
        )
        assert row["r_target"] == pytest.approx(
            r(prediction, np.mean([one(s) for s in matching], axis=0)), abs=1e-4
        )
        assert row["r_truth"] == pytest.approx(r(prediction, pixels[target, 1]), abs=1e-4)
        each = [r(one(s), pixels[target, 1]) for s in matching]
        assert row["r_matched"] == pytest.approx(np.mean(each), abs=1e-4)
        assert row["resembles_source"] == (row["r_source"] > max(row["r_target"], row["r_truth"]) + 1e-6)
    worse = [row["r_truth"] < row["r_matched"] - 1e-6 for row in pairs.to_dicts()]
    assert summary(pairs)["share_worse_than_matched"] == pytest.approx(np.mean(worse))
    assert summary(pairs)["r_truth"] == pytest.approx(np.mean(pairs["r_truth"].to_list()))


def test_draws_depend_on_the_seed_and_the_labels_alone() -> None:
    pixels, labels, image = cells()
    first, again, other = (
        mismatch(copies_kind, pixels, labels, image, **OPTIONS, seed=seed, each=5) for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert first["source"].to_list() != other["source"].to_list()
    fewer = mismatch(
        copies_kind, pixels, np.where(labels == "edge", "", labels), image, **OPTIONS, seed=1, each=5
    )
    without = [row for row in first.to_dicts() if "edge" not in (row["source_label"], row["target_label"])]
    assert fewer.to_dicts() == without


def test_labels_of_one_image_are_left_out() -> None:
    pixels, labels, image = cells()
    image = np.where(labels == "edge", "edge0", image)
    assert draw_pairs(labels, image).left_out == ["edge"]
    pairs = mismatch(copies_kind, pixels, labels, image, **OPTIONS)
    assert set(pairs["source_label"]) == {"inside", "outside"}
    with pytest.raises(EvaluationError, match="1 label with two images or more, of 2"):
        mismatch(copies_kind, pixels, np.where(labels == "inside", "", labels), image, **OPTIONS)
    with pytest.raises(ShapeError, match="35 labels"):
        mismatch(copies_kind, pixels, labels[1:], image, **OPTIONS)


def test_correlation_is_a_mean_over_channels() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 2, 5, 5))
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)]
    assert correlation(one, other) == pytest.approx(np.mean(expected))
    assert correlation(np.ones((1, 4, 4)), rng.normal(size=(1, 4, 4))) == 0


def test_predictions_come_in_batches() -> None:
    pixels, _, _ = cells()
    sizes: list[int] = []

    def predict(sources: np.ndarray, markers: np.ndarray) -> np.ndarray:
        sizes.append(len(sources))
        return sources[:, 1:] + markers

    sources, targets = np.arange(100) % 36, np.arange(100) // 3
    found = predicted(predict, pixels, sources, targets, [0])
    assert sizes == [64, 36]
    assert found == pytest.approx((pixels[sources, 1:].astype(float) + pixels[targets, :1]) / 255)


def many(labels: int, images: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and images of a screen that is as regular as can be."""
    names = [f"term {number:03d}" for number in range(labels) for _ in range(images * cells)]
    places = [f"{name} {number // cells % images}" for number, name in enumerate(names)]
    return np.array(names), np.array(places)


@pytest.mark.parametrize(
    ("labels", "most", "expected"), [(3, 150, 6 * 10), (5, 150, 20 * 7), (13, 150, 150), (200, 150, 150)]
)
def test_there_are_never_more_pairs_than_asked_for(labels: int, most: int, expected: int) -> None:
    terms, image = many(labels, 3, 20)
    drawn = draw_pairs(terms, image, each=10, most=most)
    repeated = expected - len(drawn.pairs)  # the same two cells drawn twice, of 60 x 60
    assert 0 <= repeated <= expected // 50
    swaps = {(terms[pair.source], terms[pair.target]) for pair in drawn.pairs}
    assert len(swaps) == min(labels * (labels - 1), most)
    for pair in drawn.pairs:
        assert terms[pair.source] != terms[pair.target]
        assert len(pair.same) == len(pair.matching) == 5
        assert {terms[cell] for cell in pair.same} == {terms[pair.source]}
        assert {terms[cell] for cell in pair.matching} == {terms[pair.target]}
        assert image[pair.source] not in image[pair.same]
        assert image[pair.target] not in image[pair.matching]


def test_of_many_labels_each_is_a_source_as_often_as_a_target() -> None:
    terms, image = many(40, 2, 3)
    drawn = draw_pairs(terms, image, most=120)
    sources, targets = (
        Counter(terms[getattr(pair, role)].item() for pair in drawn.pairs) for role in ("source", "target")
    )
    assert sources == targets == dict.fromkeys(np.unique(terms).tolist(), 3)
    other = draw_pairs(terms, image, most=120, seed=1)
    assert {(p.source, p.target) for p in drawn.pairs} != {(p.source, p.target) for p in other.pairs}


def test_crops_that_take_part_are_enough() -> None:
    pixels, labels, image = cells()
    drawn = draw_pairs(labels, image, each=1, references=2)
    used = {cell for pair in drawn.pairs for cell in [pair.source, pair.target, *pair.same, *pair.matching]}
    assert set(drawn.cells.tolist()) == used
    assert len(used) < len(pixels)
    few = {cell: pixels[cell] for cell in sorted(used)}
    assert compare(copies_kind, few, drawn, labels, **OPTIONS).equals(
        compare(copies_kind, pixels, drawn, labels, **OPTIONS)
    )


def test_pairs_without_a_third_image_are_left_out() -> None:
    """`a` and `b` lie together in two images: a source and a target of both leave none to compare with."""
    labels, image = np.array(["a", "b", "a", "b"]), np.array([1, 1, 2, 2])
    drawn = draw_pairs(labels, image, each=20)
    assert {(pair.source, pair.target) for pair in drawn.pairs} == {(0, 1), (1, 0), (2, 3), (3, 2)}
    counts, messages = set(), set()
    for seed in range(20):
        try:
            counts.add(len(draw_pairs(labels, image, each=1, seed=seed).pairs))
        except EvaluationError as error:
            messages.add(str(error))
    assert counts == {1, 2}
    assert ["images other than those of a pair" in message for message in messages] == [True]


def table_of(gaps: list[tuple[int, float]], margin: float, untrained: float) -> pl.DataFrame:
    """The table of an encoder with these targets and how much worse each is predicted than from matching sources."""
    rows = [
        {"network": network, "target_cell": f"cell {target}", "r_source": 0.3 + of_network, "r_target": 0.3,
         "r_truth": 0.5, "r_matched": 0.5 + gap, "resembles_source": of_network > 0.2}
        for network, of_network, of_targets in (("encoder", margin, gaps), ("untrained", untrained, [(0, 1.0)]))
        for target, gap in of_targets
    ]  # fmt: skip
    return pl.DataFrame(rows)


def test_the_verdict_is_a_sign_test_over_targets_and_a_margin_above_the_untrained() -> None:
    gaps = [(target, 0.1) for target in range(9)] + [(9, -0.1), (10, 0.0)]
    judged = verdict(table_of(gaps, 0.2, 0.1))
    assert (judged.follows, judged.targets, judged.worse, judged.reasons) == (True, 10, 9, ())
    assert judged.p == pytest.approx(binomtest(9, 10, alternative="greater").pvalue)

    judged = verdict(table_of(gaps, 0.1, 0.1))
    assert not judged.follows
    assert "its margin 0.100 is not above" in judged.reasons[0]

    gaps[0] = (0, -0.1)  # 8 of 10: p = 0.055
    judged = verdict(table_of(gaps, 0.2, 0.1))
    assert not judged.follows
    assert judged.p == pytest.approx(binomtest(8, 10, alternative="greater").pvalue)
    assert "8 of 10 target cells" in judged.reasons[0]


def test_pairs_of_one_target_are_one_vote() -> None:
    gaps = [(0, 0.1)] * 50 + [(1, 0.1), (1, 0.1), (1, -0.3)]
    judged = verdict(table_of(gaps, 0.2, 0.1))
    assert (judged.targets, judged.worse) == (2, 1)
    assert judged.p == pytest.approx(0.75)
    assert verdict(table_of([(0, 0.0)], 0.2, 0.1)).p == 1


def as_table(encoder: pl.DataFrame, untrained: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(
        pairs.with_columns(network=pl.lit(name), target_cell=pl.col("target").cast(pl.String))
        for name, pairs in (("encoder", encoder), ("untrained", untrained))
    )


def test_a_network_that_copies_the_kind_follows_and_one_that_ignores_the_source_does_not() -> None:
    ignores = mismatch(lambda sources, markers: 1 - markers, *cells(), **OPTIONS, each=4)
    copies = mismatch(copies_kind, *cells(), **OPTIONS, each=4)
    assert verdict(as_table(copies, ignores)).follows
    judged = verdict(as_table(ignores, ignores))
    assert (judged.follows, judged.targets, len(judged.reasons)) == (False, 0, 2)


def test_scores_are_those_of_both_networks_and_the_p_of_the_verdict() -> None:
    table = table_of([(target, 0.1) for target in range(5)], 0.25, 0.1)
    assert scores(table) == {
        "margin": pytest.approx(0.25),
        "margin_untrained": pytest.approx(0.1),
        "share_worse_than_matched": 1,
        "share_worse_than_matched_untrained": 1,
        "share_resembling_source": 1,
        "share_resembling_source_untrained": 0,
        "p": pytest.approx(binomtest(5, 5, alternative="greater").pvalue),
    }
    assert scores(table.clear()) == {}


def test_cells_held_out_are_preferred_then_all_then_other_groups() -> None:
    labels, image = many(3, 4, 5)
    groups = {"image": lambda: image, "field": lambda: np.arange(len(labels))}
    out = np.char.endswith(image, "0") | np.char.endswith(image, "1")
    drawn, held_out, group = draw_held_out(labels, out, groups, each=4, seed=2)
    assert (held_out, group) == (True, "image")
    assert out[drawn.cells].all()
    assert (
        drawn.pairs[0].source == draw_pairs(np.where(out, labels, ""), image, each=4, seed=2).pairs[0].source
    )

    for few in (np.char.endswith(image, "0"), np.zeros(len(labels), bool), None):  # one image of each label
        drawn, held_out, group = draw_held_out(labels, few, groups, each=4, seed=2)
        assert (held_out, group) == (False, "image")
        assert {pair.source for pair in drawn.pairs} == {
            p.source for p in draw_pairs(labels, image, each=4, seed=2).pairs
        }

    groups["image"] = lambda: labels
    drawn, held_out, group = draw_held_out(labels, out, groups, each=4, seed=2)
    assert (held_out, group) == (True, "field")
    with pytest.raises(EvaluationError, match="1 label with two images or more, of 1"):
        draw_held_out(np.full(len(labels), "a"), out, {"image": lambda: image}, each=4, seed=2)


def test_the_rows_chosen_have_as_many_labels_as_there_are() -> None:
    terms = [f"term {number}" for number in range(7)]
    pairs = pl.DataFrame([{"source_label": a, "target_label": b} for a in terms for b in terms if a != b])
    for seed in range(5):
        chosen = pairs_of_many_labels(pairs, 6, seed)
        assert chosen.height == chosen["source_label"].n_unique() == chosen["target_label"].n_unique() == 6
        order = [pairs.rows().index(row) for row in chosen.rows()]
        assert order == sorted(order)
    assert not pairs_of_many_labels(pairs, 6, 0).equals(pairs_of_many_labels(pairs, 6, 1))
    assert pairs_of_many_labels(pairs[:2], 6, 0).equals(pairs[:2])
