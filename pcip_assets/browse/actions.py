"""What the page of `pcip browse` can ask for: each action takes JSON values and returns a plain result or bytes."""

import getpass
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, validate_call

from pcip_assets.browse.publishing import Publisher
from pcip_core.browse.drawing.colours import hex_of
from pcip_core.browse.drawing.raster import View
from pcip_core.browse.session import Session
from pcip_core.plots.cells.montage import composite

_CHECKED = ConfigDict(arbitrary_types_allowed=True)
Result = dict[str, Any] | bytes


class Region(BaseModel):
    """A polygon or a box on a map, as Bokeh describes what a user draws."""

    type: str
    x: list[float] = []
    y: list[float] = []
    x0: float = 0
    x1: float = 0
    y0: float = 0
    y1: float = 0


class Actions:
    """The actions of one session, by name.

    Args:
        session: what is shown.
        publisher: what has become of the tables that were written.
    """

    def __init__(self, session: Session, publisher: Publisher) -> None:
        self._session, self._publisher = session, publisher
        self._known: dict[str, Callable[..., Result]] = {
            name: validate_call(config=_CHECKED)(getattr(self, name)) for name in ACTIONS
        }

    def call(self, name: str, values: dict[str, Any]) -> Result:
        """Carry out an action.

        Raises:
            KeyError: there is no such action.
            pydantic.ValidationError: a value has the wrong type, is missing or is unknown.
            PcipError: it cannot be done.
        """
        return self._known[name](**values)

    # -- what is there -------------------------------------------------------------------------------

    def state(self) -> Result:
        """Everything that the page shows around a map and a gallery."""
        session, screen = self._session, self._session.screen
        one_hot = np.eye(len(screen.crop_channels), dtype=np.float32)[:, :, None, None]
        colours = composite(one_hot, screen.crop_channels, screen.protein)[:, 0, 0]
        return {
            "title": screen.title,
            "n_cells": len(session.cells),
            "user": getpass.getuser(),
            "channels": [
                {"name": name, "colour": colour.tolist()}
                for name, colour in zip(screen.crop_channels, colours, strict=True)
            ],
            "size_px": screen.crops.size_px,
            "maps": [
                {"key": key, "kind": name.kind, "set": name.feature_set, "title": name.title}
                for key, name in session.names.items()
            ],
            "feature_set": next(iter(session.names.values())).feature_set,
            "sets": session.cells.feature_sets(),
            "columns": [
                {"name": name, "number": kind.is_numeric()} for name, kind in session.cells.columns.items()
            ],
            **self._labels(),
        }

    def limits(self, *, map: str) -> Result:
        """The limits of a map."""
        shown = self._session.map(map)
        return {"limits": shown.limits, "points": len(shown.points.placed)}

    def legend(self, *, map: str, colour: str) -> Result:
        """The legend of a map."""
        return {"legend": list(self._session.colouring(map, colour).legend)}

    def values(self, *, column: str) -> Result:
        """The most frequent values of a column, to choose from."""
        return {"values": self._session.cells.frequent(column)}

    def picture(
        self,
        *,
        map: str,
        limits: tuple[float, float, float, float],
        width: int,
        height: int,
        colour: str = "density",
        condition: str = "",
        selection: int | None = None,
        page: int | None = None,
    ) -> Result:
        """A picture of a part of a map: height x width x 4 bytes, the lowest row first as Bokeh draws it."""
        view = View(*limits, width, height)
        drawn = self._session.draw(
            map, view, colour=colour, condition=condition, selection=selection, page=page
        )
        return np.ascontiguousarray(drawn[::-1]).tobytes()

    # -- which cells ---------------------------------------------------------------------------------

    def filter(self, *, condition: str) -> Result:
        """All cells that meet a condition."""
        return self._session.shown(self._session.everything(condition), 0)

    def select(self, *, map: str, region: Region, condition: str = "") -> Result:
        """The cells in a region of a map."""
        chosen = self._session.select(map, region.model_dump(), condition)
        return self._session.shown(chosen, 0)

    def similar(self, *, row: int, feature_set: str, among: int | None = None, condition: str = "") -> Result:
        """Cells by their distance to one."""
        chosen = self._session.similar(row, feature_set, among=among, condition=condition)
        return self._session.shown(chosen, 0)

    def sort(self, *, selection: int, column: str, descending: bool = False) -> Result:
        """A selection in the order of a column."""
        return self._session.shown(self._session.sorted_by(selection, column, descending=descending), 0)

    def rank(self, *, label: str | None = None, condition: str = "") -> Result:
        """Unlabelled cells, the most uncertain or the most probable of a label first."""
        return self._session.shown(self._session.ranked(label, condition), 0)

    def labelled(self, *, label: str) -> Result:
        """The cells with a label."""
        return self._session.shown(self._session.labelled(label), 0)

    def page(self, *, selection: int, page: int) -> Result:
        """Another page of a gallery, or the same with its present labels."""
        return self._session.shown(self._session.selections.of(selection), page)

    def crops(self, *, rows: list[int]) -> Result:
        """Crops: for each cell the least and greatest grey level of its C channels as float32, then all pixels."""
        pixels, low, high = self._session.crops(np.array(rows, np.int64))
        return low.astype("<f4").tobytes() + high.astype("<f4").tobytes() + pixels.tobytes()

    def field(self, *, row: int) -> Result:
        """The field of a cell, as a PNG file in base64."""
        import base64

        made = self._session.field(row)
        png = base64.b64encode(made.png).decode()
        return {"field": made.field_id, "centre": made.centre, "note": made.note, "png": png}

    # -- labels --------------------------------------------------------------------------------------

    def label(
        self,
        *,
        label: str,
        feature_set: str,
        rows: list[int] | None = None,
        selection: int | None = None,
        labels: str | None = None,
    ) -> Result:
        """Label cells, or all cells of a selection. `labels` is the name of the labels that the page shows."""
        session = self._session
        chosen = session.rows(rows or []) if selection is None else session.selections.of(selection).rows
        with session.of_labels(labels):
            return {"changed": session.give(chosen, label, feature_set), **self._labels()}

    def unlabel(self, *, rows: list[int], labels: str | None = None) -> Result:
        """Remove the labels of cells."""
        with self._session.of_labels(labels):
            return {"changed": self._session.remove(self._session.rows(rows)), **self._labels()}

    def undo(self, *, labels: str | None = None) -> Result:
        """Undo the last change of labels."""
        with self._session.of_labels(labels):
            return {"changed": self._session.undo(), **self._labels()}

    def open_labels(self, *, name: str) -> Result:
        """Continue with the labels of another name."""
        self._session.open_labels(name)
        return self._labels()

    def train(self, *, feature_set: str, labels: str | None = None) -> Result:
        """Train the classifier on the labels."""
        with self._session.of_labels(labels):
            self._session.train(feature_set)
            return self._labels()

    def progress(self) -> Result:
        """What a request that takes long is doing."""
        return dict(self._session.progress.state())

    def saved(self) -> Result:
        """Whether all changes are in the published file."""
        return {"publication": self._publisher.state()}

    def _labels(self) -> dict[str, Any]:
        session, labels, trained = self._session, self._session.labels, self._session.trained
        counts = labels.counts()
        return {
            "labels": labels.name,
            "label_sets": session.label_sets(),
            "classes": [
                {"name": name, "count": count, "colour": hex_of(number)}
                for number, (name, count) in enumerate(counts.items())
            ],
            "lost": labels.lost,
            "publication": self._publisher.state(),
            "trained": trained
            and {
                "names": trained.names,
                "n_labels": trained.n_labels,
                "accuracy": trained.accuracy,
                "note": trained.note,
                "feature_set": trained.feature_set,
            },
        }


ACTIONS = (
    *("state", "limits", "legend", "values", "picture", "filter", "select", "similar", "sort", "rank"),
    *(
        "labelled",
        "page",
        "crops",
        "field",
        "label",
        "unlabel",
        "undo",
        "open_labels",
        "train",
        "progress",
        "saved",
    ),
)
"""The names of all actions."""
