"""Which cells are scored, against a plain loop over the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import (
    LabelledCells,
    agreed_labels,
    labelled_cells,
    labelled_images,
    texts_of,
)
from pcip_core.evaluation.scores import usable_knn_scores
from pcip_core.evaluation.usable import usable
from tests.core.evaluation.labelled_screen import labelled_screen

LABELS_OF = {"i0": ["a"], "i1": [], "i2": ["a", "b"], "i3": ["b"], "i4": ["a"], "no cell": ["z"]}


def cells(n: int = 400) -> pl.DataFrame:
    """Cells of six images, one of which is not known; few enough pixels that many are the same."""
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "cell_id": [f"c{number}" for number in range(n)],
            "image_id": [f"i{number}" for number in rng.integers(0, 6, n)],
            "field": [str(number) for number in rng.integers(0, 12, n)],
            "pixel_hash": [f"h{number}" for number in rng.integers(0, 300, n)],
        },
        schema=dict.fromkeys(("cell_id", "image_id", "field", "pixel_hash"), pl.String),
    )


def in_a_loop(table: pl.DataFrame) -> tuple[list[dict[str, Any]], dict[str, int]]:
    kept, seen = [], set()
    left_out = {"cells_without_label": 0, "cells_with_several_labels": 0, "cells_seen_before": 0}
    for cell in table.to_dicts():
        labels = LABELS_OF.get(cell["image_id"], [])
        if not labels:
            left_out["cells_without_label"] += 1
        elif len(labels) > 1:
            left_out["cells_with_several_labels"] += 1
        elif cell["pixel_hash"] in seen:
            left_out["cells_seen_before"] += 1
        else:
            seen.add(cell["pixel_hash"])
            kept.append({**cell, "label": labels[0]})
    return kept, left_out


def test_cells_with_one_label_are_kept_once() -> None:
    kept = labelled_cells(cells(), LABELS_OF)
    expected, left_out = in_a_loop(cells())
    assert kept.cell_ids.to_list() == [cell["cell_id"] for cell in expected]
    for name, values in (("label", kept.labels), ("image_id", kept.image_ids), ("field", kept.fields)):
        assert values.tolist() == [cell[name] for cell in expected]
        assert values.dtype.kind == "U"
    assert kept.left_out == left_out
    assert min(left_out.values()) > 10


def test_no_cells_and_no_labels() -> None:
    for kept in (labelled_cells(cells(0), LABELS_OF), labelled_cells(cells(), {})):
        assert len(kept.cell_ids) == len(kept.labels) == len(kept.image_ids) == len(kept.fields) == 0
        assert kept.labels.dtype.kind == "U"
        assert len(np.asarray(kept.groups("leave_field_out"))) == 0


def test_groups_of_the_protocols() -> None:
    kept = labelled_cells(cells(), LABELS_OF)
    assert kept.groups("leave_cell_out") is None
    assert np.array_equal(np.asarray(kept.groups("leave_image_out")), kept.image_ids)
    # Same groups, in the same order, as the pairs of texts have.
    pairs = list(zip(kept.image_ids.tolist(), kept.fields.tolist(), strict=True))
    expected = [sorted(set(pairs)).index(pair) for pair in pairs]
    found = np.unique(np.asarray(kept.groups("leave_field_out")), return_inverse=True)[1]
    assert found.tolist() == expected
    with pytest.raises(EvaluationError, match="leave_plate_out"):
        kept.groups("leave_plate_out")


def test_cells_of_other_images_are_counted() -> None:
    kept = labelled_cells(cells(), LABELS_OF)
    some = kept.of_images(["i3", "i4", "new"], "newer")
    chosen = [at for at, image in enumerate(kept.image_ids) if image in ("i3", "i4")]
    assert some.cell_ids.to_list() == [kept.cell_ids[at] for at in chosen]
    assert some.labels.tolist() == [kept.labels[at] for at in chosen]
    assert some.fields.tolist() == [kept.fields[at] for at in chosen]
    assert some.left_out == {**kept.left_out, "newer": len(kept.labels) - len(chosen)}


def test_of_too_many_cells_each_label_keeps_equally_many_or_all() -> None:
    label = np.random.default_rng(0).permutation(np.repeat(list("abcd"), [5, 40, 300, 700]))
    table = pl.DataFrame(
        {
            "cell_id": [f"c{number}" for number in range(len(label))],
            "image_id": [f"i{number:04}" for number in range(len(label))],
            "field": "1",
            "pixel_hash": range(len(label)),
        }
    )
    labels_of = {image: [str(name)] for image, name in zip(table["image_id"], label, strict=True)}
    drawn = labelled_cells(table.with_columns(pl.col("image_id").cast(pl.Categorical)), labels_of, most=245)
    counts = dict(zip(*np.unique(drawn.labels, return_counts=True), strict=True))
    assert counts == {"a": 5, "b": 40, "c": 100, "d": 100}
    assert drawn.left_out["cells_not_drawn"] == 800
    place = [int(name[1:]) for name in drawn.cell_ids]
    assert place == sorted(place)
    assert drawn.labels.tolist() == label[place].tolist()
    assert drawn.image_ids.tolist() == [f"i{number:04}" for number in place]
    gaps = np.diff(np.flatnonzero(np.isin(np.flatnonzero(label == "d"), place)))
    assert set(gaps.tolist()) <= {7, 8}  # evenly, from the first to the last of 700
    assert "cells_not_drawn" not in labelled_cells(table, labels_of, most=1045).left_out


def test_the_label_of_a_protein_is_what_all_its_images_have() -> None:
    terms = {"p0": [["a"], ["a"]], "p1": [["a"], ["b"]], "p2": [[]], "p3": [["a", "b"]], "p4": [["b"], []]}
    rows = [(protein, row) for protein, lists in terms.items() for row in lists]
    images = pl.DataFrame(
        {"protein": [name for name, _ in rows], "localization": [row for _, row in rows]},
        schema={"protein": pl.String, "localization": pl.List(pl.String)},
    )
    expected = {
        protein: lists[0][0] if all(len(row) == 1 and row == lists[0] for row in lists) else None
        for protein, lists in terms.items()
    }
    assert dict(agreed_labels(images).iter_rows()) == expected
    assert expected["p0"] == "a"


def test_texts_of_a_column() -> None:
    values = ["b", "a", "", "b"]
    assert texts_of(pl.Series(values)).tolist() == values


def test_images_are_in_the_order_of_their_ids() -> None:
    _, cells, table = labelled_screen()
    images = labelled_images(cells, table)
    names = sorted(set(cells.image_ids.tolist()))
    row_of = {row["image_id"]: row for row in table.to_dicts()}
    assert [names[at] for at in images.of_cell] == cells.image_ids.tolist()
    assert images.proteins.tolist() == [row_of[name]["protein"] for name in names]
    assert images.lines.tolist() == [row_of[name]["cell_line"] for name in names]
    assert images.terms[images.of_cell].tolist() == cells.labels.tolist()


@pytest.mark.parametrize(
    ("labels", "lacking"),
    [
        ("aabb", {"leave_image_out"}),  # two fields of each image, a label in one image
        ("abab", set()),
        ("abcd", {"leave_image_out", "leave_field_out", "leave_cell_out"}),
    ],
)
def test_protocols_without_a_comparison_are_those_that_cannot_be_scored(
    labels: str, lacking: set[str]
) -> None:
    classes, features = np.array(list(labels)), np.arange(4.0)[:, None]
    kept = LabelledCells(pl.Series(list("1234")), classes, np.array(list("iijj")), np.array(list("1212")))
    for protocol in ("leave_image_out", "leave_field_out", "leave_cell_out"):
        reason = kept.nothing_to_compare(protocol)
        assert (reason is not None) == (protocol in lacking)
        if reason is None:
            usable(features, classes, feature_set="x", groups=kept.groups(protocol))
            continue
        with pytest.raises(EvaluationError):
            usable(features, classes, feature_set="x", groups=kept.groups(protocol))
        assert f"so that {protocol} has nothing to compare with" in reason
        helps = "leave_field_out" not in lacking and protocol == "leave_image_out"
        assert ("protocols: [leave_field_out]" in reason) == helps


@pytest.mark.parametrize(
    ("labels", "single"),
    [
        ("aaaa", {"leave_image_out": "images", "leave_field_out": "fields", "leave_cell_out": "cells"}),
        ("abaa", {"leave_image_out": "images", "leave_field_out": "fields", "leave_cell_out": "cells"}),
        ("aabb", {"leave_image_out": None}),
        ("abab", {}),
    ],
)
def test_a_single_label_to_compare_is_no_score(labels: str, single: dict[str, str | None]) -> None:
    """Random features of the cells that `usable` leaves have a balanced accuracy of 1 exactly there."""
    classes = np.array(list(labels) * 20)
    images, fields = np.array(list("iijj") * 20), np.array(list("1212") * 20)
    if labels == "abaa":  # a label of one cell
        classes[classes == "b"] = ["b", *"a" * 19]
    left_out = {"cells_with_several_labels": 3}
    kept = LabelledCells(pl.Series([str(n) for n in range(80)]), classes, images, fields, left_out)
    features = np.random.default_rng(0).normal(size=(80, 4))
    for protocol in ("leave_image_out", "leave_field_out", "leave_cell_out"):
        reason = kept.nothing_to_compare(protocol)
        assert (reason is not None) == (protocol in single)
        if reason is None or single[protocol] is not None:
            groups = kept.groups(protocol)
            scored = usable_knn_scores(features, classes, feature_set="x", groups=groups, ks=[5])
            values = [row["value"] for row in scored.rows if row["metric"] == "balanced_accuracy"]
            assert (values == [1.0]) == (reason is not None)
        if reason is not None and single[protocol] is not None:
            assert f"only the label a occurs in two {single[protocol]} or more" in reason
            assert reason.endswith("(3 cells with several labels not among them)")
