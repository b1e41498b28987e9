"""One session from selecting to ranking, and the field of a cell."""

from __future__ import annotations

import io
import threading

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pcip_core.browse import session as sessions
from pcip_core.browse.drawing.raster import View
from pcip_core.browse.field import field_picture
from pcip_core.browse.selections import Selections
from pcip_core.crops.shard import cut_field
from pcip_core.errors import EvaluationError, ImageFileError
from pcip_core.images.layout import scan
from pcip_core.store.publish import connect, publish
from tests.core.browse.conftest import HOSTILE, SET, Browsed

CELLS, PROTEINS = f"cells.{SET}.pca", f"proteins.{SET}.pca"
EVERYWHERE = {"type": "rect", "x0": -99, "x1": 99, "y0": -99, "y1": 99}


def test_a_selection_on_a_map_is_sampled_and_counted(original: Browsed, monkeypatch) -> None:
    monkeypatch.setattr(sessions, "SHOWN", 10)
    session = original.session()
    xy = session.map(CELLS).points.xy
    x0 = float(np.median(xy[:, 0]))
    chosen = session.select(CELLS, {**EVERYWHERE, "x0": x0}, "")
    assert sorted(chosen.rows.tolist()) == np.flatnonzero(xy[:, 0] >= np.float32(x0)).tolist()
    pages = [session.shown(session.selections.of(chosen.number), page) for page in range(5)]
    assert [len(page["cells"]) for page in pages] == [10, 10, 10, len(chosen.rows) - 30, 0]
    assert {page["total"] for page in pages} == {len(chosen.rows)}
    assert sorted(cell["row"] for page in pages for cell in page["cells"]) == sorted(chosen.rows.tolist())
    first = pages[0]["cells"][0]
    assert first["values"]["cell_id"] == session.cells.cell_id[first["row"]]


def test_a_filter_keeps_the_cells_that_sql_finds(original: Browsed) -> None:
    session = original.session()
    with connect(original.published) as con:
        query = "FROM tiny.cells c JOIN tiny.images i USING (image_id) WHERE area_px > 145 AND well <> 'A02'"
        wanted = {cell for (cell,) in con.execute(f"SELECT cell_id {query}").fetchall()}
    assert 0 < len(wanted) < 72
    chosen = session.select(CELLS, EVERYWHERE, "area_px > 145 AND well <> 'A02'")
    assert set(session.cells.cell_id.gather(chosen.rows)) == wanted
    hostile = session.everything(f"protein = '{HOSTILE.replace(chr(39), chr(39) * 2)}'")
    assert {session.cells.column("protein")[int(row)] for row in hostile.rows} == {HOSTILE}


def test_proteins_on_their_map_stand_for_their_cells(original: Browsed) -> None:
    session = original.session()
    assert len(session.select(PROTEINS, EVERYWHERE, "").rows) == 72
    shown = session.map(PROTEINS)
    x, y = shown.points.xy[2].tolist()
    near = {"type": "rect", "x0": x - 1e-4, "x1": x + 1e-4, "y0": y - 1e-4, "y1": y + 1e-4}
    rows = session.select(PROTEINS, near, "").rows
    assert len(rows) == 9
    assert set(session.cells.column("protein").gather(rows)) == {shown.proteins[2]}
    assert len(session.colouring(PROTEINS, "column:localization").legend) == 2


def test_similar_and_sorted(original: Browsed) -> None:
    session = original.session()
    everything = session.everything("")
    near = session.similar(7, SET, among=None, condition="")
    assert near.rows[0] == 7
    assert (
        near.rows.tolist()
        == np.argsort(session.vectors(SET).distances(np.array([7])), kind="stable").tolist()
    )
    some = session.selections.add(np.arange(5, 30), "some")
    assert set(session.similar(7, SET, among=some.number, condition="").rows) == set(some.rows)
    ordered = session.sorted_by(everything.number, "area_px", descending=True)
    areas = session.cells.column("area_px").gather(ordered.rows)
    assert areas.to_list() == sorted(areas.to_list(), reverse=True)


def test_label_train_and_rank_until_sql_finds_it(browsed: Browsed) -> None:
    written: list[str] = []
    session = browsed.session("round_1")
    session._changed = written.append
    with pytest.raises(EvaluationError, match="no classifier"):
        session.ranked(None, "")
    is_nuclear = (session.cells.column("localization") == "Nucleoplasm").to_numpy()
    nuclear, others = np.flatnonzero(is_nuclear), np.flatnonzero(~is_nuclear)
    assert session.give(nuclear[:10], "in", SET) == session.give(others[:10], "out", SET) == 10
    session.train(SET)
    assert written == ["labels_round_1"] * 2 + ["predictions_round_1"]
    likely = session.ranked("in", "")
    assert set(likely.rows[: len(nuclear) - 10].tolist()) == set(nuclear[10:].tolist())
    uncertain = session.ranked(None, "")
    assert set(uncertain.rows.tolist()) == {*nuclear[10:].tolist(), *others[10:].tolist()}
    shown = session.shown(session.labelled("in"), 0)["cells"][0]
    assert (shown["label"], shown["predicted"]["label"]) == ("in", "in")
    assert session.undo() == 10
    publish(browsed.store, browsed.published)
    with connect(browsed.published) as con:
        given = "label = 'in' AND labelled_by = 'ada'"
        labelled = con.sql(f"SELECT cell_id FROM tiny.labels_round_1 WHERE {given}").fetchall()
        right = con.sql(
            "SELECT count(*) FROM tiny.predictions_round_1 p JOIN tiny.images i USING (image_id) "
            "WHERE (p.label = 'in') = list_contains(i.localization, 'Nucleoplasm')"
        ).fetchall()
    assert {cell for (cell,) in labelled} == set(session.cells.cell_id.gather(nuclear[:10]))
    assert right == [(72,)]
    provenance = browsed.store.provenance("tiny", "predictions_round_1") or {}
    assert (provenance["n_labels"], provenance["commit"]) == ("20", "c0de")
    session.open_labels("round_2")
    assert (session.label_sets(), session.trained) == (["round_1", "round_2"], None)


def test_every_colour_is_drawn(browsed: Browsed, monkeypatch) -> None:
    session = browsed.session()
    nuclear = (session.cells.column("localization") == "Nucleoplasm").to_numpy()
    monkeypatch.setattr(session, "kept", lambda condition: np.flatnonzero(nuclear | (condition == "")))
    session.give(np.flatnonzero(nuclear)[:9], "in", SET)
    session.give(np.flatnonzero(~nuclear)[:9], "out", SET)
    session.train(SET)
    for key in (CELLS, PROTEINS):
        chosen = session.select(key, EVERYWHERE, "")
        view = View(*session.map(key).limits, 60, 50)
        for colour in ("density", "label", "predicted", "uncertainty", "column:protein", "column:area_px"):
            plain = session.draw(key, view, colour=colour, condition="", selection=None)
            marked = session.draw(key, view, colour=colour, condition="x", selection=chosen.number, page=0)
            assert plain.shape == marked.shape == (50, 60, 4)
            assert plain.any()
            assert not np.array_equal(plain, marked)


@pytest.mark.parametrize(
    "view",
    [
        View(0, 1, 0, 1, 0, 9),
        View(0, 1, 0, 1, 9, 99_999),
        View(1, 1, 0, 1, 9, 9),
        View(0, np.inf, 0, 1, 9, 9),
        View(0, 1, 0, 1, 4000, 4000),
    ],
)
def test_views_that_cannot_be_drawn_are_refused(original: Browsed, view: View) -> None:
    with pytest.raises(EvaluationError, match="view: found"):
        original.session().draw(CELLS, view, colour="density", condition="", selection=None)


def test_requests_for_what_is_not_there_are_refused(original: Browsed) -> None:
    session = original.session()
    for call in (
        lambda: session.map("nonsense"),
        lambda: session.crops(np.array([72])),
        lambda: session.crops(np.array([-1])),
        lambda: session.crops(np.zeros(101, int)),
        lambda: session.rows([0, 99]),
        lambda: session.similar(99, SET, among=None, condition=""),
        lambda: session.labelled("nonsense"),
        lambda: session.colouring(CELLS, "nonsense"),
        lambda: session.colouring(CELLS, "predicted"),
        lambda: Selections().of(1),
    ):
        with pytest.raises(EvaluationError):
            call()


def test_the_outline_of_a_cell_is_that_of_its_segmentation(original: Browsed) -> None:
    cells = original.cells
    row = 40
    made = field_picture(cells, original.screen, row)
    field_id, _, number = cells.cell_id[row].rpartition("_")
    (field,) = [each for each in scan(original.screen).fields if each.field_id == field_id]
    labels = cut_field(original.screen, field).labels
    seen = np.array(Image.open(io.BytesIO(made.png)))
    yellow = (seen == (255, 220, 0)).all(2)
    y, x = np.nonzero(yellow)
    inside = np.nonzero(labels == int(number))
    assert abs(y.mean() - inside[0].mean()) < 1
    assert abs(x.mean() - inside[1].mean()) < 1
    assert abs(np.ptp(y) - np.ptp(inside[0])) <= 2
    assert (made.field_id, made.note) == (field_id, "")
    assert made.centre == pytest.approx((inside[1].mean() / 160, inside[0].mean() / 160))


def test_a_field_whose_files_are_gone_is_an_error(browsed: Browsed, tmp_path) -> None:
    store = browsed.store
    fields = store.read("tiny", "fields", shards=["plate_1"])
    gone = fields.with_columns(files=pl.lit(["gone_1.tif", "gone_2.tif"], pl.List(pl.String)))
    store.commit("tiny", {"fields": gone}, shard="plate_1")
    with pytest.raises(ImageFileError, match="gone_1"):
        field_picture(browsed.cells, browsed.screen, 0)


def test_labels_that_another_page_has_opened_are_not_mixed_up(browsed: Browsed) -> None:
    session = browsed.session()
    session.open_labels("other")
    with (
        pytest.raises(EvaluationError, match="the labels other, which another page has opened"),
        session.of_labels("manual"),
    ):
        session.give(np.array([0]), "a", SET)
    with session.of_labels("other"):
        assert session.give(np.array([0]), "a", SET) == 1
    assert [name for name in browsed.store.tables("tiny") if name.startswith("labels_")] == ["labels_other"]


def test_a_filter_by_labels_follows_the_published_file(browsed: Browsed) -> None:
    session = browsed.session()
    condition = "cell_id IN (SELECT cell_id FROM labels_manual)"
    for rows in ([3], [3, 7]):
        session.give(np.array(rows), "a", SET)
        publish(browsed.store, browsed.published)
        assert session.kept(condition).tolist() == rows


def test_labelling_goes_on_while_a_filter_is_evaluated(browsed: Browsed, monkeypatch) -> None:
    session, begun, done = browsed.session(), threading.Event(), threading.Event()

    def slow(*_: object) -> pl.Series:
        begun.set()
        assert done.wait(60)
        return session.cells.cell_id.head(2)

    monkeypatch.setattr("pcip_core.browse.filters.cell_ids_where", slow)
    found: list[list[int]] = []
    filtering = threading.Thread(target=lambda: found.append(session.kept("slow").tolist()))
    filtering.start()
    assert begun.wait(60)
    assert session.give(np.array([0]), "a", SET) == 1
    done.set()
    filtering.join()
    assert found == [[0, 1]]


def test_labels_of_cells_of_a_new_plate_are_kept(browsed: Browsed) -> None:
    """A page was opened before the plate was added; another one, opened later, labels cells of both."""
    store = browsed.store
    table, crops = store.read_with_array("tiny", "cells", "crops", "plate_2")
    images = store.read("tiny", "images", shards=["plate_2"])
    before = browsed.session()
    new = pl.col("cell_id", "image_id").str.replace("plate_2", "plate_3")
    named = pl.col("image_id").str.replace("plate_2", "plate_3")
    store.commit("tiny", {"images": images.with_columns(named)}, shard="plate_3")
    cells = table.with_columns(new, shard=pl.lit("plate_3"))
    store.commit("tiny", {"cells": cells}, shard="plate_3", arrays={"crops": np.array(crops)})
    after = browsed.session()
    assert (len(before.cells), len(after.cells)) == (72, 108)
    after.give(np.array([5, 100]), "a", SET)
    assert before.give(np.array([6]), "b", SET) == 1
    ids = after.cells.cell_id
    assert dict(store.read("tiny", "labels_manual").select("cell_id", "label").rows()) == {
        ids[5]: "a",
        ids[100]: "a",
        ids[6]: "b",
    }
    before.remove(np.array([5, 6]))
    assert store.read("tiny", "labels_manual")["cell_id"].to_list() == [ids[100]]
