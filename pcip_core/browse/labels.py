"""Labels that users give to cells: the table `labels_<name>` of a screen, and the undoing of changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from pcip_core.browse.cells import BrowsedCells, places
from pcip_core.errors import StoreError
from pcip_core.files import composed
from pcip_core.store import schemas
from pcip_core.store.paths import NAME

PREFIX = "labels_"
_LONGEST_NAME, _LONGEST_LABEL = 40, 60  # characters
_UNDONE = 100  # changes that can be undone
_MOST_LABELS = 100  # of one name: each is a button, and a column of probabilities
_NONE = -1


@dataclass(frozen=True)
class Version:
    """What a label was given with.

    Attributes:
        user: who gives it.
        code: version of pcip.
        feature_set: the feature set that the user looks at.
        encoder_version: the model versions of its vectors.
    """

    user: str
    code: str
    feature_set: str
    encoder_version: str


class _Change(NamedTuple):
    """A change of the table of labels: the rows of the cells, their table rows before and after, and the new table."""

    rows: np.ndarray
    before: pl.DataFrame
    given: pl.DataFrame
    table: pl.DataFrame


class Labels:
    """The labels of one name. Each change is committed at once; changes of other processes are kept.

    Args:
        cells: the cells of the screen.
        name: lower-case letters, digits and _, a letter first.

    Attributes:
        name_of_table: its name in the store.
        lost: number of stored labels whose cell is gone, or has other pixels now. They stay in the table.

    Raises:
        StoreError: the name is not valid.
    """

    def __init__(self, cells: BrowsedCells, name: str) -> None:
        if not NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            raise StoreError(
                f"labels {name[:_LONGEST_NAME]!r}",
                found="an invalid name",
                required=f"lower-case letters, digits and _, a letter first, at most {_LONGEST_NAME} characters",
                remedy="Choose another name.",
            )
        self.name, self.name_of_table, self._cells = name, PREFIX + name, cells
        self._undo: list[
            tuple[np.ndarray, pl.DataFrame, pl.DataFrame]
        ] = []  # rows of cells; table rows before, after
        self._commit: str | None = None
        self._table, self._names = schemas.LABELS.empty(), list[str]()
        self._code = np.full(len(cells), _NONE, np.int16)
        self.lost = 0
        self.refresh()

    # -- what is there -------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the table again if another process has changed it."""
        store, screen = self._cells.store, self._cells.screen
        provenance = store.provenance(screen, self.name_of_table)
        if provenance is not None and provenance["commit_id"] != self._commit:
            self._commit = provenance["commit_id"]
            self._take(store.read(screen, self.name_of_table))

    @property
    def code(self) -> np.ndarray:
        """(n,) number of each cell's label in `names`; -1 without a label."""
        return self._code

    @property
    def names(self) -> list[str]:
        """The labels, in the order in which they were given first."""
        return list(self._names)

    @property
    def commit(self) -> str:
        """The commit of the stored labels; "" if there are none."""
        return self._commit or ""

    def made(self, code: str, table: str) -> dict[str, str]:
        """Provenance of a table that is made from these labels by a version of pcip."""
        return {"asset": table, "commit": code, "created_at": _now().isoformat()}

    def counts(self) -> dict[str, int]:
        """Label -> number of cells."""
        numbers = np.bincount(self._code[self._code >= 0], minlength=len(self._names)).tolist()
        return dict(zip(self._names, numbers, strict=True))

    def of(self, rows: np.ndarray) -> list[str | None]:
        """The label of each of these cells."""
        return [None if code < 0 else self._names[code] for code in self._code[rows].tolist()]

    # -- changes -------------------------------------------------------------------------------------

    def give(self, rows: np.ndarray, label: str, version: Version) -> int:
        """Label cells, whatever label they have, and return how many labels have changed.

        Raises:
            StoreError: the label is empty, too long, has control characters, or is one too many.
            WriteError: it cannot be written.
        """
        label, rows = _checked_label(label), np.unique(rows)
        self.refresh()
        if label in self._names:
            rows = rows[self._code[rows] != self._names.index(label)]
        elif len(self._names) >= _MOST_LABELS:
            raise StoreError(
                f"label {label!r}",
                found=f"{len(self._names)} other labels in {self.name_of_table}",
                required=f"at most {_MOST_LABELS}",
                remedy="Use one of them, or begin labels of another name.",
            )
        return self._change(rows, self._new(rows, label, version), version.code)

    def remove(self, rows: np.ndarray, code: str) -> int:
        """Remove the labels of cells, and return how many there were. `code` is the version of pcip."""
        rows = np.unique(rows)
        self.refresh()
        return self._change(rows[self._code[rows] >= 0], schemas.LABELS.empty(), code)

    def undo(self, code: str) -> int:
        """Undo the last change of this object that is not undone; return how many cells it had changed, 0 for none.

        Cells that another process has labelled since keep its labels.
        """
        if not self._undo:
            return 0
        rows, before, after = self._undo[-1]
        changed = self._change(rows, before, code, undone=after)
        del self._undo[-1]  # it stays there if it could not be written
        return changed

    def _new(self, rows: np.ndarray, label: str, version: Version) -> pl.DataFrame:
        cells, n = self._cells, len(rows)
        same = {
            "label": label,
            "labelled_by": version.user,
            "labelled_at": _now().replace(tzinfo=None),
            "feature_set": version.feature_set,
            "encoder_version": version.encoder_version,
            "code": version.code,
        }
        ids = {
            "cell_id": cells.cell_id.gather(rows),
            "image_id": cells.images["image_id"].gather(cells.image[rows]),
            "pixel_hash": cells.pixel_hashes(rows),
        }
        return schemas.LABELS.frame(ids | {name: [value] * n for name, value in same.items()})

    def _change(
        self, rows: np.ndarray, given: pl.DataFrame, code: str, *, undone: pl.DataFrame | None = None
    ) -> int:
        """Replace the labels of some cells by the given table rows, in one commit; return the number of cells.

        To undo a change, `undone` has the table rows that it left; only cells that still have them are changed.
        """
        if not len(rows):
            return 0
        changes: list[_Change] = []

        def made() -> pl.DataFrame:  # again, if another process has changed the table meanwhile
            self.refresh()
            changes.append(self._changed(rows, given, undone))
            return changes[-1].table

        provenance = self.made(code, self.name_of_table)
        store, screen = self._cells.store, self._cells.screen
        self._commit = store.update(screen, self.name_of_table, made, provenance=provenance)
        rows, before, given, table = changes[-1]
        if undone is None:
            self._undo = [*self._undo, (rows, before, given)][-_UNDONE:]
        self._table = table
        names = given["label"].unique(maintain_order=True)
        self._names += [name for name in names if name not in self._names]
        self._code[rows] = _NONE
        self._code[self._cells.rows_of(given["cell_id"])] = places(self._labels, given["label"])
        self.lost = table.height - int((self._code >= 0).sum())
        return len(rows)

    def _changed(self, rows: np.ndarray, given: pl.DataFrame, undone: pl.DataFrame | None) -> _Change:
        """What a change of the present table gives."""
        changed = pl.DataFrame({"cell_id": self._cells.cell_id.gather(rows)})
        before = self._table.join(changed, on="cell_id", how="semi", maintain_order="left")
        if undone is not None:
            same = ["cell_id", "label", "labelled_by", "labelled_at"]
            others = pl.concat(
                [
                    before.join(undone, on=same, how="anti", nulls_equal=True),
                    undone.join(before, on=same, how="anti", nulls_equal=True),
                ]
            )
            left = ~changed["cell_id"].is_in(others["cell_id"].implode())
            changed, rows = changed.filter(left), rows[left.to_numpy()]
            before, given = (
                table.join(changed, on="cell_id", how="semi", maintain_order="left")
                for table in (before, given)
            )
        kept = self._table.join(changed, on="cell_id", how="anti", maintain_order="left")
        return _Change(rows, before, given, pl.concat([kept, given]))

    def _take(self, table: pl.DataFrame) -> None:
        """Look up the cells of the stored labels."""
        self._table = table
        row = self._cells.rows_of(table["cell_id"])
        present = np.flatnonzero(row >= 0)
        hashes = self._cells.pixel_hashes(row[present])
        same = present[(hashes == table["pixel_hash"].gather(present)).to_numpy()]
        by_time = table.group_by("label").agg(pl.col("labelled_at").min()).sort("labelled_at", "label")
        self._names += [name for name in by_time["label"] if name not in self._names]
        self._code = np.full(len(self._cells), _NONE, np.int16)
        self._code[row[same]] = places(self._labels, table["label"])[same]
        self.lost = table.height - len(same)

    @property
    def _labels(self) -> pl.Series:
        return pl.Series(self._names, dtype=pl.String)


def label_sets(cells: BrowsedCells) -> list[str]:
    """The names of the label tables of a screen."""
    tables = cells.store.tables(cells.screen)
    return [table.removeprefix(PREFIX) for table in tables if table.startswith(PREFIX)]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _checked_label(label: str) -> str:
    label = composed(label.strip())
    if not label or len(label) > _LONGEST_LABEL or not label.isprintable():
        raise StoreError(
            f"label {label[:_LONGEST_LABEL]!r}",
            found="an empty label"
            if not label
            else f"{len(label)} characters, or one that cannot be printed",
            required=f"1 to {_LONGEST_LABEL} printable characters",
            remedy="Choose another label.",
        )
    return label
