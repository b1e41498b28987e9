"""What one `pcip browse` holds: the cells of a screen, their maps, selections, labels and the last classifier.

Its methods take and return plain values, as the page sends and shows them. They may be called from several threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pcip_core.browse.cells import BrowsedCells
from pcip_core.browse.classifier import PREFIX, Trained, predictions_table, ranked, train, warm_up
from pcip_core.browse.drawing.colouring import colouring_of_cells, colouring_of_proteins
from pcip_core.browse.drawing.colours import Colouring
from pcip_core.browse.drawing.raster import Layer, View, picture, require_view
from pcip_core.browse.filters import Filters
from pcip_core.browse.labels import Labels, Version, label_sets
from pcip_core.browse.maps import Map, MapName, cell_map, cells_of, map_names, points_of, protein_map
from pcip_core.browse.progress import Progress
from pcip_core.browse.selections import Selection, Selections, unusable
from pcip_core.browse.vectors import CellVectors, remove_old, require_set, versions_of
from pcip_core.errors import EvaluationError
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store

if TYPE_CHECKING:
    from pcip_core.browse.field import FieldPicture

SHOWN = 100  # cells of a gallery, at most
_SELECTED, _MARK, _LEFT_OUT = (255, 120, 0), (20, 20, 20), (222, 222, 222)


class Session:
    """The state of one `pcip browse`.

    Args:
        store: the store.
        screen: the spec.
        published: the published file, for filters.
        cache: folder for maps that are computed here.
        user, code: who labels, and the version of pcip.
        labels: name of the labels to begin with.
        changed: called with the name of a table after it was written.

    Raises:
        PcipError: the screen has no cells or no feature sets, or the name of the labels is not valid.
    """

    def __init__(
        self,
        store: Store,
        screen: Screen,
        *,
        published: Path,
        cache: Path,
        user: str,
        code: str,
        labels: str,
        changed: Callable[[str], None] = lambda table: None,
    ) -> None:
        self.screen, self._store, self._cache = screen, store, cache
        self._user, self._code, self._changed = user, code, changed
        self._lock = threading.RLock()
        self.cells = BrowsedCells(store, screen.name)
        self.names = {name.key: name for name in map_names(store, screen.name, screen.feature_set)}
        if not self.names:
            raise EvaluationError(
                screen.name,
                found="no feature set",
                required="features of its cells",
                remedy=f"Run `pcip run {screen.name}`.",
            )
        self.progress = Progress()
        remove_old(cache, self.cells.feature_sets())
        self.labels = Labels(self.cells, labels)
        self.trained: Trained | None = None
        self._maps: dict[str, Map] = {}
        self._vectors: OrderedDict[str, CellVectors] = OrderedDict()
        self._versions: dict[str, str] = {}
        self._filters = Filters(self.cells, published)
        self._warming = threading.Event()
        self.selections = Selections()
        self._colouring: tuple[tuple[object, ...], Colouring] | None = None

    # -- maps ----------------------------------------------------------------------------------------

    def map(self, key: str) -> Map:
        """A map, computed when it is shown first."""
        with self._lock:
            if key not in self._maps:
                name = self._name(key)
                if name.kind == "cells":
                    made = cell_map(self.cells, name, partial(self.vectors, name.feature_set), self._cache)
                else:
                    made = protein_map(self._store, self.screen.name, name)
                self._maps[key] = made
            return self._maps[key]

    def draw(
        self,
        key: str,
        view: View,
        *,
        colour: str,
        condition: str,
        selection: int | None,
        page: int | None = None,
    ) -> np.ndarray:
        """A picture of a part of a map: (height, width, 4) uint8.

        Args:
            key: of the map.
            view: the part.
            colour: what colours the points, see `colouring`.
            condition: cells that do not meet it are grey; "" for none.
            selection: number of the selection to mark; None for none.
            page: mark the cells of this page of the gallery only; None for all.
        """
        require_view(view)
        shown = self.map(key)
        kept = points_of(shown, self.cells, self.kept(condition))
        layers = []
        if condition:
            others = _without(shown.points.placed, kept, len(shown.points))
            layers.append(Layer(others, np.array(_LEFT_OUT, np.uint8)))
        colours = self._coloured(shown, colour)
        layers += colours.layers(kept)
        if selection is not None:
            rows = self.selections.of(selection).rows
            marked = points_of(shown, self.cells, rows if page is None else _page(rows, page))
            layers += [Layer(marked, np.array(_MARK, np.uint8), larger=2), *colours.layers(marked)]
            if colours.is_plain:
                layers[-1] = Layer(marked, np.array(_SELECTED, np.uint8))
        return picture(shown.points.xy, view, layers)

    def colouring(self, key: str, colour: str) -> Colouring:
        """The colours of the points of a map, with their legend."""
        return self._coloured(self.map(key), colour)

    # -- which cells ---------------------------------------------------------------------------------

    def kept(self, condition: str) -> np.ndarray:
        """The rows of the cells that meet a condition in SQL, in increasing order; all without one."""
        return self._filters.rows(condition)

    def select(self, key: str, geometry: Mapping[str, Any], condition: str) -> Selection:
        """The cells within a polygon or a box on a map; on a map of proteins, all cells of these proteins.

        They are shown in an order that is drawn at random, the same each time.

        Args:
            key: of the map.
            geometry: `{"type": "poly", "x": [...], "y": [...]}` or `{"type": "rect", "x0", "x1", "y0", "y1"}`.
            condition: only cells that meet it.
        """
        shown = self.map(key)
        if geometry.get("type") == "poly":
            corners = np.stack([np.asarray(geometry[axis], np.float64) for axis in ("x", "y")], axis=1)
            inside = shown.points.in_polygon(corners)
        else:
            x0, x1, y0, y1 = (float(geometry[limit]) for limit in ("x0", "x1", "y0", "y1"))
            inside = shown.points.in_box((x0, x1), (y0, y1))
        rows = inside if shown.proteins is None else cells_of(shown, self.cells, inside)
        if condition.strip():
            rows = np.intersect1d(rows, self.kept(condition), assume_unique=True)
        order = np.random.default_rng(len(rows)).permutation(len(rows))
        return self.selections.add(rows[order], "selected on the map")

    def everything(self, condition: str) -> Selection:
        """All cells that meet a condition, in an order drawn at random."""
        rows = self.kept(condition)
        order = np.random.default_rng(len(rows)).permutation(len(rows))
        return self.selections.add(rows[order], "filtered" if condition.strip() else "all cells")

    def similar(self, row: int, feature_set: str, *, among: int | None, condition: str) -> Selection:
        """Cells by their distance to one cell, itself first: those of a selection, or all that meet a condition."""
        self._require(row)
        rows = self.kept(condition) if among is None else self.selections.of(among).rows
        distance = self.vectors(feature_set).distances(np.array([row]))[rows]
        known = np.isfinite(distance)
        order = np.argsort(distance[known], kind="stable")
        return self.selections.add(rows[known][order], f"by similarity to {self.cells.cell_id[row]}")

    def sorted_by(self, selection: int, column: str, *, descending: bool) -> Selection:
        """A selection in the order of a column; cells without a value come last."""
        rows = self.selections.of(selection).rows
        values = self.cells.column(column).gather(rows)
        order = values.arg_sort(descending=descending, nulls_last=True).to_numpy().astype(np.int64)
        return self.selections.add(rows[order], f"by {column}")

    def ranked(self, label: str | None, condition: str) -> Selection:
        """The unlabelled cells that meet a condition, the most uncertain or the most probable of a label first."""
        if self.trained is None:
            raise unusable("ranking", "no classifier", "a trained classifier", "Train one first.")
        rows = self.kept(condition)
        rows = rows[self.labels.code[rows] < 0]
        title = (
            "unlabelled, most uncertain first"
            if label is None
            else f"unlabelled, most probable {label} first"
        )
        return self.selections.add(ranked(self.trained, rows, label=label), title)

    def labelled(self, label: str) -> Selection:
        """The cells with a label."""
        if label not in self.labels.names:
            raise unusable("label", repr(label), "a label that was given")
        return self.selections.add(
            np.flatnonzero(self.labels.code == self.labels.names.index(label)), f"labelled {label}"
        )

    def shown(self, selection: Selection, page: int) -> dict[str, Any]:
        """One page of a gallery: how many cells there are, and what is known of those shown.

        Args:
            selection: the cells.
            page: number of the page, from 0.
        """
        rows = _page(selection.rows, page)
        table = self.cells.described(rows).to_dicts()
        labels = self.labels.of(rows)
        predicted = self._predicted(rows)
        return {
            "selection": selection.number,
            "title": selection.title,
            "total": len(selection.rows),
            "page": page,
            "cells": [
                {"row": row, "label": label, "predicted": guess, "values": values}
                for row, label, guess, values in zip(rows.tolist(), labels, predicted, table, strict=True)
            ],
        }

    def crops(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `BrowsedCells.crops`, of at most one page of cells."""
        if len(rows) > SHOWN:
            raise unusable("crops", f"{len(rows)} cells", f"at most {SHOWN}")
        for row in rows.tolist():
            self._require(row)
        with self._lock:
            return self.cells.crops(rows)

    def field(self, row: int) -> FieldPicture:
        """The field of a cell."""
        from pcip_core.browse.field import field_picture  # imports segmentation, which takes a second

        self._require(row)
        return field_picture(self.cells, self.screen, row)

    # -- labels --------------------------------------------------------------------------------------

    def open_labels(self, name: str) -> None:
        """Continue with the labels of another name, which need not exist yet."""
        with self._lock:
            self.labels, self.trained = Labels(self.cells, name), None

    @contextmanager
    def of_labels(self, name: str | None) -> Iterator[None]:
        """Nobody else changes or exchanges the labels within the block; they are those of the name, if one is given.

        Raises:
            EvaluationError: another page has opened other labels.
        """
        with self._lock:
            if name is not None and name != self.labels.name:
                raise unusable(
                    f"labels {name}",
                    f"the labels {self.labels.name}, which another page has opened",
                    f"the labels {name}, which this page shows",
                    "Load the page again, and choose the labels.",
                )
            yield

    def label_sets(self) -> list[str]:
        """Names of the labels of the screen."""
        return sorted({*label_sets(self.cells), self.labels.name})

    def give(self, rows: np.ndarray, label: str, feature_set: str) -> int:
        """Label cells; return how many labels have changed."""
        if not self._warming.is_set():  # who labels will train
            self._warming.set()
            threading.Thread(target=warm_up, daemon=True).start()
        with self._lock:
            version = Version(self._user, self._code, feature_set, self._versions_of(feature_set))
            return self._after(self.labels.give(rows, label, version))

    def remove(self, rows: np.ndarray) -> int:
        """Remove the labels of cells; return how many there were."""
        with self._lock:
            return self._after(self.labels.remove(rows, self._code))

    def undo(self) -> int:
        """Undo the last change of labels; return how many cells it had changed."""
        with self._lock:
            return self._after(self.labels.undo(self._code))

    def rows(self, numbers: list[int]) -> np.ndarray:
        """Rows that the page names, checked."""
        for row in numbers:
            self._require(row)
        return np.array(numbers, np.int64)

    def train(self, feature_set: str) -> Trained:
        """Train the classifier on the labels, and write what it says of all cells as `predictions_<name>`."""
        with self._lock:
            self.labels.refresh()
            self.trained = train(self.cells, self.vectors(feature_set), self.labels)
            table = PREFIX + self.labels.name
            rows = predictions_table(self.cells, self.trained, self._code)
            made = {
                **self.labels.made(self._code, table),
                "labels": self.labels.commit,
                "n_labels": str(self.trained.n_labels),
                "accuracy": str(self.trained.accuracy),
                "accuracy_by": self.trained.note,
            }
            self._store.commit(self.screen.name, {table: rows}, provenance=made)
        self._changed(table)
        return self.trained

    def vectors(self, feature_set: str) -> CellVectors:
        """The vectors of a feature set; those of the last two are kept."""
        with self._lock:
            if feature_set not in self._vectors:
                self._vectors[feature_set] = CellVectors(self.cells, feature_set, self._cache, self.progress)
            self._vectors.move_to_end(feature_set)
            while len(self._vectors) > 2:
                self._vectors.popitem(last=False)
            return self._vectors[feature_set]

    # -- inside --------------------------------------------------------------------------------------

    def _name(self, key: str) -> MapName:
        if key not in self.names:
            raise unusable("map", repr(key), f"one of {', '.join(self.names)}", "Choose one of these.")
        return self.names[key]

    def _coloured(self, shown: Map, colour: str) -> Colouring:
        state = (shown.proteins is None, id(shown.points), colour, self.labels.commit, id(self.trained))
        with self._lock:
            if self._colouring is None or self._colouring[0] != state:
                if shown.proteins is None:
                    made = colouring_of_cells(self.cells, self.labels, self.trained, colour)
                else:
                    made = colouring_of_proteins(self.cells, shown.proteins, colour)
                self._colouring = state, made
            return self._colouring[1]

    def _predicted(self, rows: np.ndarray) -> list[dict[str, Any] | None]:
        """The most probable label of each cell with its probability; None without a classifier or a vector."""
        if self.trained is None:
            return [None] * len(rows)
        probabilities = self.trained.probabilities[rows]
        return [
            {"label": self.trained.names[int(each.argmax())], "probability": float(each.max())}
            if np.isfinite(each).all()
            else None
            for each in probabilities
        ]

    def _require(self, row: int) -> None:
        if not 0 <= row < len(self.cells):
            raise unusable("cell", f"row {row}", f"0 to {len(self.cells) - 1}")

    def _versions_of(self, feature_set: str) -> str:
        """The model versions of a feature set, without reading its vectors."""
        if feature_set in self._vectors:
            return self._vectors[feature_set].versions
        if feature_set not in self._versions:
            require_set(self.cells, feature_set)
            self._versions[feature_set] = versions_of(self.cells, feature_set)
        return self._versions[feature_set]

    def _after(self, n: int) -> int:
        if n:
            self._changed(self.labels.name_of_table)
        return n


def _page(rows: np.ndarray, page: int) -> np.ndarray:
    return rows[max(page, 0) * SHOWN :][:SHOWN]


def _without(points: np.ndarray, others: np.ndarray, n: int) -> np.ndarray:
    """Points that are not among others, of n in all."""
    left = np.ones(n, bool)
    left[others] = False
    return points[left[points]]
